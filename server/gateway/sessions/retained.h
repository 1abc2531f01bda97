// The memberships of ended streams, kept joined for a while so that a new stream can resume without loss.

#ifndef MCGW_GATEWAY_SESSIONS_RETAINED_H_
#define MCGW_GATEWAY_SESSIONS_RETAINED_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "server/gateway/sessions/membership_set.h"
#include "server/net/mutex.h"

namespace mcgw::gateway {

// Thread-safe. Ending a membership makes system calls, after the mutex is released; only Follow makes them under it.
class RetainedMemberships {
 public:
  explicit RetainedMemberships(size_t limit) : limit_(limit) {}

  // Keeps memberships until `expires_ns` (monotonic). Equal ones (`signature`) of one holder are kept once, until the
  // later end, so that a client that keeps reconnecting uses no more than one that reconnected once. Beyond the limit,
  // those that would end first end now.
  void Add(const std::string& signature, std::unique_ptr<MembershipSet> memberships, int64_t expires_ns);
  void Sweep(int64_t now_ns);
  // Call it after the registry has followed the interfaces: retained memberships follow too.
  void Follow();
  void Clear();
  size_t size() const;

 private:
  struct Entry {
    std::unique_ptr<MembershipSet> memberships;
    int64_t expires_ns = 0;
  };
  const size_t limit_;
  mutable net::Mutex mutex_;
  std::map<std::string, Entry> entries_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace mcgw::gateway

#endif  // MCGW_GATEWAY_SESSIONS_RETAINED_H_
