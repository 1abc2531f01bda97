// The memberships of one holder: a session or a stream.
//
// A membership is a wish (selector, group, port, source filter); on each interface that its selector means it has a
// Hold on a channel. Overlapping selectors of one holder share a channel, and their filters are united.
//
// What a selector means, as interfaces come and go: `*` means every eligible interface of the moment. All others mean
// one interface, chosen at the Join; the membership stays with it through renames and while it is away. It moves only
// if the interface is gone and another one has taken its name, or, for an address, if another interface has the address
// and its own has not.

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
#include "server/net/status.h"

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
  // What became of a membership as the interfaces changed: a channel it holds now, from `start` on, or no longer holds;
  // or one that it should hold and is refused (`log` is null).
  struct Followed {
    ChannelPtr log;
    fanout::ChangeCause cause = fanout::ChangeCause::kInterfaceAppeared;
    std::optional<fanout::Cursor> start;
    fanout::ChannelStatus refused;
  };

  // `owner` says who the holds belong to; its filter and membership are filled in here.
  MembershipSet(MembershipServices* services, Holder owner) : services_(services), owner_(std::move(owner)) {}
  MembershipSet(const MembershipSet&) = delete;
  MembershipSet& operator=(const MembershipSet&) = delete;

  // Checks, resolves (among the interfaces that the registry knows) and joins. Idempotent: the same key again replaces
  // the filter and keeps the id. On failure nothing has changed. With "*", an interface on which the kernel refuses is
  // reported as kFailed and is no failure of the call: what was held there goes on with its filter of before.
  absl::StatusOr<Added> Add(const MembershipRequest& request);

  // NOT_JOINED if it is not held. Removing leaves the groups of which this was the last holder.
  absl::StatusOr<Removed> Remove(const MembershipKey& key);
  absl::StatusOr<Removed> Remove(uint64_t membership_id);
  Removed RemoveAll();
  // Their stream has ended, and they are kept until this time.
  void Retain(int64_t expires_unix_ns);

  // After the registry has followed the interfaces: lets go of channels that no membership means any more, and takes
  // those that one means now.
  std::vector<Followed> Follow();

  bool empty() const { return memberships_.empty(); }
  // Adds the filters that this set has for a channel; none if it does not hold it.
  void CollectFilters(uint64_t channel_id, std::vector<fanout::SourceFilter>* filters) const;
  // Each held channel once.
  std::vector<ChannelPtr> Channels() const;
  std::vector<fanout::ChannelStatus> ChannelStatuses() const;
  std::optional<fanout::ChannelStatus> StatusOf(uint64_t channel_id) const;

 private:
  using Hold = InterfaceManager::Hold;
  using ManagerPtr = InterfaceRegistry::ManagerPtr;
  struct Membership {
    uint64_t id = 0;
    fanout::SourceFilter filter;  // As asked for last.
    bool wait = false;
    // Each with the filter that the kernel last agreed to. By hold->manager().
    std::map<const InterfaceManager*, std::unique_ptr<Hold>> holds;
    std::map<std::string, net::Reason> refused;  // Interfaces of which the streams were told so.
  };

  // The names of the interfaces that a membership means now.
  absl::StatusOr<std::vector<std::string>> InterfacesOf(const MembershipKey& key, const Membership& membership,
                                                        bool wait) const;
  // Null if it has none.
  static const InterfaceManager* HeldOne(const Membership& membership);
  // The same as InterfacesOf for one that has its interface.
  std::string StayingName(const MembershipKey& key, const InterfaceManager& held) const;
  absl::StatusOr<Hold*> HoldOn(InterfaceManager* manager, const MembershipKey& key, Membership* membership,
                               InterfaceManager::Patience patience);
  void LetGo(Membership* membership, const InterfaceManager* manager);
  void FollowOne(const MembershipKey& key, Membership* membership, std::vector<Followed>* followed);
  Removed Take(std::map<MembershipKey, Membership>::iterator at);

  MembershipServices* const services_;
  const Holder owner_;
  std::map<MembershipKey, Membership> memberships_;
  std::unordered_map<uint64_t, std::map<MembershipKey, Membership>::iterator> by_id_;
  std::multimap<uint64_t, const InterfaceManager::Hold*> by_channel_;
};

}  // namespace mcgw::gateway

#endif  // MCGW_GATEWAY_MEMBERSHIP_SET_H_
