// How a manager follows its interface.

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
using fanout::LostCause;

constexpr int64_t kFirstRetryNs = 1'000'000'000;
constexpr int64_t kLongestRetryNs = 30'000'000'000;

std::optional<LostCause> CauseOfLoss(const net::Interface* interface) {
  if (interface == nullptr) return LostCause::kDeleted;
  if (!interface->up) return LostCause::kDown;
  if (interface->ReceivesForMaster()) return LostCause::kEnslaved;
  if (!interface->carrier) return LostCause::kNoCarrier;
  return std::nullopt;
}

}  // namespace

void InterfaceChannels::TakeOn(const net::Interface* interface) {
  index_.store(interface == nullptr ? 0 : interface->index, std::memory_order_release);
  lost_ = CauseOfLoss(interface);
  ipv6_ = interface == nullptr || interface->ipv6;
  carries_multicast_ = interface == nullptr || interface->carries_multicast;
  if (interface == nullptr) return;
  name_ = interface->name;
  master_name_ = interface->master_name;
  carrier_changes_ = interface->carrier_changes;
  // While it is lost, what is sent is not heard.
  if (!lost_) reporting_ = {interface->IgmpSource(), interface->mac_address, interface->ports};
}

InterfaceChannels::Unheard InterfaceChannels::Compare(const Reporting& before, const Reporting& now) {
  // A switch that sends a group to the MAC addresses of its members knows the old one. Behind a port of a bridge that
  // passes frames anew, whoever keeps the members may have forgotten them, or has never heard of them.
  const bool mac = !before.mac_address.empty() && before.mac_address != now.mac_address;
  const bool port = std::any_of(now.ports.begin(), now.ports.end(), [&](const net::Interface::Port& each) {
    return std::find(before.ports.begin(), before.ports.end(), each) == before.ports.end();
  });
  // IGMP reports without a source are dropped, and those of another may be. The kernel does not repeat them when an
  // address comes. MLD's source is a link-local address, and there the kernel does.
  const bool source = now.igmp_source.has_value() && before.igmp_source != now.igmp_source;
  return {.ipv4 = source || mac || port, .ipv6 = mac || port};
}

bool InterfaceChannels::Unjoinable() const { return lost_.has_value() && *lost_ != LostCause::kNoCarrier; }

InterfaceNotice InterfaceChannels::NewNotice() const {
  InterfaceNotice notice{
      .manager_id = id_, .interface_name = name_, .interface_index = index(), .events = {}, .channel_ids = {}};
  for (const auto& [key, channel] : channels_) {
    if (!channel->holds.empty()) notice.channel_ids.insert(channel->log->channel_id());
  }
  return notice;
}

fanout::Event InterfaceChannels::Lose(LostCause cause, const std::string& name, uint32_t index) {
  ++losses_;
  lost_told_ = true;
  return fanout::InterfaceLost{name, index, cause, net::UnixNs()};
}

std::optional<InterfaceNotice> InterfaceChannels::Follow(const net::Interface* interface, const Interim& interim) {
  net::MutexLock lock(&mutex_);
  const uint32_t old_index = index();
  const std::string old_name = name_;
  const bool was_there = old_index != 0;
  const bool was_lost = lost_.has_value() || !membership_lost_.empty();
  const bool carrier_changed = was_there && interface != nullptr && interface->carrier_changes != carrier_changes_;
  const bool remade =
      was_there && interface != nullptr &&
      (interim.deleted || interface->index != old_index || interface->carrier_changes < carrier_changes_);
  const std::optional<LostCause> lost_before = lost_;
  const Reporting reporting_before = reporting_;
  TakeOn(interface);
  const Unheard unheard = was_there && !lost_ ? Compare(reporting_before, reporting_) : Unheard();
  // It was away between two looks.
  const bool interrupted =
      was_there && !lost_before && !lost_ && (remade || interim.down || interim.enslaved || carrier_changed);

  const int64_t now_unix_ns = net::UnixNs();
  std::vector<fanout::Event> events;
  if (was_there && interface != nullptr && name_ != old_name) {
    events.push_back(fanout::InterfaceRenamed{.interface_index = index(), .old_name = old_name, .new_name = name_});
  }
  const bool newly_lost = was_there && !was_lost && (lost_ || interrupted);
  if (newly_lost) {
    const LostCause cause = remade             ? LostCause::kDeleted
                            : lost_            ? *lost_
                            : interim.down     ? LostCause::kDown
                            : interim.enslaved ? LostCause::kEnslaved
                                               : LostCause::kNoCarrier;
    events.push_back(Lose(cause, old_name, old_index));
  } else if (was_there && lost_ == LostCause::kEnslaved && lost_before != lost_) {
    // A bond takes a port while it is down. That passes; this lasts.
    events.push_back(fanout::InterfaceLost{name_, index(), *lost_, now_unix_ns});
    lost_told_ = true;
  }
  const bool restored = !lost_ && (lost_before.has_value() || interrupted) && (was_there || lost_told_);
  if (restored) {
    events.push_back(fanout::InterfaceRestored{name_, index(), now_unix_ns});
    lost_told_ = false;
  }
  if (lost_ || restored) membership_lost_.clear();
  retry_ns_ = 0;
  retry_after_ns_ = 0;

  const bool freed = lost_before == LostCause::kEnslaved || interim.enslaved;
  std::set<uint64_t> ipv6_lost;
  for (const auto& [key, channel] : channels_) {
    if (!channel->reception.is_open()) continue;
    if (interface == nullptr || (remade && lost_) || (!ipv6_ && !key.first.is_v4())) {
      // With IPv6 off the kernel drops its memberships, or what they receive.
      channel->reception.Close(GapCause::kInterfaceLost);
      if (interface != nullptr && !remade) ipv6_lost.insert(channel->log->channel_id());
    } else if (remade || (restored && (key.first.is_v4() || freed)) ||
               (key.first.is_v4() ? unheard.ipv4 : unheard.ipv6)) {
      // A device made anew knows nothing of the socket's membership. The kernel sends no IGMP report when a carrier
      // comes back, so that a switch may have forgotten; MLD it does send. As a port it heard no query either.
      channel->renew = true;
    }
    if (newly_lost && channel->reception.is_open() && !channel->renew) channel->lost_unix_ns = now_unix_ns;
  }
  const bool concerns_all = !events.empty();
  if (!ipv6_lost.empty() && !lost_ && membership_lost_.empty()) {
    events.push_back(Lose(LostCause::kMembershipLost, name_, index()));
    membership_lost_ = std::move(ipv6_lost);
  }
  if (events.empty()) return std::nullopt;
  InterfaceNotice notice = NewNotice();
  if (!concerns_all) notice.channel_ids = membership_lost_;
  notice.events = std::move(events);
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
  if (Unjoinable() || refused || (!now && now_ns < retry_ns_)) {
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
      const absl::Status status = Open(&channel, channel.wished.Get());
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
  } else if (!membership_lost_.empty()) {
    lost_told_ = false;
    healed.notice = NewNotice();
    healed.notice->channel_ids = std::exchange(membership_lost_, {});
    healed.notice->events = {fanout::InterfaceRestored{name_, index(), net::UnixNs()}};
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
  if (affected.empty() || lost_ || !membership_lost_.empty()) return std::nullopt;
  InterfaceNotice notice = NewNotice();
  notice.events = {Lose(LostCause::kMembershipLost, name_, index())};
  notice.channel_ids = affected;
  membership_lost_ = std::move(affected);
  return notice;
}

}  // namespace mcgw::gateway
