// The accounts and lags of a Subscriber.

#include <algorithm>
#include <map>
#include <optional>
#include <vector>

#include "server/fanout/subscriber.h"
#include "server/net/clock.h"

namespace mcgw::fanout {

std::vector<LedgerEntry> Subscriber::Ledger(uint64_t after_id, size_t most) const {
  net::MutexLock lock(&mutex_);
  std::map<uint64_t, LedgerEntry> entries;
  for (const LedgerEntry& entry : retired_) {
    if (entry.channel_id > after_id) entries.emplace(entry.channel_id, entry);
  }
  size_t taken = 0;
  for (auto at = channels_.upper_bound(after_id); at != channels_.end() && taken < most; ++at, ++taken) {
    LedgerEntry entry = LedgerOf(*at->second);
    const auto [earlier, is_new] = entries.emplace(at->first, entry);
    if (!is_new) earlier->second.Add(entry);
  }
  std::vector<LedgerEntry> page;
  for (const auto& [id, entry] : entries) {
    if (page.size() == most) break;
    page.push_back(entry);
  }
  return page;
}

std::optional<LedgerEntry> Subscriber::LedgerIn(uint64_t channel_id) const {
  net::MutexLock lock(&mutex_);
  std::optional<LedgerEntry> sum;
  const auto add = [&sum](const LedgerEntry& entry) {
    if (sum.has_value()) {
      sum->Add(entry);
    } else {
      sum = entry;
    }
  };
  for (const LedgerEntry& entry : retired_) {
    if (entry.channel_id == channel_id) add(entry);
  }
  if (const auto at = channels_.find(channel_id); at != channels_.end()) add(LedgerOf(*at->second));
  return sum;
}

LedgerEntry Subscriber::Total() const {
  net::MutexLock lock(&mutex_);
  return TotalLocked();
}

LedgerEntry Subscriber::FinalTotal() const {
  net::MutexLock lock(&mutex_);
  LedgerEntry total;
  for (const LedgerEntry& entry : retired_) total.Add(entry);
  total.Add(shares_);
  return total;
}

std::optional<Lag> Subscriber::LagIn(uint64_t channel_id) const {
  const int64_t now_ns = net::MonotonicNs();
  net::MutexLock lock(&mutex_);
  const auto at = channels_.find(channel_id);
  if (at == channels_.end()) return std::nullopt;
  return LagOf(*at->second, now_ns);
}

std::optional<Lag> Subscriber::GreatestLag() const {
  const int64_t now_ns = net::MonotonicNs();
  net::MutexLock lock(&mutex_);
  if (channels_.empty()) return std::nullopt;
  const Channel* greatest = channels_.begin()->second.get();
  uint64_t most_bytes = 0;
  ForEachAhead([&](const Channel& channel) {
    const uint64_t head = channel.log->committed_position();
    const uint64_t bytes = head > channel.cursor.position ? head - channel.cursor.position : 0;
    if (bytes <= most_bytes) return;
    greatest = &channel;
    most_bytes = bytes;
  });
  return LagOf(*greatest, now_ns);
}

Lag Subscriber::LagOf(const Channel& channel, int64_t now_ns) {
  const Backlog ahead = channel.log->Ahead(channel.cursor);
  return {.channel_id = channel.log->channel_id(),
          .next_sequence = channel.cursor.sequence,
          .datagrams = ahead.next_sequence - channel.cursor.sequence,
          .bytes = ahead.bytes,
          .age_ns = ahead.oldest_ns == 0 ? 0 : std::max<int64_t>(now_ns - ahead.oldest_ns, 0)};
}

size_t Subscriber::channel_count() const {
  net::MutexLock lock(&mutex_);
  return channels_.size();
}

LedgerEntry Subscriber::ShareOf(const Channel& channel) {
  LedgerEntry entry{.channel_id = channel.log->channel_id()};
  if (channel.account != nullptr) entry = channel.account->ledger;
  entry.offered = channel.OfferedUpTo(channel.cursor.sequence);
  return entry;
}

LedgerEntry Subscriber::LedgerOf(const Channel& channel) {
  LedgerEntry entry = ShareOf(channel);
  const Backlog ahead = channel.log->Ahead(channel.cursor);
  entry.offered = channel.OfferedUpTo(ahead.next_sequence);
  entry.pending = ahead.datagrams;
  return entry;
}

void Subscriber::ForEachAhead(absl::FunctionRef<void(const Channel&)> look) const {
  for (const Channel* channel : active_) look(*channel);
  for (const Waiter* waiter : ready_.Waiters()) {
    const auto* const channel = static_cast<const Channel*>(waiter);
    if (!channel->active) look(*channel);
  }
}

LedgerEntry Subscriber::TotalLocked() const {
  LedgerEntry total;
  for (const LedgerEntry& entry : retired_) total.Add(entry);
  total.Add(shares_);
  ForEachAhead([&total](const Channel& channel) {
    const Backlog ahead = channel.log->Ahead(channel.cursor);
    total.offered += ahead.next_sequence - channel.cursor.sequence;
    total.pending += ahead.datagrams;
  });
  return total;
}

}  // namespace mcgw::fanout
