#include "server/gateway/interface_manager.h"

#include <algorithm>

#include "server/gateway/interface_manager_channel.h"
#include "server/gateway/policy.h"
#include "server/net/clock.h"
#include "server/net/status.h"
#include "server/net/text.h"
#include "spdlog/spdlog.h"

namespace mcgw::gateway {

using fanout::SourceFilter;
using net::Error;
using net::Reason;

namespace {

// What the interface's own coming and going sets right.
bool IsPassing(const absl::Status& status) {
  switch (net::ReasonOf(status)) {
    case Reason::kInterfaceNotFound:
    case Reason::kInterfaceDown:
    case Reason::kInterfaceEnslaved:
    case Reason::kNoAddress:
    case Reason::kNoMulticast:
      return true;
    default:
      return false;
  }
}

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
  // Overtaken meanwhile: the next snapshot will tell.
  if (result == fanout::ChannelLog::ReadResult::kRun) snapshot->oldest_record.assign(run.data, run.size_bytes);
}

}  // namespace

// ---- Hold ----

InterfaceManager::Hold::Hold(Channel* channel, const MembershipFacts* membership, SourceFilter filter)
    : channel_(channel), membership_(membership), since_unix_ns_(net::UnixNs()), filter_(std::move(filter)) {}

InterfaceManager::Hold::~Hold() {
  if (channel_ != nullptr) manager()->Release(this, /*quiet=*/false);
}

void InterfaceManager::Hold::EndQuietly() {
  manager()->Release(this, /*quiet=*/true);
  channel_ = nullptr;
}

InterfaceManager* InterfaceManager::Hold::manager() const { return channel_->manager; }

const std::shared_ptr<fanout::ChannelLog>& InterfaceManager::Hold::log() const { return channel_->log; }

fanout::ChannelStatus InterfaceManager::Hold::status() const { return manager()->StatusOf(*this); }

SourceFilter InterfaceManager::Hold::filter() const { return manager()->FilterOf(*this); }

absl::Status InterfaceManager::Hold::SetFilter(SourceFilter filter) {
  return manager()->SetFilter(this, std::move(filter));
}

// ---- InterfaceManager ----

InterfaceManager::InterfaceManager(ChannelServices* services, std::string name, const net::Interface* interface)
    : services_(services),
      id_(services->next_manager_id.fetch_add(1)),
      sockets_(&services->socket_budget),
      name_(std::move(name)) {
  net::MutexLock lock(&mutex_);
  TakeOn(interface);
}

InterfaceManager::~InterfaceManager() {
  net::MutexLock lock(&mutex_);
  services_->channels.fetch_sub(channels_.size());
}

std::string InterfaceManager::name() const {
  net::MutexLock lock(&mutex_);
  return name_;
}

absl::Status InterfaceManager::Usable(net::Family family) const {
  if (index() == 0) {
    return Error(Reason::kInterfaceNotFound, "interface",
                 net::StrCat("the gateway's host has no interface ", name_, " now"));
  }
  if (lost_ == fanout::LostCause::kDown) {
    return Error(Reason::kInterfaceDown, "interface",
                 net::StrCat("interface ", name_, " is down: ip link set ", name_, " up"));
  }
  if (lost_ == fanout::LostCause::kEnslaved) {
    return Error(Reason::kInterfaceEnslaved, "interface",
                 net::StrCat("interface ", name_, " is a port of ", master_name_,
                             ", which takes all that it receives: join on ", master_name_, " instead"));
  }
  if (!carries_multicast_) return NoMulticast(name_, "interface");
  if (family == net::Family::kIpv6 && !ipv6_) {
    return Error(
        Reason::kNoAddress, "",
        net::StrCat("IPv6 is off on ", name_, ": the kernel has none, its MTU is below 1280, or disable_ipv6 is set"));
  }
  return absl::OkStatus();
}

std::string InterfaceManager::Describe(const Channel& channel) const {
  return net::StrCat(net::ToString(channel.key.first, channel.key.second), " on ", name_);
}

