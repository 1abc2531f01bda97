#include "server/rpc/stream_loop.h"

#include <pthread.h>
#include <sys/prctl.h>

#include <algorithm>
#include <ctime>
#include <functional>

#include "server/net/clock.h"
#include "server/rpc/subscribe_stream.h"

namespace mcgw::rpc {
namespace {

// Writes between two reads of the sockets, so that a burst of writes does not overflow a receive buffer.
constexpr int kWritesInARow = 16;
constexpr int64_t kDrivingNs = 100'000;

// Streams whose holds end within this time of each other are written together.
constexpr int64_t kTogetherNs = 50'000;

// How late the kernel may wake the thread. The default of 50 us is a quarter of the longest delay.
constexpr unsigned long kTimerSlackNs = 1000;

thread_local const StreamLoop* loop_of_this_thread = nullptr;

void SleepUntil(int64_t monotonic_ns) {
  const timespec until = {.tv_sec = monotonic_ns / 1'000'000'000, .tv_nsec = monotonic_ns % 1'000'000'000};
  clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, nullptr);
}

}  // namespace

StreamDoorbell::StreamDoorbell(StreamLoop* loop, SubscribeStream* stream)
    : loop_(loop), events_(loop->loop_), stream_(stream) {}

void StreamDoorbell::Ring() {
  if (rung_.exchange(true, std::memory_order_acq_rel)) return;
  if (StreamLoop::IsThreadOf(loop_)) {
    loop_->MakeReady(shared_from_this());
  } else {
    // Work posted at the very end runs after the streams and then the loop are gone.
    events_->Post([self = shared_from_this()] {
      if (self->stream_ != nullptr) self->loop_->MakeReady(self);
    });
  }
}

bool StreamLoop::IsThreadOf(const StreamLoop* loop) { return loop_of_this_thread == loop; }

StreamLoop::StreamLoop(net::EventLoop* loop, grpc::ServerCompletionQueue* queue,
                       std::function<void(StreamTag*, bool)> dispatch)
    : loop_(loop), queue_(queue), dispatch_(std::move(dispatch)) {}

StreamLoop::~StreamLoop() { Stop(); }

void StreamLoop::Start() {
  thread_ = std::thread([this] {
    pthread_setname_np(pthread_self(), "mcgw-shard");
    prctl(PR_SET_TIMERSLACK, kTimerSlackNs);
    loop_of_this_thread = this;
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
    // A visit may remove the stream.
    const std::vector<SubscribeStream*> streams(streams_.begin(), streams_.end());
    for (SubscribeStream* stream : streams) visit(stream);
  });
}

void StreamLoop::Run() {
  while (!stopping_) {
    Wait();
    DriveStreams();
  }
}

void StreamLoop::Wait() {
  if (!ready_.empty()) {
    loop_->RunOnce(absl::ZeroDuration());
  } else if (held_.empty()) {
    loop_->RunOnce(absl::InfiniteDuration());
  } else if (sleep_forbidden_ > 0) {
    loop_->RunOnce(absl::Nanoseconds(std::max<int64_t>(0, held_.front().until_ns - net::MonotonicNs())));
  } else {
    loop_->duty().End(net::MonotonicNs());
    SleepUntil(held_.front().until_ns);
    loop_->RunOnce(absl::ZeroDuration());
  }
  if (!held_.empty()) ReleaseHeld(net::MonotonicNs());
}

void StreamLoop::ReleaseHeld(int64_t now_ns) {
  if (held_.front().until_ns > now_ns) return;
  while (!held_.empty() && held_.front().until_ns <= now_ns + kTogetherNs) {
    std::pop_heap(held_.begin(), held_.end(), std::greater<>());
    if (SubscribeStream* const stream = held_.back().doorbell->stream_; stream != nullptr) stream->EndHold();
    ready_.push_back(std::move(held_.back().doorbell));
    held_.pop_back();
  }
}

void StreamLoop::DriveStreams() {
  if (ready_.empty()) return;
  int64_t now_ns = net::MonotonicNs();
  const int64_t until_ns = now_ns + kDrivingNs;
  for (int writes = 0; writes < kWritesInARow && !ready_.empty(); ++writes) {
    std::shared_ptr<StreamDoorbell> doorbell = std::move(ready_.front());
    ready_.pop_front();
    if (doorbell->stream_ != nullptr && doorbell->stream_->hold_until_ns() > now_ns) {
      // Leaves rung_ set, so that new events do not ring again.
      held_.push_back({doorbell->stream_->hold_until_ns(), std::move(doorbell)});
      std::push_heap(held_.begin(), held_.end(), std::greater<>());
      continue;
    }
    // Cleared before the stream looks, so that later events ring again.
    doorbell->rung_.store(false, std::memory_order_release);
    if (doorbell->stream_ != nullptr) doorbell->stream_->Drive();
    now_ns = net::MonotonicNs();
    if (now_ns > until_ns) break;
  }
}

void StreamLoop::FlushCache() {
  void* raw = nullptr;
  int raw_ok = 0;
  if (grpc_completion_queue_thread_local_cache_flush(queue_->cq(), &raw, &raw_ok) == 0) return;
  bool ok = raw_ok == 1;
  void* tag = nullptr;
  // Like CompletionQueue::DoThenAsyncNext, but does not poll the queue after a miss, which would only cost time.
  if (static_cast<grpc::internal::CompletionQueueTag*>(raw)->FinalizeResult(&tag, &ok)) {
    dispatch_(static_cast<StreamTag*>(tag), ok);
  }
}

}  // namespace mcgw::rpc
