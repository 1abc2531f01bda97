// Checks of an interface itself.

#include <string>

#include "absl/strings/str_join.h"
#include "server/gateway/inspection/diagnosis.h"
#include "server/net/text.h"

namespace mcgw::gateway {
namespace {

constexpr uint32_t kLeastIpv6MtuBytes = 1280;  // RFC 8200, 5.

std::string Exclusions(const std::vector<InterfaceDirectory::Exclusion>& exclusions) {
  return absl::StrJoin(exclusions, ", ", [](std::string* out, InterfaceDirectory::Exclusion exclusion) {
    out->append(InterfaceDirectory::Text(exclusion));
  });
}

// In a VRF, joins and sends that name no interface never use one of its ports: they ask the host's main table.
Finding CheckIpv4RouteInVrf(const net::Route& route, const InterfaceFacts& facts) {
  const std::string& name = facts.interface.name;
  const bool here = route.kind == net::Route::Kind::kThrough && route.interface_index == facts.interface.index;
  return {FindingCode::kRoute,
          Severity::kOk,
          net::StrCat(name, " is in VRF ", facts.master_name,
                      here ? net::StrCat(", whose route to groups leads through it")
                           : std::string(", whose table has no route to groups through it; none is needed")),
          "joins and sends that name no interface do not use it: name it",
          "",
          ""};
}

// IPv4 needs a route only if no interface is named: with one, the kernel takes any group to be on its link.
Finding CheckIpv4Route(const net::Route& route, const InterfaceFacts& facts) {
  const net::Interface& interface = facts.interface;
  if (interface.IsInVrf()) return CheckIpv4RouteInVrf(route, facts);
  const bool here = route.kind == net::Route::Kind::kThrough && route.interface_index == interface.index;
  if (here) {
    return {FindingCode::kRoute,
            Severity::kOk,
            net::StrCat("the host's route to groups leads through ", interface.name),
            "",
            "",
            ""};
  }
  std::string seen = "there is no route to groups";
  if (route.kind == net::Route::Kind::kThrough) {
    seen = net::StrCat("the host's route to groups leads through another interface than ", interface.name);
  }
  if (route.kind == net::Route::Kind::kRefused) seen = "a rule or route of the host refuses groups";
  return {FindingCode::kRoute,
          Severity::kInfo,
          seen,
          "joins and sends that name no interface do not use this one; those that name it need no route",
          net::StrCat("ip route add 224.0.0.0/4 dev ", ShellWord(interface.name)),
          ""};
}

Finding CheckIpv6Route(const net::Route& route, const net::Interface& interface) {
  switch (route.kind) {
    case net::Route::Kind::kRefused:
      return {FindingCode::kRoute,
              Severity::kWarning,
              net::StrCat("a rule or route of the host refuses groups of ff00::/8 through ", interface.name),
              "sending to them fails; receiving does not need a route",
              "",
              "find it with `ip -6 rule` and `ip -6 route show table all`, and delete it"};
    case net::Route::Kind::kNone:
      return {FindingCode::kRoute,
              Severity::kWarning,
              net::StrCat("there is no route to ff00::/8 through ", interface.name),
              "sending through it fails; receiving does not need a route",
              net::StrCat("ip -6 route add multicast ff00::/8 dev ", ShellWord(interface.name), " table local"),
              ""};
    default:
      return {FindingCode::kRoute,
              Severity::kOk,
              net::StrCat("there is a route to ff00::/8 through ", interface.name),
              "",
              "",
              ""};
  }
}

}  // namespace

std::optional<Finding> CheckExists(const InterfaceFacts& facts) {
  const std::string& name = facts.interface.name;
  if (facts.exists) {
    return Finding{FindingCode::kInterfaceExists,
                   Severity::kOk,
                   net::StrCat("interface ", name, " exists, with index ", facts.interface.index),
                   "",
                   "",
                   ""};
  }
  return Finding{FindingCode::kInterfaceExists,
                 Severity::kError,
                 net::StrCat("the gateway's host has no interface ", name),
                 "there is nothing to receive from",
                 "",
                 "name one that `mcgw interfaces` shows, or create it again"};
}

std::optional<Finding> CheckPermitted(const InterfaceFacts& facts) {
  const std::string& name = facts.interface.name;
  if (!facts.permitted) {
    return Finding{FindingCode::kInterfacePermitted,
                   Severity::kError,
                   net::StrCat("interface ", name, " is not one that the gateway's configuration permits"),
                   "joins and sends through it are refused with INTERFACE_NOT_ALLOWED",
                   "",
                   net::StrCat("add it to `interfaces` of the configuration (mcgwd --interface ", ShellWord(name),
                               ") and restart the gateway")};
  }
  std::string left_out;
  for (int family = 0; family < 2; ++family) {
    if (!facts.families[family].concerned || facts.families[family].star_exclusions.empty()) continue;
    absl::StrAppend(&left_out, left_out.empty() ? "" : "; ",
                    family == 0 ? "IPv4: " : "IPv6: ", Exclusions(facts.families[family].star_exclusions));
  }
  if (left_out.empty()) {
    return Finding{FindingCode::kInterfacePermitted,
                   Severity::kOk,
                   net::StrCat("the gateway may use ", name, ", and `*` takes it"),
                   "",
                   "",
                   ""};
  }
  return Finding{FindingCode::kInterfacePermitted,
                 Severity::kInfo,
                 net::StrCat("the gateway may use ", name, ", but `*` does not take it (", left_out, ")"),
                 "a membership on `*` receives nothing on it",
                 "",
                 net::StrCat("to receive from it, name it: GROUP:PORT%", name)};
}

std::optional<Finding> CheckVrf(const InterfaceFacts& facts) {
  if (facts.interface.kind != "vrf") return std::nullopt;
  return Finding{FindingCode::kInterfacePermitted,
                 Severity::kError,
                 net::StrCat(facts.interface.name, " is a VRF"),
                 "datagrams arrive on its ports, never on it, and joins on it are refused",
                 net::StrCat("ip link show master ", ShellWord(facts.interface.name)),
                 "join on one of its ports: GROUP:PORT%PORT"};
}

std::optional<Finding> CheckEnslaved(const InterfaceFacts& facts) {
  const bool swallows = facts.master_kind == "bridge" || facts.master_kind == "bond" || facts.master_kind == "team";
  if (!swallows) return std::nullopt;
  return Finding{
      FindingCode::kInterfacePermitted,
      Severity::kError,
      net::StrCat(facts.interface.name, " is enslaved to the ", facts.master_kind, " ", facts.master_name),
      net::StrCat("datagrams that it receives arrive on ", facts.master_name, ", never on ", facts.interface.name),
      "",
      net::StrCat("join on ", facts.master_name, " instead: GROUP:PORT%", facts.master_name)};
}

std::optional<Finding> CheckUp(const InterfaceFacts& facts) {
  const std::string& name = facts.interface.name;
  if (facts.interface.up) {
    return Finding{FindingCode::kInterfaceUp, Severity::kOk, net::StrCat(name, " is up"), "", "", ""};
  }
  return Finding{FindingCode::kInterfaceUp,
                 Severity::kError,
                 net::StrCat(name, " is down"),
                 "an interface that is down neither receives nor sends",
                 net::StrCat("ip link set dev ", ShellWord(name), " up"),
                 ""};
}

std::optional<Finding> CheckCarrier(const InterfaceFacts& facts) {
  const std::string& name = facts.interface.name;
  if (!facts.interface.up) return std::nullopt;  // A device that is down has no carrier.
  if (facts.interface.carrier) {
    return Finding{FindingCode::kCarrier, Severity::kOk, net::StrCat(name, " has a carrier"), "", "", ""};
  }
  return Finding{FindingCode::kCarrier,
                 Severity::kError,
                 net::StrCat(name, " has no carrier"),
                 "nothing is connected to it, so nothing arrives, and what IPv4 sends is lost without an error",
                 "",
                 facts.interface.kind == "veth" ? "bring up the other end of the veth pair"
                                                : "check the cable, the switch port or the device below"};
}

std::optional<Finding> CheckMulticastFlag(const InterfaceFacts& facts) {
  const std::string& name = facts.interface.name;
  if (facts.interface.loopback) return std::nullopt;  // CheckLoopback covers it.
  if (!facts.interface.carries_multicast) {
    return Finding{FindingCode::kMulticastFlag,
                   Severity::kError,
                   net::StrCat(name, " is an ipvlan device in mode l3 or l3s, which carries no multicast"),
                   "the kernel drops groups both ways on it; joins and sends are refused with NO_MULTICAST",
                   net::StrCat("ip link set dev ", ShellWord(name), " type ipvlan mode l2"),
                   "which changes the mode of all ipvlan devices of its parent"};
  }
  if (facts.interface.multicast) {
    return Finding{
        FindingCode::kMulticastFlag, Severity::kOk, net::StrCat(name, " has the MULTICAST flag"), "", "", ""};
  }
  return Finding{FindingCode::kMulticastFlag,
                 Severity::kWarning,
                 net::StrCat(name, " lacks the MULTICAST flag"),
                 "`*` leaves it out, IPv6 makes no route to groups on it, and a driver may filter groups out; a join "
                 "by name still works",
                 net::StrCat("ip link set dev ", ShellWord(name), " multicast on"),
                 ""};
}

std::optional<Finding> CheckMtu(const InterfaceFacts& facts, const HostFacts& host) {
  const std::string& name = facts.interface.name;
  if (!facts.families[1].concerned || !host.settings.has_ipv6) return std::nullopt;
  const std::string seen = net::StrCat("the MTU of ", name, " is ", facts.interface.mtu_bytes, " bytes");
  if (facts.interface.mtu_bytes >= kLeastIpv6MtuBytes) {
    return Finding{FindingCode::kMtu, Severity::kOk, seen, "", "", ""};
  }
  return Finding{FindingCode::kMtu,
                 Severity::kError,
                 seen,
                 "below 1280 bytes the kernel turns IPv6 off on the interface and drops its memberships",
                 net::StrCat("ip link set dev ", ShellWord(name), " mtu 1500"),
                 ""};
}

std::optional<Finding> CheckLoopback(const InterfaceFacts& facts) {
  if (!facts.interface.loopback) return std::nullopt;
  const FamilyFacts& ipv6 = facts.families[1];
  if (!ipv6.concerned) {
    return Finding{
        FindingCode::kLoopback, Severity::kOk, "IPv4 multicast on the loopback needs no preparation", "", "", ""};
  }
  const bool routed = ipv6.route.has_value() && ipv6.route->kind != net::Route::Kind::kNone &&
                      ipv6.route->kind != net::Route::Kind::kRefused;
  if (facts.interface.multicast && routed) {
    return Finding{FindingCode::kLoopback, Severity::kOk, "the loopback is set up for IPv6 multicast", "", "", ""};
  }
  const std::string name = ShellWord(facts.interface.name);
  std::string command;
  if (!facts.interface.multicast) command = net::StrCat("ip link set dev ", name, " multicast on");
  if (!routed) {
    absl::StrAppend(&command, command.empty() ? "" : "; ", "ip -6 route add local ff00::/8 dev ", name, " table local");
  }
  return Finding{FindingCode::kLoopback,
                 Severity::kError,
                 net::StrCat("the loopback is not set up for IPv6 multicast: ",
                             facts.interface.multicast ? "" : "no MULTICAST flag",
                             facts.interface.multicast || routed ? "" : ", ", routed ? "" : "no route to ff00::/8"),
                 "sending to an IPv6 group on it fails, so nothing can arrive",
                 command,
                 ""};
}

std::optional<Finding> CheckAddress(const InterfaceFacts& facts, const HostFacts& host, net::Family family) {
  const std::string& name = facts.interface.name;
  const bool is_v6 = family == net::Family::kIpv6;
  if (is_v6 && !host.settings.has_ipv6) {
    return Finding{FindingCode::kAddress,
                   Severity::kError,
                   "the kernel of this host has no IPv6",
                   "IPv6 groups can be neither joined nor sent to",
                   "",
                   "remove ipv6.disable=1 from the kernel's command line, load the module ipv6, or use an IPv4 group"};
  }
  if (is_v6 && facts.settings.disable_ipv6.value_or(0) != 0) {
    return Finding{FindingCode::kAddress,
                   Severity::kError,
                   net::StrCat("IPv6 is disabled on ", name, " (net.ipv6.conf.", name, ".disable_ipv6=1)"),
                   "the kernel accepts no IPv6 packets on it",
                   net::StrCat("sysctl -w ", ShellWord(net::StrCat("net.ipv6.conf.", name, ".disable_ipv6=0"))),
                   ""};
  }
  const std::optional<net::IpAddress> first = facts.interface.DefaultSource(family);
  if (!first.has_value()) {
    return Finding{
        FindingCode::kAddress,
        Severity::kWarning,
        net::StrCat(name, " has no ", net::FamilyName(family), " address"),
        net::StrCat("`*` leaves it out, the gateway does not send through it, and its ", is_v6 ? "MLD" : "IGMP",
                    " reports have no valid source, so that switches may ignore them"),
        "",
        net::StrCat("give it one of its network: ip address add ADDRESS/PREFIX dev ", ShellWord(name))};
  }
  bool link_local = facts.interface.loopback || !is_v6;
  for (const net::InterfaceAddress& entry : facts.interface.addresses) {
    link_local |= is_v6 && entry.address.IsLinkLocalUnicast();
  }
  if (!link_local) {
    return Finding{FindingCode::kAddress,
                   Severity::kWarning,
                   net::StrCat(name, " has no link-local IPv6 address"),
                   "MLD reports must come from one (RFC 3590), so switches and routers may ignore the gateway's",
                   net::StrCat("ip link set dev ", ShellWord(name), " addrgenmode eui64"),
                   "then take the interface down and up"};
  }
  return Finding{FindingCode::kAddress,
                 Severity::kOk,
                 net::StrCat(name, " has the ", net::FamilyName(family), " address ", first->ToString()),
                 "",
                 "",
                 ""};
}

std::optional<Finding> CheckRoute(const InterfaceFacts& facts, net::Family family) {
  const std::optional<net::Route>& route = facts.families[static_cast<int>(family)].route;
  if (!route.has_value() || !facts.interface.up || facts.interface.loopback) return std::nullopt;
  return family == net::Family::kIpv4 ? CheckIpv4Route(*route, facts) : CheckIpv6Route(*route, facts.interface);
}

std::optional<Finding> CheckSends(const InterfaceFacts& facts, const HostFacts& host) {
  const InterfaceSends& sends = facts.sends;
  const std::string& name = facts.interface.name;
  if (sends.blocked > 0) {
    const bool passes_again = sends.last_sent_unix_ns > sends.last_blocked_unix_ns;
    return Finding{
        FindingCode::kSendBlocked,
        passes_again ? Severity::kWarning : Severity::kError,
        net::StrCat("the host refused to send ", sends.blocked, " datagrams of the gateway through ", name,
                    ", the last one ", Ago(sends.last_blocked_unix_ns, host.now_unix_ns), ": ", sends.last_blocked_text,
                    passes_again ? "; later ones passed" : ""),
        "what clients send does not leave, and such a rule may hold back IGMP and MLD reports too",
        "",
        "find the rule with `nft list ruleset` or `iptables -S OUTPUT`, and allow outgoing UDP to the group"};
  }
  if (sends.sent > 0) {
    return Finding{
        FindingCode::kSendBlocked,
        Severity::kOk,
        net::StrCat("datagrams that the gateway sent through ", name, ": ", sends.sent, "; none was blocked"),
        "",
        "",
        ""};
  }
  return Finding{
      FindingCode::kSendBlocked,
      Severity::kUnknown,
      net::StrCat("the gateway has sent nothing through ", name, ", so whether a firewall blocks it is not known"),
      "only a send shows it; a firewall that blocks IGMP or MLD keeps the network from knowing the members",
      "nft list ruleset",
      ""};
}

}  // namespace mcgw::gateway