fanout::ChannelLog::Options InterfaceManager::LogOptions(uint64_t channel_id, const net::IpAddress& group) const {
  const Options& options = services_->options;
  const LogRule* const rule = FindLogRule(options.log_rules, group);
  const absl::Duration age = rule != nullptr && rule->age.has_value() ? *rule->age : options.channel_log_age;
  return {.channel_id = channel_id,
          .budget_bytes = rule != nullptr && rule->bytes.has_value() ? *rule->bytes : options.channel_log_bytes,
          .age_limit_ns = absl::ToInt64Nanoseconds(age)};
}

void InterfaceManager::Fold(const Channel& channel) {
  channel.reception.AfterLastRead(
      [services = services_, log = channel.log, counters = channel.reception.counters_ptr()] {
        services->closed.Add(ChannelAccount::Of(*log, *counters));
      });
}

absl::StatusOr<std::shared_ptr<InterfaceManager::Channel>> InterfaceManager::FindOrAdd(const Key& key) {
  if (const auto at = channels_.find(key); at != channels_.end()) return at->second;
  const size_t limit = services_->options.limits.channels;
  if (services_->channels.fetch_add(1) >= limit) {
    services_->channels.fetch_sub(1);
    return Error(Reason::kChannelLimit, "",
                 net::StrCat("the gateway holds ", limit, " channels, its limit (max_channels): leave some first"));
  }
  const uint64_t id = services_->next_channel_id.fetch_add(1);
  const size_t shard_index = id % services_->shards.size();
  fanout::ReceiveShard* const shard = services_->shards[shard_index];
  fanout::ChannelLog::Options log_options = LogOptions(id, key.first);
  log_options.shard = shard_index;
  auto log = std::make_shared<fanout::ChannelLog>(log_options, services_->log_budget);
  auto channel = std::make_shared<Channel>(
      this, key,
      Reception::Spec{.sockets = &sockets_,
                      .factory = services_->sockets,
                      .shard = shard,
                      .log = std::move(log),
                      .group = key.first,
                      .port = key.second,
                      .socket_buffer_bytes = services_->options.socket_buffer_bytes,
                      .narrow_after_ns = absl::ToInt64Nanoseconds(services_->options.narrow_after)});
  channels_.emplace(key, channel);
  return channel;
}

absl::Status InterfaceManager::Open(Channel* channel, const SourceFilter& wished) {
  absl::Status status = Usable(channel->key.first.family());
  if (status.ok()) status = channel->reception.Open(index(), name_, wished);
  if (status.ok()) channel->opened_ns = net::MonotonicNs();
  channel->failure = status;
  return status;
}

absl::StatusOr<std::unique_ptr<InterfaceManager::Hold>> InterfaceManager::Acquire(
    const net::IpAddress& group, uint16_t port, const MembershipFacts& membership, SourceFilter filter,
    Patience patience, fanout::Cursor* start) {
  net::MutexLock lock(&mutex_);
  const Key key(group, port);
  absl::StatusOr<std::shared_ptr<Channel>> found = FindOrAdd(key);
  if (!found.ok()) return found.status();
  const std::shared_ptr<Channel> channel = *found;
  const SourceFilter filters[] = {channel->Wished(), filter};
  const SourceFilter wished = channel->holds.empty() ? filter : SourceFilter::Merge(filters);
  if (start != nullptr) *start = channel->log->Head();
  absl::Status status = patience.wait ? absl::OkStatus() : Usable(group.family());
  if (status.ok())
    status = channel->reception.is_open() ? channel->reception.Tell(wished) : Open(channel.get(), wished);
  if (!status.ok() && !(patience.wait && IsPassing(status))) {
    if (!patience.quiet) {
      spdlog::warn("cannot join {} ({}): {}", Describe(*channel), wished.ToString(), net::ToStd(status.message()));
    }
    if (channel->holds.empty() && !channel->reception.was_open()) {
      channels_.erase(key);
      services_->channels.fetch_sub(1);
    }
    return status;
  }
  auto hold = std::unique_ptr<Hold>(new Hold(channel.get(), &membership, std::move(filter)));
  channel->holds.push_back(hold.get());
  spdlog::log(patience.quiet ? spdlog::level::debug : spdlog::level::info, "{} {} ({}), holders: {}",
              status.ok() ? "joined" : "waiting for", Describe(*channel), hold->filter_.ToString(),
              channel->holds.size());
  return hold;
}

