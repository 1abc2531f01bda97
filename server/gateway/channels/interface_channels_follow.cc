// How the channels follow their interface: InterfaceState decides, Follow carries it out, Heal joins again.

#include <algorithm>
#include <utility>

#include "server/gateway/channels/channel.h"
#include "server/gateway/channels/interface_channels.h"
#include "server/net/clock.h"
#include "server/net/status.h"
#include "server/net/text.h"
#include "spdlog/spdlog.h"

namespace mcgw::gateway {
namespace {

using fanout::GapCause;

constexpr int64_t kFirstRetryNs = 1'000'000'000;
constexpr int64_t kLongestRetryNs = 30'000'000'000;

}  // namespace

InterfaceNotice InterfaceChannels::NewNotice(std::vector<fanout::Event> events) const {
  InterfaceNotice notice{.interface_channels_id = id_,
                         .interface_name = state_.name(),
                         .interface_index = state_.index(),
                         .events = std::move(events),
                         .channel_ids = {}};
  for (const auto& [key, channel] : channels_) {
    if (!channel->holds.empty()) notice.channel_ids.insert(channel->log->channel_id());
  }
  return notice;
}

std::optional<InterfaceNotice> InterfaceChannels::Follow(const net::Interface* interface,
                                                         const InterfaceInterim& interim) {
  net::MutexLock lock(&mutex_);
  const int64_t now_unix_ns = net::UnixNs();
  InterfaceState::Step step = state_.Update(interface, interim, now_unix_ns);
  index_.store(state_.index(), std::memory_order_release);
  retry_ns_ = 0;
  retry_after_ns_ = 0;
  std::set<uint64_t> ipv6_lost;
  for (const auto& [key, channel] : channels_) {
    if (!channel->reception.is_open()) continue;
    const InterfaceState::Sockets sockets = key.first.is_v4() ? step.ipv4 : step.ipv6;
    if (sockets == InterfaceState::Sockets::kClose) {
      channel->reception.Close(GapCause::kInterfaceLost);
      if (step.only_ipv6_off) ipv6_lost.insert(channel->log->channel_id());
      continue;
    }
    if (sockets == InterfaceState::Sockets::kRenew) channel->renew = true;
    if (step.lost && !channel->renew) channel->lost_unix_ns = now_unix_ns;
  }
  const bool concerns_all = !step.events.empty();
  if (!ipv6_lost.empty() && state_.lost_memberships().empty()) {
    step.events.push_back(state_.LoseMemberships(std::move(ipv6_lost), now_unix_ns));
  }
  if (step.events.empty()) return std::nullopt;
  InterfaceNotice notice = NewNotice(std::move(step.events));
  if (!concerns_all) notice.channel_ids = state_.lost_memberships();
  return notice;
}

bool InterfaceChannels::CloseUnwatched(Healed* healed) {
  bool any = false;
  for (const auto& [key, channel] : channels_) {
    if (!channel->reception.is_open()) continue;
    const absl::Status watched = channel->reception.Watched();
    if (watched.ok()) continue;
    spdlog::warn("cannot receive {}: {}", Describe(*channel), net::ToStd(watched.message()));
    channel->reception.Close(GapCause::kNotJoined);
    channel->failure = watched;
    healed->changes.push_back({StatusLocked(*channel), fanout::ChangeCause::kRefused});
    any = true;
  }
  return any;
}

void InterfaceChannels::PutOffRetry(int64_t now_ns) {
  retry_after_ns_ = std::clamp(2 * retry_after_ns_, kFirstRetryNs, kLongestRetryNs);
  retry_ns_ = now_ns + retry_after_ns_;
}

InterfaceChannels::Healed InterfaceChannels::Heal(bool now) {
  net::MutexLock lock(&mutex_);
  Healed healed;
  const int64_t now_ns = net::MonotonicNs();
  for (const auto& [key, channel] : channels_) {
    if (channel->lost_unix_ns == 0) continue;
    fanout::ReceiveShard* const shard = services_->shards[channel->log->channel_id() % services_->shards.size()];
    shard->Interrupt(channel->log, GapCause::kInterfaceLost, std::exchange(channel->lost_unix_ns, 0));
  }
  bool refused = CloseUnwatched(&healed);
  if (state_.Unjoinable() || refused || (!now && now_ns < retry_ns_)) {
    if (refused) PutOffRetry(now_ns);
    return healed;
  }
  for (auto group = channels_.begin(); group != channels_.end();) {
    const auto end = channels_.upper_bound({group->first.first, UINT16_MAX});
    // All sockets of a group let go before the first joins: a leave by a socket whose membership the device has lost
    // takes away that of another one.
    for (auto at = group; at != end; ++at) {
      Channel& channel = *at->second;
      if (channel.renew && channel.reception.is_open()) channel.reception.Close(GapCause::kInterfaceLost);
      channel.renew = false;
    }
    for (; group != end; ++group) {
      Channel& channel = *group->second;
      if (channel.holds.empty() || channel.reception.is_open()) continue;
      const bool was_open = channel.reception.was_open();
      const absl::Status before = channel.failure;
      const absl::Status status = Open(&channel, channel.wanted.Get());
      refused = refused || !status.ok();
      if (status.ok() && (!was_open || !before.ok())) {
        healed.changes.push_back({StatusLocked(channel), fanout::ChangeCause::kInterfaceAppeared});
      } else if (!status.ok() && net::ReasonOf(status) != net::ReasonOf(before)) {
        healed.changes.push_back({StatusLocked(channel), fanout::ChangeCause::kRefused});
      }
    }
  }
  if (refused) {
    PutOffRetry(now_ns);
  } else if (const std::set<uint64_t> restored = state_.lost_memberships(); !restored.empty()) {
    healed.notice = NewNotice({state_.RestoreMemberships(net::UnixNs())});
    healed.notice->channel_ids = restored;
  }
  return healed;
}

std::set<net::IpAddress> InterfaceChannels::Missing(const net::KernelMemberships& kernel, int64_t before_ns) const {
  net::MutexLock lock(&mutex_);
  std::map<net::IpAddress, uint32_t> sockets;
  for (const auto& [key, channel] : channels_) {
    if (!channel->reception.is_open() || channel->opened_ns >= before_ns) continue;
    sockets[key.first] += static_cast<uint32_t>(channel->reception.socket_count());
  }
  std::set<net::IpAddress> missing;
  for (const auto& [group, count] : sockets) {
    const auto at = kernel.users.find({index(), group});
    if (at == kernel.users.end() || at->second < count) missing.insert(group);
  }
  return missing;
}

std::optional<InterfaceNotice> InterfaceChannels::Rejoin(const std::set<net::IpAddress>& groups) {
  net::MutexLock lock(&mutex_);
  std::set<uint64_t> affected;
  for (const auto& [key, channel] : channels_) {
    if (!groups.contains(key.first) || !channel->reception.is_open()) continue;
    channel->reception.Close(GapCause::kInterfaceLost);
    affected.insert(channel->log->channel_id());
  }
  retry_ns_ = 0;
  retry_after_ns_ = 0;
  if (affected.empty() || state_.lost() || !state_.lost_memberships().empty()) return std::nullopt;
  InterfaceNotice notice = NewNotice({state_.LoseMemberships(affected, net::UnixNs())});
  notice.channel_ids = std::move(affected);
  return notice;
}

}  // namespace mcgw::gateway
