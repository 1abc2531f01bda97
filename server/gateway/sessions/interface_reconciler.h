// Makes everything follow interfaces that come, go and change.
//
// It reads the messages of net::InterfaceWatch and then the table, so that no old message is compared with a newer
// table. Then channels find their interfaces again and close sockets that can receive nothing, streams are notified,
// requested channels are joined again, and memberships whose selector now means another interface move.

#ifndef MCGW_GATEWAY_SESSIONS_INTERFACE_RECONCILER_H_
#define MCGW_GATEWAY_SESSIONS_INTERFACE_RECONCILER_H_

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/gateway/interfaces/interface_directory.h"
#include "server/gateway/interfaces/interface_log.h"
#include "server/gateway/interfaces/interface_registry.h"
#include "server/gateway/rules/policy.h"
#include "server/gateway/sessions/retained.h"
#include "server/gateway/sessions/session.h"
#include "server/gateway/sessions/subscription_table.h"
#include "server/net/interface_table.h"
#include "server/net/kernel_memberships.h"
#include "server/net/mutex.h"

namespace mcgw::gateway {

// Thread-safe; one thread follows at a time. All calls except Health may block.
class InterfaceReconciler {
 public:
  using ReadKernel = std::function<absl::StatusOr<net::KernelMemberships>()>;

  // All must outlive it; `watch` may be null.
  InterfaceReconciler(InterfaceDirectory* directory, InterfaceRegistry* registry, SessionTable* sessions,
                      RetainedMemberships* retained, SubscriptionTable* streams, ReadKernel kernel_memberships,
                      net::InterfaceWatch* watch)
      : directory_(directory),
        registry_(registry),
        sessions_(sessions),
        retained_(retained),
        streams_(streams),
        kernel_memberships_(std::move(kernel_memberships)),
        watch_(watch) {}

  // On failure nothing has changed, and the watch's messages are kept for the next call.
  absl::Status Follow();
  // Follows if a request's selector is not found among the known interfaces, or is "*" and something has changed since
  // the last time.
  absl::Status CatchUp(const std::vector<MembershipRequest>& requests);
  // Drops old logs, retries what was refused, and follows every ten seconds even without a message. Call it once a
  // second.
  void Sweep(int64_t now_ns);
  // The interfaces that have channels, by name, and whether everything requested on each can be received.
  std::map<std::string, bool> Health() const;

 private:
  bool IsKnown(const MembershipRequest& request);
  absl::Status FollowLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Takes the watch's messages, then reads the interfaces.
  absl::Status ReadInterfaces() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Joins what is requested but not joined, at once or when a retry is due.
  void Heal(bool now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Compares with the kernel's memberships, and joins again what the kernel has lost.
  void CheckKernel() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void FollowMemberships() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Tell(const std::vector<InterfaceNotice>& notices) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  InterfaceDirectory* const directory_;
  InterfaceRegistry* const registry_;
  SessionTable* const sessions_;
  RetainedMemberships* const retained_;
  SubscriptionTable* const streams_;
  const ReadKernel kernel_memberships_;
  net::InterfaceWatch* const watch_;

  net::Mutex mutex_;  // Held while following.
  int64_t followed_ns_ ABSL_GUARDED_BY(mutex_) = 0;
  net::InterfaceChanges changes_ ABSL_GUARDED_BY(mutex_);  // Messages older than the table.
  InterfaceLog log_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace mcgw::gateway

#endif  // MCGW_GATEWAY_SESSIONS_INTERFACE_RECONCILER_H_