void InterfaceManager::Release(Hold* hold, bool quiet) {
  net::MutexLock lock(&mutex_);
  Channel* const channel = hold->channel_;
  std::erase(channel->holds, hold);
  if (channel->holds.empty()) {
    // What the interface's loss has begun goes on.
    if (channel->reception.is_open()) {
      channel->reception.Close(lost_ ? fanout::GapCause::kInterfaceLost : fanout::GapCause::kNotJoined);
    }
    channel->renew = false;
    channel->failure = absl::OkStatus();
    channel->left_ns = net::MonotonicNs();
  } else if (channel->reception.is_open()) {
    if (const absl::Status status = channel->reception.Tell(channel->Wished()); !status.ok()) {
      // The kernel passes more than is wanted; subscribers filter for themselves.
      spdlog::warn("cannot narrow the filter of {}: {}", Describe(*channel), net::ToStd(status.message()));
    }
  }
  spdlog::log(quiet ? spdlog::level::debug : spdlog::level::info, "left {} ({}), holders: {}", Describe(*channel),
              hold->filter_.ToString(), channel->holds.size());
}

absl::Status InterfaceManager::SetFilter(Hold* hold, SourceFilter filter) {
  net::MutexLock lock(&mutex_);
  Channel* const channel = hold->channel_;
  std::swap(hold->filter_, filter);
  const absl::Status status =
      channel->reception.is_open() ? channel->reception.Tell(channel->Wished()) : absl::OkStatus();
  if (!status.ok()) {
    std::swap(hold->filter_, filter);
    return status;
  }
  if (hold->filter_ != filter) {
    spdlog::info("filter of {} is now {}, holders: {}", Describe(*channel), hold->filter_.ToString(),
                 channel->holds.size());
  }
  return status;
}

SourceFilter InterfaceManager::FilterOf(const Hold& hold) const {
  net::MutexLock lock(&mutex_);
  return hold.filter_;
}

