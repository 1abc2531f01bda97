#include "server/rpc/write_response.h"

#include <net/if.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "server/net/text.h"
#include "server/rpc/rich_status.h"
#include "server/rpc/write_ledger.h"

namespace mcgw::rpc {
namespace {

using fanout::ChannelPhase;
using fanout::GapCause;
using fanout::LagPolicy;
using gateway::InterfaceDirectory;
using net::IpAddress;

v1::JoinState ToJoinState(ChannelPhase phase) {
  switch (phase) {
    case ChannelPhase::kJoined:
      return v1::JOIN_STATE_JOINED;
    case ChannelPhase::kWaiting:
      return v1::JOIN_STATE_WAITING;
    case ChannelPhase::kFailed:
      return v1::JOIN_STATE_FAILED;
    case ChannelPhase::kLeft:
      return v1::JOIN_STATE_LEFT;
  }
  return v1::JOIN_STATE_UNSPECIFIED;
}

v1::GapCause ToGapCause(GapCause cause) {
  switch (cause) {
    case GapCause::kKernelDrop:
      return v1::GAP_CAUSE_KERNEL_DROP;
    case GapCause::kLagged:
      return v1::GAP_CAUSE_LAGGED;
    case GapCause::kExpired:
      return v1::GAP_CAUSE_EXPIRED;
    case GapCause::kOtherEpoch:
      return v1::GAP_CAUSE_OTHER_EPOCH;
    case GapCause::kInterfaceLost:
      return v1::GAP_CAUSE_INTERFACE_LOST;
    case GapCause::kNotJoined:
      return v1::GAP_CAUSE_NOT_JOINED;
  }
  return v1::GAP_CAUSE_UNSPECIFIED;
}

v1::MembershipChangeCause ToCause(fanout::ChangeCause cause) {
  switch (cause) {
    case fanout::ChangeCause::kJoin:
      return v1::MEMBERSHIP_CHANGE_CAUSE_JOIN;
    case fanout::ChangeCause::kLeave:
      return v1::MEMBERSHIP_CHANGE_CAUSE_LEAVE;
    case fanout::ChangeCause::kInterfaceAppeared:
      return v1::MEMBERSHIP_CHANGE_CAUSE_INTERFACE_APPEARED;
    case fanout::ChangeCause::kInterfaceGone:
      return v1::MEMBERSHIP_CHANGE_CAUSE_INTERFACE_GONE;
    case fanout::ChangeCause::kRefused:
      return v1::MEMBERSHIP_CHANGE_CAUSE_REFUSED;
  }
  return v1::MEMBERSHIP_CHANGE_CAUSE_UNSPECIFIED;
}

v1::HolderKind ToKind(gateway::Holder::Kind kind) {
  switch (kind) {
    case gateway::Holder::Kind::kSession:
      return v1::HOLDER_KIND_SESSION;
    case gateway::Holder::Kind::kStream:
      return v1::HOLDER_KIND_STREAM;
    case gateway::Holder::Kind::kRetained:
      return v1::HOLDER_KIND_RETAINED;
    case gateway::Holder::Kind::kGateway:
      return v1::HOLDER_KIND_GATEWAY;
  }
  return v1::HOLDER_KIND_UNSPECIFIED;
}

constexpr std::pair<uint32_t, v1::InterfaceFlag> kInterfaceFlags[] = {
    {IFF_UP, v1::INTERFACE_FLAG_UP},
    {IFF_RUNNING, v1::INTERFACE_FLAG_RUNNING},
    {IFF_MULTICAST, v1::INTERFACE_FLAG_MULTICAST},
    {IFF_ALLMULTI, v1::INTERFACE_FLAG_ALLMULTI},
    {IFF_BROADCAST, v1::INTERFACE_FLAG_BROADCAST},
    {IFF_LOOPBACK, v1::INTERFACE_FLAG_LOOPBACK},
    {IFF_POINTOPOINT, v1::INTERFACE_FLAG_POINT_TO_POINT},
    {IFF_PROMISC, v1::INTERFACE_FLAG_PROMISCUOUS},
    {IFF_NOARP, v1::INTERFACE_FLAG_NO_ARP},
};

v1::InterfaceLostCause ToCause(fanout::LostCause cause) {
  switch (cause) {
    case fanout::LostCause::kDown:
      return v1::INTERFACE_LOST_CAUSE_DOWN;
    case fanout::LostCause::kNoCarrier:
      return v1::INTERFACE_LOST_CAUSE_NO_CARRIER;
    case fanout::LostCause::kDeleted:
      return v1::INTERFACE_LOST_CAUSE_DELETED;
    case fanout::LostCause::kMembershipLost:
      return v1::INTERFACE_LOST_CAUSE_MEMBERSHIP_LOST;
    case fanout::LostCause::kEnslaved:
      return v1::INTERFACE_LOST_CAUSE_ENSLAVED;
  }
  return v1::INTERFACE_LOST_CAUSE_UNSPECIFIED;
}

v1::StarExclusion ToExclusion(InterfaceDirectory::Exclusion exclusion) {
  switch (exclusion) {
    case InterfaceDirectory::Exclusion::kNotPermitted:
      return v1::STAR_EXCLUSION_NOT_PERMITTED;
    case InterfaceDirectory::Exclusion::kDown:
      return v1::STAR_EXCLUSION_DOWN;
    case InterfaceDirectory::Exclusion::kNoMulticast:
      return v1::STAR_EXCLUSION_NO_MULTICAST;
    case InterfaceDirectory::Exclusion::kNoAddress:
      return v1::STAR_EXCLUSION_NO_ADDRESS;
    case InterfaceDirectory::Exclusion::kEnslaved:
      return v1::STAR_EXCLUSION_ENSLAVED;
    case InterfaceDirectory::Exclusion::kLoopback:
      return v1::STAR_EXCLUSION_LOOPBACK;
    case InterfaceDirectory::Exclusion::kContainerVeth:
      return v1::STAR_EXCLUSION_CONTAINER_VETH;
    case InterfaceDirectory::Exclusion::kVrf:
      return v1::STAR_EXCLUSION_VRF;
  }
  return v1::STAR_EXCLUSION_UNSPECIFIED;
}

}  // namespace

void WriteChannel(const fanout::ChannelStatus& status, v1::Channel* message) {
  message->set_channel_id(status.channel_id);
  message->set_interface_name(status.interface_name);
  message->set_interface_index(status.interface_index);
  message->set_group(status.group.ToString());
  message->set_port(status.port);
  message->set_epoch(status.epoch);
  message->set_next_sequence(status.next_sequence);
}

void WriteChannelState(const fanout::ChannelStatus& status, v1::ChannelState* message) {
  WriteChannel(status, message->mutable_channel());
  message->set_state(ToJoinState(status.phase));
  if (!status.error.ok()) *message->mutable_failure() = ToFailure(status.error);
}

void WriteFilter(const fanout::SourceFilter& filter, v1::SourceFilter* message) {
  message->set_mode(filter.mode() == net::FilterMode::kInclude ? v1::SOURCE_FILTER_MODE_INCLUDE
                                                               : v1::SOURCE_FILTER_MODE_EXCLUDE);
  for (const IpAddress& source : filter.sources()) message->add_sources(source.ToString());
}

void WriteShortFilter(const fanout::SourceFilter& filter, v1::SourceFilter* message) {
  constexpr int kMostShown = 20;
  WriteFilter(filter, message);
  const int omitted = message->sources_size() - kMostShown;
  if (omitted <= 0) return;
  message->set_omitted_sources(static_cast<uint32_t>(omitted));
  message->mutable_sources()->DeleteSubrange(kMostShown, omitted);
}

void WriteSendResult(const gateway::SendResult& result, v1::SendResult* message) {
  message->set_interface_name(result.interface_name);
  message->set_interface_index(result.interface_index);
  if (result.status.ok()) {
    message->set_source_address(result.source.ToString());
    message->set_source_port(result.source_port);
  } else {
    *message->mutable_failure() = ToFailure(result.status);
  }
}

void WriteOptions(const fanout::Subscriber::Options& options, int64_t retain_ns, v1::SubscribeOptions* message) {
  message->set_lag_limit_bytes(options.lag_limit_bytes);
  switch (options.lag_policy) {
    case LagPolicy::kSkipOldest:
      message->set_lag_policy(v1::LAG_POLICY_SKIP_OLDEST);
      break;
    case LagPolicy::kSkipToLive:
      message->set_lag_policy(v1::LAG_POLICY_SKIP_TO_LIVE);
      break;
    case LagPolicy::kDisconnect:
      message->set_lag_policy(v1::LAG_POLICY_DISCONNECT);
      break;
  }
  WriteDuration(options.max_batching_delay_ns, message->mutable_max_batching_delay());
  message->set_exclude_own(options.own != nullptr);
  WriteDuration(retain_ns, message->mutable_retain());
  if (options.lag_limit_age_ns != 0) WriteDuration(options.lag_limit_age_ns, message->mutable_lag_limit_age());
  WriteDuration(options.ledger_interval_ns, message->mutable_ledger_interval());
}

namespace {

void WriteGap(const fanout::Gap& gap, v1::Gap* message) {
  message->set_channel_id(gap.channel_id);
  message->set_cause(ToGapCause(gap.cause));
  if (gap.count > 0) {
    message->mutable_range()->set_first(gap.first_sequence);
    message->mutable_range()->set_last(gap.first_sequence + gap.count - 1);
  } else {
    message->mutable_unknown()->set_before_sequence(gap.first_sequence);
    if (gap.at_most.has_value()) message->mutable_unknown()->set_at_most(*gap.at_most);
  }
  if (gap.from_time_unix_ns != 0) WriteTime(gap.from_time_unix_ns, message->mutable_from_time());
  if (gap.to_time_unix_ns != 0) WriteTime(gap.to_time_unix_ns, message->mutable_to_time());
}

}  // namespace

void WriteEvent(const fanout::Event& event, uint64_t subscriber_id, v1::Event* message) {
  if (const auto* gap = std::get_if<fanout::Gap>(&event)) {
    WriteGap(*gap, message->mutable_gap());
  } else if (const auto* position = std::get_if<fanout::Position>(&event)) {
    v1::Position* const out = message->mutable_position();
    out->set_channel_id(position->channel_id);
    out->set_epoch(position->epoch);
    out->set_next_sequence(position->next_sequence);
    out->set_filtered_datagrams(position->filtered);
  } else if (const auto* changed = std::get_if<fanout::MembershipChanged>(&event)) {
    v1::MembershipChanged* const out = message->mutable_membership_changed();
    WriteChannelState(changed->channel, out->mutable_channel());
    out->set_cause(ToCause(changed->cause));
    out->set_left(changed->left);
    if (!changed->left && !changed->filter.IsAnySource()) WriteFilter(changed->filter, out->mutable_source_filter());
  } else if (const auto* ledger = std::get_if<fanout::LedgerEntry>(&event)) {
    WriteSubscriberLedger(*ledger, subscriber_id, message->mutable_ledger());
  } else if (const auto* draining = std::get_if<fanout::Draining>(&event)) {
    WriteDuration(draining->grace_ns, message->mutable_draining()->mutable_grace());
  } else if (const auto* lost = std::get_if<fanout::InterfaceLost>(&event)) {
    v1::InterfaceLost* const out = message->mutable_interface_lost();
    out->set_interface_name(lost->interface_name);
    out->set_interface_index(lost->interface_index);
    out->set_cause(ToCause(lost->cause));
    WriteTime(lost->time_unix_ns, out->mutable_time());
  } else if (const auto* restored = std::get_if<fanout::InterfaceRestored>(&event)) {
    v1::InterfaceRestored* const out = message->mutable_interface_restored();
    out->set_interface_name(restored->interface_name);
    out->set_interface_index(restored->interface_index);
    WriteTime(restored->time_unix_ns, out->mutable_time());
  } else if (const auto* renamed = std::get_if<fanout::InterfaceRenamed>(&event)) {
    v1::InterfaceRenamed* const out = message->mutable_interface_renamed();
    out->set_interface_index(renamed->interface_index);
    out->set_old_name(renamed->old_name);
    out->set_new_name(renamed->new_name);
  }
}

void WriteChannelInfo(const gateway::ChannelSnapshot& snapshot, v1::ChannelInfo* message) {
  constexpr size_t kMostHolders = 100;
  WriteChannelState(snapshot.status, message->mutable_state());
  v1::ChannelWish* const wish = message->mutable_wish();
  const bool wanted = std::any_of(snapshot.holders.begin(), snapshot.holders.end(), [](const gateway::Holder& holder) {
    return holder.kind != gateway::Holder::Kind::kGateway;
  });
  if (!wanted) {
    wish->mutable_source_filter()->set_mode(v1::SOURCE_FILTER_MODE_INCLUDE);
  } else if (!snapshot.wanted.IsAnySource()) {
    WriteShortFilter(snapshot.wanted, wish->mutable_source_filter());
  }
  wish->set_holder_count(static_cast<uint32_t>(snapshot.holders.size()));
  for (size_t i = 0; i < std::min(kMostHolders, snapshot.holders.size()); ++i) {
    const gateway::Holder& holder = snapshot.holders[i];
    v1::Holder* const out = wish->add_holders();
    out->set_kind(ToKind(holder.kind));
    out->set_membership_id(holder.membership_id);
    out->set_subscriber_id(holder.subscriber_id);
    out->set_identity(holder.identity);
    WriteTime(holder.since_unix_ns, out->mutable_create_time());
    if (holder.expires_unix_ns != 0) WriteTime(holder.expires_unix_ns, out->mutable_expire_time());
    v1::Membership* const membership = out->mutable_membership();
    membership->set_interface(holder.selector);
    membership->set_group(snapshot.status.group.ToString());
    if (holder.kind != gateway::Holder::Kind::kGateway) membership->set_port(snapshot.status.port);
    if (!holder.filter.IsAnySource()) WriteShortFilter(holder.filter, membership->mutable_source_filter());
  }
  v1::ChannelFact* const fact = message->mutable_fact();
  fact->set_joined(snapshot.joined);
  if (snapshot.joined && !snapshot.told.IsAnySource()) WriteShortFilter(snapshot.told, fact->mutable_source_filter());
  if (snapshot.host_users.has_value()) fact->set_host_users(*snapshot.host_users);
  for (const gateway::SocketSnapshot& socket : snapshot.sockets) {
    fact->add_socket_inodes(socket.facts.inode);
    if (socket.shared) fact->set_shared(true);
  }
  fact->set_receive_buffer_bytes(snapshot.socket.receive_buffer_bytes);
  fact->set_receive_queue_bytes(snapshot.socket.queued_bytes);

  WriteChannelLedger(snapshot.status.channel_id, snapshot.account, message->mutable_ledger());

  v1::ChannelLogInfo* const log = message->mutable_log();
  log->set_oldest_sequence(snapshot.oldest_sequence);
  log->set_bytes(snapshot.log_bytes);
  // Every record is a message of its own.
  v1::SubscribeResponse oldest;
  if (oldest.ParseFromString(snapshot.oldest_record) && oldest.datagrams_size() == 1) {
    WriteTime(oldest.datagrams(0).receive_time_unix_ns(), log->mutable_oldest_time());
  }
  log->set_limit_bytes(snapshot.log_limit_bytes);
  if (snapshot.log_limit_age_ns != 0) WriteDuration(snapshot.log_limit_age_ns, log->mutable_limit_age());
  WriteTime(snapshot.created_unix_ns, message->mutable_create_time());
  if (snapshot.last_datagram_unix_ns != 0) {
    WriteTime(snapshot.last_datagram_unix_ns, message->mutable_last_datagram_time());
    message->set_last_source_address(snapshot.last_source);
  }
}

namespace {

// Puts the default source of each family first, IPv4 before IPv6.
std::vector<net::InterfaceAddress> InOrder(const net::Interface& interface) {
  std::vector<net::InterfaceAddress> addresses = interface.addresses;
  const std::optional<net::IpAddress> first[] = {interface.DefaultSource(net::Family::kIpv4),
                                                 interface.DefaultSource(net::Family::kIpv6)};
  const auto order = [&](const net::InterfaceAddress& entry) {
    const bool is_v6 = !entry.address.is_v4();
    return std::pair(is_v6, entry.address != first[is_v6 ? 1 : 0]);
  };
  std::stable_sort(addresses.begin(), addresses.end(),
                   [&](const net::InterfaceAddress& a, const net::InterfaceAddress& b) { return order(a) < order(b); });
  return addresses;
}

}  // namespace

void WriteInterface(const gateway::InterfaceSnapshot& snapshot, const net::InterfaceTable& table,
                    v1::NetworkInterface* message) {
  const net::Interface& interface = snapshot.interface;
  message->set_name(interface.name);
  message->set_index(interface.index);
  for (const auto& [bit, flag] : kInterfaceFlags) {
    if ((interface.flags & bit) != 0) message->add_flags(flag);
  }
  message->set_mac_address(interface.mac_address);
  for (const std::string& name : interface.alternative_names) message->add_alternative_names(name);
  for (const net::InterfaceAddress& address : InOrder(interface)) {
    message->add_addresses(net::StrCat(address.address.ToString(), "/", static_cast<int>(address.prefix_length)));
  }
  message->set_mtu_bytes(interface.mtu_bytes);
  if (interface.index != 0) message->set_carrier(interface.carrier);
  message->set_kind(interface.kind);
  if (const net::Interface* master = table.FindByIndex(interface.master_index); master != nullptr) {
    message->set_master_name(master->name);
  }
  message->set_permitted(snapshot.permitted);
  message->set_lost(snapshot.lost);
  message->mutable_counters()->set_losses(snapshot.losses);
  for (int family = 0; family < 2; ++family) {
    const gateway::InterfaceSnapshot::PerFamily& entry = snapshot.families[family];
    v1::InterfaceFamily* const out = family == 0 ? message->mutable_ipv4() : message->mutable_ipv6();
    out->set_membership_protocol_version(entry.protocol_version);
    for (const InterfaceDirectory::Exclusion exclusion : entry.exclusions) {
      out->add_star_exclusions(ToExclusion(exclusion));
    }
    out->set_default_interface(entry.is_default);
    out->set_wished_memberships(static_cast<uint32_t>(entry.memberships));
    out->set_kernel_membership_count(static_cast<uint32_t>(entry.kernel.size()));
    for (const auto& membership : entry.kernel) {
      v1::KernelMembership* const kernel = out->add_kernel_memberships();
      kernel->set_group(membership.group.ToString());
      kernel->set_users(membership.users);
      kernel->set_gateway_users(membership.gateway_users);
      if (out->kernel_memberships_size() == 1000) break;
    }
  }
  v1::InterfaceCounters* const counters = message->mutable_counters();
  if (snapshot.device.has_value()) {
    // Drivers that do not count report 0.
    if (snapshot.device->multicast_packets > 0) {
      counters->set_device_multicast_packets(snapshot.device->multicast_packets);
    }
    counters->set_device_receive_dropped_packets(snapshot.device->dropped_packets);
  }
  counters->set_read_datagrams(snapshot.received.read);
  counters->set_kernel_dropped_datagrams(snapshot.received.kernel_drops);
  counters->set_sent_datagrams(snapshot.sends.sent);
  counters->set_send_failed_datagrams(snapshot.sends.failed);
}

}  // namespace mcgw::rpc
