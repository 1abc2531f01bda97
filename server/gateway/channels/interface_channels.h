// The channels of one interface: who wants them, and what the kernel has.
//
// An InterfaceChannels follows its interface: by index while the interface exists, so that a rename changes nothing,
// and by name when the interface comes back after it was deleted (InterfaceRegistry decides). Its channels keep their
// ids, logs and epochs all the while.
//
// A Hold is a reference to a channel. The first hold joins, the last one leaves, and the kernel is told the merged
// source filter of all holds. Intent (the holds) and fact (the socket) are kept apart, and both are shown. A Hold is
// granted once the kernel has agreed or, if its owner waits, while the interface is not there. It then lasts until it
// is destroyed: a channel that loses its interface is joined again when the interface is back.

#ifndef MCGW_GATEWAY_CHANNELS_INTERFACE_CHANNELS_H_
#define MCGW_GATEWAY_CHANNELS_INTERFACE_CHANNELS_H_

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/container/btree_set.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/fanout/channel_log.h"
#include "server/fanout/event.h"
#include "server/fanout/receive_shard.h"
#include "server/fanout/slab_pool.h"
#include "server/fanout/source_filter.h"
#include "server/gateway/channels/accounts.h"
#include "server/gateway/channels/channel_sockets.h"
#include "server/gateway/channels/holder.h"
#include "server/gateway/channels/interface_state.h"
#include "server/gateway/channels/reception.h"
#include "server/gateway/rules/options.h"
#include "server/net/interface_table.h"
#include "server/net/kernel_memberships.h"
#include "server/net/multicast_socket.h"
#include "server/net/mutex.h"

namespace mcgw::gateway {

// What all interfaces share. Outlives them.
struct ChannelServices {
  net::SocketFactory* sockets = nullptr;
  SocketBudget socket_budget;
  std::vector<fanout::ReceiveShard*> shards;  // At least one; a channel belongs to one for its life.
  std::shared_ptr<fanout::LogBudget> log_budget;
  Options options;
  std::atomic<uint64_t> next_channel_id{1};
  std::atomic<uint64_t> next_interface_channels_id{1};
  std::atomic<size_t> channels{0};  // Held or kept, against options.limits.channels.
  ClosedAccounts closed;
};

// Which channels to look at.
struct ChannelQuery {
  uint64_t after_id = 0;                // Those with a greater id,
  size_t most = SIZE_MAX;               // the first so many of them,
  std::set<std::string> interfaces;     // on one of these interfaces,
  std::optional<net::IpAddress> group;  // of one group,
  uint16_t port = 0;                    // and of one port. Empty, nothing and 0: all.
};

// A channel as it is at one moment.
struct ChannelSnapshot {
  fanout::ChannelStatus status;
  std::vector<Holder> holders;
  fanout::SourceFilter wanted;
  bool joined = false;
  int64_t opened_ns = 0;                // Monotonic; with `joined`.
  std::optional<uint32_t> host_users;   // Sockets of all the host that hold the group on the interface.
  fanout::SourceFilter told;            // What the kernel was told; with `joined`.
  bool narrows = false;                 // `told` passes more than is wanted, until it can be narrowed.
  std::vector<SocketSnapshot> sockets;  // With `joined`.
  net::ReceiveSocketFacts socket;       // The sum of them, with the inode of the first.
  ChannelAccount account;
  uint64_t oldest_sequence = 0;
  size_t log_bytes = 0;       // Of records.
  std::string oldest_record;  // As encoded; empty if the log is.
  size_t log_limit_bytes = 0;
  int64_t log_limit_age_ns = 0;  // 0: no limit.
  int64_t created_unix_ns = 0;
  int64_t last_datagram_unix_ns = 0;  // 0: none yet.
  std::string last_source;
  uint8_t last_hop_limit = 0;
};

// A channel's accounts and its sockets.
struct ChannelLedger {
  uint64_t channel_id = 0;
  ChannelAccount account;
  std::vector<SocketSnapshot> sockets;
  std::vector<std::vector<uint64_t>> served;  // By each socket: the channels, this one among them.
};

// What an interface's channels received together, including the channels that it no longer has.
struct ReceiveTotals {
  uint64_t read = 0;
  uint64_t kernel_drops = 0;
};

// What happened to an interface, for the streams that read its channels.
struct InterfaceNotice {
  uint64_t interface_channels_id = 0;
  std::string interface_name;         // The name it has now.
  uint32_t interface_index = 0;       // 0 if it does not exist.
  std::vector<fanout::Event> events;  // InterfaceRenamed, InterfaceLost, InterfaceRestored, in order.
  std::set<uint64_t> channel_ids;
};

// A channel that is joined now and was not, or that the kernel refuses.
struct ChannelChange {
  fanout::ChannelStatus status;
  fanout::ChangeCause cause = fanout::ChangeCause::kInterfaceAppeared;
};

// Thread-safe. Its mutex is held during system calls of the control path; the data path never takes it. Follow, Heal
// and Rejoin are called by one thread at a time.
class InterfaceChannels {
 private:
  struct Channel;

