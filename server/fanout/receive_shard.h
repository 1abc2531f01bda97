// Receives many channels on one thread, the only writer of their logs.
//
// A shard works in an event loop (net::EventLoop::RunOnce) that its owner's thread runs. Control threads start and stop
// receivers through it; requests run in order on the loop's thread. Only that thread removes a socket from epoll, reads
// its last drops and closes it, because a descriptor reused elsewhere would be a race.

#ifndef MCGW_FANOUT_RECEIVE_SHARD_H_
#define MCGW_FANOUT_RECEIVE_SHARD_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <unordered_map>
#include <vector>

#include "server/fanout/channel_log.h"
#include "server/net/clock.h"
#include "server/net/event_loop.h"
#include "server/net/invariant.h"
#include "server/net/multicast_socket.h"
#include "server/net/mutex.h"

namespace mcgw::fanout {

// Per-channel counters over all its sockets, counted where it happens. Written by the shard, read by any thread.
struct ReceiveCounters {
  std::atomic<uint64_t> read{0};  // Datagrams taken from the kernel, including an unshared socket's mismatches.
  std::atomic<uint64_t> payload_bytes{0};  // Of the logged datagrams.
  std::atomic<uint64_t> kernel_drops{0};   // Dropped by the kernel for lack of buffer space, at an unshared socket.
  std::atomic<uint64_t> mismatches{0};     // Of another group or interface, at an unshared socket; discarded.
  std::atomic<uint64_t> errors{0};         // Failed reads.
  std::atomic<int64_t> last_receive_unix_ns{0};
  std::atomic<uint8_t> last_hop_limit{0};  // Of the last datagram.

  // The last sender.
  net::IpAddress last_source() const {
    net::MutexLock lock(&mutex);
    return source;
  }
  mutable net::Mutex mutex;
  net::IpAddress source ABSL_GUARDED_BY(mutex);
};

// Per-socket counters. Summed over all of a shard's past and present sockets they equal its channels' totals, except
// for shared sockets, whose drops, mismatches and errors belong to no one channel. Written by the shard, read by any
// thread.
struct SocketCounters {
  std::atomic<uint64_t> read{0};  // Including mismatches.
  std::atomic<uint64_t> kernel_drops{0};
  std::atomic<uint64_t> mismatches{0};
  std::atomic<uint64_t> errors{0};
  // The errno for which the loop does not watch it, so that it is read only once a second; 0: it is watched.
  std::atomic<int> watch_errno{0};
};

class ReceiveShard {
 public:
  // One channel to receive from one of its sockets.
  struct Spec {
    std::shared_ptr<net::ReceiveSocket> socket;  // Already joined.
    net::IpAddress group;                        // The channel's group at a shared socket.
    std::shared_ptr<ChannelLog> log;             // Only this shard ever writes it from now on.
    std::shared_ptr<ReceiveCounters> counters;
    std::shared_ptr<SocketCounters> socket_counters;  // The socket's; may be null.
    // The log continues an earlier one: datagrams may be missing between its end and now.
    std::optional<GapCause> interruption;
    int64_t interrupted_unix_ns = 0;
  };

  // All arguments must outlive the shard.
  ReceiveShard(net::EventLoop* loop, net::SocketFactory* factory, std::shared_ptr<LogBudget> budget);
  ReceiveShard(const ReceiveShard&) = delete;
  ReceiveShard& operator=(const ReceiveShard&) = delete;
  // On the loop's thread, or after it has ended.
  ~ReceiveShard();

  // Any thread. A channel may have several sockets, whose datagrams its log interleaves. A shared socket may have
  // several channels, each started separately.
  void Start(Spec spec);
  // Ends a receiver. Reads what is still queued (the socket has already left the group), then gives the log nothing
  // more from the socket. Closes the socket with its last log, or if no log is named. Then calls `done` on the loop's
  // thread. Without a socket it only calls `done`, after all earlier requests.
  void Stop(std::shared_ptr<net::ReceiveSocket> socket, std::function<void()> done,
            std::shared_ptr<ChannelLog> log = nullptr);
  // Records in a log of this shard that an unknown number of datagrams may be missing from now on. Any thread.
  void Interrupt(std::shared_ptr<ChannelLog> log, GapCause cause, int64_t from_unix_ns);
  // Finds drops that no later datagram has revealed, makes logs give up expired records, and tries again to watch
  // sockets. If the budget is still spent because each log keeps its newest slab, logs that have been idle for a second
  // give that up too. Call once a second with the current monotonic time. Any thread.
  void Sweep(int64_t now_ns = net::MonotonicNs());

 private:
  class Receiver;

  void StartNow(Spec spec, uint32_t interruption);
  // Makes the loop watch the socket if it does not yet. False if the host refuses; the counters have the errno.
  bool Watch(Receiver* receiver);
  void StopNow(const net::ReceiveSocket* socket, const ChannelLog* log, int64_t stopped_unix_ns);
  // One turn of a socket. True if there may be more to read.
  bool Receive(Receiver* receiver);
  // One read, logged. False if it failed.
  bool ReadOnce(Receiver* receiver, bool* drained);
  // Accounts for drops that no datagram has revealed, once nothing is queued. False if there is more to read first.
  bool AccountTrailing(Receiver* receiver);

  net::EventLoop* const loop_;
  const std::shared_ptr<LogBudget> budget_;
  // Loop thread only.
  net::OneAtATime reading_;
  const std::unique_ptr<net::ReceiveBatch> batch_;
  std::unordered_map<const net::ReceiveSocket*, std::unique_ptr<Receiver>> receivers_;
  // All logs that this shard has written and that may still exist; swept when half of them may be gone.
  std::unordered_map<const ChannelLog*, std::weak_ptr<ChannelLog>> logs_;
  size_t sweep_logs_at_ = 64;
};

}  // namespace mcgw::fanout

#endif  // MCGW_FANOUT_RECEIVE_SHARD_H_
