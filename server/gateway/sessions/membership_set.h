// The memberships of one holder: a session or a stream.
//
// A membership is a request (selector, group, port, source filter). On each interface that its selector means it has a
// Hold on a channel. Overlapping selectors of one holder share a channel, and their filters are merged.
//
// As interfaces come and go, `*` means every eligible interface at that time. Any other selector means one interface,
// chosen at the Join; the membership stays with it through renames and while it is away. It moves only if the interface
// is gone and another one has taken its name or, for an address, if another interface has the address and its own does
// not.

#ifndef MCGW_GATEWAY_SESSIONS_MEMBERSHIP_SET_H_
#define MCGW_GATEWAY_SESSIONS_MEMBERSHIP_SET_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "absl/container/btree_set.h"
#include "absl/container/inlined_vector.h"
#include "absl/status/statusor.h"
#include "server/fanout/event.h"
#include "server/gateway/channels/holder.h"
#include "server/gateway/channels/interface_channels.h"
#include "server/gateway/interfaces/interface_directory.h"
#include "server/gateway/interfaces/interface_registry.h"
#include "server/gateway/rules/policy.h"
#include "server/net/status.h"

namespace mcgw::gateway {

// Identifies a membership within its holder.
struct MembershipKey {
  std::string selector;
  net::IpAddress group;
  uint16_t port = 0;
  friend auto operator<=>(const MembershipKey&, const MembershipKey&) = default;
};

// What memberships get their channels from. Outlives all sets.
struct MembershipServices {
  InterfaceDirectory* directory = nullptr;
  InterfaceRegistry* registry = nullptr;
  std::atomic<uint64_t> next_membership_id{1};
  // Of all sets together.
  std::atomic<size_t> memberships{0};
  std::atomic<size_t> sources{0};
  Limits limits;
};

// Not thread-safe: its holder locks. Adding and removing make system calls.
class MembershipSet {
 public:
  using ChannelPtr = std::shared_ptr<fanout::ChannelLog>;
  struct Added {
    uint64_t membership_id = 0;
    std::vector<fanout::ChannelStatus> channels;  // Joined ones; with "*" also those that failed.
    std::vector<ChannelPtr> touched;              // Joined ones, and those whose filter may have changed.
  };
  struct Removed {
    std::vector<uint64_t> membership_ids;
    std::vector<ChannelPtr> touched;
  };
  // The effect of an interface change on a membership: a channel that it holds now, from `start` on, or no longer
  // holds; or one that it should hold but was refused (`log` is null).
  struct Followed {
    ChannelPtr log;
    fanout::ChangeCause cause = fanout::ChangeCause::kInterfaceAppeared;
    std::optional<fanout::Cursor> start;
    fanout::ChannelStatus refused;
  };

  // `owner` is the holds' owner; its filter and membership are filled in here.
  MembershipSet(MembershipServices* services, Holder owner) : services_(services), owner_(std::move(owner)) {}
  MembershipSet(const MembershipSet&) = delete;
  MembershipSet& operator=(const MembershipSet&) = delete;
  ~MembershipSet();

  // Checks, resolves (among the interfaces that the registry knows) and joins. Idempotent: the same key again replaces
  // the filter and keeps the id. On failure nothing has changed. With "*", an interface on which the kernel refuses is
  // reported as kFailed, and the call still succeeds: what was held there keeps its previous filter.
  absl::StatusOr<Added> Add(const MembershipRequest& request);

  // NOT_JOINED if it is not held. Removing leaves the groups that this was the last holder of.
  absl::StatusOr<Removed> Remove(const MembershipKey& key);
  absl::StatusOr<Removed> Remove(uint64_t membership_id);
  Removed RemoveAll();
  // Marks the memberships as kept until this time, after their stream's end.
  void Retain(int64_t expires_unix_ns);

  // Call it after the registry has followed the interfaces. Releases channels that no membership means any more, and
  // takes those that one means now.
  std::vector<Followed> Follow();

  bool empty() const { return memberships_.empty(); }
  // Adds the filters that this set has for a channel; none if it does not hold it.
  void CollectFilters(uint64_t channel_id, std::vector<fanout::SourceFilter>* filters) const;
  // Each held channel once.
  std::vector<ChannelPtr> Channels() const;
  std::vector<fanout::ChannelStatus> ChannelStatuses() const;
  std::optional<fanout::ChannelStatus> StatusOf(uint64_t channel_id) const;

