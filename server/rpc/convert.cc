#include "server/rpc/convert.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "server/net/status.h"
#include "server/net/text.h"
#include "server/rpc/rich_status.h"

namespace mcgw::rpc {
namespace {

using fanout::ChannelPhase;
using fanout::GapCause;
using fanout::LagPolicy;
using gateway::InterfaceDirectory;
using net::Error;
using net::IpAddress;
using net::Reason;

constexpr uint64_t kLeastLagLimitBytes = 64 << 10;

void WriteTime(int64_t unix_ns, google::protobuf::Timestamp* message) {
  message->set_seconds(unix_ns / 1'000'000'000);
  message->set_nanos(static_cast<int32_t>(unix_ns % 1'000'000'000));
}

void WriteDuration(int64_t ns, google::protobuf::Duration* message) {
  message->set_seconds(ns / 1'000'000'000);
  message->set_nanos(static_cast<int32_t>(ns % 1'000'000'000));
}

absl::Status NotYet(std::string_view field, std::string_view what) {
  return Error(Reason::kNotImplemented, field, net::StrCat("this version does not serve ", what));
}

absl::StatusOr<fanout::SourceFilter> ReadFilter(const v1::SourceFilter& message) {
  std::vector<IpAddress> sources;
  for (const std::string& text : message.sources()) {
    absl::StatusOr<IpAddress> source = ReadAddress(text, "source_filter.sources");
    if (!source.ok()) return source.status();
    sources.push_back(*source);
  }
  switch (message.mode()) {
    case v1::SOURCE_FILTER_MODE_INCLUDE:
      return fanout::SourceFilter::Include(std::move(sources));
    case v1::SOURCE_FILTER_MODE_EXCLUDE:
      return fanout::SourceFilter::Exclude(std::move(sources));
    default:
      break;
  }
  if (sources.empty() && message.mode() == v1::SOURCE_FILTER_MODE_UNSPECIFIED) return fanout::SourceFilter::AnySource();
  return Error(Reason::kInvalidSourceFilter, "source_filter.mode",
               net::StrCat("mode ", static_cast<int>(message.mode()),
                           " with sources: say INCLUDE to receive from them only, EXCLUDE to receive from all others"));
}

v1::JoinState ToJoinState(ChannelPhase phase) {
  switch (phase) {
    case ChannelPhase::kJoined:
      return v1::JOIN_STATE_JOINED;
    case ChannelPhase::kWaiting:
      return v1::JOIN_STATE_WAITING;
    case ChannelPhase::kFailed:
      return v1::JOIN_STATE_FAILED;
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
  }
  return v1::STAR_EXCLUSION_UNSPECIFIED;
}

absl::Status ReadOptions(const v1::SubscribeOptions& message, const gateway::Options& defaults,
                         fanout::Subscriber::Options* options) {
  options->lag_limit_bytes = defaults.subscriber_lag_limit_bytes;
  if (message.has_lag_limit_bytes()) {
    if (message.lag_limit_bytes() < kLeastLagLimitBytes) {
      return Error(Reason::kValueOutOfRange, "options.lag_limit_bytes",
                   net::StrCat("a lag limit of ", message.lag_limit_bytes(), " bytes: at least ", kLeastLagLimitBytes));
    }
    options->lag_limit_bytes = std::min<uint64_t>(message.lag_limit_bytes(), defaults.channel_log_bytes);
  }
  switch (message.lag_policy()) {
    case v1::LAG_POLICY_SKIP_TO_LIVE:
      options->lag_policy = LagPolicy::kSkipToLive;
      break;
    case v1::LAG_POLICY_DISCONNECT:
      options->lag_policy = LagPolicy::kDisconnect;
      break;
    case v1::LAG_POLICY_UNSPECIFIED:
    case v1::LAG_POLICY_SKIP_OLDEST:
      options->lag_policy = LagPolicy::kSkipOldest;
      break;
    default:
      return Error(
          Reason::kValueOutOfRange, "options.lag_policy",
          net::StrCat("lag policy ", static_cast<int>(message.lag_policy()), " is not one that this version has"));
  }
  if (message.has_max_batching_delay()) {
    const int64_t seconds = message.max_batching_delay().seconds();
    const int32_t nanos = message.max_batching_delay().nanos();
    if (seconds < 0 || nanos < 0 || seconds > 1 || (seconds == 1 && nanos > 0)) {
      return Error(Reason::kValueOutOfRange, "options.max_batching_delay", "a batching delay: from 0 to 1s");
    }
  }
  if (message.has_ledger_interval()) {
    const int64_t seconds = message.ledger_interval().seconds();
    const int64_t ns = seconds * 1'000'000'000 + message.ledger_interval().nanos();
    if (seconds < 0 || seconds > 3600 || ns > 3'600'000'000'000 || (ns != 0 && ns < 1'000'000'000)) {
      return Error(Reason::kValueOutOfRange, "options.ledger_interval", "a ledger interval: 0, or from 1s to 1h");
    }
    options->ledger_interval_ns = ns;
  }
  if (message.has_lag_limit_age()) return NotYet("options.lag_limit_age", "a lag limit by age: use lag_limit_bytes");
  if (message.exclude_own()) return NotYet("options.exclude_own", "exclude_own");
  if (message.has_retain() && (message.retain().seconds() != 0 || message.retain().nanos() != 0)) {
    return NotYet("options.retain", "retain: hold the channels by a session (Join) instead");
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<IpAddress> ReadAddress(std::string_view text, std::string_view field) {
  absl::StatusOr<IpAddress> address = IpAddress::Parse(text);
  if (address.ok()) return address;
  return Error(net::ReasonOf(address.status()), field, net::ToStd(address.status().message()));
}

absl::StatusOr<uint16_t> ReadPort(uint32_t port, std::string_view field) {
  if (port >= 1 && port <= 65535) return static_cast<uint16_t>(port);
  return Error(Reason::kInvalidPort, field, net::StrCat("port ", port, ": UDP ports are 1 to 65535"));
}

absl::StatusOr<gateway::MembershipRequest> ReadMembership(const v1::Membership& message) {
  const absl::StatusOr<IpAddress> group = ReadAddress(message.group(), "group");
  if (!group.ok()) return group.status();
  const absl::StatusOr<uint16_t> port = ReadPort(message.port(), "port");
  if (!port.ok()) return port.status();
  absl::StatusOr<fanout::SourceFilter> filter = ReadFilter(message.source_filter());
  if (!filter.ok()) return filter.status();
  return gateway::MembershipRequest{.selector = message.interface(),
                                    .group = *group,
                                    .port = *port,
                                    .filter = *std::move(filter),
                                    .wait_for_interface = message.wait_for_interface()};
}

absl::StatusOr<gateway::MembershipKey> ReadKey(const v1::MembershipKey& message) {
  const absl::StatusOr<IpAddress> group = ReadAddress(message.group(), "membership.group");
  if (!group.ok()) return group.status();
  const absl::StatusOr<uint16_t> port = ReadPort(message.port(), "membership.port");
  if (!port.ok()) return port.status();
  return gateway::MembershipKey{message.interface(), *group, *port};
}

absl::StatusOr<gateway::SendRequest> ReadSend(const v1::Destination& destination, const v1::SendOptions& options) {
  gateway::SendRequest request;
  request.selector = destination.interface();
  const absl::StatusOr<IpAddress> group = ReadAddress(destination.group(), "destination.group");
  if (!group.ok()) return group.status();
  request.group = *group;
  const absl::StatusOr<uint16_t> port = ReadPort(destination.port(), "destination.port");
  if (!port.ok()) return port.status();
  request.port = *port;
  if (options.has_hop_limit()) {
    if (options.hop_limit() > 255) {
      return Error(Reason::kInvalidHopLimit, "options.hop_limit",
                   net::StrCat("hop limit ", options.hop_limit(), ": 0 to 255"));
    }
    request.hop_limit = static_cast<uint8_t>(options.hop_limit());
  }
  if (options.has_loop()) request.loop = options.loop();
  if (options.has_traffic_class()) {
    if (options.traffic_class() > 255) {
      return Error(Reason::kInvalidTrafficClass, "options.traffic_class",
                   net::StrCat("traffic class ", options.traffic_class(), ": 0 to 255 (DSCP times 4, plus ECN)"));
    }
    request.traffic_class = static_cast<uint8_t>(options.traffic_class());
  }
  if (!options.source_address().empty()) {
    if (destination.interface() == "*") {
      return Error(Reason::kConflictingFields, "options.source_address",
                   "a source address belongs to one interface: name it instead of `*`");
    }
    const absl::StatusOr<IpAddress> source = ReadAddress(options.source_address(), "options.source_address");
    if (!source.ok()) return source.status();
    request.source = *source;
  }
  if (options.dont_fragment()) return NotYet("options.dont_fragment", "dont_fragment");
  return request;
}

absl::StatusOr<gateway::SubscribeRequest> ReadSubscribe(const v1::SubscribeRequest& message,
                                                        const gateway::Options& defaults) {
  gateway::SubscribeRequest request;
  if (static_cast<size_t>(message.memberships_size()) > defaults.limits.memberships_per_holder) {
    return Error(Reason::kMembershipLimit, "memberships",
                 net::StrCat(message.memberships_size(), " memberships; the gateway allows ",
                             defaults.limits.memberships_per_holder, " in a stream (max_memberships)"));
  }
  for (int i = 0; i < message.memberships_size(); ++i) {
    absl::StatusOr<gateway::MembershipRequest> membership = ReadMembership(message.memberships(i));
    if (!membership.ok()) return net::WithFieldPrefix(membership.status(), net::StrCat("memberships[", i, "]."));
    request.memberships.push_back(*std::move(membership));
  }
  request.session_id = message.session_id();
  switch (message.start().at_case()) {
    case v1::Start::AT_NOT_SET:
    case v1::Start::kLive:
      request.start = gateway::Start::kLive;
      break;
    case v1::Start::kOldest:
      request.start = gateway::Start::kOldest;
      break;
    case v1::Start::kTime:
      return NotYet("start.time", "a start by time: use live or oldest");
    case v1::Start::kResume:
      return NotYet("start.resume", "resume points: use live or oldest");
  }
  if (absl::Status status = ReadOptions(message.options(), defaults, &request.options); !status.ok()) return status;
  return request;
}

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

void WriteOptions(const fanout::Subscriber::Options& options, v1::SubscribeOptions* message) {
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
  message->mutable_max_batching_delay();
  message->mutable_retain();
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
  }
  if (gap.from_time_unix_ns != 0) WriteTime(gap.from_time_unix_ns, message->mutable_from_time());
  if (gap.to_time_unix_ns != 0) WriteTime(gap.to_time_unix_ns, message->mutable_to_time());
}

void WriteLedger(const fanout::LedgerEntry& entry, uint64_t subscriber_id, v1::SubscriberLedger* message) {
  message->set_subscriber_id(subscriber_id);
  message->set_channel_id(entry.channel_id);
  message->set_offered_datagrams(entry.offered);
  message->set_written_datagrams(entry.written);
  message->set_filtered_datagrams(entry.filtered);
  message->set_kernel_dropped_datagrams(entry.skipped[static_cast<int>(GapCause::kKernelDrop)]);
  message->set_lagged_datagrams(entry.skipped[static_cast<int>(GapCause::kLagged)]);
  message->set_expired_datagrams(entry.skipped[static_cast<int>(GapCause::kExpired)]);
  message->set_in_flight_datagrams(entry.in_flight);
  message->set_pending_datagrams(entry.pending);
  message->set_abandoned_datagrams(entry.abandoned);
  message->set_range_gaps(entry.range_gaps);
  message->set_unknown_gaps(entry.unknown_gaps);
  message->set_written_bytes(entry.written_bytes);
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
    WriteLedger(*ledger, subscriber_id, message->mutable_ledger());
  } else if (const auto* draining = std::get_if<fanout::Draining>(&event)) {
    WriteDuration(draining->grace_ns, message->mutable_draining()->mutable_grace());
  }
}

void WriteChannelInfo(const gateway::ChannelSnapshot& snapshot, v1::ChannelInfo* message) {
  constexpr size_t kMostHolders = 100;
  WriteChannelState(snapshot.status, message->mutable_state());
  v1::ChannelWish* const wish = message->mutable_wish();
  if (snapshot.holders.empty()) {
    wish->mutable_source_filter()->set_mode(v1::SOURCE_FILTER_MODE_INCLUDE);
  } else if (!snapshot.wished.IsAnySource()) {
    WriteFilter(snapshot.wished, wish->mutable_source_filter());
  }
  wish->set_holder_count(static_cast<uint32_t>(snapshot.holders.size()));
  for (size_t i = 0; i < std::min(kMostHolders, snapshot.holders.size()); ++i) {
    const gateway::Holder& holder = snapshot.holders[i];
    v1::Holder* const out = wish->add_holders();
    out->set_kind(holder.kind == gateway::Holder::Kind::kSession ? v1::HOLDER_KIND_SESSION : v1::HOLDER_KIND_STREAM);
    out->set_membership_id(holder.membership_id);
    out->set_subscriber_id(holder.subscriber_id);
    out->set_identity(holder.identity);
    WriteTime(holder.since_unix_ns, out->mutable_create_time());
    v1::Membership* const membership = out->mutable_membership();
    membership->set_interface(holder.selector);
    membership->set_group(snapshot.status.group.ToString());
    membership->set_port(snapshot.status.port);
    if (!holder.filter.IsAnySource()) WriteFilter(holder.filter, membership->mutable_source_filter());
  }
  v1::ChannelFact* const fact = message->mutable_fact();
  fact->set_joined(snapshot.joined);
  if (snapshot.joined && !snapshot.told.IsAnySource()) WriteFilter(snapshot.told, fact->mutable_source_filter());
  if (snapshot.host_users.has_value()) fact->set_host_users(*snapshot.host_users);
  fact->set_receive_buffer_bytes(snapshot.receive_buffer_bytes);

  v1::ChannelLedger* const ledger = message->mutable_ledger();
  ledger->set_channel_id(snapshot.status.channel_id);
  ledger->set_read_datagrams(snapshot.read + snapshot.mismatches);
  ledger->set_logged_datagrams(snapshot.logged);
  ledger->set_kernel_dropped_datagrams(snapshot.kernel_drops);
  ledger->set_mismatched_datagrams(snapshot.mismatches);
  ledger->set_evicted_datagrams(snapshot.evicted);
  ledger->set_unknown_gaps(snapshot.unknown_gaps);
  ledger->set_logged_payload_bytes(snapshot.logged_payload_bytes);

  v1::ChannelLogInfo* const log = message->mutable_log();
  log->set_oldest_sequence(snapshot.oldest_sequence);
  log->set_bytes(snapshot.log_bytes);
  log->set_limit_bytes(snapshot.log_limit_bytes);
  WriteTime(snapshot.created_unix_ns, message->mutable_create_time());
  if (snapshot.last_datagram_unix_ns != 0) {
    WriteTime(snapshot.last_datagram_unix_ns, message->mutable_last_datagram_time());
    message->set_last_source_address(snapshot.last_source);
  }
}

void WriteInterface(const gateway::InterfaceSnapshot& snapshot, const net::InterfaceTable& table,
                    v1::NetworkInterface* message) {
  const net::Interface& interface = snapshot.interface;
  message->set_name(interface.name);
  message->set_index(interface.index);
  if (interface.up) message->add_flags(v1::INTERFACE_FLAG_UP);
  if (interface.multicast) message->add_flags(v1::INTERFACE_FLAG_MULTICAST);
  if (interface.loopback) message->add_flags(v1::INTERFACE_FLAG_LOOPBACK);
  for (const net::InterfaceAddress& address : interface.addresses) {
    message->add_addresses(net::StrCat(address.address.ToString(), "/", static_cast<int>(address.prefix_length)));
  }
  message->set_mtu_bytes(interface.mtu_bytes);
  message->set_carrier(interface.carrier);
  message->set_kind(interface.kind);
  if (const net::Interface* master = table.FindByIndex(interface.master_index); master != nullptr) {
    message->set_master_name(master->name);
  }
  message->set_permitted(snapshot.permitted);
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
}

}  // namespace mcgw::rpc
