#include "server/rpc/stream_loop.h"

#include <pthread.h>
#include <sys/prctl.h>

#include <algorithm>
#include <ctime>
#include <functional>

#include "server/net/clock.h"
#include "server/rpc/call.h"
#include "server/rpc/subscribe_stream.h"

namespace mcgw::rpc {
namespace {

// Of one read of a connection. Its calls are served before anything else of the shard, so it bounds how long one client
// holds up the others.
constexpr size_t kReadBytes = 16 << 10;

// Messages between two reads of the sockets, so that a burst of them does not overflow a receive buffer, and how long
// making and writing them may take. They are written in a row, not each when it is made: a reader that is woken by the
// first then finds the others, and its kernel is not asked to wake it for each.
constexpr int kMessagesInARow = 64;
constexpr int64_t kDrivingNs = 100'000;
constexpr int64_t kWritingNs = 400'000;

// Streams whose holds end within this time of each other are written together.
constexpr int64_t kTogetherNs = 50'000;

// The thread sleeps through a shorter hold than this. Through a longer one it goes on to receive and to serve others.
constexpr int64_t kMostSleepNs = 250'000;

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

StreamLoop::StreamLoop(net::EventLoop* loop, ReceiveBudget* received, Serve serve)
    : loop_(loop), received_(received), serve_(std::move(serve)), read_buffer_(kReadBytes) {}

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
  Cut();
  {
    net::MutexLock lock(&mutex_);
    while (calls_alive_ > 0) calls_ended_.Wait(&mutex_);
  }
  Post([this] { stopping_ = true; });
  thread_.join();
}

void StreamLoop::CallBegins() {
  net::MutexLock lock(&mutex_);
  ++calls_alive_;
}

void StreamLoop::CallEnds() {
  net::MutexLock lock(&mutex_);
  MCGW_INVARIANT(calls_alive_ > 0);
  if (--calls_alive_ == 0) calls_ended_.NotifyAll();
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
    ServeConnections();
  }
}

void StreamLoop::Add(std::unique_ptr<http2::Transport> transport, http2::Peer peer) {
  // std::function must be copyable, so the transport is shared.
  auto shared = std::make_shared<std::unique_ptr<http2::Transport>>(std::move(transport));
  Post([this, shared, peer = std::move(peer)]() mutable {
    if (stopping_) return;
    http2::Connection::Owner* const owner = this;
    auto connection = std::make_unique<http2::Connection>(std::move(*shared), std::move(peer),
                                                          http2::Connection::Limits(), loop_, owner);
    http2::Connection* const raw = connection.get();
    if (raw->Start().ok()) connections_.emplace(raw, std::move(connection));
  });
}

void StreamLoop::Drain() {
  Post([this] {
    for (const auto& [connection, unused] : connections_) connection->Drain();
  });
}

void StreamLoop::Cut() {
  Post([this] {
    for (const auto& [connection, unused] : connections_) connection->Cut();
  });
}

void StreamLoop::CheckClients(int most_checks) {
  Post([this, most_checks] {
    const int64_t now_ns = net::MonotonicNs();
    for (const auto& [connection, unused] : connections_) connection->CheckPeer(now_ns);
    for (Call* const call : calls_) call->Check(now_ns, most_checks);
  });
}

std::shared_ptr<http2::StreamHandler> StreamLoop::OnRequest(http2::Stream* stream, http2::Fields request,
                                                            bool too_many_fields) {
  return serve_(this, stream, std::move(request), too_many_fields);
}

void StreamLoop::FlushSoon(http2::Connection* connection) { to_flush_.push_back(connection); }

void StreamLoop::OnEnd(http2::Connection* connection) { over_.push_back(connection); }

void StreamLoop::ServeConnections() {
  if (!to_flush_.empty()) {
    const int64_t until_ns = net::MonotonicNs() + kWritingNs;
    while (!to_flush_.empty()) {
      http2::Connection* const connection = to_flush_.front();
      to_flush_.pop_front();
      connection->Flush();
      if (net::MonotonicNs() > until_ns) break;
    }
  }
  if (over_.empty()) return;
  std::erase_if(to_flush_, [](const http2::Connection* connection) { return connection->ended(); });
  for (http2::Connection* const connection : over_) connections_.erase(connection);
  over_.clear();
}

void StreamLoop::ExpireCalls(int64_t now_ns) {
  while (!deadlines_.empty() && deadlines_.begin()->first <= now_ns) {
    Call* const call = deadlines_.begin()->second;
    deadlines_.erase(deadlines_.begin());
    call->Expire();
  }
}

void StreamLoop::Wait() {
  const int64_t due_ns = deadlines_.empty() ? CallHead::kNoDeadline : deadlines_.begin()->first;
  const int64_t held_until_ns = held_.empty() ? CallHead::kNoDeadline : held_.front().until_ns;
  const int64_t wake_ns = std::min(due_ns, held_until_ns);
  if (!ready_.empty() || !to_flush_.empty()) {
    loop_->RunOnce(absl::ZeroDuration());
  } else if (wake_ns == CallHead::kNoDeadline) {
    loop_->RunOnce(absl::InfiniteDuration());
  } else if (const int64_t now_ns = net::MonotonicNs();
             sleep_forbidden_ == 0 && !held_.empty() && held_until_ns - now_ns <= kMostSleepNs) {
    loop_->duty().End(now_ns);
    SleepUntil(held_until_ns);
    loop_->RunOnce(absl::ZeroDuration());
  } else {
    loop_->RunOnce(absl::Nanoseconds(std::max<int64_t>(0, wake_ns - now_ns)));
  }
  if (!held_.empty()) ReleaseHeld(net::MonotonicNs());
  if (!deadlines_.empty()) ExpireCalls(net::MonotonicNs());
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
  for (int messages = 0; messages < kMessagesInARow && !ready_.empty(); ++messages) {
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

}  // namespace mcgw::rpc
