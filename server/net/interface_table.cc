#include "server/net/interface_table.h"

#include <linux/if_addr.h>
#include <linux/if_bridge.h>
#include <linux/if_link.h>
#include <linux/ipv6.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "server/net/netlink.h"
#include "server/net/route_lookup.h"
#include "server/net/status.h"
#include "server/net/text.h"
#include "server/net/utf8.h"

namespace mcgw::net {

using netlink::AddressFamily;
using netlink::AddressIn;
using netlink::AttributesIn;
using netlink::AttributesOf;
using netlink::MnlSocket;

namespace {

constexpr int kMaxMessagesPerDrain =
    16'384;  // More than the buffer holds. Keeps a storm of changes from holding the loop.
constexpr size_t kWatchBufferBytes = 4 << 20;
constexpr unsigned GroupBit(rtnetlink_groups group) { return 1U << (group - 1); }
constexpr unsigned kRouteGroups =
    RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_ROUTE | RTMGRP_IPV4_RULE | GroupBit(RTNLGRP_IPV6_RULE) | GroupBit(RTNLGRP_NEXTHOP);
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
    static_cast<std::vector<std::string>*>(names)->emplace_back(mnl_attr_get_str(property));
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
  return mode == nullptr || mnl_attr_get_u16(mode) == IPVLAN_MODE_L2;
}

Interface ReadLink(const nlmsghdr& message) {
  const auto* link = static_cast<const ifinfomsg*>(mnl_nlmsg_get_payload(&message));
  const auto attributes = AttributesOf<IFLA_PROP_LIST>(message, sizeof(*link));
  Interface result;
  result.index = static_cast<uint32_t>(link->ifi_index);
  result.flags = link->ifi_flags;
  result.up = (link->ifi_flags & IFF_UP) != 0;
  result.multicast = (link->ifi_flags & IFF_MULTICAST) != 0;
  result.loopback = (link->ifi_flags & IFF_LOOPBACK) != 0;
  const nlattr* const carrier = attributes[IFLA_CARRIER];
  const nlattr* const discipline = attributes[IFLA_QDISC];
  const bool drops_all = discipline != nullptr && mnl_attr_get_str(discipline) == std::string_view(kNoQueue);
  const bool in_operation = !result.up || ((link->ifi_flags & IFF_RUNNING) != 0 && !drops_all);
  result.carrier = in_operation && (carrier == nullptr || mnl_attr_get_u8(carrier) != 0);
  if (const nlattr* const changes = attributes[IFLA_CARRIER_CHANGES]) {
    result.carrier_changes = mnl_attr_get_u32(changes);
  }
  if (const nlattr* const families = attributes[IFLA_AF_SPEC]) ReadIpv6(families, &result);
  if (const nlattr* const name = attributes[IFLA_IFNAME]) result.name = mnl_attr_get_str(name);
  result.alternative_names = AlternativeNames(attributes[IFLA_PROP_LIST]);
  result.mac_address = MacText(attributes[IFLA_ADDRESS]);
  if (const nlattr* const mtu = attributes[IFLA_MTU]) result.mtu_bytes = mnl_attr_get_u32(mtu);
  if (const nlattr* const master = attributes[IFLA_MASTER]) result.master_index = mnl_attr_get_u32(master);
  result.peer_in_other_namespace = attributes[IFLA_LINK_NETNSID] != nullptr;
  const auto info = AttributesIn<IFLA_INFO_SLAVE_DATA>(attributes[IFLA_LINKINFO]);
  if (info[IFLA_INFO_KIND] != nullptr) result.kind = mnl_attr_get_str(info[IFLA_INFO_KIND]);
  if (result.kind == "ipvlan") result.carries_multicast = IsIpvlanOfLayer2(info[IFLA_INFO_DATA]);
  if (info[IFLA_INFO_SLAVE_KIND] != nullptr) result.port_kind = mnl_attr_get_str(info[IFLA_INFO_SLAVE_KIND]);
  if (result.port_kind == "bridge") {
    const nlattr* const state = AttributesIn<IFLA_BRPORT_STATE>(info[IFLA_INFO_SLAVE_DATA])[IFLA_BRPORT_STATE];
    result.forwarding = state == nullptr || mnl_attr_get_u8(state) == BR_STATE_FORWARDING;
  }
  return result;
}

void ReadAddress(const nlmsghdr& message, std::vector<Interface>* interfaces) {
  const auto* header = static_cast<const ifaddrmsg*>(mnl_nlmsg_get_payload(&message));
  const auto attributes = AttributesOf<IFA_FLAGS>(message, sizeof(*header));
  const uint32_t flags = attributes[IFA_FLAGS] ? mnl_attr_get_u32(attributes[IFA_FLAGS]) : header->ifa_flags;
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

// Looks up the route to a documentation address (RFC 5737, RFC 3849), which only the default route covers.
void MarkUplinks(std::vector<Interface>* interfaces) {
  for (const std::string_view far : {"192.0.2.1", "2001:db8:ffff::1"}) {
    const absl::StatusOr<Route> route = LookUpRoute(*IpAddress::ParseIfAny(far));
    if (!route.ok() || route->kind != Route::Kind::kThrough) continue;
    for (Interface& interface : *interfaces) interface.uplink |= interface.index == route->interface_index;
  }
}

int ReadOnce(mnl_socket* socket, std::vector<Interface>* interfaces) {
  interfaces->clear();
  const int error = netlink::Dump(socket, RTM_GETLINK, AF_UNSPEC, sizeof(ifinfomsg), [&](const nlmsghdr& message) {
    if (message.nlmsg_type == RTM_NEWLINK) interfaces->push_back(ReadLink(message));
  });
  if (error != 0) return error;
  return netlink::Dump(socket, RTM_GETADDR, AF_UNSPEC, sizeof(ifaddrmsg), [&](const nlmsghdr& message) {
    if (message.nlmsg_type == RTM_NEWADDR) ReadAddress(message, interfaces);
  });
}

}  // namespace

InterfaceTable::InterfaceTable(std::vector<Interface> interfaces) : interfaces_(std::move(interfaces)) {
  std::erase_if(interfaces_, [this](const Interface& interface) {
    const bool bad = !IsUtf8(interface.name);
    if (bad) left_out_.push_back(Printable(interface.name));
    return bad;
  });
  for (Interface& interface : interfaces_) {
    std::erase_if(interface.alternative_names, [](const std::string& name) { return !IsUtf8(name); });
  }
  std::sort(interfaces_.begin(), interfaces_.end(),
            [](const Interface& a, const Interface& b) { return a.index < b.index; });
  // Links that are down do not count: some kernel modules create one in every namespace (tunl0, sit0).
  const auto counts = [](const Interface& interface) { return interface.up && !interface.loopback; };
  const auto only = std::find_if(interfaces_.begin(), interfaces_.end(), counts);
  if (only != interfaces_.end() && std::none_of(std::next(only), interfaces_.end(), counts)) only->uplink = true;
  for (Interface& interface : interfaces_) interface.ports.clear();
  for (Interface& port : interfaces_) {
    const Interface* const found = FindByIndex(port.master_index);
    port.master_name = found == nullptr ? "" : found->name;
    const bool passes = port.port_kind == "bridge" && port.carrier && port.forwarding;
    if (found == nullptr || !passes || port.peer_in_other_namespace || port.kind == "tun") continue;
    interfaces_[found - interfaces_.data()].ports.push_back({port.index, port.carrier_changes});
  }
}

absl::StatusOr<InterfaceTable> InterfaceTable::Read() {
  std::vector<Interface> interfaces;
  const absl::Status status =
      netlink::Uninterrupted("read the interfaces", [&](mnl_socket* socket) { return ReadOnce(socket, &interfaces); });
  if (!status.ok()) return status;
  MarkUplinks(&interfaces);
  return InterfaceTable(std::move(interfaces));
}

const Interface* InterfaceTable::FindByName(std::string_view name) const {
  for (const Interface& interface : interfaces_) {
    if (interface.IsCalled(name)) return &interface;
  }
  return nullptr;
}

const Interface* InterfaceTable::FindByIndex(uint32_t index) const {
  const auto at =
      std::lower_bound(interfaces_.begin(), interfaces_.end(), index,
                       [](const Interface& interface, uint32_t sought) { return interface.index < sought; });
  return at != interfaces_.end() && at->index == index ? &*at : nullptr;
}

std::vector<const Interface*> InterfaceTable::FindByAddress(const IpAddress& address) const {
  std::vector<const Interface*> found;
  for (const Interface& interface : interfaces_) {
    const auto is_it = [&](const InterfaceAddress& candidate) { return candidate.address == address; };
    if (std::any_of(interface.addresses.begin(), interface.addresses.end(), is_it)) found.push_back(&interface);
  }
  return found;
}

std::vector<const Interface*> InterfaceTable::FindBySelector(std::string_view name_or_address) const {
  if (const std::optional<IpAddress> address = IpAddress::ParseIfAny(name_or_address)) return FindByAddress(*address);
  const Interface* const found = FindByName(name_or_address);
  return found == nullptr ? std::vector<const Interface*>() : std::vector<const Interface*>{found};
}

namespace {

struct BestRoute {
  uint32_t index = 0;
  uint32_t metric = std::numeric_limits<uint32_t>::max();
};

void ConsiderDefaultRoute(const nlmsghdr& message, BestRoute* best) {
  if (message.nlmsg_type != RTM_NEWROUTE) return;
  const auto* route = static_cast<const rtmsg*>(mnl_nlmsg_get_payload(&message));
  if (route->rtm_dst_len != 0 || route->rtm_type != RTN_UNICAST) return;
  if ((route->rtm_flags & (RTNH_F_DEAD | RTM_F_CLONED)) != 0) return;
  const auto attributes = AttributesOf<RTA_TABLE>(message, sizeof(*route));
  const uint32_t table = attributes[RTA_TABLE] ? mnl_attr_get_u32(attributes[RTA_TABLE]) : route->rtm_table;
  if (table != RT_TABLE_MAIN) return;
  const uint32_t metric = attributes[RTA_PRIORITY] ? mnl_attr_get_u32(attributes[RTA_PRIORITY]) : 0;
  uint32_t index = attributes[RTA_OIF] ? mnl_attr_get_u32(attributes[RTA_OIF]) : 0;
  const nlattr* const hops = attributes[RTA_MULTIPATH];
  if (index == 0 && hops != nullptr && mnl_attr_get_payload_len(hops) >= sizeof(rtnexthop)) {
    index = static_cast<uint32_t>(static_cast<const rtnexthop*>(mnl_attr_get_payload(hops))->rtnh_ifindex);
  }
  if (index != 0 && (best->index == 0 || metric < best->metric)) *best = {index, metric};
}

class NetlinkInterfaceWatch final : public InterfaceWatch {
 public:
  explicit NetlinkInterfaceWatch(MnlSocket socket) : socket_(std::move(socket)) {}