 private:
  using Hold = InterfaceChannels::Hold;
  using ChannelsPtr = InterfaceRegistry::ChannelsPtr;
  // There may be millions, so it is kept small.
  struct Membership {
    Membership(MembershipFacts the_facts, const MembershipKey& key)
        : facts(std::move(the_facts)), group(key.group), port(key.port) {}
    // Null if it holds none there.
    Hold* HoldOn(const InterfaceChannels* channels) const;
    MembershipKey key() const { return {facts.holder->selector, group, port}; }

    const MembershipFacts facts;
    const net::IpAddress group;
    bool wait = false;
    const uint16_t port;
    fanout::SourceFilter filter;  // As last requested.
    // One for each interface, with the filter that the kernel last accepted. Destroyed first.
    absl::InlinedVector<std::unique_ptr<Hold>, 1> holds;
  };
  static_assert(sizeof(Membership) <= 88, "fits a block of 96 bytes");
  struct ByKey {
    using is_transparent = void;
    using View = std::tuple<std::string_view, const net::IpAddress&, uint16_t>;
    static View Of(const MembershipKey& key) { return {key.selector, key.group, key.port}; }
    static View Of(const std::unique_ptr<Membership>& membership) {
      return {membership->facts.holder->selector, membership->group, membership->port};
    }
    template <typename A, typename B>
    bool operator()(const A& a, const B& b) const {
      return Of(a) < Of(b);
    }
  };

  struct ById {
    using is_transparent = void;
    static uint64_t Of(uint64_t id) { return id; }
    static uint64_t Of(const Membership* membership) { return membership->facts.id; }
    template <typename A, typename B>
    bool operator()(const A& a, const B& b) const {
      return Of(a) < Of(b);
    }
  };
  struct ByChannel {
    using is_transparent = void;
    static uint64_t Of(uint64_t channel_id) { return channel_id; }
    static uint64_t Of(const Hold* hold) { return hold->channel_id(); }
    template <typename A, typename B>
    bool operator()(const A& a, const B& b) const {
      return Of(a) < Of(b);
    }
  };

  // The interfaces that a membership means now; null: a new one.
  absl::StatusOr<std::vector<InterfaceTarget>> InterfacesOf(const MembershipKey& key, const Membership* membership,
                                                            bool wait) const;
  // Facts for a new membership.
  MembershipFacts NewFacts(const MembershipKey& key);
  // Null if it has none.
  static const InterfaceChannels* HeldOne(const Membership& membership);
  // The same as InterfacesOf, for a membership that has its interface.
  InterfaceTarget Staying(const MembershipKey& key, const InterfaceChannels& held) const;
  absl::StatusOr<Hold*> HoldOn(InterfaceChannels* channels, Membership* membership,
                               InterfaceChannels::Patience patience, fanout::Cursor* start = nullptr);
  void LetGo(Membership* membership, const InterfaceChannels* channels, bool quiet);
  void ForgetChannel(const Hold* hold);
  void FollowOne(Membership* membership, std::vector<Followed>* followed);
  // Counts one more membership. MEMBERSHIP_LIMIT.
  absl::Status CountNew();
  // Sets a membership's filter and counts its sources. AssignAnyway checks no limit, to undo Assign.
  absl::Status Assign(Membership* membership, const fanout::SourceFilter& filter);
  void AssignAnyway(Membership* membership, const fanout::SourceFilter& filter);
  Removed Take(Membership* membership);
  void Erase(Membership* membership);

  MembershipServices* const services_;
  const Holder owner_;
  absl::btree_set<std::unique_ptr<Membership>, ByKey> memberships_;
  size_t sources_ = 0;  // Number of sources in their filters.
  absl::btree_set<Membership*, ById> by_id_;
  absl::btree_multiset<const Hold*, ByChannel> by_channel_;
  // Interfaces that refused a membership, by its id, as reported to the streams.
  std::map<uint64_t, std::map<std::string, net::Reason>> refused_;
};

}  // namespace mcgw::gateway

#endif  // MCGW_GATEWAY_SESSIONS_MEMBERSHIP_SET_H_