Holder InterfaceManager::HolderOf(const Hold& hold) {
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

fanout::ChannelStatus InterfaceManager::StatusOf(const Hold& hold) const {
  net::MutexLock lock(&mutex_);
  return StatusLocked(*hold.channel_);
}

fanout::ChannelStatus InterfaceManager::StatusLocked(const Channel& channel) const {
  fanout::ChannelStatus status{.channel_id = channel.log->channel_id(),
                               .interface_index = index(),
                               .interface_name = name_,
                               .group = channel.key.first,
                               .port = channel.key.second,
                               .phase = fanout::ChannelPhase::kLeft,
                               .error = absl::OkStatus(),
                               .epoch = channel.log->epoch(),
                               .next_sequence = channel.log->next_sequence()};
  if (channel.holds.empty()) {
    if (channel.reception.is_open()) status.phase = fanout::ChannelPhase::kJoined;  // A Join of this moment.
    return status;
  }
  status.error = Usable(channel.key.first.family());
  if (status.error.ok()) status.error = channel.reception.is_open() ? channel.reception.Watched() : channel.failure;
  status.phase = status.error.ok()         ? fanout::ChannelPhase::kJoined
                 : IsPassing(status.error) ? fanout::ChannelPhase::kWaiting
                                           : fanout::ChannelPhase::kFailed;
  return status;
}

void InterfaceManager::Sweep(int64_t now_ns) {
  const int64_t keep_ns = absl::ToInt64Nanoseconds(services_->options.keep_after_leave);
  net::MutexLock lock(&mutex_);
  for (auto at = channels_.begin(); at != channels_.end();) {
    Channel& channel = *at->second;
    channel.reception.Narrow(now_ns);
    if (channel.holds.empty() && now_ns - channel.left_ns >= keep_ns) {
      spdlog::debug("dropped the log of {}", Describe(channel));
      AddTotals(channel, &retired_);
      Fold(channel);
      at = channels_.erase(at);
      services_->channels.fetch_sub(1);
    } else {
      ++at;
    }
  }
}

void InterfaceManager::AddTotals(const Channel& channel, ReceiveTotals* totals) {
  const fanout::ReceiveCounters& counters = channel.reception.counters();
  totals->read += counters.read.load(std::memory_order_relaxed);
  totals->kernel_drops += channel.log->kernel_drops();
}

ReceiveTotals InterfaceManager::Totals() const {
  net::MutexLock lock(&mutex_);
  ReceiveTotals totals = retired_;
  for (const auto& [key, channel] : channels_) AddTotals(*channel, &totals);
  return totals;
}

size_t InterfaceManager::Holds(net::Family family) const {
  net::MutexLock lock(&mutex_);
  size_t holds = 0;
  for (const auto& [key, channel] : channels_) {
    if (key.first.family() == family) holds += channel->holds.size();
  }
  return holds;
}

std::map<net::IpAddress, uint32_t> InterfaceManager::Sockets() const {
  net::MutexLock lock(&mutex_);
  std::map<net::IpAddress, uint32_t> sockets;
  for (const auto& [key, channel] : channels_) {
    if (channel->reception.is_open()) sockets[key.first] += static_cast<uint32_t>(channel->reception.socket_count());
  }
  return sockets;
}

bool InterfaceManager::empty() const {
  net::MutexLock lock(&mutex_);
  return channels_.empty();
}

bool InterfaceManager::lost() const {
  net::MutexLock lock(&mutex_);
  if (lost_.has_value()) return true;
  return std::any_of(channels_.begin(), channels_.end(), [](const auto& entry) {
    return !entry.second->holds.empty() && !entry.second->reception.is_open();
  });
}

uint64_t InterfaceManager::losses() const {
  net::MutexLock lock(&mutex_);
  return losses_;
}

std::vector<uint64_t> InterfaceManager::ChannelIds(const ChannelQuery& query) const {
  net::MutexLock lock(&mutex_);
  std::vector<uint64_t> ids;
  for (const auto& [key, channel] : channels_) {
    const bool asked = (!query.group.has_value() || key.first == *query.group) &&
                       (query.port == 0 || key.second == query.port) && channel->log->channel_id() > query.after_id;
    if (asked) ids.push_back(channel->log->channel_id());
  }
  return ids;
}

std::vector<ChannelSnapshot> InterfaceManager::Snapshot(const std::vector<uint64_t>* ids) const {
  net::MutexLock lock(&mutex_);
  std::vector<ChannelSnapshot> snapshots;
  for (const auto& [key, channel] : channels_) {
    if (ids != nullptr && !std::binary_search(ids->begin(), ids->end(), channel->log->channel_id())) continue;
    ChannelSnapshot snapshot;
    snapshot.status = StatusLocked(*channel);
    for (const Hold* hold : channel->holds) snapshot.holders.push_back(HolderOf(*hold));
    if (!channel->holds.empty()) snapshot.wished = channel->Wished();
    snapshot.joined = channel->reception.is_open();
    if (snapshot.joined) {
      snapshot.told = channel->reception.told();
      snapshot.narrows = channel->reception.narrows();
      snapshot.sockets = channel->reception.Sockets();
      snapshot.socket = channel->reception.Facts();
    }
    const fanout::ReceiveCounters& counters = channel->reception.counters();
    snapshot.last_datagram_unix_ns = counters.last_receive_unix_ns.load(std::memory_order_relaxed);
    if (snapshot.last_datagram_unix_ns != 0) snapshot.last_source = counters.last_source().ToString();
    snapshot.last_hop_limit = counters.last_hop_limit.load(std::memory_order_relaxed);
    const fanout::ChannelLog& log = *channel->log;
    snapshot.account = ChannelAccount::Of(log, counters);
    ReadOldest(log, &snapshot);
    snapshot.log_limit_bytes = log.options().budget_bytes;
    snapshot.log_limit_age_ns = log.options().age_limit_ns;
    snapshot.created_unix_ns = channel->created_unix_ns;
    snapshots.push_back(std::move(snapshot));
  }
  return snapshots;
}

}  // namespace mcgw::gateway
