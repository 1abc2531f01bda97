// Which interfaces there are, which of them the gateway may use, and what a selector means.

#ifndef MCGW_GATEWAY_INTERFACES_INTERFACE_DIRECTORY_H_
#define MCGW_GATEWAY_INTERFACES_INTERFACE_DIRECTORY_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/net/address.h"
#include "server/net/interface_table.h"
#include "server/net/kernel_memberships.h"
#include "server/net/mutex.h"
#include "server/net/route_lookup.h"

namespace mcgw::gateway {

// The directory's sources of facts about the host. The defaults ask the kernel; tests supply a host of their own.
struct HostInterfaces {
  std::function<absl::StatusOr<net::InterfaceTable>()> read_table = net::InterfaceTable::Read;
  // As net::LookUpRoute: the route to an address, or the route to it within a VRF.
  std::function<absl::StatusOr<net::Route>(const net::IpAddress&, uint32_t vrf_index)> route = net::LookUpRoute;
  std::function<absl::StatusOr<uint32_t>(net::Family)> default_route = net::DefaultRouteInterface;
  std::function<absl::StatusOr<net::KernelMemberships>()> memberships = net::ReadKernelMemberships;
  // Null if the host cannot be watched: then nothing is cached.
  std::function<std::unique_ptr<net::InterfaceWatch>()> watch_changes = WatchHost;

  static std::unique_ptr<net::InterfaceWatch> WatchHost();
  net::InterfaceWatch* watch = nullptr;  // Outlives the gateway. Null: changes are found only by reading.
};

// An interface that a selector means.
struct Selected {
  std::shared_ptr<const net::Interface> interface;
  // For the default interface: the source address that the host's route prefers, if any.
  std::optional<net::IpAddress> source = std::nullopt;
};

// Thread-safe. Reads from the kernel may block for its answer. The kernel's answers (the table for "*", routes) are
// cached until the directory's own watch reports a change, so they are never stale, and most sends ask nothing.
class InterfaceDirectory {
 public:
  // `permitted`: names of the interfaces that may be used; empty: all. `default_interface`: a name, or empty.
  InterfaceDirectory(HostInterfaces host, std::vector<std::string> permitted, std::string default_interface);

  using Table = std::shared_ptr<const net::InterfaceTable>;

  // Reads the table again. Call it when net::InterfaceWatch says that something changed.
  absl::Status Refresh();
  // The same, but only if something has changed; returns true if the table is a new one.
  bool CatchUp();
  Table table() const;
  // Whether nothing has changed since that table was read. Does not read a table. Always false if the host cannot be
  // watched.
  bool IsCurrent(const Table& table);

  // The interfaces that a selector means for a group: exactly one, except for "*", which may mean any number. A name or
  // address that is not in the table is looked up again before it is refused, so that an interface is found as soon as
  // it exists. INTERFACE_NOT_FOUND, INTERFACE_NOT_ALLOWED, INTERFACE_AMBIGUOUS, NO_ROUTE; the field is "interface".
  absl::StatusOr<std::vector<Selected>> Resolve(std::string_view selector, const net::IpAddress& group);

  // The same, in the given table only.
  absl::StatusOr<std::vector<Selected>> ResolveIn(const Table& table, std::string_view selector,
                                                  const net::IpAddress& group);

  // The name of the interface that a selector waits for while it is missing; nothing for an address, which any
  // interface may get. INTERFACE_NOT_ALLOWED; INTERFACE_NOT_FOUND for a text that cannot be an interface's name.
  absl::StatusOr<std::optional<std::string>> AwaitedName(std::string_view selector) const;

  // The interface that an empty selector means for a group without a route of its own; 0 if there is none.
  uint32_t DefaultIndex(net::Family family);

  // By its name or an alternative name.
  bool IsPermitted(const net::Interface& interface) const;

  // All reasons why `*` leaves an interface out for a family. Empty: `*` takes it.
  enum class Exclusion { kNotPermitted, kDown, kNoMulticast, kNoAddress, kEnslaved, kLoopback, kContainerVeth, kVrf };
  std::vector<Exclusion> StarExclusions(const net::Interface& interface, net::Family family) const;
  // "it is down".
  static std::string_view Text(Exclusion exclusion);
  // What `*` leaves out, and why: "lo (it is the loopback), eth0 (it is down)". Shortened if it is long.
  std::string LeftOut(const net::InterfaceTable& table, net::Family family) const;

 private:
  absl::Status NotAllowed(std::string_view name) const;
  absl::StatusOr<const net::Interface*> FindNamed(const net::InterfaceTable& table, std::string_view selector) const;
  absl::StatusOr<Selected> ResolveDefault(const Table& table, const net::IpAddress& group);
  absl::StatusOr<net::Route> RouteOfDefault(const Table& table, const net::IpAddress& group);
  // The interfaces that "*" takes of a table; computed once for the directory's own.
  using Interfaces = std::vector<const net::Interface*>;
  Interfaces Eligible(const Table& table, net::Family family) const;
  Interfaces FindEligible(const net::InterfaceTable& table, net::Family family) const;
  // " (in VRF red it leads through eth1)" if a VRF has a route that the host's main table lacks.
  std::string RoutesInVrfs(const net::InterfaceTable& table, const net::IpAddress& group) const;

  // Whether the watch has news. Cheap; takes no lock.
  bool HasNews() const;
  void TakeNews() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // The result of `ask` for `destination`, cached until something changes.
  absl::StatusOr<net::Route> Remembered(const net::IpAddress& destination,
                                        const std::function<absl::StatusOr<net::Route>()>& ask);
  // The table for "*": read again if something has changed.
  absl::StatusOr<Table> CurrentTable();

  const HostInterfaces host_;
  const std::vector<std::string> permitted_;
  const std::string default_interface_;
  const std::unique_ptr<net::InterfaceWatch> watch_;  // Drained under mutex_.
  mutable net::Mutex mutex_;
  uint64_t changes_ ABSL_GUARDED_BY(mutex_) = 1;  // 1 + how often the watch had news.
  Table table_ ABSL_GUARDED_BY(mutex_);
  Interfaces eligible_[2] ABSL_GUARDED_BY(mutex_);      // Of the table, IPv4 and IPv6.
  uint64_t table_changes_ ABSL_GUARDED_BY(mutex_) = 0;  // What changes_ was when the table was read.
  std::map<net::IpAddress, net::Route> routes_ ABSL_GUARDED_BY(mutex_);
  // Readings are numbered when they start, so that the later of two overlapping ones is kept.
  uint64_t last_reading_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t table_reading_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace mcgw::gateway

#endif  // MCGW_GATEWAY_INTERFACES_INTERFACE_DIRECTORY_H_
