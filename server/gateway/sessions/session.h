// Sessions: leases that hold memberships until Leave or expiry.

#ifndef MCGW_GATEWAY_SESSIONS_SESSION_H_
#define MCGW_GATEWAY_SESSIONS_SESSION_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/fanout/own_traffic.h"
#include "server/gateway/sending/sender.h"
#include "server/gateway/sessions/membership_set.h"
#include "server/net/mutex.h"

namespace mcgw::gateway {

class Subscription;

struct JoinResult {
  std::string session_id;
  uint64_t membership_id = 0;
  absl::Duration lease;
  std::optional<absl::Time> expires;  // Not set while a stream of the session is open.
  std::vector<fanout::ChannelStatus> channels;
};

// What to leave: one membership, by key or by id, or the whole session.
struct WholeSession {};
using LeaveTarget = std::variant<MembershipKey, uint64_t, WholeSession>;

// Thread-safe. Its mutex is held while memberships are joined and left, and while its streams are notified: all methods
// except id, identity, ports and Source may block.
class Session {
 public:
  Session(std::string id, std::string identity, MembershipServices* services, int64_t lease_ns);
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  const std::string& id() const { return id_; }              // 128 random bits, as hexadecimal text.
  const std::string& identity() const { return identity_; }  // Only this identity finds it.
  // The ports that it sends from; none before its first send.
  const std::shared_ptr<fanout::SourcePorts>& ports() const { return ports_; }

  // Renews the lease; a new `lease_ns` replaces the old one. SESSION_NOT_FOUND if it has ended.
  absl::StatusOr<JoinResult> Join(const MembershipRequest& request, std::optional<int64_t> lease_ns);
  // Returns the ids of the memberships that ended. SESSION_NOT_FOUND if it has ended.
  absl::StatusOr<std::vector<uint64_t>> Leave(const LeaveTarget& target);
  // Leaves everything and notifies the streams. Does nothing the second time.
  std::vector<uint64_t> End();
  // Ends it if its lease has expired; returns true if it did.
  bool Expire(int64_t now_ns);
  // Call it after the registry has followed the interfaces: the memberships follow, and the streams are notified.
  void Follow();

  // Its send source, created at the first send. SESSION_NOT_FOUND if it has ended.
  absl::StatusOr<std::shared_ptr<SendSource>> Source(Sender* sender);

  // ---- For its streams ----

  // Adds a stream that reads the memberships, and runs `begin` with them. The lease does not run while a stream is
  // open. Returns false if the session has ended.
  bool Attach(Subscription* stream, const std::function<void(const MembershipSet&)>& begin);
  // The full lease runs from the end of the last stream.
  void Detach(Subscription* stream);
  // Runs `read` with the memberships, which do not change while it runs.
  void Read(const std::function<void(const MembershipSet&)>& read);

 private:
  std::vector<uint64_t> EndLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void TellStreams(const std::vector<MembershipSet::ChannelPtr>& touched, fanout::ChangeCause cause)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const std::string id_;
  const std::string identity_;
  const std::shared_ptr<fanout::SourcePorts> ports_ = std::make_shared<fanout::SourcePorts>();

  net::Mutex mutex_;
  int64_t lease_ns_ ABSL_GUARDED_BY(mutex_);
  int64_t expires_ns_ ABSL_GUARDED_BY(mutex_);  // Monotonic; valid only while no stream is open.
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
  MembershipSet memberships_ ABSL_GUARDED_BY(mutex_);
  std::set<Subscription*> streams_ ABSL_GUARDED_BY(mutex_);

  // A send does not wait for a join: mutex_ comes before this one, which is a leaf.
  net::Mutex send_mutex_;
  bool send_ended_ ABSL_GUARDED_BY(send_mutex_) = false;
  std::shared_ptr<SendSource> source_ ABSL_GUARDED_BY(send_mutex_);  // From its first send to its end.
};

// Thread-safe. Its mutex is a leaf.
class SessionTable {
 public:
  SessionTable(MembershipServices* services, size_t limit) : services_(services), limit_(limit) {}

  // A new session, in the table. SESSION_LIMIT.
  absl::StatusOr<std::shared_ptr<Session>> Create(const std::string& identity, int64_t lease_ns);
  // SESSION_NOT_FOUND, also for another identity's session.
  absl::StatusOr<std::shared_ptr<Session>> Find(std::string_view id, std::string_view identity) const;
  // The error of Find, for a session that has ended since.
  static absl::Status NotFound(std::string_view id);
  void Erase(const std::string& id);
  // Erases it and leaves everything that it holds.
  void End(Session* session);
  std::vector<std::shared_ptr<Session>> All() const;
  size_t size() const;

  // Over all sessions, each under its own mutex.
  void Expire(int64_t now_ns);
  void Follow();
  void EndAll();

 private:
  MembershipServices* const services_;
  const size_t limit_;
  mutable net::Mutex mutex_;
  std::map<std::string, std::shared_ptr<Session>, std::less<>> sessions_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace mcgw::gateway

#endif  // MCGW_GATEWAY_SESSIONS_SESSION_H_
