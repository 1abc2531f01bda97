// The channels of one interface: who wants them, and what the kernel has.
//
// A Hold is a reference to a channel that exists only after the kernel agreed, and whose destruction gives it back: the
// first hold joins, the last one leaves, and each one's source filter is merged into what the kernel is told. Intent
// (the holds) and fact (the socket) are kept apart and both shown.

#ifndef MCGW_GATEWAY_INTERFACE_MANAGER_H_
#define MCGW_GATEWAY_INTERFACE_MANAGER_H_

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/fanout/channel_log.h"
#include "server/fanout/event.h"
#include "server/fanout/receive_shard.h"
#include "server/fanout/slab_pool.h"
#include "server/fanout/source_filter.h"
#include "server/gateway/accounts.h"
#include "server/gateway/channel_sockets.h"
#include "server/gateway/limits.h"
#include "server/gateway/reception.h"
#include "server/net/multicast_socket.h"
#include "server/net/mutex.h"

namespace mcgw::gateway {

// What all interfaces share. Outlives them.
struct ChannelServices {
  net::SocketFactory* sockets = nullptr;
  SocketBudget socket_budget;
  std::vector<fanout::ReceiveShard*> shards;  // At least one; a channel belongs to one for its life.
  std::shared_ptr<fanout::SlabPool> slabs;
  Options options;
  std::atomic<uint64_t> next_channel_id{1};
  std::atomic<size_t> channels{0};  // Held or kept, against options.limits.channels.
  ClosedAccounts closed;
};

// Who holds a channel, for those who look.
struct Holder {
  // kRetained: a stream that has ended; kGateway: the gateway itself, to keep datagrams with hop limit 0 on the host
  // (host_memberships.h).
  enum class Kind : uint8_t { kSession, kStream, kRetained, kGateway };
  Kind kind = Kind::kSession;
  uint64_t membership_id = 0;
  uint64_t subscriber_id = 0;  // Of a stream.
  std::string identity;
  std::string selector;  // As it was asked for.
  fanout::SourceFilter filter;
  int64_t since_unix_ns = 0;
  int64_t expires_unix_ns = 0;  // 0: not known, or not while it is used.
};

// Which channels to look at.
struct ChannelQuery {
  uint64_t after_id = 0;                // Those with a greater id,
  size_t most = SIZE_MAX;               // the first so many of them,
  std::string interface_name;           // on one interface,
  std::optional<net::IpAddress> group;  // of one group,
  uint16_t port = 0;                    // and of one port. Empty, nothing and 0: all.
};

// A channel as it is at one moment.
struct ChannelSnapshot {
  fanout::ChannelStatus status;
  std::vector<Holder> holders;
  fanout::SourceFilter wished;
  bool joined = false;
  std::optional<uint32_t> host_users;   // Sockets of all the host that hold the group on the interface.
  fanout::SourceFilter told;            // What the kernel was told; with `joined`.
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

// What an interface's channels received together, those that are no more included.
struct ReceiveTotals {
  uint64_t read = 0;
  uint64_t kernel_drops = 0;
};

// Thread-safe. Its mutex is held during system calls of the control path; the data path never takes it.
class InterfaceManager {
 private:
  struct Channel;

 public:
  // A wish for a channel, granted. Destroying it may leave the group and so makes system calls; under no other lock
  // than those that come before InterfaceManager's in the lock order (gateway.h).
  class Hold {
   public:
    Hold(const Hold&) = delete;
    Hold& operator=(const Hold&) = delete;
    ~Hold() { manager_->Release(this); }

    const std::shared_ptr<fanout::ChannelLog>& log() const { return log_; }
    uint64_t channel_id() const { return log_->channel_id(); }
    fanout::ChannelStatus status() const { return manager_->StatusOf(*this); }
    fanout::SourceFilter filter() const { return manager_->FilterOf(*this); }
    // Its stream has ended, and it is kept until this time.
    void Retain(int64_t expires_unix_ns) { manager_->Retain(this, expires_unix_ns); }
    // Replaces this hold's filter. On failure nothing has changed.
    absl::Status SetFilter(fanout::SourceFilter filter) { return manager_->SetFilter(this, std::move(filter)); }

   private:
    friend class InterfaceManager;
    Hold(InterfaceManager* manager, std::shared_ptr<Channel> channel, std::shared_ptr<fanout::ChannelLog> log,
         Holder holder);
    InterfaceManager* const manager_;
    const std::shared_ptr<Channel> channel_;
    const std::shared_ptr<fanout::ChannelLog> log_;
    Holder holder_;  // Guarded by the manager's mutex.
  };

  InterfaceManager(ChannelServices* services, uint32_t index, std::string name);
  InterfaceManager(const InterfaceManager&) = delete;
  InterfaceManager& operator=(const InterfaceManager&) = delete;
  // All holds must have gone. The shards' threads may still run.
  ~InterfaceManager();

  uint32_t index() const { return index_; }
  const std::string& name() const { return name_; }

  // Joins, or shares what is joined. CHANNEL_LIMIT, SOURCE_LIMIT, PORT_IN_USE, INTERFACE_NOT_FOUND, HOST_LIMIT.
  absl::StatusOr<std::unique_ptr<Hold>> Acquire(const net::IpAddress& group, uint16_t port, Holder holder);

  // Drops the logs of channels that nobody has held for keep_after_leave, and tells the kernel what was put off.
  void Sweep(int64_t now_ns);

  // The ids of the channels that are asked for, by id in `query.after_id` and its group and port; in no order.
  std::vector<uint64_t> ChannelIds(const ChannelQuery& query) const;
  // With `ids`, sorted, only of these.
  std::vector<ChannelSnapshot> Snapshot(const std::vector<uint64_t>* ids = nullptr) const;
  ReceiveTotals Totals() const;
  // Holds, for a family; and for each group the sockets that hold it.
  size_t Holds(net::Family family) const;
  std::map<net::IpAddress, uint32_t> Sockets() const;

 private:
  using Key = std::pair<net::IpAddress, uint16_t>;

  void Release(Hold* hold);
  void Retain(Hold* hold, int64_t expires_unix_ns);
  absl::Status SetFilter(Hold* hold, fanout::SourceFilter filter);
  fanout::ChannelStatus StatusOf(const Hold& hold) const;
  fanout::SourceFilter FilterOf(const Hold& hold) const;

  // The log's limits, as the gateway's options say for this group.
  fanout::ChannelLog::Options LogOptions(uint64_t channel_id, const net::IpAddress& group) const;
  // Its accounts go into those of the gateway, once its shard has read the last datagram.
  void Fold(const Channel& channel);
  absl::StatusOr<std::shared_ptr<Channel>> FindOrAdd(const Key& key) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  static void AddTotals(const Channel& channel, ReceiveTotals* totals);
  fanout::ChannelStatus StatusLocked(const Channel& channel) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  std::string Describe(const Channel& channel) const;

  ChannelServices* const services_;
  const uint32_t index_;
  const std::string name_;

  mutable net::Mutex mutex_;
  ChannelSockets sockets_ ABSL_GUARDED_BY(mutex_);
  std::map<Key, std::shared_ptr<Channel>> channels_ ABSL_GUARDED_BY(mutex_);
  ReceiveTotals retired_ ABSL_GUARDED_BY(mutex_);  // Of channels that are no more.
};

}  // namespace mcgw::gateway

#endif  // MCGW_GATEWAY_INTERFACE_MANAGER_H_
