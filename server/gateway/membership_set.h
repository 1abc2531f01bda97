// The memberships of one holder: a session or a stream.
//
// A membership is a wish (selector, group, port, source filter); on each interface that its selector means it has a
// Hold on a channel. Overlapping selectors of one holder share a channel, and their filters are united.

#ifndef MCGW_GATEWAY_MEMBERSHIP_SET_H_
#define MCGW_GATEWAY_MEMBERSHIP_SET_H_

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <unordered_map>
#include <vector>

#include "absl/status/statusor.h"
#include "server/fanout/event.h"
#include "server/gateway/interface_directory.h"
#include "server/gateway/interface_manager.h"
#include "server/gateway/interface_registry.h"
#include "server/gateway/policy.h"

namespace mcgw::gateway {

// What a membership is known by within its holder.
struct MembershipKey {
  std::string selector;
  net::IpAddress group;
  uint16_t port = 0;
  friend auto operator<=>(const MembershipKey&, const MembershipKey&) = default;
};

// Where memberships get their channels. Outlives all sets.
struct MembershipServices {
  InterfaceDirectory* directory = nullptr;
  InterfaceRegistry* registry = nullptr;
  std::atomic<uint64_t> next_membership_id{1};
  Limits limits;
};

// Not thread-safe: its holder locks. Add and the removals make system calls.
class MembershipSet {
 public:
  using ChannelPtr = std::shared_ptr<fanout::ChannelLog>;
  struct Added {
    uint64_t membership_id = 0;
    std::vector<fanout::ChannelStatus> channels;  // Joined, and with "*" also those that failed.
    std::vector<ChannelPtr> touched;              // Joined, or with a filter that may have changed.
  };
  struct Removed {
    std::vector<uint64_t> membership_ids;
    std::vector<ChannelPtr> touched;
  };

  // `owner` says who the holds belong to; its filter and membership are filled in here.
  MembershipSet(MembershipServices* services, Holder owner) : services_(services), owner_(std::move(owner)) {}
  MembershipSet(const MembershipSet&) = delete;
  MembershipSet& operator=(const MembershipSet&) = delete;

  // Checks, resolves and joins. Idempotent: the same key again replaces the filter and keeps the id. On failure nothing
  // has changed. With "*", an interface on which the kernel refuses is reported as kFailed and is no failure of the
  // call: what was held there goes on with its filter of before.
  absl::StatusOr<Added> Add(const MembershipRequest& request);

  // NOT_JOINED if it is not held. Removing leaves the groups of which this was the last holder.
  absl::StatusOr<Removed> Remove(const MembershipKey& key);
  absl::StatusOr<Removed> Remove(uint64_t membership_id);
  Removed RemoveAll();
  // Their stream has ended, and they are kept until this time.
  void Retain(int64_t expires_unix_ns);

  bool empty() const { return memberships_.empty(); }
  // Adds the filters that this set has for a channel; none if it does not hold it.
  void CollectFilters(uint64_t channel_id, std::vector<fanout::SourceFilter>* filters) const;
  // Each held channel once.
  std::vector<ChannelPtr> Channels() const;
  std::vector<fanout::ChannelStatus> ChannelStatuses() const;
  std::optional<fanout::ChannelStatus> StatusOf(uint64_t channel_id) const;

 private:
  struct Membership {
    uint64_t id = 0;
    // Each with the filter that the kernel last agreed to.
    std::map<uint32_t, std::unique_ptr<InterfaceManager::Hold>> holds;  // By interface index.
  };

  absl::StatusOr<std::vector<net::Interface>> Resolve(const MembershipRequest& request, const Membership* existing);
  absl::Status HoldOn(const net::Interface& interface, const MembershipRequest& request, Membership* membership,
                      std::vector<uint32_t>* fresh);
  Removed Take(std::map<MembershipKey, Membership>::iterator at);

  MembershipServices* const services_;
  const Holder owner_;
  std::map<MembershipKey, Membership> memberships_;
  std::unordered_map<uint64_t, std::map<MembershipKey, Membership>::iterator> by_id_;
  std::multimap<uint64_t, const InterfaceManager::Hold*> by_channel_;
};

}  // namespace mcgw::gateway

#endif  // MCGW_GATEWAY_MEMBERSHIP_SET_H_