  int fd() const override { return mnl_socket_get_fd(socket_.get()); }

 protected:
  void Drain(InterfaceChanges* changes) override {
    for (int i = 0; i < kMaxMessagesPerDrain; ++i) {
      alignas(nlmsghdr) char buffer[netlink::kAnswerBytes];
      const ssize_t length = mnl_socket_recvfrom(socket_.get(), buffer, sizeof(buffer));
      if (length < 0 && errno == EAGAIN) break;
      if (length < 0 && errno == EINTR) continue;
      // ENOBUFS: messages were lost. ENOSPC: this message did not fit and is lost.
      changes->any |= length < 0;
      if (length > 0) Note(buffer, static_cast<int>(length), changes);
    }
  }

 private:
  static void Note(const char* buffer, int length, InterfaceChanges* changes) {
    const auto* message = reinterpret_cast<const nlmsghdr*>(buffer);
    for (; mnl_nlmsg_ok(message, length); message = mnl_nlmsg_next(message, &length)) {
      switch (message->nlmsg_type) {
        case RTM_NEWLINK:
        case RTM_DELLINK:
          NoteLink(*message, changes);
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
    }
  }

  static void NoteLink(const nlmsghdr& message, InterfaceChanges* changes) {
    changes->any = true;
    const auto* link = static_cast<const ifinfomsg*>(mnl_nlmsg_get_payload(&message));
    // A bridge announces its ports in messages of its own family: leaving the bridge is not a deletion.
    if (link->ifi_family != AF_UNSPEC) return;
    const auto index = static_cast<uint32_t>(link->ifi_index);
    if (message.nlmsg_type == RTM_DELLINK) {
      changes->deleted.insert(index);
      return;
    }
    // A link is created down; that does not count as going down.
    const bool went_down = link->ifi_change != kMade && (link->ifi_change & IFF_UP) != 0;
    if (went_down && (link->ifi_flags & IFF_UP) == 0) changes->down.insert(index);
    if (ReadLink(message).ReceivesForMaster()) changes->enslaved.insert(index);
  }

  const MnlSocket socket_;
};

}  // namespace

absl::StatusOr<uint32_t> DefaultRouteInterface(Family family) {
  BestRoute best;
  const absl::Status status = netlink::Uninterrupted("read the routes", [&](mnl_socket* socket) {
    best = {};
    return netlink::Dump(socket, RTM_GETROUTE, AddressFamily(family), sizeof(rtmsg),
                         [&](const nlmsghdr& message) { ConsiderDefaultRoute(message, &best); });
  });
  if (!status.ok()) return status;
  if (best.index != 0) return best.index;
  return Error(Reason::kNoRoute, "", absl::StrCat("the host has no ", ToAbsl(FamilyName(family)), " default route"));
}

void InterfaceChanges::Add(InterfaceChanges other) {
  any |= other.any;
  deleted.merge(other.deleted);
  down.merge(other.down);
  enslaved.merge(other.enslaved);
}

bool InterfaceWatch::Hear() {
  MutexLock lock(&mutex_);
  Drain(&heard_);
  return heard_.any;
}

InterfaceChanges InterfaceWatch::Take() {
  MutexLock lock(&mutex_);
  Drain(&heard_);
  return std::exchange(heard_, {});
}

absl::StatusOr<std::unique_ptr<InterfaceWatch>> InterfaceWatch::Create(size_t receive_buffer_bytes, Scope scope) {
  constexpr unsigned kInterfaceGroups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR;
  absl::StatusOr<MnlSocket> socket =
      netlink::Open(SOCK_NONBLOCK, kInterfaceGroups | (scope == Scope::kInterfacesAndRoutes ? kRouteGroups : 0));
  if (!socket.ok()) return socket.status();
  const int fd = mnl_socket_get_fd(socket->get());
  const auto bytes = static_cast<int>(receive_buffer_bytes == 0 ? kWatchBufferBytes : receive_buffer_bytes);
  // SO_RCVBUFFORCE exceeds the host's limit if the process may; SO_RCVBUF stays within it. A smaller buffer only loses
  // messages sooner.
  if (receive_buffer_bytes != 0 || setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes)) != 0) {
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
  }
  return std::make_unique<NetlinkInterfaceWatch>(*std::move(socket));
}

}  // namespace mcgw::net
