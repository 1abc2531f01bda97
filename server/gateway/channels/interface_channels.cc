#include "server/gateway/channels/interface_channels.h"

#include <algorithm>

#include "server/gateway/channels/channel.h"
#include "server/net/clock.h"
#include "server/net/invariant.h"
#include "server/net/status.h"
#include "server/net/text.h"
#include "spdlog/spdlog.h"

namespace mcgw::gateway {

using fanout::SourceFilter;
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

}  // namespace

// ---- Hold ----

InterfaceChannels::Hold::Hold(Channel* channel, const MembershipFacts* membership, SourceFilter filter)
    : channel_(channel), membership_(membership), since_unix_ns_(net::UnixNs()), filter_(std::move(filter)) {}

InterfaceChannels::Hold::~Hold() {
  if (channel_ != nullptr) interface_channels()->Release(this, /*quiet=*/false);
}

void InterfaceChannels::Hold::EndQuietly() {
  interface_channels()->Release(this, /*quiet=*/true);
  channel_ = nullptr;
}

InterfaceChannels* InterfaceChannels::Hold::interface_channels() const { return channel_->interface_channels; }

const std::shared_ptr<fanout::ChannelLog>& InterfaceChannels::Hold::log() const { return channel_->log; }

fanout::ChannelStatus InterfaceChannels::Hold::status() const { return interface_channels()->StatusOf(*this); }

SourceFilter InterfaceChannels::Hold::filter() const { return interface_channels()->FilterOf(*this); }

absl::Status InterfaceChannels::Hold::SetFilter(SourceFilter filter) {
  return interface_channels()->SetFilter(this, std::move(filter));
}

// ---- InterfaceChannels ----

InterfaceChannels::InterfaceChannels(ChannelServices* services, std::string name, const net::Interface* interface)
    : services_(services),
      id_(services->next_interface_channels_id.fetch_add(1)),
      index_(interface == nullptr ? 0 : interface->index),
      sockets_(&services->socket_budget, services->sockets),
      state_(std::move(name), interface) {}

InterfaceChannels::~InterfaceChannels() {
  net::MutexLock lock(&mutex_);
  MCGW_INVARIANT(by_id_.size() == channels_.size() && left_.size() <= channels_.size());
  MCGW_INVARIANT(services_->channels.load() >= channels_.size());
  services_->channels.fetch_sub(channels_.size());
}

std::string InterfaceChannels::name() const {
  net::MutexLock lock(&mutex_);
  return state_.name();
}

std::string InterfaceChannels::Describe(const Channel& channel) const {
  return net::StrCat(net::ToString(channel.key.first, channel.key.second), " on ", state_.name());
}

fanout::ChannelLog::Options InterfaceChannels::LogOptions(uint64_t channel_id, const net::IpAddress& group) const {
  const Options& options = services_->options;
  const LogRule* const rule = FindLogRule(options.log_rules, group);
  const absl::Duration age = rule != nullptr && rule->age.has_value() ? *rule->age : options.channel_log_age;
  return {.channel_id = channel_id,
          .budget_bytes = rule != nullptr && rule->bytes.has_value() ? *rule->bytes : options.channel_log_bytes,
          .age_limit_ns = absl::ToInt64Nanoseconds(age)};
}

void InterfaceChannels::Fold(const Channel& channel) {
  channel.reception.AfterLastRead(
      [services = services_, log = channel.log, counters = channel.reception.counters_ptr()] {
        services->closed.Add(ChannelAccount::Of(*log, *counters));
      });
}

absl::StatusOr<std::shared_ptr<InterfaceChannels::Channel>> InterfaceChannels::FindOrAdd(const Key& key) {
  if (const auto at = channels_.find(key); at != channels_.end()) return at->second;
  const size_t limit = services_->options.limits.channels;
  if (services_->channels.fetch_add(1) >= limit) {
    services_->channels.fetch_sub(1);
    return net::Error(
        Reason::kChannelLimit, "",
        net::StrCat("the gateway holds ", limit, " channels, its limit (max_channels): leave some first"));
  }
  const uint64_t id = services_->next_channel_id.fetch_add(1);
  const size_t shard_index = id % services_->shards.size();
  fanout::ReceiveShard* const shard = services_->shards[shard_index];
  fanout::ChannelLog::Options log_options = LogOptions(id, key.first);
  log_options.shard = shard_index;
  auto log = std::make_shared<fanout::ChannelLog>(log_options, services_->log_budget);
  auto channel = std::make_shared<Channel>(
      this, ChannelSpec{.socket = {.group = key.first,
                                   .port = key.second,
                                   .receive_buffer_bytes = services_->options.socket_buffer_bytes},
                        .shard = shard,
                        .log = std::move(log)});
  channels_.emplace(key, channel);
  by_id_.emplace(id, channel.get());
  return channel;
}

