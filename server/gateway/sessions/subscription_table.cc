#include "server/gateway/sessions/subscription_table.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "server/net/invariant.h"
#include "server/net/status.h"
#include "server/net/text.h"
#include "spdlog/spdlog.h"

namespace mcgw::gateway {

absl::Status SubscriptionTable::Add(Subscription* stream) {
  net::MutexLock lock(&mutex_);
  if (streams_.size() >= limit_) {
    return net::Error(net::Reason::kSubscriberLimit, "",
                      net::StrCat("the gateway serves ", limit_, " streams, its limit (max_subscribers)"));
  }
  const bool is_new = streams_.insert(stream).second;
  MCGW_INVARIANT(is_new);  // Each counts once.
  return absl::OkStatus();
}

void SubscriptionTable::Remove(Subscription* stream) {
  net::MutexLock lock(&mutex_);
  if (streams_.erase(stream) > 0) closed_->Add(stream->subscriber().FinalTotal());
}

size_t SubscriptionTable::size() const {
  net::MutexLock lock(&mutex_);
  return streams_.size();
}

void SubscriptionTable::ForEach(const std::function<void(Subscription&)>& visit) {
  net::MutexLock lock(&mutex_);
  for (Subscription* stream : streams_) visit(*stream);
}

void SubscriptionTable::ReadAfter(uint64_t after_id, const std::function<bool(const Subscription&)>& visit) const {
  net::MutexLock lock(&mutex_);
  for (auto at = streams_.upper_bound(after_id); at != streams_.end() && visit(**at); ++at) continue;
}

bool SubscriptionTable::ReadOne(uint64_t id, const std::function<void(const Subscription&)>& visit) const {
  net::MutexLock lock(&mutex_);
  const auto at = streams_.find(id);
  if (at == streams_.end()) return false;
  visit(**at);
  return true;
}

fanout::LedgerEntry SubscriptionTable::Total() const {
  net::MutexLock lock(&mutex_);
  fanout::LedgerEntry total = closed_->subscribers();
  for (const Subscription* stream : streams_) total.Add(stream->subscriber().Total());
  return total;
}

void SubscriptionTable::EndGreedy(const fanout::LogBudget& budget) {
  // The logs bound what they hold; this bounds what streams hold.
  const size_t most_bytes = budget.budget_bytes() / 2;
  const size_t pinned_bytes = budget.pinned_bytes();
  if (pinned_bytes <= most_bytes) return;
  net::MutexLock lock(&mutex_);
  std::vector<std::pair<uint64_t, Subscription*>> holders;
  for (Subscription* stream : streams_) {
    const uint64_t bytes = stream->subscriber().pinned()->load(std::memory_order_relaxed);
    if (bytes > 0) holders.emplace_back(bytes, stream);
  }
  if (holders.empty()) return;
  std::sort(holders.begin(), holders.end(), [](const auto& a, const auto& b) { return a.first > b.first; });
  const uint64_t share_bytes = most_bytes / holders.size();
  uint64_t freed_bytes = 0;
  for (const auto& [bytes, stream] : holders) {
    if (bytes <= share_bytes || freed_bytes >= pinned_bytes - most_bytes) break;
    freed_bytes += bytes;
    spdlog::warn("stream {} is ended: its unread messages hold {} bytes of log memory", stream->id(), bytes);
    stream->subscriber().End(net::Error(
        net::Reason::kSubscriberTooSlow, "",
        net::StrCat("unread messages of the stream hold ", bytes, " bytes of log memory, more than its share of ",
                    share_bytes, ", and memory is short (total_log_bytes): read faster")));
  }
}

}  // namespace mcgw::gateway
