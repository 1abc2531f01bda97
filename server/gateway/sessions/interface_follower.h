// Has the gateway follow its host's interfaces as the kernel tells of changes.

#ifndef MCGW_GATEWAY_SESSIONS_INTERFACE_FOLLOWER_H_
#define MCGW_GATEWAY_SESSIONS_INTERFACE_FOLLOWER_H_

#include <cstdint>
#include <limits>

#include "server/gateway/sessions/interface_reconciler.h"
#include "server/net/event_loop.h"
#include "server/net/interface_table.h"

namespace mcgw::gateway {

// Of the control loop's thread, which may block. Both must outlive it; the owner adds it to the loop for watch->fd().
// The reconciler takes from the same watch.
//
// The first change is followed at once. In a storm of changes it rests after each time for four times as long as that
// took, so that two hundred containers that start together cost a fifth of a processor at most.
class InterfaceFollower : public net::EventLoop::Handler {
 public:
  InterfaceFollower(net::InterfaceWatch* watch, InterfaceReconciler* reconciler)
      : watch_(watch), reconciler_(reconciler) {}

  void OnReadable() override { heard_ |= watch_->Hear(); }

  // Follows if there is something to follow and it has rested. After each RunOnce of the loop. True if it has followed.
  bool Run(int64_t now_ns);
  // When Run has something to do (monotonic); never: the largest number.
  int64_t due_ns() const { return heard_ ? rested_ns_ : std::numeric_limits<int64_t>::max(); }

 private:
  static constexpr int64_t kWarnEveryNs = 60'000'000'000;

  net::InterfaceWatch* const watch_;
  InterfaceReconciler* const reconciler_;
  bool heard_ = false;  // Something that was not followed yet.
  int64_t rested_ns_ = 0;
  int64_t warned_ns_ = -kWarnEveryNs;
};

}  // namespace mcgw::gateway

#endif  // MCGW_GATEWAY_SESSIONS_INTERFACE_FOLLOWER_H_
