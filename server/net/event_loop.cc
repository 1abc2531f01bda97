#include "server/net/event_loop.h"

#include <sys/eventfd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <ctime>
#include <utility>

#include "server/net/clock.h"
#include "server/net/status.h"

namespace mcgw::net {
namespace {

constexpr int64_t kMaxWaitMs = 24 * 60 * 60 * 1000;

int WaitMilliseconds(int epoll, epoll_event* events, int capacity, absl::Duration timeout) {
  // Rounded up, so that a wait under a millisecond does not become a busy loop.
  const int64_t ms = absl::ToInt64Milliseconds(absl::Ceil(timeout, absl::Milliseconds(1)));
  return epoll_wait(epoll, events, capacity, static_cast<int>(ms));
}

// Uses epoll_pwait2 for waits finer than a millisecond, if the kernel (5.11) and the seccomp profile allow it.
int Wait(int epoll, epoll_event* events, int capacity, absl::Duration timeout) {
  if (timeout == absl::InfiniteDuration()) return epoll_wait(epoll, events, capacity, -1);
  if (timeout <= absl::ZeroDuration()) return epoll_wait(epoll, events, capacity, 0);
  timeout = std::min(timeout, absl::Milliseconds(kMaxWaitMs));
#if defined(__GLIBC__) && __GLIBC_PREREQ(2, 35)
  const timespec limit = absl::ToTimespec(timeout);
  const int ready = epoll_pwait2(epoll, events, capacity, &limit, nullptr);
  if (ready >= 0 || (errno != ENOSYS && errno != EPERM)) return ready;
#endif
  return WaitMilliseconds(epoll, events, capacity, timeout);
}

}  // namespace

absl::StatusOr<std::unique_ptr<EventLoop>> EventLoop::Create() {
  OwnedFd epoll(epoll_create1(EPOLL_CLOEXEC));
  if (!epoll.valid()) return ErrnoStatus(errno, "epoll_create1");
  OwnedFd wake(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
  if (!wake.valid()) return ErrnoStatus(errno, "eventfd");
  epoll_event event = {};
  event.events = EPOLLIN;
  event.data.ptr = nullptr;  // No handler: the wake-up.
  if (epoll_ctl(epoll.get(), EPOLL_CTL_ADD, wake.get(), &event) != 0) return ErrnoStatus(errno, "epoll_ctl");
  return std::unique_ptr<EventLoop>(new EventLoop(std::move(epoll), std::move(wake)));
}

EventLoop::EventLoop(OwnedFd epoll, OwnedFd wake) : epoll_(std::move(epoll)), wake_(std::move(wake)) {}

EventLoop::~EventLoop() {
  while (RunPosted() > 0) {
  }
}

absl::Status EventLoop::Add(int fd, Handler* handler) {
  epoll_event event = {};
  event.events = EPOLLIN;
  event.data.ptr = handler;
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0) return ErrnoStatus(errno, "epoll_ctl");
  return absl::OkStatus();
}

void EventLoop::Remove(int fd, Handler* handler) {
  epoll_event unused = {};
  epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, &unused);
  // This also drops pending events of the handler's other descriptors; level-triggered, they come again.
  for (int i = 0; i < events_ready_; ++i) {
    if (events_[i].data.ptr == handler) events_[i].data.ptr = nullptr;
  }
}

void EventLoop::WatchWritable(int fd, Handler* handler, bool watch) {
  epoll_event event = {};
  event.events = watch ? EPOLLIN | EPOLLOUT : EPOLLIN;
  event.data.ptr = handler;
  epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, fd, &event);
}

void EventLoop::Post(std::function<void()> work) {
  MutexLock lock(&mutex_);
  posted_.push_back(std::move(work));
  if (posted_.size() > 1) return;  // The first one has woken the loop.
  const uint64_t one = 1;
  // Under the lock: after its release the work may run and destroy the loop. The write cannot block or fail, since the
  // counter is read long before it could overflow.
  [[maybe_unused]] const ssize_t written = write(wake_.get(), &one, sizeof(one));
}

int EventLoop::RunOnce(absl::Duration timeout) {
  const OneAtATime::Using running(running_);
  MCGW_INVARIANT(events_ready_ == 0);  // No handler runs the loop.
  const int64_t wait_ns = MonotonicNs();
  duty_.End(wait_ns);
  const int ready = Wait(epoll_.get(), events_.data(), static_cast<int>(events_.size()), timeout);
  // A poll takes no time worth another look at the clock.
  duty_.Begin(timeout > absl::ZeroDuration() ? MonotonicNs() : wait_ns);
  events_ready_ = ready < 0 ? 0 : ready;  // EINTR; any other error would mean that our own descriptor is broken.
  int ran = 0;
  for (int i = 0; i < events_ready_; ++i) {
    Handler* handler = static_cast<Handler*>(events_[i].data.ptr);
    if (handler == nullptr) continue;
    if ((events_[i].events & EPOLLOUT) != 0) handler->OnWritable();
    handler = static_cast<Handler*>(events_[i].data.ptr);  // Null if it has removed itself.
    if (handler != nullptr && (events_[i].events & ~EPOLLOUT) != 0) handler->OnReadable();
    ++ran;
  }
  events_ready_ = 0;
  return ran + RunPosted();
}

int EventLoop::RunPosted() {
  std::vector<std::function<void()>> work;
  {
    MutexLock lock(&mutex_);
    if (posted_.empty()) return 0;
    work.swap(posted_);
    uint64_t count = 0;
    [[maybe_unused]] const ssize_t got = read(wake_.get(), &count, sizeof(count));
  }
  for (std::function<void()>& run : work) run();
  return static_cast<int>(work.size());
}

}  // namespace mcgw::net
