#include "server/rpc/stream_loop.h"

#include <pthread.h>

#include <vector>

#include "server/net/clock.h"
#include "server/rpc/subscribe_stream.h"

namespace mcgw::rpc {
namespace {

// Between two looks at the sockets, so that a burst of writes does not overflow a receive buffer.
constexpr int kWritesInARow = 16;
constexpr int64_t kDrivingNs = 100'000;

}  // namespace

void StreamDoorbell::Ring() {
  if (rung_.exchange(true, std::memory_order_acq_rel)) return;
  if (loop_->OnLoopThread()) {
    loop_->MakeReady(shared_from_this());
  } else {
    loop_->Post([self = shared_from_this()] { self->loop_->MakeReady(self); });
  }
}

StreamLoop::StreamLoop(net::EventLoop* loop, grpc::ServerCompletionQueue* queue,
                       std::function<void(StreamTag*, bool)> dispatch)
    : loop_(loop), queue_(queue), dispatch_(std::move(dispatch)) {}

StreamLoop::~StreamLoop() { Stop(); }

void StreamLoop::Start() {
  thread_ = std::thread([this] {
    pthread_setname_np(pthread_self(), "mcgw-shard");
    thread_id_.store(std::this_thread::get_id(), std::memory_order_relaxed);
    Run();
  });
}

void StreamLoop::Stop() {
  if (!thread_.joinable()) return;
  Post([this] { stopping_ = true; });
  thread_.join();
}

void StreamLoop::ForEachStream(std::function<void(SubscribeStream*)> visit) {
  Post([this, visit = std::move(visit)] {
    // A visit may end in the stream's removal.
    const std::vector<SubscribeStream*> streams(streams_.begin(), streams_.end());
    for (SubscribeStream* stream : streams) visit(stream);
  });
}

void StreamLoop::Run() {
  while (!stopping_) {
    loop_->RunOnce(ready_.empty() ? absl::InfiniteDuration() : absl::ZeroDuration());
    DriveStreams();
  }
}

void StreamLoop::DriveStreams() {
  if (ready_.empty()) return;
  const int64_t until_ns = net::MonotonicNs() + kDrivingNs;
  for (int writes = 0; writes < kWritesInARow && !ready_.empty(); ++writes) {
    const std::shared_ptr<StreamDoorbell> doorbell = std::move(ready_.front());
    ready_.pop_front();
    // Before the stream looks, so that what comes meanwhile rings again.
    doorbell->rung_.store(false, std::memory_order_release);
    if (doorbell->stream_ != nullptr) doorbell->stream_->Drive();
    if (net::MonotonicNs() > until_ns) break;
  }
}

void StreamLoop::FlushCache() {
  void* raw = nullptr;
  int raw_ok = 0;
  if (grpc_completion_queue_thread_local_cache_flush(queue_->cq(), &raw, &raw_ok) == 0) return;
  bool ok = raw_ok == 1;
  void* tag = nullptr;
  // As CompletionQueue::DoThenAsyncNext does, but without polling the queue after a miss: that would only cost.
  if (static_cast<grpc::internal::CompletionQueueTag*>(raw)->FinalizeResult(&tag, &ok)) {
    dispatch_(static_cast<StreamTag*>(tag), ok);
  }
}

}  // namespace mcgw::rpc
