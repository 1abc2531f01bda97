#include "server/gateway/interfaces/interface_directory.h"

#include <poll.h>

#include <algorithm>
#include <iterator>
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

constexpr size_t kMostRoutes = 20'000;          // The default maximum of channels; beyond it the cache is cleared.
constexpr size_t kWatchBufferBytes = 64 << 10;  // It only needs to notice that something changed.
constexpr size_t kMostNameBytes = 127;          // Of an alternative name; an ordinary one has at most 15.

std::vector<std::string> Names(const std::vector<const Interface*>& interfaces) {
  std::vector<std::string> names;
  names.reserve(interfaces.size());
  for (const Interface* interface : interfaces) names.push_back(interface->name);
  return names;
}

std::vector<std::string> AllNames(const InterfaceTable& table) {
  std::vector<std::string> names;
  for (const Interface& interface : table.interfaces()) names.push_back(interface.name);
  return names;
}

// The host's end of a container's veth pair has no network of its own: no address, link-local addresses, or one host
// route per container. The container's end has one, and so has a veth between test hosts.
bool IsHostSideOfContainer(const Interface& interface) {
  if (interface.kind != "veth" || !interface.peer_in_other_namespace) return false;
  // A pod's own end may have no network either, but it leads to one.
  if (interface.uplink) return false;
  return std::none_of(interface.addresses.begin(), interface.addresses.end(), [](const net::InterfaceAddress& address) {
    const int full_length = address.address.is_v4() ? 32 : 128;
    return !address.address.IsLinkLocalUnicast() && address.prefix_length < full_length;
  });
}

}  // namespace

std::unique_ptr<net::InterfaceWatch> HostInterfaces::WatchHost() {
  auto watch = net::InterfaceWatch::Create(kWatchBufferBytes, net::InterfaceWatch::Scope::kInterfacesAndRoutes);
  return watch.ok() ? *std::move(watch) : nullptr;
}

InterfaceDirectory::InterfaceDirectory(HostInterfaces host, std::vector<std::string> permitted,
                                       std::string default_interface)
    : host_(std::move(host)),
      permitted_(std::move(permitted)),
      default_interface_(std::move(default_interface)),
      watch_(host_.watch_changes ? host_.watch_changes() : nullptr),
      table_(std::make_shared<InterfaceTable>()) {}

// ---- What the kernel has answered ----

bool InterfaceDirectory::HasNews() const {
  if (watch_ == nullptr) return true;
  pollfd descriptor = {.fd = watch_->fd(), .events = POLLIN, .revents = 0};
  return poll(&descriptor, 1, 0) != 0;
}

void InterfaceDirectory::TakeNews() {
  bool any = watch_ == nullptr;
  while (watch_ != nullptr && HasNews()) any |= watch_->Take().any;
  if (!any) return;
  ++changes_;
  routes_.clear();
}

absl::Status InterfaceDirectory::Refresh() {
  const bool news = HasNews();
  uint64_t reading = 0;
  uint64_t changes = 0;
  {
    net::MutexLock lock(&mutex_);
    if (news) TakeNews();
    reading = ++last_reading_;
    changes = changes_;
    routes_.clear();  // Changes that the watch does not report (a sysctl) count too.
  }
  absl::StatusOr<InterfaceTable> table = host_.read_table();
  if (!table.ok()) return table.status();
  auto shared = std::make_shared<const InterfaceTable>(*std::move(table));
  Interfaces eligible[] = {FindEligible(*shared, Family::kIpv4), FindEligible(*shared, Family::kIpv6)};
  net::MutexLock lock(&mutex_);
  if (reading < table_reading_) return absl::OkStatus();
  table_reading_ = reading;
  table_changes_ = changes;
  table_ = std::move(shared);
  std::move(std::begin(eligible), std::end(eligible), eligible_);
  return absl::OkStatus();
}

InterfaceDirectory::Table InterfaceDirectory::table() const {
  net::MutexLock lock(&mutex_);
  return table_;
}

bool InterfaceDirectory::IsCurrent(const Table& table) {
  const bool news = HasNews();
  net::MutexLock lock(&mutex_);
  if (news) TakeNews();
  return table == table_ && table_changes_ == changes_;
}

