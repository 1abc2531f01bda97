// Checks of what was wished, what the kernel joined, and whether the network learns of it.

#include <algorithm>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "server/gateway/diagnosis.h"
#include "server/gateway/policy.h"
#include "server/net/text.h"

namespace mcgw::gateway {
namespace {

// The channel as `mcgw` takes it, in a shell.
std::string ChannelWord(const ChannelFacts& channel, std::string_view source = "") {
  return ShellWord(net::StrCat(source, source.empty() ? "" : "@", net::ToString(channel.group, channel.port), "%",
                               channel.interface_name));
}

std::string_view ProtocolName(net::Family family) { return family == net::Family::kIpv4 ? "IGMP" : "MLD"; }

// Waits for one query of a family, as root.
std::string CaptureCommand(const InterfaceFacts& facts, net::Family family) {
  return net::StrCat("timeout 130 tcpdump -c 1 -ni ", ShellWord(facts.interface.name),
                     family == net::Family::kIpv4 ? " 'igmp[0] == 0x11'" : " 'ip6[6] == 0 and ip6[48] == 130'");
}

Finding QuerierFinding(Severity severity, std::string seen, std::string command = "", std::string remedy = "") {
  const bool well = severity == Severity::kOk;
  return {
      FindingCode::kQuerier,
      severity,
      std::move(seen),
      well ? "" : "without a querier, switches that snoop forget the members after some minutes and stop forwarding",
      std::move(command),
      std::move(remedy)};
}

// What is known without having heard the query itself. Nothing if that is nothing.
std::optional<Finding> QuerierByTraces(const InterfaceFacts& facts, net::Family family) {
  const FamilyFacts& of_family = facts.families[static_cast<int>(family)];
  const std::string& name = facts.interface.name;
  if (facts.bridge.has_value() &&
      (facts.bridge->state.querier || facts.bridge->state.hears_querier[static_cast<int>(family)])) {
    return QuerierFinding(Severity::kOk,
                          net::StrCat("the bridge ", facts.bridge->name,
                                      facts.bridge->state.querier ? " is a querier itself" : " hears a querier"));
  }
  if (family == net::Family::kIpv4 && of_family.forced_version.value_or(0) == 0 && of_family.protocol_version != 0 &&
      of_family.protocol_version < 3) {
    return QuerierFinding(Severity::kOk, net::StrCat("a querier of IGMP version ", of_family.protocol_version,
                                                     " was heard on ", name, " within the last minutes"));
  }
  if (family == net::Family::kIpv6 && facts.mld.has_value() && facts.mld->queries_received > 0) {
    return QuerierFinding(Severity::kOk, net::StrCat(facts.mld->queries_received, " MLD queries were heard on ", name,
                                                     " since IPv6 began on it; when, the kernel does not tell"));
  }
  return std::nullopt;
}

}  // namespace

std::optional<Finding> CheckProtocol(const InterfaceFacts& facts, net::Family family) {
  if (!facts.interface.up || facts.interface.loopback) return std::nullopt;
  const bool is_v6 = family == net::Family::kIpv6;
  if (is_v6 && !facts.mld.has_value()) return std::nullopt;  // IPv6 is off, which CheckAddress says.
  const FamilyFacts& of_family = facts.families[is_v6];
  const std::string& name = facts.interface.name;
  const std::string_view protocol = ProtocolName(family);
  const uint32_t version = of_family.protocol_version;
  if (version == 0) {
    return Finding{FindingCode::kMembershipProtocol,
                   Severity::kUnknown,
                   net::StrCat("which version of ", protocol, " is in force on ", name, " cannot be known",
                               is_v6 ? ": an MLDv1 querier was heard there once, perhaps long ago" : ""),
                   "the older versions cannot tell the network which sources are wanted",
                   CaptureCommand(facts, family),
                   "a query of 24 bytes is MLDv1, a longer one MLDv2"};
  }
  const bool newest = version == (is_v6 ? 2 : 3);
  const bool forced = of_family.forced_version.value_or(0) != 0;
  const std::string seen = net::StrCat(protocol, "v", version, " is in force on ", name,
                                       forced   ? net::StrCat(", forced by net.", is_v6 ? "ipv6" : "ipv4",
                                                              ".conf.*.force_", is_v6 ? "mld" : "igmp", "_version")
                                       : newest ? std::string()
                                                : std::string(", since a querier of that version asks"));
  if (newest) return Finding{FindingCode::kMembershipProtocol, Severity::kOk, seen, "", "", ""};
  const std::string setting = net::StrCat(is_v6 ? "force_mld_version" : "force_igmp_version", "=0");
  const std::string conf = net::StrCat("net.", is_v6 ? "ipv6" : "ipv4", ".conf.");
  const std::string command =
      forced ? net::StrCat("sysctl -w ", conf, "all.", setting, " ", ShellWord(net::StrCat(conf, name, ".", setting)))
             : std::string();
  const std::string remedy = forced ? std::string() : net::StrCat("set the querier to ", protocol, is_v6 ? "v2" : "v3");
  if (of_family.wants_sources) {
    return Finding{FindingCode::kMembershipProtocol,
                   Severity::kWarning,
                   seen,
                   "memberships there want particular sources, which it cannot tell: routers ignore its reports for "
                   "source-specific groups (RFC 4604)",
                   command,
                   remedy};
  }
  return Finding{FindingCode::kMembershipProtocol,
                 Severity::kInfo,
                 seen,
                 "it cannot tell the network which sources are wanted, which source-specific multicast needs",
                 command,
                 remedy};
}

std::optional<Finding> CheckQuerier(const InterfaceFacts& facts, const HostFacts& host, net::Family family) {
  if (!facts.interface.up || facts.interface.loopback) return std::nullopt;
  if (family == net::Family::kIpv6 && !facts.mld.has_value()) return std::nullopt;
  const FamilyFacts& of_family = facts.families[static_cast<int>(family)];
  const std::string& name = facts.interface.name;
  const std::string protocol(ProtocolName(family));
  if (of_family.last_query.has_value()) {
    const net::Query& query = *of_family.last_query;
    const bool recent = host.now_monotonic_ns - query.heard_ns <= net::kOlderQuerierPresentNs;
    return QuerierFinding(
        recent ? Severity::kOk : Severity::kWarning,
        net::StrCat("a querier (", query.querier.ToString(), ", ", protocol, "v", query.version, ") asked on ", name,
                    " ", Ago(query.heard_ns, host.now_monotonic_ns), recent ? "" : ", and none since"),
        "", recent ? "" : "see whether that querier still runs");
  }
  if (std::optional<Finding> by_traces = QuerierByTraces(facts, family); by_traces.has_value()) return by_traces;
  const std::string command = CaptureCommand(facts, family);
  if (host.listens_to_queriers && host.listened_ns >= net::kOlderQuerierPresentNs) {
    return QuerierFinding(Severity::kWarning,
                          net::StrCat("no querier asked on ", name, " in the ", host.listened_ns / 60'000'000'000,
                                      " minutes that the gateway has listened (", protocol, ")"),
                          "", "if a switch snoops, enable a querier on it or on the router");
  }
  if (host.listens_to_queriers) {
    return QuerierFinding(Severity::kUnknown,
                          net::StrCat("no querier has asked on ", name, " yet (", protocol,
                                      "), but the gateway has "
                                      "listened for ",
                                      host.listened_ns / 1'000'000'000, " s only, and queriers ask about every 125 s"),
                          command, "ask again in some minutes");
  }
  return QuerierFinding(Severity::kUnknown,
                        net::StrCat("whether a querier asks on ", name, " is not known (", protocol, "): ",
                                    family == net::Family::kIpv6 ? "none was heard since IPv6 began on it, but they "
                                                                   "ask only about every 125 s"
                                                                 : "to hear it the gateway would need CAP_NET_RAW"),
                        command, "");
}

std::optional<Finding> CheckBridge(const InterfaceFacts& facts, net::Family family) {
  if (!facts.bridge.has_value()) return std::nullopt;
  const net::BridgeState& state = facts.bridge->state;
  const std::string& name = facts.bridge->name;
  const std::string protocol(ProtocolName(family));
  if (!state.snooping) {
    return Finding{FindingCode::kBridgeSnooping,
                   Severity::kOk,
                   net::StrCat("the bridge ", name, " does not snoop: it forwards every group to every port"),
                   "",
                   "",
                   ""};
  }
  if (state.querier || state.hears_querier[static_cast<int>(family)]) {
    return Finding{FindingCode::kBridgeSnooping,
                   Severity::kOk,
                   net::StrCat("the bridge ", name, " snoops ", protocol, ", and a querier ",
                               state.querier ? "(itself) " : "", "keeps it informed"),
                   "",
                   "",
                   ""};
  }
  return Finding{FindingCode::kBridgeSnooping,
                 Severity::kWarning,
                 net::StrCat("the bridge ", name, " snoops ", protocol, ", but hears no querier"),
                 "Linux floods groups while it hears none; once one speaks and falls silent, or on switches behind the "
                 "bridge, members are forgotten and receive nothing",
                 net::StrCat("ip link set dev ", ShellWord(name), " type bridge mcast_querier 1"),
                 ""};
}

std::optional<Finding> CheckWished(const ChannelFacts& channel) {
  const std::string what = Describe(channel);
  const bool held = channel.snapshot.has_value() && !channel.snapshot->holders.empty();
  if (!held) {
    const std::string command =
        channel.port == 0
            ? std::string()
            : net::StrCat("mcgw sub ",
                          ChannelWord(channel, channel.group.IsSourceSpecific() && channel.asked_source.has_value()
                                                   ? channel.asked_source->ToString()
                                                   : ""));
    return Finding{FindingCode::kMembershipWished,
                   Severity::kError,
                   channel.snapshot.has_value()
                       ? net::StrCat("no client wishes ", what, " any more; only its log is kept")
                       : net::StrCat("no client of the gateway has joined ", what),
                   "the gateway receives only what a client has joined",
                   command,
                   channel.port == 0 ? "join it, with its port" : ""};
  }
  const fanout::ChannelStatus& status = channel.snapshot->status;
  const size_t holders = channel.snapshot->holders.size();
  if (status.phase == fanout::ChannelPhase::kFailed) {
    return Finding{
        FindingCode::kMembershipWished,
        Severity::kError,
        net::StrCat(holders, " memberships wish ", what, ", but the join failed: ", net::ToStd(status.error.message())),
        "nothing is received until it is joined",
        "",
        ""};
  }
  if (status.phase == fanout::ChannelPhase::kWaiting) {
    // What it waits for is a finding about the interface.
    return Finding{FindingCode::kMembershipWished,
                   Severity::kWarning,
                   net::StrCat(holders, " memberships wish ", what, " and wait: ", net::ToStd(status.error.message())),
                   "it is joined by itself once the interface can be used",
                   "",
                   "mend the interface"};
  }
  return Finding{FindingCode::kMembershipWished,
                 Severity::kOk,
                 net::StrCat(holders, holders == 1 ? " membership wishes " : " memberships wish ", what, ", ",
                             channel.snapshot->wished.ToString()),
                 "",
                 "",
                 ""};
}

std::optional<Finding> CheckSourceWished(const ChannelFacts& channel) {
  if (!channel.snapshot.has_value() || channel.snapshot->holders.empty() || !channel.asked_source.has_value()) {
    return std::nullopt;
  }
  const net::IpAddress& source = *channel.asked_source;
  const std::vector<Holder>& holders = channel.snapshot->holders;
  const auto leaving_out = static_cast<size_t>(std::count_if(
      holders.begin(), holders.end(), [&](const Holder& holder) { return !holder.filter.Allows(source); }));
  if (leaving_out == 0) {
    return Finding{FindingCode::kMembershipWished,
                   Severity::kOk,
                   net::StrCat("all memberships of ", Describe(channel), " let ", source.ToString(), " pass"),
                   "",
                   "",
                   ""};
  }
  const bool all = leaving_out == holders.size();
  return Finding{
      FindingCode::kMembershipWished,
      all ? Severity::kError : Severity::kWarning,
      net::StrCat(all ? std::string("no membership")
                      : net::StrCat("only ", holders.size() - leaving_out, " of ", holders.size(), " memberships"),
                  " of ", Describe(channel), all ? " lets " : " let ", source.ToString(), " pass: wished is ",
                  channel.snapshot->wished.ToString()),
      "the source filter keeps its datagrams from these clients",
      channel.port == 0 ? std::string() : net::StrCat("mcgw sub ", ChannelWord(channel, source.ToString())),
      "or correct the filter, or the sender's address"};
}

std::optional<Finding> CheckInKernel(const ChannelFacts& channel) {
  const std::string what = net::StrCat(channel.group.ToString(), " on ", channel.interface_name);
  const uint32_t others = channel.host_users - std::min(channel.host_users, channel.gateway_sockets);
  const std::string users = net::StrCat(channel.host_users, channel.host_users == 1 ? " user, " : " users, ",
                                        channel.gateway_sockets, " of them sockets of the gateway");
  const bool wished = channel.snapshot.has_value() && !channel.snapshot->holders.empty();
  if (wished && channel.snapshot->joined) {
    return Finding{FindingCode::kMembershipInKernel,
                   Severity::kOk,
                   net::StrCat("the kernel has joined ", what, " (", users, ")"),
                   "",
                   "",
                   ""};
  }
  if (wished) {
    const bool lost = channel.snapshot->status.phase == fanout::ChannelPhase::kJoined;
    return Finding{
        FindingCode::kMembershipInKernel,
        Severity::kError,
        net::StrCat("the kernel has not joined ", what, lost ? ", though it had agreed: it lost the membership" : ""),
        "the group is not received, and the network is not told that it is wanted",
        "",
        lost ? "the gateway joins again by itself within 10 s; an MTU below 1280 keeps it from joining IPv6 groups"
             : "mend what keeps the join from succeeding"};
  }
  return Finding{FindingCode::kMembershipInKernel,
                 Severity::kInfo,
                 channel.host_users == 0 ? net::StrCat("the kernel has not joined ", what)
                                         : net::StrCat("the kernel has joined ", what, ", but not for this channel (",
                                                       users, others > 0 ? ", others of other processes" : "", ")"),
                 "without a membership the group is not received",
                 "",
                 ""};
}

std::optional<Finding> CheckSourceLimit(const ChannelFacts& channel, const HostFacts& host) {
  if (!channel.snapshot.has_value() || !channel.snapshot->joined) return std::nullopt;
  const ChannelSnapshot& snapshot = *channel.snapshot;
  if (snapshot.told == snapshot.wished || !snapshot.told.IsAnySource()) return std::nullopt;
  const bool is_v4 = channel.group.is_v4();
  const std::optional<int64_t> limit = is_v4 ? host.settings.igmp_max_msf : host.settings.mld_max_msf;
  const std::string setting = is_v4 ? "net.ipv4.igmp_max_msf" : "net.ipv6.mld_max_msf";
  return Finding{FindingCode::kLimits,
                 Severity::kInfo,
                 net::StrCat("the filter of ", Describe(channel), " has ", snapshot.wished.sources().size(),
                             " sources; the kernel keeps ", limit.has_value() ? absl::StrCat(*limit) : "fewer", " (",
                             setting, ")"),
                 "so the kernel passes every source and the gateway filters for each client: nothing is lost, but the "
                 "network sends what nobody wants",
                 net::StrCat("sysctl -w ", setting, "=", snapshot.wished.sources().size()),
                 ""};
}

std::optional<Finding> CheckSourceRequired(const ChannelFacts& channel) {
  if (!channel.group.IsSourceSpecific()) return std::nullopt;
  const bool wished =
      channel.snapshot.has_value() && !channel.snapshot->wished.sources().empty() && !channel.snapshot->holders.empty();
  const std::string range = channel.group.is_v4() ? "232.0.0.0/8" : "ff3x::/32";
  if (wished || channel.asked_source.has_value()) {
    return Finding{FindingCode::kSourceRequired,
                   Severity::kOk,
                   net::StrCat(channel.group.ToString(), " is source-specific (", range, "), and sources are named"),
                   "",
                   "",
                   ""};
  }
  return Finding{FindingCode::kSourceRequired,
                 Severity::kError,
                 net::StrCat(channel.group.ToString(), " is source-specific (", range, "), and no source is named"),
                 "the network delivers such a group only from sources that the receiver names; joins without are "
                 "refused with SOURCE_REQUIRED",
                 "",
                 "name the sender: SOURCE@GROUP:PORT%INTERFACE"};
}

std::optional<Finding> CheckScope(const ChannelFacts& channel) {
  const std::string group = channel.group.ToString();
  const int scope = channel.group.Ipv6Scope();
  const auto finding = [&](Severity severity, std::string_view seen, std::string_view why, std::string_view remedy) {
    return Finding{FindingCode::kGroupScope, severity, net::StrCat(group, " ", seen),
                   std::string(why),         "",       std::string(remedy)};
  };
  if (scope == 0 || scope == 15 || group == "224.0.0.0") {
    return finding(Severity::kError, "is reserved and names no group",
                   "joins and sends are refused with GROUP_RESERVED",
                   "use a group of 239.0.0.0/8, or of a scope between 1 and e");
  }
  if (!channel.named_interface && (scope == 1 || scope == 2)) {
    return finding(Severity::kError, "means nothing without an interface",
                   "joins without one are refused with SCOPE_NEEDS_INTERFACE", "name one: [GROUP]:PORT%INTERFACE");
  }
  if (const std::string_view name = ReservedGroupName(channel.group); !name.empty()) {
    return finding(Severity::kInfo, net::StrCat("belongs to the network itself (", name, ")"),
                   "clients receive it, but the gateway does not send to it", "");
  }
  if (scope == 1) {
    return finding(Severity::kWarning, "has interface-local scope", "it never leaves the host that sends it",
                   "use a wider scope, such as ff15::/16 for a site");
  }
  const bool link_local = scope == 2 || (channel.group.is_v4() &&
                                         channel.group.bytes().substr(0, 3) == std::string_view("\xe0\x00\x00", 3));
  if (link_local) {
    return finding(Severity::kInfo, "has link-local scope",
                   "no router forwards it: only senders on the interface's own link are heard",
                   "for senders further away use a wider scope, such as 239.0.0.0/8 or ff15::/16");
  }
  return finding(Severity::kOk, "has a scope that routers may forward", "", "");
}

}  // namespace mcgw::gateway
