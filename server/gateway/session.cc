#include "server/gateway/session.h"

#include <sys/random.h>

#include <array>

#include "absl/strings/escaping.h"
#include "server/net/status.h"
#include "server/net/text.h"

namespace mcgw::gateway {
namespace {

// 128 bits from the kernel: an id is a secret that whoever knows it can use.
std::string NewSessionId() {
  std::array<char, 16> bytes{};
  size_t filled = 0;
  while (filled < bytes.size()) {
    const ssize_t got = getrandom(bytes.data() + filled, bytes.size() - filled, 0);
    if (got > 0) filled += got;
  }
  return absl::BytesToHexString(absl::string_view(bytes.data(), bytes.size()));
}

}  // namespace

absl::StatusOr<std::shared_ptr<Session>> SessionTable::Create(const std::string& identity, int64_t lease_ns) {
  auto session = std::make_shared<Session>(NewSessionId(), identity, services_, lease_ns);
  net::MutexLock lock(&mutex_);
  if (sessions_.size() >= limit_) {
    return net::Error(net::Reason::kSessionLimit, "",
                      net::StrCat("the gateway holds ", limit_,
                                  " sessions, its limit (max_sessions): leave those that are no longer needed"));
  }
  sessions_.emplace(session->id, session);
  return session;
}

absl::StatusOr<std::shared_ptr<Session>> SessionTable::Find(std::string_view id, std::string_view identity) const {
  net::MutexLock lock(&mutex_);
  const auto at = sessions_.find(id);
  if (at != sessions_.end() && at->second->identity == identity) return at->second;
  return NotFound(id);
}

absl::Status SessionTable::NotFound(std::string_view id) {
  return net::Error(net::Reason::kSessionNotFound, "session_id",
                    net::StrCat("there is no session ", net::Shortened(id),
                                " of yours: it has expired, was left, or never was; Join without a session makes one"));
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

}  // namespace mcgw::gateway