 public:
  // A request for a channel that was granted. Destroying it may leave the group, which makes system calls: hold only
  // locks that come before InterfaceChannels in the lock order (gateway.h).
  class Hold {
   public:
    Hold(const Hold&) = delete;
    Hold& operator=(const Hold&) = delete;
    ~Hold();

    InterfaceChannels* interface_channels() const;
    const std::shared_ptr<fanout::ChannelLog>& log() const;
    uint64_t channel_id() const { return log()->channel_id(); }
    fanout::ChannelStatus status() const;
    fanout::SourceFilter filter() const;
    // Replaces this hold's filter. On failure nothing has changed.
    absl::Status SetFilter(fanout::SourceFilter filter);
    // Ends it now, without a log line. Destroy it next.
    void EndQuietly();

   private:
    friend class InterfaceChannels;
    Hold(Channel* channel, const MembershipFacts* membership, fanout::SourceFilter filter);
    Channel* channel_;  // InterfaceChannels keeps it while it is held. Null: ended.
    const MembershipFacts* const membership_;
    const int64_t since_unix_ns_;
    fanout::SourceFilter filter_;  // Guarded by the mutex of InterfaceChannels.
  };
  static_assert(sizeof(Hold) <= 40, "there may be millions; fits a block of 48 bytes");
  struct Patience {
    bool wait =
        false;  // Grant it also while the interface is not there, is down, or cannot join for another passing reason.
    bool quiet = false;  // Not logged.
  };

  // `interface`: null while it does not exist.
  InterfaceChannels(ChannelServices* services, std::string name, const net::Interface* interface);
  InterfaceChannels(const InterfaceChannels&) = delete;
  InterfaceChannels& operator=(const InterfaceChannels&) = delete;
  // All holds must have gone. The shards' threads may still run.
  ~InterfaceChannels();

  uint64_t id() const { return id_; }
  // 0 while the interface does not exist.
  uint32_t index() const { return index_.load(std::memory_order_acquire); }
  std::string name() const;

  // Joins for a membership, or shares a channel that is joined. Sets `start`, if not null, to the end of the log before
  // this hold: a reader that begins there also reads what was missed since then. CHANNEL_LIMIT, SOURCE_LIMIT,
  // PORT_IN_USE, HOST_LIMIT; without patience also INTERFACE_NOT_FOUND, INTERFACE_DOWN, INTERFACE_ENSLAVED, NO_ADDRESS.
  absl::StatusOr<std::unique_ptr<Hold>> Acquire(const net::IpAddress& group, uint16_t port,
                                                const MembershipFacts& membership, fanout::SourceFilter filter,
                                                Patience patience, fanout::Cursor* start = nullptr);

  // ---- When the interface changes ----

  // How it is now (null: it does not exist) and what happened to it since the last call. Closes sockets that will
  // receive nothing. Returns what the streams are to be told before Heal joins again.
  std::optional<InterfaceNotice> Follow(const net::Interface* interface, const InterfaceInterim& interim);
  // To be called after the streams were told: marks in the logs what Follow found lost, and joins every channel that is
  // held and not joined, if the interface can. After a refusal it waits before it tries again, unless `now`.
  struct Healed {
    std::vector<ChannelChange> changes;
    std::optional<InterfaceNotice> notice;  // The memberships that were lost alone are all joined again.
  };
  Healed Heal(bool now);
  // The groups that sockets have joined since before `before_ns` (monotonic) and that the kernel does not list.
  std::set<net::IpAddress> Missing(const net::KernelMemberships& kernel, int64_t before_ns) const;
  // The kernel has lost these groups: closes their sockets. Heal joins them again.
  std::optional<InterfaceNotice> Rejoin(const std::set<net::IpAddress>& groups);

