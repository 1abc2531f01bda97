#include "server/rpc/read_request.h"

#include <algorithm>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "server/net/status.h"
#include "server/net/text.h"

namespace mcgw::rpc {
namespace {

using fanout::LagPolicy;
using net::Error;
using net::IpAddress;
using net::Reason;

constexpr uint64_t kLeastLagLimitBytes = 64 << 10;
constexpr int64_t kMillisecondNs = 1'000'000;
constexpr int64_t kSecondNs = 1'000'000'000;
constexpr int64_t kHourNs = 3600 * kSecondNs;
constexpr int64_t kMostRetainNs = 60 * kSecondNs;

absl::Status OutOfRange(std::string_view field, std::string_view what, int64_t ns, std::string_view right) {
  return Error(Reason::kValueOutOfRange, field,
               net::StrCat(what, " of ", absl::FormatDuration(absl::Nanoseconds(ns)), ": ", right));
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
      return Error(Reason::kValueOutOfRange, "options.lag_policy",
                   net::StrCat("lag policy ", static_cast<int>(message.lag_policy()), " is unknown to this version"));
  }
  if (message.has_max_batching_delay()) {
    const absl::StatusOr<int64_t> delay_ns = ReadDuration(message.max_batching_delay(), "options.max_batching_delay");
    if (!delay_ns.ok()) return delay_ns.status();
    if (*delay_ns < 0 || *delay_ns > kSecondNs) {
      return OutOfRange("options.max_batching_delay", "a batching delay", *delay_ns, "from 0 to 1s");
    }
    options->max_batching_delay_ns = std::min(*delay_ns, fanout::Subscriber::kMostBatchingDelayNs);
  }
  if (message.has_ledger_interval()) {
    const absl::StatusOr<int64_t> interval_ns = ReadDuration(message.ledger_interval(), "options.ledger_interval");
    if (!interval_ns.ok()) return interval_ns.status();
    if (*interval_ns != 0 && (*interval_ns < kSecondNs || *interval_ns > kHourNs)) {
      return OutOfRange("options.ledger_interval", "a ledger interval", *interval_ns, "0, or from 1s to 1h");
    }
    options->ledger_interval_ns = *interval_ns;
  }
  if (message.has_lag_limit_age()) {
    const absl::StatusOr<int64_t> age_ns = ReadDuration(message.lag_limit_age(), "options.lag_limit_age");
    if (!age_ns.ok()) return age_ns.status();
    if (*age_ns < kMillisecondNs || *age_ns > kHourNs) {
      return OutOfRange("options.lag_limit_age", "a lag limit", *age_ns,
                        "from 1ms to 1h, or leave it out for no limit by age");
    }
    options->lag_limit_age_ns = *age_ns;
  }
  return absl::OkStatus();
}

absl::StatusOr<int64_t> ReadTime(const google::protobuf::Timestamp& message, std::string_view field) {
  constexpr int64_t kMostSeconds = 9'000'000'000;  // The year 2255: the limit of 64-bit nanoseconds.
  if (message.seconds() >= 0 && message.seconds() <= kMostSeconds && message.nanos() >= 0 &&
      message.nanos() < kSecondNs) {
    return message.seconds() * kSecondNs + message.nanos();
  }
  return Error(Reason::kValueOutOfRange, field,
               net::StrCat("seconds ", message.seconds(), ", nanos ", message.nanos(),
                           " are not a time from 1970-01-01 to 2255-03-14"));
}

absl::Status BadPoint(int index, std::string_view field, std::string_view why) {
  return Error(Reason::kInvalidResumePoint, net::StrCat("start.resume.points[", index, "]", field), why);
}

absl::StatusOr<gateway::ResumePoint> ReadResumePoint(const v1::ResumePoint& message, int index) {
  if (message.interface_name().empty()) return BadPoint(index, ".interface_name", "interface_name is missing");
  const absl::StatusOr<IpAddress> group = IpAddress::Parse(message.group());
  if (!group.ok()) return BadPoint(index, ".group", net::ToStd(group.status().message()));
  if (!group->IsMulticast()) {
    return BadPoint(index, ".group", net::StrCat(group->ToString(), " is not a multicast group"));
  }
  if (message.port() < 1 || message.port() > 65535) {
    return BadPoint(index, ".port", net::StrCat("port ", message.port(), ": UDP ports are 1 to 65535"));
  }
  if (message.epoch() == 0) return BadPoint(index, ".epoch", "epoch is missing: take it from Channel or Position");
  if (message.next_sequence() == 0) {
    return BadPoint(index, ".next_sequence", "next_sequence is missing: sequences begin at 1");
  }
  gateway::ResumePoint point{.interface_name = message.interface_name(),
                             .group = *group,
                             .port = static_cast<uint16_t>(message.port()),
                             .epoch = message.epoch(),
                             .next_sequence = message.next_sequence(),
                             .last_receive_unix_ns = std::nullopt};
  if (message.has_last_receive_time_unix_ns()) point.last_receive_unix_ns = message.last_receive_time_unix_ns();
  return point;
}

absl::StatusOr<std::vector<gateway::ResumePoint>> ReadResumePoints(const v1::Start::ResumePoints& message) {
  std::vector<gateway::ResumePoint> points;
  std::set<std::tuple<std::string, IpAddress, uint16_t>> channels;
  for (int i = 0; i < message.points_size(); ++i) {
    absl::StatusOr<gateway::ResumePoint> point = ReadResumePoint(message.points(i), i);
    if (!point.ok()) return point.status();
    if (!channels.emplace(point->interface_name, point->group, point->port).second) {
      return BadPoint(i, "",
                      net::StrCat("a second point for ", net::ToString(point->group, point->port), " on ",
                                  net::Shortened(point->interface_name), ": one for each channel"));
    }
    points.push_back(*std::move(point));
  }
  return points;
}

}  // namespace