absl::StatusOr<InterfaceDirectory::Table> InterfaceDirectory::CurrentTable() {
  const bool news = HasNews();
  {
    net::MutexLock lock(&mutex_);
    if (news) TakeNews();
    if (table_changes_ == changes_) return table_;
  }
  if (absl::Status status = Refresh(); !status.ok()) return status;
  return table();
}

bool InterfaceDirectory::CatchUp() {
  const Table before = table();
  const absl::StatusOr<Table> current = CurrentTable();
  return current.ok() && *current != before;
}

absl::StatusOr<net::Route> InterfaceDirectory::Remembered(const IpAddress& destination,
                                                          const std::function<absl::StatusOr<net::Route>()>& ask) {
  const bool news = HasNews();
  uint64_t changes = 0;
  {
    net::MutexLock lock(&mutex_);
    if (news) TakeNews();
    if (const auto at = routes_.find(destination); at != routes_.end()) return at->second;
    changes = changes_;
  }
  absl::StatusOr<net::Route> route = ask();
  if (!route.ok()) return route;
  net::MutexLock lock(&mutex_);
  // Something may have changed meanwhile, and another thread may have read the watch's news.
  if (changes != changes_) return route;
  if (routes_.size() >= kMostRoutes) routes_.clear();
  routes_.insert_or_assign(destination, *route);
  return route;
}

// ---- What "*" takes ----

bool InterfaceDirectory::IsPermitted(const Interface& interface) const {
  return permitted_.empty() || std::any_of(permitted_.begin(), permitted_.end(),
                                           [&](const std::string& name) { return interface.IsCalled(name); });
}

std::vector<InterfaceDirectory::Exclusion> InterfaceDirectory::StarExclusions(const Interface& interface,
                                                                              Family family) const {
  std::vector<Exclusion> exclusions;
  if (!IsPermitted(interface)) exclusions.push_back(Exclusion::kNotPermitted);
  if (!interface.up) exclusions.push_back(Exclusion::kDown);
  if (!interface.multicast || !interface.carries_multicast) exclusions.push_back(Exclusion::kNoMulticast);
  if (!interface.HasAddress(family)) exclusions.push_back(Exclusion::kNoAddress);
  // A VRF takes nothing from its ports: it only has them look up routes in its own table.
  if (interface.master_index != 0 && !interface.IsInVrf()) exclusions.push_back(Exclusion::kEnslaved);
  if (interface.loopback) exclusions.push_back(Exclusion::kLoopback);
  if (IsHostSideOfContainer(interface)) exclusions.push_back(Exclusion::kContainerVeth);
  if (interface.kind == "vrf") exclusions.push_back(Exclusion::kVrf);
  return exclusions;
}

std::string_view InterfaceDirectory::Text(Exclusion exclusion) {
  switch (exclusion) {
    case Exclusion::kNotPermitted:
      return "the configuration does not permit it";
    case Exclusion::kDown:
      return "it is down";
    case Exclusion::kNoMulticast:
      return "it lacks the MULTICAST flag";
    case Exclusion::kNoAddress:
      return "it has no address of the family";
    case Exclusion::kEnslaved:
      return "it is enslaved to another device";
    case Exclusion::kLoopback:
      return "it is the loopback";
    case Exclusion::kContainerVeth:
      return "it is the host's side of a container's veth pair";
    case Exclusion::kVrf:
      return "it is a VRF, and datagrams arrive on its ports";
  }
  return "";
}

std::string InterfaceDirectory::LeftOut(const InterfaceTable& table, Family family) const {
  std::vector<std::string> texts;
  for (const Interface& interface : table.interfaces()) {
    const std::vector<Exclusion> exclusions = StarExclusions(interface, family);
    if (exclusions.empty()) continue;
    const std::string why =
        absl::StrJoin(exclusions, " and ", [](std::string* out, Exclusion exclusion) { out->append(Text(exclusion)); });
    texts.push_back(net::StrCat(interface.name, " (", why, ")"));
  }
  return net::ListText(texts);
}

InterfaceDirectory::Interfaces InterfaceDirectory::Eligible(const Table& table, Family family) const {
  {
    net::MutexLock lock(&mutex_);
    if (table == table_) return eligible_[family == Family::kIpv6 ? 1 : 0];
  }
  return FindEligible(*table, family);
}

