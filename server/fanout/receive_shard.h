// Receives many channels on one thread: the only writer of their logs.
//
// Somebody else's thread runs the event loop (net::EventLoop::RunOnce) that a shard works in. Control threads start and
// stop receivers through it; what they ask is done in order, on the loop's thread. Only that thread takes a socket out
// of epoll, reads its last drops and closes it, since a descriptor that is reused elsewhere would be a race.

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
#include "server/net/multicast_socket.h"
#include "server/net/mutex.h"

namespace mcgw::fanout {

// What was received for one channel by all its sockets, counted where it happens. Written by the shard, read by any
// thread.
struct ReceiveCounters {
  std::atomic<uint64_t> read{0};           // Datagrams taken from the kernel: with mismatches, of a socket of its own.
  std::atomic<uint64_t> payload_bytes{0};  // Of those that were logged.
  std::atomic<uint64_t> kernel_drops{0};   // Dropped by the kernel for want of buffer space at a socket of its own.
  std::atomic<uint64_t> mismatches{0};     // Of another group or interface, at a socket of its own; discarded.
  std::atomic<uint64_t> errors{0};         // Failed reads.
  std::atomic<int64_t> last_receive_unix_ns{0};
  std::atomic<uint8_t> last_hop_limit{0};  // With which the last one came.

  // Who sent last.
  net::IpAddress last_source() const {
    net::MutexLock lock(&mutex);
    return source;
  }
  mutable net::Mutex mutex;
  net::IpAddress source ABSL_GUARDED_BY(mutex);
};

// The same for one socket, which may be one of several of a channel, or one that several channels share: over all
// sockets of a shard that ever were, reads, drops, mismatches and errors add up to those of its channels, but for the
// drops, mismatches and errors of shared sockets, which nobody can tell the channel of. Written by the shard, read by
// any thread.
struct SocketCounters {
  std::atomic<uint64_t> read{0};  // With mismatches.
  std::atomic<uint64_t> kernel_drops{0};
  std::atomic<uint64_t> mismatches{0};
  std::atomic<uint64_t> errors{0};
  // Why its readiness is not watched, so that it is read once a second only; 0: it is.
  std::atomic<int> watch_errno{0};
};

class ReceiveShard {
 public:
  // One channel to receive, by one of its sockets.
  struct Spec {
    std::shared_ptr<net::ReceiveSocket> socket;  // Joined.
    net::IpAddress group;                        // What the channel takes of a shared socket.
    std::shared_ptr<ChannelLog> log;             // Written by this shard from now on, and by no other, ever.
    std::shared_ptr<ReceiveCounters> counters;
    std::shared_ptr<SocketCounters> socket_counters;  // Those of the socket; may be null.
    // The log has a past: datagrams may be missing between it and now, from this time on.
    std::optional<GapCause> interruption;
    int64_t interrupted_unix_ns = 0;
  };

  // All must outlive the shard.
  ReceiveShard(net::EventLoop* loop, net::SocketFactory* factory, std::shared_ptr<LogBudget> budget);
  ReceiveShard(const ReceiveShard&) = delete;
  ReceiveShard& operator=(const ReceiveShard&) = delete;
  // On the loop's thread, or when that has ended.
  ~ReceiveShard();

  // Any thread. A channel may have several sockets, which its log takes turns to hear; a shared socket may have several
  // channels, each started for itself.
  void Start(Spec spec);
  // Reads what is still queued (it left the group before) and no longer gives the log anything from the socket; with
  // the last log of a socket, or with none named, closes it. Then calls `done` on the loop's thread. Without a socket
  // it only calls `done`, after all that was asked for before.
  void Stop(std::shared_ptr<net::ReceiveSocket> socket, std::function<void()> done,
            std::shared_ptr<ChannelLog> log = nullptr);
  // Says in a log of this shard that an unknown number of datagrams may be missing from now on. Any thread.
  void Interrupt(std::shared_ptr<ChannelLog> log, GapCause cause, int64_t from_unix_ns);
  // Finds drops that no later datagram has told of, has logs give up what is too old, and watches sockets that could
  // not be watched. Where the budget is spent all the same, because each log keeps its newest slab, logs that nothing
  // has come to for a second give that up too. Once a second, with the monotonic time of that moment. Any thread.
  void Sweep(int64_t now_ns = net::MonotonicNs());

 private:
  class Receiver;

  void StartNow(Spec spec, uint32_t interruption);
  // Has the loop watch the socket, if it does not. False, and its counters say why, if the host refuses.
  bool Watch(Receiver* receiver);
  void StopNow(const net::ReceiveSocket* socket, const ChannelLog* log, int64_t stopped_unix_ns);
  // One turn of a socket. True if there may be more to read.
  bool Receive(Receiver* receiver);
  // One read, logged. False if it failed.
  bool ReadOnce(Receiver* receiver, bool* drained);
  // Accounts for drops that no datagram has told of, once nothing is queued. False if there is more to read first.
  bool AccountTrailing(Receiver* receiver);

  net::EventLoop* const loop_;
  const std::shared_ptr<LogBudget> budget_;
  // Of the loop's thread.
  const std::unique_ptr<net::ReceiveBatch> batch_;
  std::unordered_map<const net::ReceiveSocket*, std::unique_ptr<Receiver>> receivers_;
  // All that this shard ever wrote and that still live; the dead are swept out when they may be half of it.
  std::unordered_map<const ChannelLog*, std::weak_ptr<ChannelLog>> logs_;
  size_t sweep_logs_at_ = 64;
};

}  // namespace mcgw::fanout

#endif  // MCGW_FANOUT_RECEIVE_SHARD_H_
