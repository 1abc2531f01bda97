#include "server/gateway/sessions/session.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "server/gateway/sessions/subscription.h"
#include "server/net/clock.h"
#include "server/net/invariant.h"
#include "server/net/random.h"
#include "server/net/status.h"
#include "server/net/text.h"
#include "spdlog/spdlog.h"

namespace mcgw::gateway {

using fanout::ChangeCause;

namespace {

// 128 random bits. The id is a secret: its holder can use the session.
std::string NewSessionId() {
  return absl::StrCat(absl::Hex(net::RandomNumber(), absl::kZeroPad16),
                      absl::Hex(net::RandomNumber(), absl::kZeroPad16));
}

}  // namespace

Session::Session(std::string id, std::string identity, MembershipServices* services, int64_t lease_ns)
    : id_(std::move(id)),
      identity_(std::move(identity)),
      lease_ns_(lease_ns),
      expires_ns_(net::MonotonicNs() + lease_ns),
      memberships_(services,
                   Holder{.kind = Holder::Kind::kSession, .identity = identity_, .selector = {}, .filter = {}}) {}

absl::StatusOr<JoinResult> Session::Join(const MembershipRequest& request, std::optional<int64_t> lease_ns) {
  net::MutexLock lock(&mutex_);
  if (ended_) return SessionTable::NotFound(id_);
  absl::StatusOr<MembershipSet::Added> added = memberships_.Add(request);
  if (!added.ok()) return net::WithFieldPrefix(added.status(), "membership.");
  lease_ns_ = lease_ns.value_or(lease_ns_);
  expires_ns_ = net::MonotonicNs() + lease_ns_;
  TellStreams(added->touched, ChangeCause::kJoin);
  JoinResult result{.session_id = id_,
                    .membership_id = added->membership_id,
                    .lease = absl::Nanoseconds(lease_ns_),
                    .expires = std::nullopt,
                    .channels = std::move(added->channels)};
  if (streams_.empty()) result.expires = absl::FromUnixNanos(net::UnixNs()) + result.lease;
  return result;
}

absl::StatusOr<std::vector<uint64_t>> Session::Leave(const LeaveTarget& target) {
  net::MutexLock lock(&mutex_);
  // Another call, or the end of its lease, may have ended it since it was found.
  if (ended_) return SessionTable::NotFound(id_);
  if (std::holds_alternative<WholeSession>(target)) return EndLocked();
  absl::StatusOr<MembershipSet::Removed> removed = std::holds_alternative<uint64_t>(target)
                                                       ? memberships_.Remove(std::get<uint64_t>(target))
                                                       : memberships_.Remove(std::get<MembershipKey>(target));
  if (!removed.ok()) return removed.status();
  TellStreams(removed->touched, ChangeCause::kLeave);
  return std::move(removed->membership_ids);
}

std::vector<uint64_t> Session::End() {
  net::MutexLock lock(&mutex_);
  return EndLocked();
}

std::vector<uint64_t> Session::EndLocked() {
  if (std::exchange(ended_, true)) return {};
  {
    net::MutexLock lock(&send_mutex_);
    send_ended_ = true;
    source_.reset();
  }
  MembershipSet::Removed removed = memberships_.RemoveAll();
  TellStreams(removed.touched, ChangeCause::kLeave);
  MCGW_INVARIANT(memberships_.empty());
  for (Subscription* stream : streams_) stream->SessionEnded();
  return std::move(removed.membership_ids);
}

bool Session::Expire(int64_t now_ns) {
  net::MutexLock lock(&mutex_);
  if (ended_ || !streams_.empty() || now_ns < expires_ns_) return false;
  EndLocked();
  return true;
}

void Session::Follow() {
  net::MutexLock lock(&mutex_);
  if (ended_) return;
  const std::vector<MembershipSet::Followed> followed = memberships_.Follow();
  if (followed.empty()) return;
  for (Subscription* stream : streams_) stream->Apply(followed, memberships_);
}

void Session::TellStreams(const std::vector<MembershipSet::ChannelPtr>& touched, ChangeCause cause) {
  for (Subscription* stream : streams_) stream->Refresh(touched, cause, memberships_);
}

absl::StatusOr<std::shared_ptr<SendSource>> Session::Source(Sender* sender) {
  net::MutexLock lock(&send_mutex_);
  if (send_ended_) return SessionTable::NotFound(id_);
  if (source_ == nullptr) {
    absl::StatusOr<std::shared_ptr<SendSource>> source = sender->NewSource(ports_);
    if (!source.ok()) return source.status();
    source_ = *std::move(source);
  }
  return source_;
}

bool Session::Attach(Subscription* stream, const std::function<void(const MembershipSet&)>& begin) {
  net::MutexLock lock(&mutex_);
  if (ended_) return false;
  const bool is_new = streams_.insert(stream).second;
  MCGW_INVARIANT(is_new);
  begin(memberships_);
  return true;
}

void Session::Detach(Subscription* stream) {
  net::MutexLock lock(&mutex_);
  if (streams_.erase(stream) > 0 && streams_.empty()) expires_ns_ = net::MonotonicNs() + lease_ns_;
}

void Session::Read(const std::function<void(const MembershipSet&)>& read) {
  net::MutexLock lock(&mutex_);
  read(memberships_);
}

// ---- SessionTable ----

absl::StatusOr<std::shared_ptr<Session>> SessionTable::Create(const std::string& identity, int64_t lease_ns) {
  auto session = std::make_shared<Session>(NewSessionId(), identity, services_, lease_ns);
  net::MutexLock lock(&mutex_);
  if (sessions_.size() >= limit_) {
    return net::Error(net::Reason::kSessionLimit, "",
                      net::StrCat("the gateway holds ", limit_,
                                  " sessions, its limit (max_sessions): leave those that are no longer needed"));
  }
  sessions_.emplace(session->id(), session);
  return session;
}

absl::StatusOr<std::shared_ptr<Session>> SessionTable::Find(std::string_view id, std::string_view identity) const {
  net::MutexLock lock(&mutex_);
  const auto at = sessions_.find(id);
  if (at != sessions_.end() && at->second->identity() == identity) return at->second;
  return NotFound(id);
}

absl::Status SessionTable::NotFound(std::string_view id) {
  return net::Error(net::Reason::kSessionNotFound, "session_id",
                    net::StrCat("you have no session ", net::Shortened(id),
                                ": it has expired, was left, or never existed; Join without a session makes one"));
}

void SessionTable::Erase(const std::string& id) {
  net::MutexLock lock(&mutex_);
  sessions_.erase(id);
}

std::vector<std::shared_ptr<Session>> SessionTable::All() const {
  net::MutexLock lock(&mutex_);
  std::vector<std::shared_ptr<Session>> all;
  for (const auto& [id, session] : sessions_) all.push_back(session);
  return all;
}

size_t SessionTable::size() const {
  net::MutexLock lock(&mutex_);
  return sessions_.size();
}

void SessionTable::Expire(int64_t now_ns) {
  for (const std::shared_ptr<Session>& session : All()) {
    if (!session->Expire(now_ns)) continue;
    spdlog::info("a session of {} expired", session->identity());
    Erase(session->id());
  }
}

void SessionTable::Follow() {
  for (const std::shared_ptr<Session>& session : All()) session->Follow();
}

void SessionTable::EndAll() {
  for (const std::shared_ptr<Session>& session : All()) End(session.get());
}

void SessionTable::End(Session* session) {
  Erase(session->id());
  session->End();
}

}  // namespace mcgw::gateway