InterfaceDirectory::Interfaces InterfaceDirectory::FindEligible(const InterfaceTable& table, Family family) const {
  Interfaces eligible;
  for (const Interface& interface : table.interfaces()) {
    if (StarExclusions(interface, family).empty()) eligible.push_back(&interface);
  }
  return eligible;
}

// ---- What a selector means ----

absl::Status InterfaceDirectory::NotAllowed(std::string_view name) const {
  return Error(Reason::kInterfaceNotAllowed, "interface",
               net::StrCat("interface ", net::Shortened(name), " is not one that this gateway may use (",
                           net::ListText(permitted_), ")"));
}

absl::StatusOr<const Interface*> InterfaceDirectory::FindNamed(const InterfaceTable& table,
                                                               std::string_view selector) const {
  const std::optional<IpAddress> address = IpAddress::ParseIfAny(selector);
  std::vector<const Interface*> found;
  if (address.has_value()) {
    found = table.FindByAddress(*address);
  } else if (const Interface* const named = table.FindByName(selector); named != nullptr) {
    found.push_back(named);
  }
  if (found.empty()) {
    return Error(Reason::kInterfaceNotFound, "interface",
                 net::StrCat(address.has_value() ? "no interface of the gateway's host has the address "
                                                 : "the gateway's host has no interface ",
                             net::Shortened(selector), "; it has ", net::ListText(AllNames(table))));
  }
  const std::string refused = found.front()->name;
  std::erase_if(found, [this](const Interface* interface) { return !IsPermitted(*interface); });
  if (found.empty()) return NotAllowed(refused);
  if (found.size() == 1) return found.front();
  return Error(Reason::kInterfaceAmbiguous, "interface",
               net::StrCat("several interfaces of the gateway's host have the address ", selector, " (",
                           net::ListText(Names(found)), "): give the name of one of them"));
}

std::string InterfaceDirectory::RoutesInVrfs(const InterfaceTable& table, const IpAddress& group) const {
  std::vector<std::string> routes;
  for (const Interface& interface : table.interfaces()) {
    if (interface.kind != "vrf") continue;
    const absl::StatusOr<net::Route> route = host_.route(group, interface.index);
    if (!route.ok() || route->kind != net::Route::Kind::kThrough) continue;
    const Interface* const port = table.FindByIndex(route->interface_index);
    if (port == nullptr || port == &interface) continue;
    routes.push_back(net::StrCat("in VRF ", interface.name, " it leads through ", port->name));
  }
  return routes.empty() ? std::string() : net::StrCat(" (", net::ListText(routes), ")");
}

// For IPv4 by the route to the group. For IPv6, where every interface has one, by the default route.
absl::StatusOr<net::Route> InterfaceDirectory::RouteOfDefault(const Table& table, const IpAddress& group) {
  if (group.is_v4()) {
    absl::StatusOr<net::Route> route = Remembered(group, [&] { return host_.route(group, 0); });
    if (route.ok() && route->interface_index != 0) return route;
    if (!route.ok() && net::ReasonOf(route.status()) != Reason::kNoRoute) return route;
    return Error(Reason::kNoRoute, "interface",
                 net::StrCat("the gateway's host has no route to ", group.ToString(), RoutesInVrfs(*table, group),
                             ": name an interface, or give the host one: ip route add 224.0.0.0/4 dev INTERFACE"));
  }
  Interfaces candidates = Eligible(table, Family::kIpv6);
  // Interfaces in a VRF are meant only by name, unless there are no others, as for other programs.
  if (std::any_of(candidates.begin(), candidates.end(), [](const Interface* each) { return !each->IsInVrf(); })) {
    std::erase_if(candidates, [](const Interface* each) { return each->IsInVrf(); });
  }
  if (candidates.size() == 1) {
    return net::Route{.kind = net::Route::Kind::kThrough, .interface_index = candidates.front()->index};
  }
  absl::StatusOr<net::Route> route =
      Remembered(IpAddress::Unspecified(Family::kIpv6), [this]() -> absl::StatusOr<net::Route> {
        const absl::StatusOr<uint32_t> index = host_.default_route(Family::kIpv6);
        if (!index.ok()) return index.status();
        return net::Route{.kind = net::Route::Kind::kThrough, .interface_index = *index};
      });
  if (route.ok()) return route;
  return Error(
      Reason::kInterfaceAmbiguous, "interface",
      candidates.empty()
          ? net::StrCat("no interface is named, and none of the host's fits: ", LeftOut(*table, Family::kIpv6),
                        "; name one")
          : net::StrCat("no interface is named, and several fit (", net::ListText(Names(candidates)), "): name one"));
}

