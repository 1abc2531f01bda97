// The thread of a shard: receives the shard's channels and writes its streams.
//
// Streams are written through one asynchronous completion queue. A write that the transport accepts at once completes
// on this thread and wakes no other (gRPC's thread-local completion cache). A companion thread (SubscribeServer) blocks
// in the queue for later completions and posts them here. This thread blocks only in the event loop. docs/adr/ gives
// the reasons and figures.
//
// Under load a stream's next message is held back briefly (linger.h). While a message is held back and no stream
// forbids delay, the thread sleeps without receiving; its other streams wait too. So a burst costs one wake-up.

#ifndef MCGW_RPC_STREAM_LOOP_H_
#define MCGW_RPC_STREAM_LOOP_H_

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <thread>
#include <unordered_set>
#include <utility>
#include <vector>

#include "grpc/grpc.h"
#include "grpcpp/completion_queue.h"
#include "server/fanout/waiter.h"
#include "server/net/event_loop.h"
#include "server/net/invariant.h"

namespace mcgw::rpc {

class SubscribeStream;
class StreamLoop;

// The tag that the completion queue carries. Lives in its stream.
struct StreamTag {
  enum class Kind : uint8_t { kCall, kWrite, kFinish, kDone };
  Kind kind;
  SubscribeStream* stream;
};

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

class StreamLoop {
 public:
  // `loop` is the shard's. `dispatch` delivers a completion and may be called on this loop's thread. All arguments must
  // outlive this object.
  StreamLoop(net::EventLoop* loop, grpc::ServerCompletionQueue* queue, std::function<void(StreamTag*, bool)> dispatch);
  StreamLoop(const StreamLoop&) = delete;
  StreamLoop& operator=(const StreamLoop&) = delete;
  ~StreamLoop();

  void Start();
  // Ends the thread after all work posted so far.
  void Stop();

  // Any thread.
  void Post(std::function<void()> work) { loop_->Post(std::move(work)); }
  // Whether this is the thread of `loop`, which may no longer exist.
  static bool IsThreadOf(const StreamLoop* loop);
  // Calls `visit` for every stream of this loop, on its thread.
  void ForEachStream(std::function<void(SubscribeStream*)> visit);

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

  // Starts one operation on the queue. If it completes at once, its tag is dispatched on this thread before this
  // returns. Must not be nested.
  template <typename Operation>
  void Operate(Operation&& operation) {
    grpc_completion_queue_thread_local_cache_init(queue_->cq());
    operation();
    FlushCache();
  }

 private:
  friend class StreamDoorbell;
  // A stream whose next message is held back.
  struct Held {
    int64_t until_ns = 0;
    std::shared_ptr<StreamDoorbell> doorbell;
    bool operator>(const Held& other) const { return until_ns > other.until_ns; }
  };

  void Run();
  // Waits for a datagram, posted work, or the end of a delay.
  void Wait();
  void ReleaseHeld(int64_t now_ns);
  void DriveStreams();
  void FlushCache();

  net::EventLoop* const loop_;
  grpc::ServerCompletionQueue* const queue_;
  const std::function<void(StreamTag*, bool)> dispatch_;
  std::thread thread_;

  // Loop thread only.
  std::unordered_set<SubscribeStream*> streams_;
  std::deque<std::shared_ptr<StreamDoorbell>> ready_;
  std::vector<Held> held_;  // A heap with the earliest on top.
  int sleep_forbidden_ = 0;
  bool stopping_ = false;
};

}  // namespace mcgw::rpc

#endif  // MCGW_RPC_STREAM_LOOP_H_
