#include "server/net/interface_messages.h"

#include <linux/if_addr.h>
#include <linux/if_bridge.h>
#include <linux/if_link.h>
#include <linux/ipv6.h>
#include <net/if.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <utility>

#include "absl/strings/str_format.h"
#include "server/net/netlink.h"
#include "server/net/text.h"

namespace mcgw::net::netlink {
namespace {

constexpr uint32_t kMade = std::numeric_limits<uint32_t>::max();  // ifi_change of a newly created link.
constexpr char kNoQueue[] = "noop";  // The queueing discipline of a link that is not operational; it drops everything.

// "02:00:00:00:00:01"; empty if absent or all zeros (loopback).
std::string MacText(const nlattr* attribute) {
  std::string text;
  if (attribute == nullptr) return text;
  const auto* const bytes = static_cast<const uint8_t*>(mnl_attr_get_payload(attribute));
  const size_t size = mnl_attr_get_payload_len(attribute);
  if (std::all_of(bytes, bytes + size, [](uint8_t byte) { return byte == 0; })) return text;
  for (size_t i = 0; i < size; ++i) absl::StrAppendFormat(&text, "%s%02x", i == 0 ? "" : ":", bytes[i]);
  return text;
}

// One of net.ipv6.conf.* (DEVCONF_*); 0 if the kernel does not report it.
int32_t Ipv6Setting(const nlattr* ipv6, size_t setting) {
  const nlattr* const settings = AttributesIn<IFLA_INET6_CONF>(ipv6)[IFLA_INET6_CONF];
  int32_t value = 0;
  const size_t at = setting * sizeof(value);
  if (settings == nullptr || mnl_attr_get_payload_len(settings) < at + sizeof(value)) return 0;
  std::memcpy(&value, static_cast<const char*>(mnl_attr_get_payload(settings)) + at, sizeof(value));
  return value;
}

// IFLA_AF_SPEC leaves out a family that is off.
void ReadIpv6(const nlattr* families, Interface* interface) {
  const nlattr* const ipv6 = AttributesIn<AF_INET6>(families)[AF_INET6];
  interface->ipv6 = ipv6 != nullptr && Ipv6Setting(ipv6, DEVCONF_DISABLE_IPV6) == 0;
  interface->prefers_temporary = ipv6 != nullptr && Ipv6Setting(ipv6, DEVCONF_USE_TEMPADDR) >= 2;
}

int AppendAlternativeName(const nlattr* property, void* names) {
  if (mnl_attr_get_type(property) == IFLA_ALT_IFNAME) {
    static_cast<std::vector<std::string>*>(names)->emplace_back(TextIn(property));
  }
  return MNL_CB_OK;
}

std::vector<std::string> AlternativeNames(const nlattr* properties) {
  std::vector<std::string> names;
  if (properties != nullptr) mnl_attr_parse_nested(properties, AppendAlternativeName, &names);
  return names;
}

bool IsIpvlanOfLayer2(const nlattr* data) {
  const nlattr* const mode = AttributesIn<IFLA_IPVLAN_MODE>(data)[IFLA_IPVLAN_MODE];
  return NumberIn<uint16_t>(mode).value_or(IPVLAN_MODE_L2) == IPVLAN_MODE_L2;
}

void NoteLink(const nlmsghdr& message, InterfaceChanges* changes) {
  changes->any = true;
  const auto* const link = HeaderOf<ifinfomsg>(message);
  // A bridge announces its ports in messages of its own family: leaving the bridge is not a deletion.
  if (link == nullptr || link->ifi_family != AF_UNSPEC) return;
  const auto index = static_cast<uint32_t>(link->ifi_index);
  if (message.nlmsg_type == RTM_DELLINK) {
    changes->deleted.insert(index);
    return;
  }
  // A link is created down; that does not count as going down.
  const bool went_down = link->ifi_change != kMade && (link->ifi_change & IFF_UP) != 0;
  if (went_down && (link->ifi_flags & IFF_UP) == 0) changes->down.insert(index);
  if (ReadLink(message)->ReceivesForMaster()) changes->enslaved.insert(index);
}

}  // namespace

std::optional<Interface> ReadLink(const nlmsghdr& message) {
  const auto* const link = HeaderOf<ifinfomsg>(message);
  if (link == nullptr) return std::nullopt;
  const auto attributes = AttributesOf<IFLA_PROP_LIST>(message, sizeof(*link));
  Interface result;
  result.index = static_cast<uint32_t>(link->ifi_index);
  result.flags = link->ifi_flags;
  result.up = (link->ifi_flags & IFF_UP) != 0;
  result.multicast = (link->ifi_flags & IFF_MULTICAST) != 0;
  result.loopback = (link->ifi_flags & IFF_LOOPBACK) != 0;
  const bool drops_all = TextIn(attributes[IFLA_QDISC]) == kNoQueue;
  const bool in_operation = !result.up || ((link->ifi_flags & IFF_RUNNING) != 0 && !drops_all);
  result.carrier = in_operation && NumberIn<uint8_t>(attributes[IFLA_CARRIER]).value_or(1) != 0;
  result.carrier_changes = NumberIn<uint32_t>(attributes[IFLA_CARRIER_CHANGES]).value_or(0);
  if (const nlattr* const families = attributes[IFLA_AF_SPEC]) ReadIpv6(families, &result);
  result.name = TextIn(attributes[IFLA_IFNAME]);
  result.alternative_names = AlternativeNames(attributes[IFLA_PROP_LIST]);
  result.mac_address = MacText(attributes[IFLA_ADDRESS]);
  result.mtu_bytes = NumberIn<uint32_t>(attributes[IFLA_MTU]).value_or(0);
  result.master_index = NumberIn<uint32_t>(attributes[IFLA_MASTER]).value_or(0);
  result.peer_in_other_namespace = attributes[IFLA_LINK_NETNSID] != nullptr;
  const auto info = AttributesIn<IFLA_INFO_SLAVE_DATA>(attributes[IFLA_LINKINFO]);
  result.kind = TextIn(info[IFLA_INFO_KIND]);
  if (result.kind == "ipvlan") result.carries_multicast = IsIpvlanOfLayer2(info[IFLA_INFO_DATA]);
  result.port_kind = TextIn(info[IFLA_INFO_SLAVE_KIND]);
  if (result.port_kind == "bridge") {
    const nlattr* const state = AttributesIn<IFLA_BRPORT_STATE>(info[IFLA_INFO_SLAVE_DATA])[IFLA_BRPORT_STATE];
    result.forwarding = NumberIn<uint8_t>(state).value_or(BR_STATE_FORWARDING) == BR_STATE_FORWARDING;
  }
  return result;
}

void ReadAddress(const nlmsghdr& message, std::vector<Interface>* interfaces) {
  const auto* const header = HeaderOf<ifaddrmsg>(message);
  if (header == nullptr) return;
  const auto attributes = AttributesOf<IFA_FLAGS>(message, sizeof(*header));
  const uint32_t flags = NumberIn<uint32_t>(attributes[IFA_FLAGS]).value_or(header->ifa_flags);
  // Until duplicate address detection has passed, the kernel does not send from the address.
  const bool optimistic = (flags & IFA_F_OPTIMISTIC) != 0;
  const bool tentative = (flags & IFA_F_TENTATIVE) != 0 && !optimistic;
  if (tentative || (flags & IFA_F_DADFAILED) != 0) return;
  // On point-to-point links IFA_ADDRESS is the peer and IFA_LOCAL is this end.
  std::optional<IpAddress> address = AddressIn(attributes[IFA_LOCAL]);
  if (!address) address = AddressIn(attributes[IFA_ADDRESS]);
  if (!address) return;
  // IFA_F_SECONDARY (IPv4) and IFA_F_TEMPORARY (IPv6) are the same bit.
  const bool is_v4 = address->is_v4();
  const InterfaceAddress entry{.address = *address,
                               .prefix_length = header->ifa_prefixlen,
                               .scope = header->ifa_scope,
                               .secondary = is_v4 && (flags & IFA_F_SECONDARY) != 0,
                               .deprecated = !is_v4 && ((flags & IFA_F_DEPRECATED) != 0 || optimistic),
                               .temporary = !is_v4 && (flags & IFA_F_TEMPORARY) != 0};
  for (Interface& interface : *interfaces) {
    if (interface.index == header->ifa_index) interface.addresses.push_back(entry);
  }
}

void ConsiderDefaultRoute(const nlmsghdr& message, BestRoute* best) {
  if (message.nlmsg_type != RTM_NEWROUTE) return;
  const auto* const route = HeaderOf<rtmsg>(message);
  if (route == nullptr || route->rtm_dst_len != 0 || route->rtm_type != RTN_UNICAST) return;
  if ((route->rtm_flags & (RTNH_F_DEAD | RTM_F_CLONED)) != 0) return;
  const auto attributes = AttributesOf<RTA_TABLE>(message, sizeof(*route));
  const uint32_t table = NumberIn<uint32_t>(attributes[RTA_TABLE]).value_or(route->rtm_table);
  if (table != RT_TABLE_MAIN) return;
  const uint32_t metric = NumberIn<uint32_t>(attributes[RTA_PRIORITY]).value_or(0);
  uint32_t index = NumberIn<uint32_t>(attributes[RTA_OIF]).value_or(0);
  const nlattr* const hops = attributes[RTA_MULTIPATH];
  if (index == 0 && hops != nullptr && mnl_attr_get_payload_len(hops) >= sizeof(rtnexthop)) {
    index = static_cast<uint32_t>(static_cast<const rtnexthop*>(mnl_attr_get_payload(hops))->rtnh_ifindex);
  }
  if (index != 0 && (best->index == 0 || metric < best->metric)) *best = {index, metric};
}

void NoteChanges(std::string_view messages, InterfaceChanges* changes) {
  ForEachMessage(messages, [&](const nlmsghdr& message) {
    switch (message.nlmsg_type) {
      case RTM_NEWLINK:
      case RTM_DELLINK:
        NoteLink(message, changes);
        break;
      case RTM_NEWADDR:
      case RTM_DELADDR:
      case RTM_NEWROUTE:
      case RTM_DELROUTE:
      case RTM_NEWRULE:
      case RTM_DELRULE:
      case RTM_NEWNEXTHOP:
      case RTM_DELNEXTHOP:
        changes->any = true;
        break;
      default:
        break;
    }
  });
}

}  // namespace mcgw::net::netlink
