// Counts of sent and failed datagrams, by interface.

#ifndef MCGW_GATEWAY_SENDING_SEND_ACCOUNT_H_
#define MCGW_GATEWAY_SENDING_SEND_ACCOUNT_H_

#include <cstdint>
#include <map>
#include <string>

#include "absl/status/status.h"
#include "server/net/clock.h"
#include "server/net/mutex.h"
#include "server/net/status.h"
#include "server/net/text.h"

namespace mcgw::gateway {

// Counts of one interface since the gateway's start.
struct InterfaceSends {
  uint64_t sent = 0;
  uint64_t failed = 0;
  uint64_t blocked = 0;  // Part of `failed`: SEND_BLOCKED, by a firewall or a prohibit route.
  int64_t last_blocked_unix_ns = 0;
  std::string last_blocked_text;  // The kernel's error.
  int64_t last_sent_unix_ns = 0;
};

// Thread-safe. Its mutex is a leaf, taken once for a send or a burst.
class SendAccount {
 public:
  void Sent(uint32_t interface_index, uint64_t count) {
    if (count == 0) return;
    net::MutexLock lock(&mutex_);
    InterfaceSends& sends = by_index_[interface_index];
    sends.sent += count;
    sends.last_sent_unix_ns = net::UnixNs();
  }

  void Failed(uint32_t interface_index, const absl::Status& status) {
    const bool blocked = net::ReasonOf(status) == net::Reason::kSendBlocked;
    net::MutexLock lock(&mutex_);
    InterfaceSends& sends = by_index_[interface_index];
    ++sends.failed;
    if (!blocked) return;
    ++sends.blocked;
    sends.last_blocked_unix_ns = net::UnixNs();
    sends.last_blocked_text = net::ToStd(status.message());
  }

  // All zero for an interface that nothing was sent by.
  InterfaceSends Of(uint32_t interface_index) const {
    net::MutexLock lock(&mutex_);
    const auto at = by_index_.find(interface_index);
    return at == by_index_.end() ? InterfaceSends() : at->second;
  }

 private:
  mutable net::Mutex mutex_;
  std::map<uint32_t, InterfaceSends> by_index_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace mcgw::gateway

#endif  // MCGW_GATEWAY_SENDING_SEND_ACCOUNT_H_
