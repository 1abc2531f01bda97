// The accounts of the gateway, and the memory that its streams hold.

#include <algorithm>
#include <vector>

#include "server/gateway/gateway.h"
#include "server/net/status.h"
#include "server/net/text.h"
#include "spdlog/spdlog.h"

namespace mcgw::gateway {

std::vector<SubscriberSnapshot> Gateway::ListSubscribers(bool whole) const {
  std::vector<SubscriberSnapshot> all;
  {
    net::MutexLock lock(&mutex_);
    all.reserve(subscriptions_.size());
    for (const Subscription* subscription : subscriptions_) all.push_back(subscription->Snapshot(whole));
  }
  std::sort(all.begin(), all.end(),
            [](const SubscriberSnapshot& a, const SubscriberSnapshot& b) { return a.id < b.id; });
  return all;
}

GatewayAccount Gateway::Account() const {
  GatewayAccount account;
  for (const InterfaceRegistry::ManagerPtr& manager : registry_.All()) {
    for (const ChannelSnapshot& snapshot : manager->Snapshot()) account.channels.Add(snapshot.account);
  }
  account.channels.Add(services_.closed.channels());
  // Streams close under this lock, so each counts once.
  net::MutexLock lock(&mutex_);
  account.subscribers = services_.closed.subscribers();
  for (const Subscription* subscription : subscriptions_) account.subscribers.Add(subscription->Snapshot(false).total);
  return account;
}

void Gateway::SweepPinned() {
  // What logs hold is bounded by the logs; what streams hold is bounded here.
  const size_t most_bytes = services_.log_budget->budget_bytes() / 2;
  const size_t pinned_bytes = services_.log_budget->pinned_bytes();
  if (pinned_bytes <= most_bytes) return;
  std::vector<std::pair<uint64_t, Subscription*>> holders;
  for (Subscription* subscription : subscriptions_) {
    if (const uint64_t bytes = subscription->subscriber().pinned()->load(std::memory_order_relaxed); bytes > 0) {
      holders.emplace_back(bytes, subscription);
    }
  }
  if (holders.empty()) return;
  std::sort(holders.begin(), holders.end(), [](const auto& a, const auto& b) { return a.first > b.first; });
  const uint64_t share_bytes = most_bytes / holders.size();
  uint64_t freed_bytes = 0;
  for (const auto& [bytes, subscription] : holders) {
    if (bytes <= share_bytes || freed_bytes >= pinned_bytes - most_bytes) break;
    freed_bytes += bytes;
    spdlog::warn("stream {} is ended: its unread messages hold {} bytes of log memory", subscription->id(), bytes);
    subscription->subscriber().End(net::Error(
        net::Reason::kSubscriberTooSlow, "",
        net::StrCat("unread messages of the stream hold ", bytes, " bytes of log memory, more than its share of ",
                    share_bytes, ", and memory is short (total_log_bytes): read faster")));
  }
}

}  // namespace mcgw::gateway
