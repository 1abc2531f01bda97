// Checks of whether the network learns what the kernel joined: IGMP, MLD, queriers and bridges.

#include <string>

#include "absl/strings/str_cat.h"
#include "server/gateway/inspection/diagnosis.h"
#include "server/net/text.h"

namespace mcgw::gateway {
namespace {

std::string_view ProtocolName(net::Family family) { return family == net::Family::kIpv4 ? "IGMP" : "MLD"; }

// A command that waits for one query of a family; it needs root.
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

// What is known without having heard a query. Nothing if nothing is known.
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
  return std::nullopt;
}

// Why it is not known whether a querier asks, if the gateway cannot listen.
std::string NotHeard(const InterfaceFacts& facts, net::Family family) {
  if (family == net::Family::kIpv4 || !facts.mld.has_value()) {
    return "the gateway needs CAP_NET_RAW to hear one";
  }
  if (facts.mld->queries_received == 0) {
    return "none was heard since IPv6 began on it, but they ask only about every 125 s";
  }
  // The kernel counts queries before it checks them.
  return absl::StrCat("the kernel has counted ", facts.mld->queries_received,
                      " MLD queries since IPv6 began on it, but does not say when, or whether they were valid");
}

}  // namespace

std::optional<Finding> CheckProtocol(const InterfaceFacts& facts, net::Family family) {
  if (!facts.interface.up || facts.interface.loopback) return std::nullopt;
  const bool is_v6 = family == net::Family::kIpv6;
  if (is_v6 && !facts.interface.ipv6) return std::nullopt;  // CheckAddress reports it.
  const FamilyFacts& of_family = facts.families[is_v6];
  const std::string& name = facts.interface.name;
  const std::string_view protocol = ProtocolName(family);
  const uint32_t version = of_family.protocol_version;
  if (version == 0) {
    return Finding{FindingCode::kMembershipProtocol,
                   Severity::kUnknown,
                   net::StrCat("which version of ", protocol, " is in force on ", name, " is not known",
                               !facts.mld.has_value() && is_v6 ? ": its counters cannot be read"
                               : is_v6 ? ": an MLDv1 querier was heard there once, perhaps long ago"
                                       : ": /proc/net/igmp does not show it"),
                   "the older versions cannot tell the network which sources are wanted",
                   CaptureCommand(facts, family),
                   is_v6 ? "a query of 24 bytes is MLDv1, a longer one MLDv2"
                         : "a query of 8 bytes is IGMPv1 or IGMPv2, a longer one IGMPv3"};
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
                   "memberships there want particular sources, which it cannot express: routers ignore its reports for "
                   "source-specific groups (RFC 4604)",
                   command,
                   remedy};
  }
  return Finding{FindingCode::kMembershipProtocol,
                 Severity::kInfo,
                 seen,
                 "it cannot tell the network which sources are wanted, as source-specific multicast requires",
                 command,
                 remedy};
}

std::optional<Finding> CheckQuerier(const InterfaceFacts& facts, const HostFacts& host, net::Family family) {
  if (!facts.interface.up || facts.interface.loopback) return std::nullopt;
  if (family == net::Family::kIpv6 && !facts.interface.ipv6) return std::nullopt;
  const FamilyFacts& of_family = facts.families[static_cast<int>(family)];
  const std::string& name = facts.interface.name;
  const std::string protocol(ProtocolName(family));
  if (of_family.last_query.has_value()) {
    const net::Query& query = *of_family.last_query;
    const bool recent = host.now_monotonic_ns - query.heard_ns <= net::kOlderQuerierPresentNs;
    if (family == net::Family::kIpv6 && query.version == 1 && of_family.forced_version == 2) {
      return QuerierFinding(Severity::kWarning,
                            net::StrCat("the querier ", query.querier.ToString(), " asks on ", name,
                                        " in MLDv1, and the kernel ignores it, since force_mld_version is 2"),
                            net::StrCat("sysctl -w net.ipv6.conf.all.force_mld_version=0 ",
                                        ShellWord(net::StrCat("net.ipv6.conf.", name, ".force_mld_version=0"))),
                            "or set the querier to MLDv2");
    }
    return QuerierFinding(
        recent ? Severity::kOk : Severity::kWarning,
        net::StrCat("a querier (", query.querier.ToString(), ", ", protocol, "v", query.version, ") asked on ", name,
                    " ", Ago(query.heard_ns, host.now_monotonic_ns), recent ? "" : ", and none since"),
        "", recent ? "" : "check whether that querier still runs");
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
                          command, "diagnose again in some minutes");
  }
  return QuerierFinding(
      Severity::kUnknown,
      net::StrCat("whether a querier asks on ", name, " is not known (", protocol, "): ", NotHeard(facts, family)),
      command, "");
}

std::optional<Finding> CheckInvalidQueries(const InterfaceFacts& facts, const HostFacts& host, net::Family family) {
  const std::optional<net::InvalidQuery>& query = facts.families[static_cast<int>(family)].invalid_query;
  if (!query.has_value()) return std::nullopt;
  const std::string protocol(ProtocolName(family));
  return Finding{
      FindingCode::kInvalidQuery,
      Severity::kWarning,
      net::StrCat(query->sender.ToString(), " asked on ", facts.interface.name, " ",
                  Ago(query->heard_ns, host.now_monotonic_ns), " with an ", protocol,
                  " query that the kernel ignores: ", query->fault,
                  query->count == 1 ? "" : absl::StrCat("; it is one of ", query->count, " such queries")),
      "no host answers it, so switches that wait for the answers forget the members",
      "",
      net::StrCat("correct the querier at ", query->sender.ToString(), ", or what alters its queries on the path")};
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

}  // namespace mcgw::gateway