void InterfaceChannels::Erase(Channels::iterator at) {
  Channel* const channel = at->second.get();
  MCGW_INVARIANT(channel->holds.empty());
  by_id_.erase(channel->log->channel_id());
  left_.erase({channel->left_ns, channel->log->channel_id(), channel});
  put_off_.erase(channel);
  services_->channels.fetch_sub(1);
  channels_.erase(at);
  MCGW_INVARIANT(by_id_.size() == channels_.size());
}

void InterfaceChannels::Drop(Channel* channel) {
  spdlog::debug("dropped the log of {}", Describe(*channel));
  AddTotals(*channel, &retired_);
  Fold(*channel);
  Erase(channels_.find(channel->key));
}

absl::Status InterfaceChannels::Open(Channel* channel, const SourceFilter& wanted) {
  absl::Status status = state_.Usable(channel->key.first.family());
  if (status.ok()) status = channel->reception.Open(state_.index(), state_.name(), wanted);
  if (status.ok()) channel->opened_ns = net::MonotonicNs();
  channel->failure = status;
  return status;
}

absl::Status InterfaceChannels::Tell(Channel* channel) {
  absl::Status status = channel->reception.Tell(channel->wanted.Get());
  if (channel->reception.narrows()) put_off_.insert(channel);
  return status;
}

void InterfaceChannels::LogChange(const Channel& channel, const std::optional<SourceFilter>& before, bool quiet) const {
  const std::optional<SourceFilter> now = channel.Told();
  if (now == before) return;
  const auto level = quiet ? spdlog::level::debug : spdlog::level::info;
  if (!now.has_value()) {
    spdlog::log(level, "left {}", Describe(channel));
  } else if (!before.has_value()) {
    spdlog::log(level, "joined {} ({})", Describe(channel), now->ToShortString());
  } else {
    spdlog::log(level, "filter of {} is now {}", Describe(channel), now->ToShortString());
  }
}

void InterfaceChannels::LogHold(const Channel& channel, const char* what, const SourceFilter& filter) const {
  if (!spdlog::should_log(spdlog::level::debug)) return;
  spdlog::debug("{} {} ({}), holders: {}", what, Describe(channel), filter.ToShortString(), channel.holds.size());
}

absl::StatusOr<std::unique_ptr<InterfaceChannels::Hold>> InterfaceChannels::Acquire(
    const net::IpAddress& group, uint16_t port, const MembershipFacts& membership, SourceFilter filter,
    Patience patience, fanout::Cursor* start) {
  net::MutexLock lock(&mutex_);
  const Key key(group, port);
  absl::StatusOr<std::shared_ptr<Channel>> found = FindOrAdd(key);
  if (!found.ok()) return found.status();
  const std::shared_ptr<Channel> channel = *found;
  if (start != nullptr) *start = channel->log->Head();
  const std::optional<SourceFilter> told_before = channel->Told();
  channel->wanted.Add(filter);
  absl::Status status = patience.wait ? absl::OkStatus() : state_.Usable(group.family());
  if (status.ok()) {
    status = channel->reception.is_open() ? Tell(channel.get()) : Open(channel.get(), channel->wanted.Get());
  }
  if (!status.ok() && !(patience.wait && IsPassing(status))) {
    if (!patience.quiet) {
      spdlog::warn("cannot join {} ({}): {}", Describe(*channel), filter.ToShortString(), net::ToStd(status.message()));
    }
    channel->wanted.Remove(filter);
    if (channel->holds.empty() && !channel->reception.was_open()) Erase(channels_.find(key));
    return status;
  }
  if (channel->left_ns != 0)
    left_.erase({std::exchange(channel->left_ns, 0), channel->log->channel_id(), channel.get()});
  auto hold = std::unique_ptr<Hold>(new Hold(channel.get(), &membership, std::move(filter)));
  channel->holds.insert(hold.get());
  LogChange(*channel, told_before, patience.quiet);
  LogHold(*channel, status.ok() ? "held" : "waiting for", hold->filter_);
  return hold;
}

