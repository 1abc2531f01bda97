#include "server/gateway/sessions/retained.h"

#include <algorithm>
#include <utility>
#include <vector>

namespace mcgw::gateway {

void RetainedMemberships::Add(const std::string& signature, std::unique_ptr<MembershipSet> memberships,
                              int64_t expires_ns) {
  Entry ending;  // Destroyed after the lock.
  Entry evicted;
  net::MutexLock lock(&mutex_);
  Entry& entry = entries_[signature];
  ending.memberships = std::exchange(entry.memberships, std::move(memberships));
  entry.expires_ns = std::max(entry.expires_ns, expires_ns);
  if (entries_.size() <= limit_) return;
  const auto first = std::min_element(entries_.begin(), entries_.end(), [](const auto& a, const auto& b) {
    return a.second.expires_ns < b.second.expires_ns;
  });
  evicted = std::move(first->second);
  entries_.erase(first);
}

void RetainedMemberships::Sweep(int64_t now_ns) {
  std::vector<Entry> ending;
  net::MutexLock lock(&mutex_);
  for (auto at = entries_.begin(); at != entries_.end();) {
    if (at->second.expires_ns > now_ns) {
      ++at;
      continue;
    }
    ending.push_back(std::move(at->second));
    at = entries_.erase(at);
  }
}

void RetainedMemberships::Follow() {
  net::MutexLock lock(&mutex_);
  for (const auto& [signature, entry] : entries_) entry.memberships->Follow();
}

void RetainedMemberships::Clear() {
  std::map<std::string, Entry> ending;
  net::MutexLock lock(&mutex_);
  ending.swap(entries_);
}

size_t RetainedMemberships::size() const {
  net::MutexLock lock(&mutex_);
  return entries_.size();
}

}  // namespace mcgw::gateway
