#include "server/net/interface_table.h"

#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/net/interface_messages.h"
#include "server/net/netlink.h"
#include "server/net/route_lookup.h"
#include "server/net/status.h"
#include "server/net/text.h"
#include "server/net/utf8.h"

namespace mcgw::net {

using netlink::AddressFamily;
using netlink::MnlSocket;

namespace {

constexpr int kMaxMessagesPerDrain =
    16'384;  // More than the buffer holds. Keeps a storm of changes from holding the loop.
constexpr size_t kWatchBufferBytes = 4 << 20;
constexpr unsigned GroupBit(rtnetlink_groups group) { return 1U << (group - 1); }
constexpr unsigned kRouteGroups =
    RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_ROUTE | RTMGRP_IPV4_RULE | GroupBit(RTNLGRP_IPV6_RULE) | GroupBit(RTNLGRP_NEXTHOP);

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
    if (message.nlmsg_type != RTM_NEWLINK) return;
    if (std::optional<Interface> link = netlink::ReadLink(message)) interfaces->push_back(*std::move(link));
  });
  if (error != 0) return error;
  return netlink::Dump(socket, RTM_GETADDR, AF_UNSPEC, sizeof(ifaddrmsg), [&](const nlmsghdr& message) {
    if (message.nlmsg_type == RTM_NEWADDR) netlink::ReadAddress(message, interfaces);
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
      if (length > 0) netlink::NoteChanges(std::string_view(buffer, static_cast<size_t>(length)), changes);
    }
  }

 private:
  const MnlSocket socket_;
};

}  // namespace

absl::StatusOr<uint32_t> DefaultRouteInterface(Family family) {
  netlink::BestRoute best;
  const absl::Status status = netlink::Uninterrupted("read the routes", [&](mnl_socket* socket) {
    best = {};
    return netlink::Dump(socket, RTM_GETROUTE, AddressFamily(family), sizeof(rtmsg),
                         [&](const nlmsghdr& message) { netlink::ConsiderDefaultRoute(message, &best); });
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
