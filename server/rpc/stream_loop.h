// The thread of a shard: receives the shard's channels, and serves connections with all their calls.
//
// A stream's next message is written by this thread, straight from the log to the socket. The thread blocks only in the
// event loop.
//
// Under load a stream's next message is held back briefly (linger.h). While a message is held back for 0.25 ms at most
// and no stream forbids delay, the thread sleeps without receiving; its other streams wait too. So a burst costs one
// wake-up.

#ifndef MCGW_RPC_STREAM_LOOP_H_
#define MCGW_RPC_STREAM_LOOP_H_

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "server/fanout/waiter.h"
#include "server/http2/connection.h"
#include "server/net/event_loop.h"
#include "server/net/invariant.h"
#include "server/net/mutex.h"
#include "server/rpc/receive_budget.h"

namespace mcgw::rpc {

class Call;
class SubscribeStream;
class StreamLoop;

// Queues its stream in the loop's list of streams with work. Outlives the stream. A ring from another thread may
// outlive the loop too, so it is posted to the shard's event loop, which checks that the stream still exists.
class StreamDoorbell : public fanout::Doorbell, public std::enable_shared_from_this<StreamDoorbell> {
 public:
  StreamDoorbell(StreamLoop* loop, SubscribeStream* stream);
  void Ring() override;

 private:
  friend class StreamLoop;
  friend class SubscribeStream;
  StreamLoop* const loop_;        // Valid as long as the stream.
  net::EventLoop* const events_;  // The shard's; outlives all rings.
  std::atomic<bool> rung_{false};
  SubscribeStream* stream_;  // Loop thread only; null once the stream is gone.
};

class StreamLoop final : private http2::Connection::Owner {
 public:
  // Takes a request: what serves it, or null if it is answered.
  using Serve = std::function<std::shared_ptr<http2::StreamHandler>(StreamLoop*, http2::Stream*, http2::Fields, bool)>;

  // `loop` is the shard's. It and `received` outlive this object. `serve` is called on this loop's thread.
  StreamLoop(net::EventLoop* loop, ReceiveBudget* received, Serve serve);
  StreamLoop(const StreamLoop&) = delete;
  StreamLoop& operator=(const StreamLoop&) = delete;
  ~StreamLoop() override;

  void Start();
  // Cuts all connections, waits for what other threads do for their calls, and ends the thread.
  void Stop();

  // Any thread.
  void Post(std::function<void()> work) { loop_->Post(std::move(work)); }
  // Whether this is the thread of `loop`, which may no longer exist.
  static bool IsThreadOf(const StreamLoop* loop);
  // Calls `visit` for every stream of this loop, on its thread.
  void ForEachStream(std::function<void(SubscribeStream*)> visit);
  // Serves a connection until it ends.
  void Add(std::unique_ptr<http2::Transport> transport, http2::Peer peer);
  // Asks all clients to go elsewhere; see http2::Connection.
  void Drain();
  // Ends all connections.
  void Cut();
  // Asks idle clients whether they are there, and has each call look whether its client does something (Call::Check).
  // Once a second.
  void CheckClients(int most_checks);

  // ---- The loop's thread ----

  void MakeReady(std::shared_ptr<StreamDoorbell> doorbell) { ready_.push_back(std::move(doorbell)); }
  void Add(SubscribeStream* stream) {
    MCGW_INVARIANT(IsThreadOf(this) && !streams_.contains(stream));
    streams_.insert(stream);
  }
  void Remove(SubscribeStream* stream) {
    MCGW_INVARIANT(IsThreadOf(this));
    streams_.erase(stream);
  }
  // Counts the streams that allow no delay: while there are any, the thread does not sleep.
  void ForbidSleep() { ++sleep_forbidden_; }
  void AllowSleep() {
    MCGW_INVARIANT(sleep_forbidden_ > 0);
    --sleep_forbidden_;
  }

  // Deadlines of calls, by the monotonic clock.
  using Deadlines = std::multimap<int64_t, Call*>;
  Deadlines::iterator AddDeadline(int64_t at_ns, Call* call) { return deadlines_.emplace(at_ns, call); }
  void RemoveDeadline(Deadlines::iterator at) { deadlines_.erase(at); }

  ReceiveBudget* received() const { return received_; }
  void AddCall(Call* call) { calls_.insert(call); }
  void RemoveCall(Call* call) { calls_.erase(call); }

  // Counts calls, which may outlive their connection in other threads. Any thread.
  void CallBegins();
  void CallEnds();

 private:
  friend class StreamDoorbell;
  // A stream whose next message is held back.
  struct Held {
    int64_t until_ns = 0;
    std::shared_ptr<StreamDoorbell> doorbell;
    bool operator>(const Held& other) const { return until_ns > other.until_ns; }
  };

  std::shared_ptr<http2::StreamHandler> OnRequest(http2::Stream* stream, http2::Fields request,
                                                  bool too_many_fields) override;
  void FlushSoon(http2::Connection* connection) override;
  void OnEnd(http2::Connection* connection) override;
  absl::Span<char> read_buffer() override { return absl::MakeSpan(read_buffer_); }
  http2::FrameBuffer* frame_buffer() override { return &frame_buffer_; }

  void Run();
  // Waits for a datagram, posted work, or the end of a delay.
  void Wait();
  void ReleaseHeld(int64_t now_ns);
  void DriveStreams();
  void ExpireCalls(int64_t now_ns);
  // Writes what the streams have given to their connections, and destroys those that have ended.
  void ServeConnections();

  net::EventLoop* const loop_;
  ReceiveBudget* const received_;
  const Serve serve_;
  std::thread thread_;

  net::Mutex mutex_;
  net::CondVar calls_ended_;
  size_t calls_alive_ ABSL_GUARDED_BY(mutex_) = 0;

  // Loop thread only.
  std::unordered_set<SubscribeStream*> streams_;
  std::unordered_set<Call*> calls_;  // Whose clients are there.
  std::deque<std::shared_ptr<StreamDoorbell>> ready_;
  std::vector<Held> held_;           // A heap with the earliest on top.
  http2::FrameBuffer frame_buffer_;  // Outlives the connections.
  std::unordered_map<http2::Connection*, std::unique_ptr<http2::Connection>> connections_;
  std::deque<http2::Connection*> to_flush_;
  std::vector<http2::Connection*> over_;
  std::vector<char> read_buffer_;
  Deadlines deadlines_;
  int sleep_forbidden_ = 0;
  bool stopping_ = false;
};

}  // namespace mcgw::rpc

#endif  // MCGW_RPC_STREAM_LOOP_H_