absl::StatusOr<Selected> InterfaceDirectory::ResolveDefault(const Table& table, const IpAddress& group) {
  if (!default_interface_.empty()) {
    const absl::StatusOr<const Interface*> named = FindNamed(*table, default_interface_);
    if (!named.ok()) return named.status();
    return Selected{{table, *named}};
  }
  const absl::StatusOr<net::Route> route = RouteOfDefault(table, group);
  if (!route.ok()) return route.status();
  const Interface* const found = table->FindByIndex(route->interface_index);
  if (found == nullptr) {
    return Error(Reason::kInterfaceNotFound, "interface",
                 net::StrCat("the interface of the route to ", group.ToString(), " has gone"));
  }
  if (!IsPermitted(*found)) return NotAllowed(found->name);
  return Selected{{table, found}, route->source};
}

uint32_t InterfaceDirectory::DefaultIndex(Family family) {
  // Any group would do: one of site-local scope.
  const absl::StatusOr<IpAddress> group = IpAddress::Parse(family == Family::kIpv4 ? "239.255.0.1" : "ff15::1");
  const absl::StatusOr<std::vector<Selected>> interfaces = Resolve("", *group);
  return interfaces.ok() ? interfaces->front().interface->index : 0;
}

absl::StatusOr<std::vector<Selected>> InterfaceDirectory::ResolveIn(const Table& table, std::string_view selector,
                                                                    const IpAddress& group) {
  std::vector<Selected> interfaces;
  if (selector == "*") {
    for (const Interface* interface : Eligible(table, group.family())) interfaces.push_back({{table, interface}});
  } else if (selector.empty()) {
    absl::StatusOr<Selected> one = ResolveDefault(table, group);
    if (!one.ok()) return one.status();
    interfaces.push_back(*std::move(one));
  } else {
    const absl::StatusOr<const Interface*> named = FindNamed(*table, selector);
    if (!named.ok()) return named.status();
    interfaces.push_back({{table, *named}});
  }
  return interfaces;
}

absl::StatusOr<std::vector<Selected>> InterfaceDirectory::Resolve(std::string_view selector, const IpAddress& group) {
  if (selector != "*") {
    absl::StatusOr<std::vector<Selected>> known = ResolveIn(table(), selector, group);
    if (known.ok() || net::ReasonOf(known.status()) != Reason::kInterfaceNotFound) return known;
    if (absl::Status status = Refresh(); !status.ok()) return status;
    return ResolveIn(table(), selector, group);
  }
  const absl::StatusOr<Table> current = CurrentTable();
  if (!current.ok()) return current.status();
  return ResolveIn(*current, selector, group);
}

absl::StatusOr<std::optional<std::string>> InterfaceDirectory::AwaitedName(std::string_view selector) const {
  if (IpAddress::Parse(selector).ok()) return std::optional<std::string>();
  const std::string name = selector.empty() ? default_interface_ : std::string(selector);
  if (name.empty())
    return Error(Reason::kInterfaceNotFound, "interface", "no interface is named, and there is no default");
  const bool can_be = name.size() <= kMostNameBytes && name != "." && name != ".." &&
                      std::none_of(name.begin(), name.end(),
                                   [](char c) { return c == '/' || c == ':' || c == ' ' || !net::IsPrintable(c); });
  if (!can_be) {
    return Error(Reason::kInterfaceNotFound, "interface",
                 net::StrCat("'", net::Shortened(name), "' can be no interface's name: 1 to ", kMostNameBytes,
                             " printable characters of ASCII without '/', ':' and spaces"));
  }
  const bool permitted =
      permitted_.empty() || std::find(permitted_.begin(), permitted_.end(), name) != permitted_.end();
  if (!permitted) return NotAllowed(name);
  return std::optional<std::string>(name);
}

}  // namespace mcgw::gateway
