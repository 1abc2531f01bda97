#include "server/net/interface_table.h"

#include <linux/if_addr.h>
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
#include "server/net/status.h"
#include "server/net/text.h"

namespace mcgw::net {

using netlink::AddressFamily;
using netlink::AddressIn;
using netlink::AttributesIn;
using netlink::AttributesOf;
using netlink::MnlSocket;

namespace {

constexpr int kMaxMessagesPerDrain = 256;  // So that a storm of changes cannot hold the loop.
constexpr size_t kWatchBufferBytes = 4 << 20;
constexpr char kNoQueue[] = "noop";  // The queueing discipline of a link that is not in operation: it drops all.

// "02:00:00:00:00:01"; empty where there is none, or only zeros as on the loopback.
std::string MacText(const nlattr* attribute) {
  std::string text;
  if (attribute == nullptr) return text;
  const auto* const bytes = static_cast<const uint8_t*>(mnl_attr_get_payload(attribute));
  const size_t size = mnl_attr_get_payload_len(attribute);
  if (std::all_of(bytes, bytes + size, [](uint8_t byte) { return byte == 0; })) return text;
  for (size_t i = 0; i < size; ++i) absl::StrAppendFormat(&text, "%s%02x", i == 0 ? "" : ":", bytes[i]);
  return text;
}

// IFLA_AF_SPEC: a family that is off altogether is left out.
bool IsIpv6On(const nlattr* families) {
  const nlattr* const ipv6 = AttributesIn<AF_INET6>(families)[AF_INET6];
  if (ipv6 == nullptr) return false;
  const nlattr* const settings = AttributesIn<IFLA_INET6_CONF>(ipv6)[IFLA_INET6_CONF];
  int32_t disabled = 0;
  constexpr size_t kAt = DEVCONF_DISABLE_IPV6 * sizeof(disabled);
  if (settings == nullptr || mnl_attr_get_payload_len(settings) < kAt + sizeof(disabled)) return true;
  std::memcpy(&disabled, static_cast<const char*>(mnl_attr_get_payload(settings)) + kAt, sizeof(disabled));
  return disabled == 0;
}

Interface ReadLink(const nlmsghdr& message) {
  const auto* link = static_cast<const ifinfomsg*>(mnl_nlmsg_get_payload(&message));
  const auto attributes = AttributesOf<IFLA_LINK_NETNSID>(message, sizeof(*link));
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
  if (const nlattr* const families = attributes[IFLA_AF_SPEC]) result.ipv6 = IsIpv6On(families);
  if (const nlattr* const name = attributes[IFLA_IFNAME]) result.name = mnl_attr_get_str(name);
  result.mac_address = MacText(attributes[IFLA_ADDRESS]);
  if (const nlattr* const mtu = attributes[IFLA_MTU]) result.mtu_bytes = mnl_attr_get_u32(mtu);
  if (const nlattr* const master = attributes[IFLA_MASTER]) result.master_index = mnl_attr_get_u32(master);
  result.peer_in_other_namespace = attributes[IFLA_LINK_NETNSID] != nullptr;
  const auto info = AttributesIn<IFLA_INFO_SLAVE_KIND>(attributes[IFLA_LINKINFO]);
  if (info[IFLA_INFO_KIND] != nullptr) result.kind = mnl_attr_get_str(info[IFLA_INFO_KIND]);
  if (info[IFLA_INFO_SLAVE_KIND] != nullptr) result.port_kind = mnl_attr_get_str(info[IFLA_INFO_SLAVE_KIND]);
  return result;
}

void ReadAddress(const nlmsghdr& message, std::vector<Interface>* interfaces) {
  const auto* header = static_cast<const ifaddrmsg*>(mnl_nlmsg_get_payload(&message));
  const auto attributes = AttributesOf<IFA_FLAGS>(message, sizeof(*header));
  const uint32_t flags = attributes[IFA_FLAGS] ? mnl_attr_get_u32(attributes[IFA_FLAGS]) : header->ifa_flags;
  // Duplicate address detection has not passed (yet): the kernel would not send from it.
  const bool tentative = (flags & IFA_F_TENTATIVE) != 0 && (flags & IFA_F_OPTIMISTIC) == 0;
  if (tentative || (flags & IFA_F_DADFAILED) != 0) return;
  // On point-to-point links IFA_ADDRESS is the other end and IFA_LOCAL this one.
  std::optional<IpAddress> address = AddressIn(attributes[IFA_LOCAL]);
  if (!address) address = AddressIn(attributes[IFA_ADDRESS]);
  if (!address) return;
  for (Interface& interface : *interfaces) {
    if (interface.index == header->ifa_index) interface.addresses.push_back({*address, header->ifa_prefixlen});
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

bool Interface::HasAddress(Family family) const { return FirstAddress(family).has_value(); }

std::optional<IpAddress> Interface::FirstAddress(Family family) const {
  std::optional<IpAddress> link_local;
  for (const InterfaceAddress& candidate : addresses) {
    if (candidate.address.family() != family) continue;
    if (family == Family::kIpv4 || !candidate.address.IsLinkLocalUnicast()) return candidate.address;
    if (!link_local) link_local = candidate.address;
  }
  return link_local;
}

InterfaceTable::InterfaceTable(std::vector<Interface> interfaces) : interfaces_(std::move(interfaces)) {
  std::sort(interfaces_.begin(), interfaces_.end(),
            [](const Interface& a, const Interface& b) { return a.index < b.index; });
}

absl::StatusOr<InterfaceTable> InterfaceTable::Read() {
  std::vector<Interface> interfaces;
  const absl::Status status =
      netlink::Uninterrupted("read the interfaces", [&](mnl_socket* socket) { return ReadOnce(socket, &interfaces); });
  if (!status.ok()) return status;
  return InterfaceTable(std::move(interfaces));
}

const Interface* InterfaceTable::FindByName(std::string_view name) const {
  for (const Interface& interface : interfaces_) {
    if (interface.name == name) return &interface;
  }
  return nullptr;
}

const Interface* InterfaceTable::FindByIndex(uint32_t index) const {
  for (const Interface& interface : interfaces_) {
    if (interface.index == index) return &interface;
  }
  return nullptr;
}

const Interface* InterfaceTable::FindByAddress(const IpAddress& address) const {
  for (const Interface& interface : interfaces_) {
    for (const InterfaceAddress& held : interface.addresses) {
      if (held.address == address) return &interface;
    }
  }
  return nullptr;
}

absl::StatusOr<uint32_t> RouteInterface(const IpAddress& destination) {
  absl::StatusOr<MnlSocket> socket = netlink::Open(0, 0);
  if (!socket.ok()) return socket.status();
  alignas(nlmsghdr) char buffer[MNL_NLMSG_HDRLEN + 64] = {};
  nlmsghdr* const request = mnl_nlmsg_put_header(buffer);
  request->nlmsg_type = RTM_GETROUTE;
  request->nlmsg_flags = NLM_F_REQUEST;
  auto* const route = static_cast<rtmsg*>(mnl_nlmsg_put_extra_header(request, sizeof(rtmsg)));
  route->rtm_family = static_cast<unsigned char>(AddressFamily(destination.family()));
  route->rtm_dst_len = static_cast<unsigned char>(destination.bytes().size() * 8);
  mnl_attr_put(request, RTA_DST, destination.bytes().size(), destination.bytes().data());

  uint32_t index = 0;
  const int error = netlink::Ask(socket->get(), request, [&](const nlmsghdr& message) {
    if (message.nlmsg_type != RTM_NEWROUTE) return;
    const unsigned char type = static_cast<const rtmsg*>(mnl_nlmsg_get_payload(&message))->rtm_type;
    if (type == RTN_UNREACHABLE || type == RTN_BLACKHOLE || type == RTN_PROHIBIT) return;
    const auto attributes = AttributesOf<RTA_OIF>(message, sizeof(rtmsg));
    if (attributes[RTA_OIF] != nullptr) index = mnl_attr_get_u32(attributes[RTA_OIF]);
  });
  if (index != 0) return index;
  switch (error) {
    case 0:
    case ENETUNREACH:
    case EHOSTUNREACH:
    case EACCES:
    case EINVAL:
    case ENODEV:
      return ErrnoError(
          error, Reason::kNoRoute, "",
          absl::StrCat("the host has no route to ", destination.ToString(), ": name an interface, or add a route"));
    default:
      return ErrnoStatus(error, absl::StrCat("look up the route to ", destination.ToString()));
  }
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

  void Drain(InterfaceChanges* changes) override {
    for (int i = 0; i < kMaxMessagesPerDrain; ++i) {
      alignas(nlmsghdr) char buffer[netlink::kAnswerBytes];
      const ssize_t length = mnl_socket_recvfrom(socket_.get(), buffer, sizeof(buffer));
      if (length < 0 && errno == EAGAIN) break;
      if (length < 0 && errno == EINTR) continue;
      // ENOBUFS: messages were lost. So was one that does not fit (ENOSPC).
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
    // A bridge tells of its ports in messages of its own: leaving the bridge is no deletion.
    if (link->ifi_family != AF_UNSPEC) return;
    const auto index = static_cast<uint32_t>(link->ifi_index);
    if (message.nlmsg_type == RTM_DELLINK) {
      changes->deleted.insert(index);
    } else if ((link->ifi_flags & IFF_UP) == 0) {
      changes->down.insert(index);
    }
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

absl::StatusOr<std::unique_ptr<InterfaceWatch>> InterfaceWatch::Create(size_t receive_buffer_bytes) {
  absl::StatusOr<MnlSocket> socket =
      netlink::Open(SOCK_NONBLOCK, RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR);
  if (!socket.ok()) return socket.status();
  const int fd = mnl_socket_get_fd(socket->get());
  const auto bytes = static_cast<int>(receive_buffer_bytes == 0 ? kWatchBufferBytes : receive_buffer_bytes);
  // Past the host's limit where the process may; if not, up to it. A smaller buffer only loses messages sooner.
  if (receive_buffer_bytes != 0 || setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes)) != 0) {
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
  }
  return std::make_unique<NetlinkInterfaceWatch>(*std::move(socket));
}

}  // namespace mcgw::net
