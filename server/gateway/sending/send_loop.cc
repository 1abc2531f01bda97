#include "server/gateway/sending/send_loop.h"

#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <cerrno>

#include "server/net/clock.h"
#include "server/net/invariant.h"
#include "server/net/status.h"

namespace mcgw::gateway {
namespace {

using Next = SendJob::Next;

// The turn of a job that has nothing to wait for.
constexpr int64_t kTurnNs = 200'000;

}  // namespace

absl::Status SendLoop::Start() {
  wake_ = net::OwnedFd(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!wake_.valid()) return net::ErrnoStatus(errno, "eventfd");
  thread_ = std::thread([this] {
    pthread_setname_np(pthread_self(), "mcgw-send");
    Run();
  });
  return absl::OkStatus();
}

void SendLoop::Stop() {
  if (!thread_.joinable()) return;
  {
    net::MutexLock lock(&mutex_);
    stopping_ = true;
  }
  Wake();
  thread_.join();
}

void SendLoop::Take(std::shared_ptr<SendJob> job, Next next, std::string client, std::function<void()> done) {
  auto entry = std::make_unique<Entry>();
  entry->job = std::move(job);
  entry->client = std::move(client);
  entry->done = std::move(done);
  entry->progress_ns = net::MonotonicNs();
  Arrive(std::move(entry), next);
}

void SendLoop::Cancel(SendJob* job) {
  job->Cancel();
  {
    net::MutexLock lock(&mutex_);
    cancelled_ = true;
  }
  Wake();
}

void SendLoop::Arrive(EntryPtr entry, Next next) {
  {
    net::MutexLock lock(&mutex_);
    arrived_.emplace_back(std::move(entry), next);
  }
  Wake();
}

void SendLoop::Wake() { eventfd_write(wake_.get(), 1); }

// ---- The thread ----

void SendLoop::Run() {
  while (!stopped_) {
    Wait();
    TakeArrivals();
    DropCancelled();
    ServeLanes();
    WakePaused();
    RunReady();
  }
  MCGW_INVARIANT(lanes_.empty() && ready_.empty() && paused_.empty());
}

void SendLoop::Wait() {
  const int64_t now_ns = net::MonotonicNs();
  int64_t due_ns = INT64_MAX;
  if (!ready_.empty()) due_ns = now_ns;
  if (!paused_.empty()) due_ns = std::min(due_ns, paused_.front().first);
  std::vector<pollfd> fds = {{wake_.get(), POLLIN, 0}};
  polled_.clear();
  for (const auto& [socket, lane] : lanes_) {
    due_ns = std::min(due_ns, lane.progress_ns + net::SendSocket::kPatienceNs);
    fds.push_back({socket->fd(), POLLOUT, 0});
    polled_.emplace_back(socket, short{0});
  }
  int timeout_ms = -1;
  if (due_ns != INT64_MAX) timeout_ms = static_cast<int>((std::max<int64_t>(due_ns - now_ns, 0) + 999'999) / 1'000'000);
  duty_.End(now_ns);
  poll(fds.data(), fds.size(), timeout_ms);
  duty_.Begin(net::MonotonicNs());
  eventfd_t count = 0;
  if ((fds[0].revents & POLLIN) != 0) eventfd_read(wake_.get(), &count);
  for (size_t i = 1; i < fds.size(); ++i) polled_[i - 1].second = fds[i].revents;
}

void SendLoop::TakeArrivals() {
  std::vector<std::pair<EntryPtr, Next>> arrived;
  {
    net::MutexLock lock(&mutex_);
    arrived.swap(arrived_);
    stopped_ = stopping_;
  }
  for (auto& [entry, next] : arrived) Place(std::move(entry), next);
}

void SendLoop::DropCancelled() {
  {
    net::MutexLock lock(&mutex_);
    if (!cancelled_ && !stopped_) return;
    cancelled_ = false;
  }
  std::vector<EntryPtr> dropped;
  const auto drop = [&](EntryPtr& entry) {
    if (!entry->job->cancelled() && !stopped_) return false;
    dropped.push_back(std::move(entry));
    return true;
  };
  std::erase_if(ready_, drop);
  std::erase_if(paused_, [&](auto& paused) { return drop(paused.second); });
  for (auto at = lanes_.begin(); at != lanes_.end();) {
    Lane& lane = at->second;
    std::erase_if(lane.waiting, drop);
    lane.socket->waiting().store(static_cast<int>(lane.waiting.size()), std::memory_order_relaxed);
    at = lane.waiting.empty() ? lanes_.erase(at) : std::next(at);
  }
  for (const EntryPtr& entry : dropped) entry->done();
}

void SendLoop::ServeLanes() {
  const int64_t now_ns = net::MonotonicNs();
  for (const auto& [socket, events] : polled_) {
    const auto at = lanes_.find(socket);
    if (at == lanes_.end()) continue;
    Lane& lane = at->second;
    if (events != 0) {
      // Queued errors end the wait too; a step clears them.
      if ((events & POLLOUT) != 0) lane.progress_ns = now_ns;
      Serve(&lane, true);
      lane.queued_bytes = socket->queued_bytes();
    } else if (now_ns - lane.progress_ns >= net::SendSocket::kPatienceNs) {
      // On a slow link it may take long until poll reports room.
      const size_t queued_bytes = socket->queued_bytes();
      if (queued_bytes < lane.queued_bytes) {
        lane.progress_ns = now_ns;
        lane.queued_bytes = queued_bytes;
      } else {
        Serve(&lane, false);
      }
    }
    if (lane.waiting.empty()) lanes_.erase(at);
  }
}

void SendLoop::Serve(Lane* lane, bool patient) {
  const std::shared_ptr<net::SendSocket> socket = lane->socket;
  MCGW_INVARIANT(!lane->waiting.empty());
  MCGW_INVARIANT(socket->waiting().load(std::memory_order_relaxed) == static_cast<int>(lane->waiting.size()));
  for (size_t turns = lane->waiting.size(); turns > 0; --turns) {
    EntryPtr entry = std::move(lane->waiting.front());
    lane->waiting.pop_front();
    socket->waiting().fetch_sub(1, std::memory_order_relaxed);
    const uint64_t sent = entry->job->sent();
    const Next next = entry->job->Step({.of = socket.get(), .patient = patient});
    const bool progress = entry->job->sent() > sent;
    entry->progress_ns = net::MonotonicNs();  // The wait for its turn does not count.
    const bool here = (next == Next::kWritable || next == Next::kMore) && entry->job->socket() == socket;
    if (!here) {
      Place(std::move(entry), next);
      continue;
    }
    // A job that found no room at all keeps its turn.
    const bool keeps = next == Next::kWritable && !progress;
    lane->waiting.insert(keeps ? lane->waiting.begin() : lane->waiting.end(), std::move(entry));
    socket->waiting().fetch_add(1, std::memory_order_relaxed);
    if (next == Next::kWritable) return;
  }
}

void SendLoop::RunReady() {
  for (size_t turns = ready_.size(); turns > 0; --turns) {
    EntryPtr entry = std::move(ready_.front());
    ready_.pop_front();
    const int64_t now_ns = net::MonotonicNs();
    const uint64_t sent = entry->job->sent();
    const bool patient = now_ns - entry->progress_ns < net::SendSocket::kPatienceNs;
    const Next next = entry->job->Step({.until_ns = now_ns + kTurnNs, .patient = patient});
    if (entry->job->sent() > sent || next != Next::kMoment) entry->progress_ns = now_ns;
    Place(std::move(entry), next);
  }
}

void SendLoop::WakePaused() {
  const int64_t now_ns = net::MonotonicNs();
  while (!paused_.empty() && paused_.front().first <= now_ns) {
    ready_.push_back(std::move(paused_.front().second));
    paused_.pop_front();
  }
}

void SendLoop::Place(EntryPtr entry, Next next) {
  if (entry->job->cancelled()) next = Next::kDone;
  switch (next) {
    case Next::kDone:
      entry->done();
      return;
    case Next::kMore:
      ready_.push_back(std::move(entry));
      return;
    case Next::kMoment:
      paused_.emplace_back(net::MonotonicNs() + net::SendSocket::kMomentNs, std::move(entry));
      MCGW_INVARIANT(paused_.size() == 1 || paused_[paused_.size() - 2].first <= paused_.back().first);
      return;
    case Next::kMayBlock:
      Block(std::move(entry));
      return;
    case Next::kWritable: {
      const std::shared_ptr<net::SendSocket> socket = entry->job->socket();
      MCGW_INVARIANT(socket != nullptr);
      const auto [at, made] = lanes_.try_emplace(socket.get());
      if (made) {
        at->second.socket = socket;
        at->second.progress_ns = net::MonotonicNs();
        at->second.queued_bytes = socket->queued_bytes();
      }
      at->second.waiting.push_back(std::move(entry));
      socket->waiting().fetch_add(1, std::memory_order_relaxed);
      return;
    }
  }
}

void SendLoop::Block(EntryPtr entry) {
  std::shared_ptr<Entry> shared = std::move(entry);  // std::function copies.
  blocking_->Run(shared->client, [this, shared] {
    const Next next = shared->job->cancelled() ? Next::kMore : shared->job->Step({.may_block = true});
    Arrive(std::make_unique<Entry>(std::move(*shared)), next);
  });
}

}  // namespace mcgw::gateway