  // Drops the logs of channels without a hold for keep_after_leave, and tells the kernel filters that were put off.
  void Sweep(int64_t now_ns);
  // When the channel that was left longest ago was left (monotonic). Nothing if no log is kept.
  std::optional<int64_t> OldestLeftNs() const;
  // Drops that channel's log before its time, to make room for another channel. False if no log is kept.
  bool DropOldestLeft();

  // The ids of the channels that match, in order. Ignores the query's interfaces.
  std::vector<uint64_t> ChannelIds(const ChannelQuery& query) const;
  // Of these channels, those that it has.
  std::vector<ChannelSnapshot> Snapshot(const std::vector<uint64_t>& ids) const;
  // Nothing if it has no such channel.
  std::optional<ChannelLedger> LedgerOf(uint64_t channel_id) const;
  // The sum over its channels.
  ChannelAccount Account() const;
  ReceiveTotals Totals() const;
  // The number of holds of a family; and for each group, the number of sockets that have joined it.
  size_t Holds(net::Family family) const;
  std::map<net::IpAddress, uint32_t> Sockets() const;
  // The number of channels with a hold.
  size_t HeldChannels() const;
  bool empty() const;
  // A channel with a hold cannot receive now, because of the interface or the kernel.
  bool lost() const;
  uint64_t losses() const;  // How often it was lost.

 private:
  using Key = std::pair<net::IpAddress, uint16_t>;
  using Channels = std::map<Key, std::shared_ptr<Channel>>;

  void Release(Hold* hold, bool quiet);
  absl::Status SetFilter(Hold* hold, fanout::SourceFilter filter);
  fanout::ChannelStatus StatusOf(const Hold& hold) const;
  fanout::SourceFilter FilterOf(const Hold& hold) const;
  static Holder HolderOf(const Hold& hold);

  // The log's limits, as the gateway's options say for this group.
  fanout::ChannelLog::Options LogOptions(uint64_t channel_id, const net::IpAddress& group) const;
  // Adds its accounts to those of the gateway once its shard has read the last datagram.
  void Fold(const Channel& channel);
  absl::StatusOr<std::shared_ptr<Channel>> FindOrAdd(const Key& key) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Removes a channel without a hold.
  void Erase(Channels::iterator at) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // The same for a channel that was joined: its log goes, its accounts stay.
  void Drop(Channel* channel) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Tells the kernel the merged filter of a channel that is joined.
  absl::Status Tell(Channel* channel) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  ChannelSnapshot SnapshotOf(const Channel& channel) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  static void AddTotals(const Channel& channel, ReceiveTotals* totals);
  absl::Status Open(Channel* channel, const fanout::SourceFilter& wanted) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Closes sockets that the shard cannot watch; Heal joins them again later. False if there were none.
  bool CloseUnwatched(Healed* healed) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void PutOffRetry(int64_t now_ns) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // For all channels that are held.
  InterfaceNotice NewNotice(std::vector<fanout::Event> events) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  fanout::ChannelStatus StatusLocked(const Channel& channel) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  std::string Describe(const Channel& channel) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Logs a line if the kernel's filter differs from `before` (nothing: not joined).
  void LogChange(const Channel& channel, const std::optional<fanout::SourceFilter>& before, bool quiet) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Logs a line about one hold, at level debug.
  void LogHold(const Channel& channel, const char* what, const fanout::SourceFilter& filter) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  ChannelServices* const services_;
  const uint64_t id_;
  std::atomic<uint32_t> index_;  // state_'s; written with the mutex held.

  mutable net::Mutex mutex_;
  ChannelSockets sockets_ ABSL_GUARDED_BY(mutex_);
  InterfaceState state_ ABSL_GUARDED_BY(mutex_);
  int64_t retry_ns_ ABSL_GUARDED_BY(mutex_) = 0;  // Monotonic; when to try a refused join again.
  int64_t retry_after_ns_ ABSL_GUARDED_BY(mutex_) = 0;
  Channels channels_ ABSL_GUARDED_BY(mutex_);
  absl::btree_map<uint64_t, Channel*> by_id_ ABSL_GUARDED_BY(mutex_);
  // Channels without a hold, by when the last one went; and those whose reception may have put off a filter.
  // By the time when they were left, then by id.
  absl::btree_set<std::tuple<int64_t, uint64_t, Channel*>> left_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_set<Channel*> put_off_ ABSL_GUARDED_BY(mutex_);
  ReceiveTotals retired_ ABSL_GUARDED_BY(mutex_);  // Of channels that were dropped.
};

}  // namespace mcgw::gateway

#endif  // MCGW_GATEWAY_CHANNELS_INTERFACE_CHANNELS_H_
