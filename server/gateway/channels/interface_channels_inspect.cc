// What InterfaceChannels shows of its channels.

#include <algorithm>

#include "server/gateway/channels/channel.h"
#include "server/gateway/channels/interface_channels.h"

namespace mcgw::gateway {
namespace {

// Where the log begins, and its first record.
void ReadOldest(const fanout::ChannelLog& log, ChannelSnapshot* snapshot) {
  const fanout::Cursor oldest = log.Oldest();
  snapshot->oldest_sequence = oldest.sequence;
  snapshot->log_bytes = log.committed_position() - oldest.position;
  fanout::Run run;
  fanout::Gap gap;
  fanout::Cursor cursor = oldest;
  fanout::ChannelLog::ReadResult result;
  do {  // Marks may stand before it.
    result = log.Read(cursor, 1, log.committed_position(), &run, &gap);
    cursor = run.next;
  } while (result == fanout::ChannelLog::ReadResult::kMark);
  // If it was overtaken meanwhile, the next snapshot shows it.
  if (result == fanout::ChannelLog::ReadResult::kRun) snapshot->oldest_record.assign(run.data, run.size_bytes);
}

}  // namespace

Holder InterfaceChannels::HolderOf(const Hold& hold) {
  const HolderFacts& facts = *hold.membership_->holder;
  const int64_t retained_until_unix_ns = facts.retained_until_unix_ns.load(std::memory_order_relaxed);
  return {.kind = retained_until_unix_ns != 0 ? Holder::Kind::kRetained : facts.kind,
          .membership_id = hold.membership_->id,
          .subscriber_id = facts.subscriber_id,
          .identity = facts.identity,
          .selector = facts.selector,
          .filter = hold.filter_,
          .since_unix_ns = hold.since_unix_ns_,
          .expires_unix_ns = retained_until_unix_ns};
}

void InterfaceChannels::AddTotals(const Channel& channel, ReceiveTotals* totals) {
  const fanout::ReceiveCounters& counters = channel.reception.counters();
  totals->read += counters.read.load(std::memory_order_relaxed);
  totals->kernel_drops += channel.log->kernel_drops();
}

ReceiveTotals InterfaceChannels::Totals() const {
  net::MutexLock lock(&mutex_);
  ReceiveTotals totals = retired_;
  for (const auto& [key, channel] : channels_) AddTotals(*channel, &totals);
  return totals;
}

size_t InterfaceChannels::HeldChannels() const {
  net::MutexLock lock(&mutex_);
  return channels_.size() - left_.size();
}

size_t InterfaceChannels::Holds(net::Family family) const {
  net::MutexLock lock(&mutex_);
  size_t holds = 0;
  for (const auto& [key, channel] : channels_) {
    if (key.first.family() == family) holds += channel->holds.size();
  }
  return holds;
}

std::map<net::IpAddress, uint32_t> InterfaceChannels::Sockets() const {
  net::MutexLock lock(&mutex_);
  std::map<net::IpAddress, uint32_t> sockets;
  for (const auto& [key, channel] : channels_) {
    if (channel->reception.is_open()) sockets[key.first] += static_cast<uint32_t>(channel->reception.socket_count());
  }
  return sockets;
}

std::vector<uint64_t> InterfaceChannels::ChannelIds(const ChannelQuery& query) const {
  net::MutexLock lock(&mutex_);
  std::vector<uint64_t> ids;
  if (!query.group.has_value()) {
    for (auto at = by_id_.upper_bound(query.after_id); at != by_id_.end() && ids.size() < query.most; ++at) {
      if (query.port == 0 || at->second->key.second == query.port) ids.push_back(at->first);
    }
    return ids;
  }
  for (auto at = channels_.lower_bound({*query.group, query.port});
       at != channels_.end() && at->first.first == *query.group; ++at) {
    const uint64_t id = at->second->log->channel_id();
    if ((query.port == 0 || at->first.second == query.port) && id > query.after_id) ids.push_back(id);
  }
  std::sort(ids.begin(), ids.end());
  if (ids.size() > query.most) ids.resize(query.most);
  return ids;
}

std::vector<ChannelSnapshot> InterfaceChannels::Snapshot(const std::vector<uint64_t>& ids) const {
  net::MutexLock lock(&mutex_);
  std::vector<ChannelSnapshot> snapshots;
  for (const uint64_t id : ids) {
    if (const auto at = by_id_.find(id); at != by_id_.end()) snapshots.push_back(SnapshotOf(*at->second));
  }
  return snapshots;
}

ChannelSnapshot InterfaceChannels::SnapshotOf(const Channel& channel) const {
  ChannelSnapshot snapshot;
  snapshot.status = StatusLocked(channel);
  for (const Hold* hold : channel.holds) snapshot.holders.push_back(HolderOf(*hold));
  std::sort(snapshot.holders.begin(), snapshot.holders.end(),
            [](const Holder& a, const Holder& b) { return a.membership_id < b.membership_id; });
  if (!channel.holds.empty()) snapshot.wanted = channel.wanted.Get();
  snapshot.joined = channel.reception.is_open();
  if (snapshot.joined) {
    snapshot.opened_ns = channel.opened_ns;
    snapshot.told = channel.reception.told();
    snapshot.narrows = channel.reception.narrows();
    snapshot.sockets = channel.reception.Sockets();
    snapshot.socket = channel.reception.Facts();
  }
  const fanout::ReceiveCounters& counters = channel.reception.counters();
  snapshot.last_datagram_unix_ns = counters.last_receive_unix_ns.load(std::memory_order_relaxed);
  if (snapshot.last_datagram_unix_ns != 0) snapshot.last_source = counters.last_source().ToString();
  snapshot.last_hop_limit = counters.last_hop_limit.load(std::memory_order_relaxed);
  const fanout::ChannelLog& log = *channel.log;
  snapshot.account = ChannelAccount::Of(log, counters);
  ReadOldest(log, &snapshot);
  snapshot.log_limit_bytes = log.options().budget_bytes;
  snapshot.log_limit_age_ns = log.options().age_limit_ns;
  snapshot.created_unix_ns = channel.created_unix_ns;
  return snapshot;
}

std::optional<ChannelLedger> InterfaceChannels::LedgerOf(uint64_t channel_id) const {
  net::MutexLock lock(&mutex_);
  const auto at = by_id_.find(channel_id);
  if (at == by_id_.end()) return std::nullopt;
  const Channel& channel = *at->second;
  ChannelLedger ledger{.channel_id = channel_id,
                       .account = ChannelAccount::Of(*channel.log, channel.reception.counters()),
                       .sockets = channel.reception.Sockets(),
                       .served = {}};
  for (const SocketSnapshot& socket : ledger.sockets) {
    std::vector<uint64_t>& served = ledger.served.emplace_back();
    for (const net::IpAddress& group : socket.groups) {
      // Those that share a socket have the port in common.
      if (const auto other = channels_.find({group, channel.key.second}); other != channels_.end()) {
        served.push_back(other->second->log->channel_id());
      }
    }
    std::sort(served.begin(), served.end());
  }
  return ledger;
}

ChannelAccount InterfaceChannels::Account() const {
  net::MutexLock lock(&mutex_);
  ChannelAccount sum;
  for (const auto& [id, channel] : by_id_) sum.Add(ChannelAccount::Of(*channel->log, channel->reception.counters()));
  return sum;
}

}  // namespace mcgw::gateway
