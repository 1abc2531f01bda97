// An epoll loop without a thread of its own.
//
// RunOnce waits for descriptors and posted work, then handles what is ready. All methods except Post belong to the
// thread that runs the loop; any thread may call Post.

#ifndef MCGW_NET_EVENT_LOOP_H_
#define MCGW_NET_EVENT_LOOP_H_

#include <sys/epoll.h>

#include <array>
#include <functional>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/net/duty.h"
#include "server/net/invariant.h"
#include "server/net/mutex.h"
#include "server/net/owned_fd.h"

namespace mcgw::net {

class EventLoop {
 public:
  // Handles readiness of one descriptor. The caller owns it and keeps it until Remove.
  class Handler {
   public:
    virtual ~Handler() = default;
    virtual void OnReadable() = 0;
    // Only after WatchWritable.
    virtual void OnWritable() {}
  };

  static absl::StatusOr<std::unique_ptr<EventLoop>> Create();
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;
  ~EventLoop();

  // Watches `fd` for reading, level-triggered. A running handler may remove itself or others. A removed handler is not
  // called again, not even for an event that was already fetched.
  absl::Status Add(int fd, Handler* handler);
  void Remove(int fd, Handler* handler);
  // Watches a descriptor that was added for writing too, or no longer.
  void WatchWritable(int fd, Handler* handler, bool watch);

  // Runs `work` on the loop's thread in the next RunOnce, in posting order, and wakes the loop. Thread-safe. The
  // destructor runs work that is still queued.
  void Post(std::function<void()> work);

  // Waits at most `timeout` (absl::InfiniteDuration(): without limit; zero: polls), then handles all ready descriptors
  // and all work posted so far. Returns the number of handlers and posted functions it ran.
  int RunOnce(absl::Duration timeout);

  // Turns of the loop: a turn lasts from the end of a wait in RunOnce to the beginning of the next, and so includes
  // what the thread does between two calls. Reading is thread-safe; a thread that waits elsewhere calls End before.
  const Duty& duty() const { return duty_; }
  Duty& duty() { return duty_; }

 private:
  EventLoop(OwnedFd epoll, OwnedFd wake);
  int RunPosted();

  const OwnedFd epoll_;
  const OwnedFd wake_;  // An eventfd.

  // Loop thread only.
  OneAtATime running_;
  Duty duty_;
  std::array<epoll_event, 64> events_;
  int events_ready_ = 0;

  Mutex mutex_;
  std::vector<std::function<void()>> posted_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace mcgw::net

#endif  // MCGW_NET_EVENT_LOOP_H_
