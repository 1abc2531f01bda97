#include "server/gateway/interface_directory.h"

#include <net/if.h>

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
  uint64_t reading = 0;
  {
    net::MutexLock lock(&mutex_);
    reading = ++last_reading_;
  }
  absl::StatusOr<InterfaceTable> table = host_.read_table();
  if (!table.ok()) return table.status();
  auto shared = std::make_shared<const InterfaceTable>(*std::move(table));
  net::MutexLock lock(&mutex_);
  if (reading < table_reading_) return absl::OkStatus();
  table_reading_ = reading;
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

std::vector<Interface> InterfaceDirectory::Eligible(const InterfaceTable& table, Family family) const {
  std::vector<Interface> eligible;
  for (const Interface& interface : table.interfaces()) {
    if (StarExclusions(interface, family).empty()) eligible.push_back(interface);
  }
  return eligible;
}

absl::Status InterfaceDirectory::NotAllowed(std::string_view name) const {
  return Error(
      Reason::kInterfaceNotAllowed, "interface",
      net::StrCat("interface ", name, " is not one that this gateway may use (", absl::StrJoin(permitted_, ", "), ")"));
}

absl::StatusOr<Interface> InterfaceDirectory::ResolveNamed(const InterfaceTable& table,
                                                           std::string_view selector) const {
  const std::optional<IpAddress> address = IpAddress::ParseIfAny(selector);
  const Interface* const found = address.has_value() ? table.FindByAddress(*address) : table.FindByName(selector);
  if (found == nullptr) {
    return Error(Reason::kInterfaceNotFound, "interface",
                 net::StrCat(address.has_value() ? "no interface of the gateway's host has the address "
                                                 : "the gateway's host has no interface ",
                             selector, "; it has ", Names(table.interfaces())));
  }
  if (!IsPermitted(found->name)) return NotAllowed(found->name);
  return *found;
}

absl::StatusOr<Interface> InterfaceDirectory::ResolveDefault(const InterfaceTable& table,
                                                             const IpAddress& group) const {
  if (!default_interface_.empty()) return ResolveNamed(table, default_interface_);
  absl::StatusOr<uint32_t> index = absl::NotFoundError("");
  if (group.is_v4()) {
    index = host_.route(group);
    if (!index.ok()) {
      return Error(Reason::kNoRoute, "interface",
                   net::StrCat("the gateway's host has no route to ", group.ToString(),
                               ": name an interface, or give the host one: ip route add 224.0.0.0/4 dev INTERFACE"));
    }
  } else {
    const std::vector<Interface> eligible = Eligible(table, group.family());
    if (eligible.size() == 1) return eligible.front();
    index = host_.default_route(group.family());
    if (!index.ok()) {
      return Error(Reason::kInterfaceAmbiguous, "interface",
                   eligible.empty()
                       ? std::string("no interface is named, and none of the host's fits: name one")
                       : net::StrCat("no interface is named, and several fit (", Names(eligible), "): name one"));
    }
  }
  if (const Interface* found = table.FindByIndex(*index); found != nullptr) return ResolveNamed(table, found->name);
  return Error(Reason::kInterfaceNotFound, "interface",
               net::StrCat("the interface of the route to ", group.ToString(), " has gone"));
}

uint32_t InterfaceDirectory::DefaultIndex(Family family) {
  // Any group will do: the site-local scope of each family.
  const absl::StatusOr<IpAddress> group = IpAddress::Parse(family == Family::kIpv4 ? "239.255.0.1" : "ff15::1");
  const absl::StatusOr<std::vector<Interface>> interfaces = Resolve("", *group);
  return interfaces.ok() ? interfaces->front().index : 0;
}

absl::StatusOr<std::vector<Interface>> InterfaceDirectory::ResolveIn(const InterfaceTable& table,
                                                                     std::string_view selector,
                                                                     const IpAddress& group) const {
  if (selector == "*") return Eligible(table, group.family());
  absl::StatusOr<Interface> one = selector.empty() ? ResolveDefault(table, group) : ResolveNamed(table, selector);
  if (!one.ok()) return one.status();
  std::vector<Interface> interfaces;  // An initializer list would copy.
  interfaces.push_back(*std::move(one));
  return interfaces;
}

absl::StatusOr<std::vector<Interface>> InterfaceDirectory::Resolve(std::string_view selector, const IpAddress& group) {
  if (selector != "*") {
    absl::StatusOr<std::vector<Interface>> known = ResolveIn(*table(), selector, group);
    if (known.ok() || net::ReasonOf(known.status()) != Reason::kInterfaceNotFound) return known;
  }
  if (absl::Status status = Refresh(); !status.ok()) return status;
  return ResolveIn(*table(), selector, group);
}

absl::StatusOr<std::optional<std::string>> InterfaceDirectory::AwaitedName(std::string_view selector) const {
  if (IpAddress::Parse(selector).ok()) return std::optional<std::string>();
  const std::string name = selector.empty() ? default_interface_ : std::string(selector);
  if (name.empty())
    return Error(Reason::kInterfaceNotFound, "interface", "no interface is named, and there is no default");
  const bool can_be = name.size() < IFNAMSIZ && name != "." && name != ".." &&
                      std::none_of(name.begin(), name.end(),
                                   [](char c) { return c == '/' || c == ':' || c == ' ' || !net::IsPrintable(c); });
  if (!can_be) {
    return Error(Reason::kInterfaceNotFound, "interface",
                 net::StrCat("'", name, "' can be no interface's name: 1 to ", IFNAMSIZ - 1,
                             " printable characters of ASCII without '/', ':' and spaces"));
  }
  if (!IsPermitted(name)) return NotAllowed(name);
  return std::optional<std::string>(name);
}

}  // namespace mcgw::gateway
