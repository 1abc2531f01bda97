// The memberships of streams that have ended, kept joined for a while so that a new stream can resume without loss.

#ifndef MCGW_GATEWAY_SESSIONS_RETAINED_H_
#define MCGW_GATEWAY_SESSIONS_RETAINED_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "server/gateway/sessions/membership_set.h"
#include "server/net/mutex.h"

namespace mcgw::gateway {

// Thread-safe. Memberships end, which makes system calls, after its mutex was let go; only Follow makes them under it.
class RetainedMemberships {
 public:
  explicit RetainedMemberships(size_t limit) : limit_(limit) {}

  // Keeps memberships until `expires_ns` (monotonic). Those of one holder that are the same (`signature`) are kept
  // once, until the later end, so that a client that reconnects again and again takes no more than one that did once.
  // Past the limit those that would end first end now.
  void Add(const std::string& signature, std::unique_ptr<MembershipSet> memberships, int64_t expires_ns);
  void Sweep(int64_t now_ns);
  // After the registry has followed the interfaces: so do memberships that nobody reads now.
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
