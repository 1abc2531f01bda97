// Sessions: leases that hold memberships until Leave or expiry.

#ifndef MCGW_GATEWAY_SESSION_H_
#define MCGW_GATEWAY_SESSION_H_

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "server/fanout/own_traffic.h"
#include "server/gateway/membership_set.h"
#include "server/gateway/send_source.h"
#include "server/net/clock.h"
#include "server/net/mutex.h"

namespace mcgw::gateway {

class Subscription;

// One session. Its mutex is held while memberships are joined and left, and while its streams are told.
struct Session {
  Session(std::string the_id, std::string the_identity, MembershipServices* services, int64_t the_lease_ns)
      : id(std::move(the_id)),
        identity(std::move(the_identity)),
        lease_ns(the_lease_ns),
        expires_ns(net::MonotonicNs() + the_lease_ns),
        memberships(services,
                    Holder{.kind = Holder::Kind::kSession, .identity = identity, .selector = {}, .filter = {}}) {}

  const std::string id;        // 128 random bits, as hexadecimal text.
  const std::string identity;  // Who made it; nobody else finds it.
  // The ports that it sends from; none while it has not sent.
  const std::shared_ptr<fanout::SourcePorts> ports = std::make_shared<fanout::SourcePorts>();

  net::Mutex mutex;
  int64_t lease_ns ABSL_GUARDED_BY(mutex);
  int64_t expires_ns ABSL_GUARDED_BY(mutex);  // Monotonic; holds only while no stream is open.
  bool ended ABSL_GUARDED_BY(mutex) = false;
  MembershipSet memberships ABSL_GUARDED_BY(mutex);
  std::set<Subscription*> streams ABSL_GUARDED_BY(mutex);

  // Sends do not wait for a join: the session's mutex comes before this one, under which nothing is taken.
  net::Mutex send_mutex;
  bool send_ended ABSL_GUARDED_BY(send_mutex) = false;
  std::shared_ptr<SendSource> send_source ABSL_GUARDED_BY(send_mutex);  // From its first send to its end.
};

// Thread-safe.
class SessionTable {
 public:
  SessionTable(MembershipServices* services, size_t limit) : services_(services), limit_(limit) {}

  // A new session that is in the table. SESSION_LIMIT.
  absl::StatusOr<std::shared_ptr<Session>> Create(const std::string& identity, int64_t lease_ns);
  // SESSION_NOT_FOUND, also for another identity's.
  absl::StatusOr<std::shared_ptr<Session>> Find(std::string_view id, std::string_view identity) const;
  // SESSION_NOT_FOUND, as Find answers it, of a session that has ended since it was found.
  static absl::Status NotFound(std::string_view id);
  void Erase(const std::string& id);
  std::vector<std::shared_ptr<Session>> All() const;
  size_t size() const;

 private:
  MembershipServices* const services_;
  const size_t limit_;
  mutable net::Mutex mutex_;
  std::map<std::string, std::shared_ptr<Session>, std::less<>> sessions_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace mcgw::gateway

#endif  // MCGW_GATEWAY_SESSION_H_
