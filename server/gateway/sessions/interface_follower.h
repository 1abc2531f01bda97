// Makes the gateway follow the host's interfaces when the kernel reports changes.

#ifndef MCGW_GATEWAY_SESSIONS_INTERFACE_FOLLOWER_H_
#define MCGW_GATEWAY_SESSIONS_INTERFACE_FOLLOWER_H_

#include <cstdint>
#include <limits>

#include "server/gateway/sessions/interface_reconciler.h"
#include "server/net/event_loop.h"
#include "server/net/interface_table.h"

namespace mcgw::gateway {

// Used by the control loop's thread, which may block. Both must outlive it; the owner adds it to the loop for
// watch->fd(). The reconciler reads from the same watch.
//
// It follows the first change at once. After each run it rests for four times as long as the run took, so that a storm
// of changes (such as two hundred containers that start together) costs at most a fifth of a processor.
class InterfaceFollower : public net::EventLoop::Handler {
 public:
  InterfaceFollower(net::InterfaceWatch* watch, InterfaceReconciler* reconciler)
      : watch_(watch), reconciler_(reconciler) {}

  void OnReadable() override { heard_ |= watch_->Hear(); }

  // Follows if there is a change and it has rested. Call it after each RunOnce of the loop. Returns true if it
  // followed.
  bool Run(int64_t now_ns);
  // When Run has something to do next (monotonic); never: the largest number.
  int64_t due_ns() const { return heard_ ? rested_ns_ : std::numeric_limits<int64_t>::max(); }

 private:
  static constexpr int64_t kWarnEveryNs = 60'000'000'000;

  net::InterfaceWatch* const watch_;
  InterfaceReconciler* const reconciler_;
  bool heard_ = false;  // There is a change to follow.
  int64_t rested_ns_ = 0;
  int64_t warned_ns_ = -kWarnEveryNs;
};

}  // namespace mcgw::gateway

#endif  // MCGW_GATEWAY_SESSIONS_INTERFACE_FOLLOWER_H_
