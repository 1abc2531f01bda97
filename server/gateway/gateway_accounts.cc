// The accounts of the gateway, and the memory that its streams hold.

#include <algorithm>
#include <vector>

#include "server/gateway/gateway.h"
#include "server/net/status.h"
#include "server/net/text.h"
#include "spdlog/spdlog.h"

namespace mcgw::gateway {

std::vector<SubscriberSnapshot> Gateway::ListSubscribers(const SubscriberQuery& query) const {
  net::MutexLock lock(&mutex_);
  std::vector<SubscriberSnapshot> page;
  for (auto at = subscriptions_.upper_bound(query.after_id); at != subscriptions_.end() && page.size() < query.most;
       ++at) {
    const Subscription& subscription = **at;
    if (query.channel_id != 0 && !subscription.subscriber().LagIn(query.channel_id).has_value()) continue;
    page.push_back(subscription.Snapshot(query.channel_id));
  }
  return page;
}

bool Gateway::HasChannel(uint64_t channel_id) const { return LedgerOfChannel(channel_id).has_value(); }

std::optional<ChannelLedger> Gateway::LedgerOfChannel(uint64_t channel_id) const {
  for (const InterfaceRegistry::ManagerPtr& manager : registry_.All()) {
    if (std::optional<ChannelLedger> ledger = manager->LedgerOf(channel_id); ledger.has_value()) return ledger;
  }
  return std::nullopt;
}

std::vector<SubscriberLedger> Gateway::LedgersInChannel(const SubscriberQuery& query) const {
  net::MutexLock lock(&mutex_);
  std::vector<SubscriberLedger> page;
  for (auto at = subscriptions_.upper_bound(query.after_id); at != subscriptions_.end() && page.size() < query.most;
       ++at) {
    const std::optional<fanout::LedgerEntry> entry = (*at)->subscriber().LedgerIn(query.channel_id);
    if (entry.has_value()) page.push_back({(*at)->id(), *entry});
  }
  return page;
}

std::optional<fanout::LedgerEntry> Gateway::LedgerOfSubscriber(uint64_t subscriber_id, uint64_t after_channel,
                                                               size_t most,
                                                               std::vector<fanout::LedgerEntry>* entries) const {
  net::MutexLock lock(&mutex_);
  const auto at = subscriptions_.find(subscriber_id);
  if (at == subscriptions_.end()) return std::nullopt;
  *entries = (*at)->subscriber().Ledger(after_channel, most);
  return (*at)->subscriber().Total();
}

GatewayAccount Gateway::Account() const {
  GatewayAccount account;
  for (const InterfaceRegistry::ManagerPtr& manager : registry_.All()) account.channels.Add(manager->Account());
  account.channels.Add(services_.closed.channels());
  // Streams close under this lock, so each counts once.
  net::MutexLock lock(&mutex_);
  account.subscribers = services_.closed.subscribers();
  for (const Subscription* subscription : subscriptions_) account.subscribers.Add(subscription->subscriber().Total());
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