absl::StatusOr<int64_t> ReadDuration(const google::protobuf::Duration& message, std::string_view field) {
  constexpr int64_t kMostSeconds = 9'000'000'000;
  if (message.seconds() >= -kMostSeconds && message.seconds() <= kMostSeconds && message.nanos() > -kSecondNs &&
      message.nanos() < kSecondNs) {
    return message.seconds() * kSecondNs + message.nanos();
  }
  return Error(Reason::kValueOutOfRange, field,
               net::StrCat("seconds ", message.seconds(), ", nanos ", message.nanos(),
                           ": not a valid Duration (nanos must be less than a second)"));
}

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
  request.dont_fragment = options.dont_fragment();
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
    case v1::Start::kTime: {
      const absl::StatusOr<int64_t> unix_ns = ReadTime(message.start().time(), "start.time");
      if (!unix_ns.ok()) return unix_ns.status();
      request.start = gateway::Start::kTime;
      request.start_unix_ns = *unix_ns;
      break;
    }
    case v1::Start::kResume: {
      absl::StatusOr<std::vector<gateway::ResumePoint>> points = ReadResumePoints(message.start().resume());
      if (!points.ok()) return points.status();
      request.start = gateway::Start::kResume;
      request.resume = *std::move(points);
      break;
    }
  }
  if (message.options().has_retain()) {
    const absl::StatusOr<int64_t> retain_ns = ReadDuration(message.options().retain(), "options.retain");
    if (!retain_ns.ok()) return retain_ns.status();
    if (*retain_ns < 0 || *retain_ns > kMostRetainNs) {
      return OutOfRange("options.retain", "a retain time", *retain_ns, "from 0 to 60s");
    }
    request.retain_ns = *retain_ns;
  }
  if (absl::Status status = ReadOptions(message.options(), defaults, &request.options); !status.ok()) return status;
  request.exclude_own = message.options().exclude_own();
  return request;
}

absl::StatusOr<gateway::DiagnosisRequest> ReadDiagnose(const v1::DiagnoseRequest& message) {
  gateway::DiagnosisRequest request;
  request.selector = message.interface();
  if (!message.group().empty()) {
    absl::StatusOr<net::IpAddress> group = ReadAddress(message.group(), "group");
    if (!group.ok()) return group.status();
    request.group = *group;
  }
  if (message.port() != 0) {
    const absl::StatusOr<uint16_t> port = ReadPort(message.port(), "port");
    if (!port.ok()) return port.status();
    request.port = *port;
  }
  if (!message.source_address().empty()) {
    absl::StatusOr<net::IpAddress> source = ReadAddress(message.source_address(), "source_address");
    if (!source.ok()) return source.status();
    request.source = *source;
  }
  return request;
}

}  // namespace mcgw::rpc
