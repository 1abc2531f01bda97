// Which interfaces there are, which of them the gateway may use, and what a selector means.

#ifndef MCGW_GATEWAY_INTERFACE_DIRECTORY_H_
#define MCGW_GATEWAY_INTERFACE_DIRECTORY_H_

#include <cstdint>
#include <functional>
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

namespace mcgw::gateway {

// Where the directory learns of the host. The defaults ask the kernel; tests put in a host of their own.
struct HostInterfaces {
  std::function<absl::StatusOr<net::InterfaceTable>()> read_table = net::InterfaceTable::Read;
  std::function<absl::StatusOr<uint32_t>(const net::IpAddress&)> route = net::RouteInterface;
  std::function<absl::StatusOr<uint32_t>(net::Family)> default_route = net::DefaultRouteInterface;
  std::function<absl::StatusOr<net::KernelMemberships>()> memberships = net::ReadKernelMemberships;
};

// Thread-safe. Reads from the kernel may block for its answer.
class InterfaceDirectory {
 public:
  // `permitted`: names of the interfaces that may be used; empty: all. `default_interface`: a name, or empty.
  InterfaceDirectory(HostInterfaces host, std::vector<std::string> permitted, std::string default_interface);

  // Reads the table again. Call it when net::InterfaceWatch says that something changed.
  absl::Status Refresh();
  std::shared_ptr<const net::InterfaceTable> table() const;

  // The interfaces that a selector means for a group: exactly one, but for "*", which may mean none. A name or address
  // that is not in the table is looked up anew before it is refused, so that an interface is found as soon as it
  // exists. INTERFACE_NOT_FOUND, INTERFACE_NOT_ALLOWED, INTERFACE_AMBIGUOUS, NO_ROUTE; the field is "interface".
  absl::StatusOr<std::vector<net::Interface>> Resolve(std::string_view selector, const net::IpAddress& group);

  // The same in a given table, and in no other.
  absl::StatusOr<std::vector<net::Interface>> ResolveIn(const net::InterfaceTable& table, std::string_view selector,
                                                        const net::IpAddress& group) const;

  // The name of the interface that a selector waits for while there is none; nothing for an address, which may come to
  // any interface. INTERFACE_NOT_ALLOWED; INTERFACE_NOT_FOUND for what can be no interface's name.
  absl::StatusOr<std::optional<std::string>> AwaitedName(std::string_view selector) const;

  // The interface that an empty selector means for a group of no special route; 0 if it means none.
  uint32_t DefaultIndex(net::Family family);

  bool IsPermitted(std::string_view name) const;

  // Why `*` leaves an interface out for a family; all that hold. Empty: it takes it.
  enum class Exclusion { kNotPermitted, kDown, kNoMulticast, kNoAddress, kEnslaved, kLoopback, kContainerVeth };
  std::vector<Exclusion> StarExclusions(const net::Interface& interface, net::Family family) const;

 private:
  absl::Status NotAllowed(std::string_view name) const;
  absl::StatusOr<net::Interface> ResolveNamed(const net::InterfaceTable& table, std::string_view selector) const;
  absl::StatusOr<net::Interface> ResolveDefault(const net::InterfaceTable& table, const net::IpAddress& group) const;
  std::vector<net::Interface> Eligible(const net::InterfaceTable& table, net::Family family) const;

  const HostInterfaces host_;
  const std::vector<std::string> permitted_;
  const std::string default_interface_;
  mutable net::Mutex mutex_;
  std::shared_ptr<const net::InterfaceTable> table_ ABSL_GUARDED_BY(mutex_);
  // Readings are numbered as they begin, so that of two that overlap the later one stays.
  uint64_t last_reading_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t table_reading_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace mcgw::gateway

#endif  // MCGW_GATEWAY_INTERFACE_DIRECTORY_H_
