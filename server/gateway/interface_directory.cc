#include "server/gateway/interface_directory.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_join.h"
#include "server/net/status.h"
#include "server/net/text.h"

namespace mcgw::gateway {
namespace {

using net::Error;
using net::Family;
using net::Interface;
using net::InterfaceTable;
using net::IpAddress;
using net::Reason;

std::string Names(const std::vector<Interface>& interfaces) {
  return absl::StrJoin(interfaces, ", ",
                       [](std::string* out, const Interface& interface) { out->append(interface.name); });
}

// The host's end of a container's veth pair has no network of its own: no address at all, link-local ones, or one host
// route per container. The container's end, and a veth between test hosts, has.
bool IsHostSideOfContainer(const Interface& interface) {
  if (interface.kind != "veth" || !interface.peer_in_other_namespace) return false;
  return std::none_of(interface.addresses.begin(), interface.addresses.end(), [](const net::InterfaceAddress& address) {
    const int full_length = address.address.is_v4() ? 32 : 128;
    return !address.address.IsLinkLocalUnicast() && address.prefix_length < full_length;
  });
}

}  // namespace

InterfaceDirectory::InterfaceDirectory(HostInterfaces host, std::vector<std::string> permitted,
                                       std::string default_interface)
    : host_(std::move(host)),
      permitted_(std::move(permitted)),
      default_interface_(std::move(default_interface)),
      table_(std::make_shared<InterfaceTable>()) {}

absl::Status InterfaceDirectory::Refresh() {
  absl::StatusOr<InterfaceTable> table = host_.read_table();
  if (!table.ok()) return table.status();
  auto shared = std::make_shared<const InterfaceTable>(*std::move(table));
  net::MutexLock lock(&mutex_);
  table_ = std::move(shared);
  return absl::OkStatus();
}

std::shared_ptr<const InterfaceTable> InterfaceDirectory::table() const {
  net::MutexLock lock(&mutex_);
  return table_;
}

bool InterfaceDirectory::IsPermitted(std::string_view name) const {
  return permitted_.empty() || std::find(permitted_.begin(), permitted_.end(), name) != permitted_.end();
}

std::vector<InterfaceDirectory::Exclusion> InterfaceDirectory::StarExclusions(const Interface& interface,
                                                                              Family family) const {
  std::vector<Exclusion> exclusions;
  if (!IsPermitted(interface.name)) exclusions.push_back(Exclusion::kNotPermitted);
  if (!interface.up) exclusions.push_back(Exclusion::kDown);
  if (!interface.multicast) exclusions.push_back(Exclusion::kNoMulticast);
  if (!interface.HasAddress(family)) exclusions.push_back(Exclusion::kNoAddress);
  if (interface.master_index != 0) exclusions.push_back(Exclusion::kEnslaved);
  if (interface.loopback) exclusions.push_back(Exclusion::kLoopback);
  if (IsHostSideOfContainer(interface)) exclusions.push_back(Exclusion::kContainerVeth);
  return exclusions;
}

std::vector<Interface> InterfaceDirectory::Eligible(Family family) const {
  std::vector<Interface> eligible;
  const std::shared_ptr<const InterfaceTable> current = table();
  for (const Interface& interface : current->interfaces()) {
    if (StarExclusions(interface, family).empty()) eligible.push_back(interface);
  }
  return eligible;
}

absl::StatusOr<Interface> InterfaceDirectory::ResolveNamed(std::string_view selector) {
  const absl::StatusOr<IpAddress> address = IpAddress::Parse(selector);
  for (bool fresh : {false, true}) {
    if (fresh) {
      if (absl::Status status = Refresh(); !status.ok()) return status;
    }
    const std::shared_ptr<const InterfaceTable> current = table();
    const Interface* const found = address.ok() ? current->FindByAddress(*address) : current->FindByName(selector);
    if (found == nullptr) continue;
    if (!IsPermitted(found->name)) {
      return Error(Reason::kInterfaceNotAllowed, "interface",
                   net::StrCat("interface ", found->name, " is not one that this gateway may use (",
                               absl::StrJoin(permitted_, ", "), ")"));
    }
    return *found;
  }
  return Error(Reason::kInterfaceNotFound, "interface",
               net::StrCat(address.ok() ? "no interface of the gateway's host has the address "
                                        : "the gateway's host has no interface ",
                           selector, "; it has ", Names(table()->interfaces())));
}

absl::StatusOr<Interface> InterfaceDirectory::ResolveDefault(const IpAddress& group) {
  if (!default_interface_.empty()) return ResolveNamed(default_interface_);
  absl::StatusOr<uint32_t> index = absl::NotFoundError("");
  if (group.is_v4()) {
    index = host_.route(group);
    if (!index.ok()) {
      return Error(Reason::kNoRoute, "interface",
                   net::StrCat("the gateway's host has no route to ", group.ToString(),
                               ": name an interface, or give the host one: ip route add 224.0.0.0/4 dev INTERFACE"));
    }
  } else {
    const std::vector<Interface> eligible = Eligible(group.family());
    if (eligible.size() == 1) return eligible.front();
    index = host_.default_route(group.family());
    if (!index.ok()) {
      return Error(Reason::kInterfaceAmbiguous, "interface",
                   eligible.empty()
                       ? std::string("no interface is named, and none of the host's fits: name one")
                       : net::StrCat("no interface is named, and several fit (", Names(eligible), "): name one"));
    }
  }
  for (bool fresh : {false, true}) {
    if (fresh) {
      if (absl::Status status = Refresh(); !status.ok()) return status;
    }
    const std::shared_ptr<const InterfaceTable> current = table();
    if (const Interface* found = current->FindByIndex(*index); found != nullptr) return ResolveNamed(found->name);
  }
  return Error(Reason::kInterfaceNotFound, "interface",
               net::StrCat("the interface of the route to ", group.ToString(), " has gone"));
}

uint32_t InterfaceDirectory::DefaultIndex(Family family) {
  // Any group will do: the site-local scope of each family.
  const absl::StatusOr<IpAddress> group = IpAddress::Parse(family == Family::kIpv4 ? "239.255.0.1" : "ff15::1");
  const absl::StatusOr<Interface> interface = ResolveDefault(*group);
  return interface.ok() ? interface->index : 0;
}

absl::StatusOr<std::vector<Interface>> InterfaceDirectory::Resolve(std::string_view selector, const IpAddress& group) {
  if (selector == "*") {
    if (absl::Status status = Refresh(); !status.ok()) return status;
    return Eligible(group.family());
  }
  absl::StatusOr<Interface> one = selector.empty() ? ResolveDefault(group) : ResolveNamed(selector);
  if (!one.ok()) return one.status();
  return std::vector<Interface>{*std::move(one)};
}

}  // namespace mcgw::gateway