void InterfaceChannels::Release(Hold* hold, bool quiet) {
  net::MutexLock lock(&mutex_);
  Channel* const channel = hold->channel_;
  const std::optional<SourceFilter> told_before = channel->Told();
  const size_t erased = channel->holds.erase(hold);
  MCGW_INVARIANT(erased == 1 && channel->left_ns == 0);
  channel->wanted.Remove(hold->filter_);
  if (channel->holds.empty()) {
    // What the interface's loss has begun goes on.
    if (channel->reception.is_open()) {
      channel->reception.Close(state_.lost() ? fanout::GapCause::kInterfaceLost : fanout::GapCause::kNotJoined);
    }
    channel->renew = false;
    channel->failure = absl::OkStatus();
    channel->left_ns = net::MonotonicNs();
    left_.insert({channel->left_ns, channel->log->channel_id(), channel});
  } else if (channel->reception.is_open()) {
    if (const absl::Status status = Tell(channel); !status.ok()) {
      // The kernel passes more than is wanted; subscribers filter for themselves.
      spdlog::warn("cannot narrow the filter of {}: {}", Describe(*channel), net::ToStd(status.message()));
    }
  }
  LogChange(*channel, told_before, quiet);
  LogHold(*channel, "let go", hold->filter_);
}

absl::Status InterfaceChannels::SetFilter(Hold* hold, SourceFilter filter) {
  net::MutexLock lock(&mutex_);
  Channel* const channel = hold->channel_;
  const std::optional<SourceFilter> told_before = channel->Told();
  channel->wanted.Add(filter);
  channel->wanted.Remove(hold->filter_);
  const absl::Status status = channel->reception.is_open() ? Tell(channel) : absl::OkStatus();
  if (!status.ok()) {
    channel->wanted.Add(hold->filter_);
    channel->wanted.Remove(filter);
    return status;
  }
  hold->filter_ = std::move(filter);
  LogChange(*channel, told_before, /*quiet=*/false);
  LogHold(*channel, "changed the filter of", hold->filter_);
  return status;
}

SourceFilter InterfaceChannels::FilterOf(const Hold& hold) const {
  net::MutexLock lock(&mutex_);
  return hold.filter_;
}

fanout::ChannelStatus InterfaceChannels::StatusOf(const Hold& hold) const {
  net::MutexLock lock(&mutex_);
  return StatusLocked(*hold.channel_);
}

fanout::ChannelStatus InterfaceChannels::StatusLocked(const Channel& channel) const {
  fanout::ChannelStatus status{.channel_id = channel.log->channel_id(),
                               .interface_index = index(),
                               .interface_name = state_.name(),
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
  status.error = state_.Usable(channel.key.first.family());
  if (status.error.ok()) status.error = channel.reception.is_open() ? channel.reception.Watched() : channel.failure;
  status.phase = status.error.ok()         ? fanout::ChannelPhase::kJoined
                 : IsPassing(status.error) ? fanout::ChannelPhase::kWaiting
                                           : fanout::ChannelPhase::kFailed;
  return status;
}

void InterfaceChannels::Sweep(int64_t now_ns) {
  const int64_t keep_ns = absl::ToInt64Nanoseconds(services_->options.keep_after_leave);
  net::MutexLock lock(&mutex_);
  absl::erase_if(put_off_, [now_ns](Channel* channel) {
    channel->reception.Narrow(now_ns);
    return !channel->reception.narrows();
  });
  while (!left_.empty() && now_ns - std::get<int64_t>(*left_.begin()) >= keep_ns)
    Drop(std::get<Channel*>(*left_.begin()));
}

std::optional<int64_t> InterfaceChannels::OldestLeftNs() const {
  net::MutexLock lock(&mutex_);
  if (left_.empty()) return std::nullopt;
  return std::get<int64_t>(*left_.begin());
}

bool InterfaceChannels::DropOldestLeft() {
  net::MutexLock lock(&mutex_);
  if (left_.empty()) return false;
  Drop(std::get<Channel*>(*left_.begin()));
  return true;
}

bool InterfaceChannels::empty() const {
  net::MutexLock lock(&mutex_);
  return channels_.empty();
}

bool InterfaceChannels::lost() const {
  net::MutexLock lock(&mutex_);
  if (state_.lost().has_value()) return true;
  return std::any_of(channels_.begin(), channels_.end(), [](const auto& entry) {
    return !entry.second->holds.empty() && !entry.second->reception.is_open();
  });
}

uint64_t InterfaceChannels::losses() const {
  net::MutexLock lock(&mutex_);
  return state_.losses();
}

}  // namespace mcgw::gateway
