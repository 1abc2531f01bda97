// The host's route to one destination.

#ifndef MCGW_NET_ROUTE_LOOKUP_H_
#define MCGW_NET_ROUTE_LOOKUP_H_

#include <cstdint>
#include <optional>

#include "absl/status/statusor.h"
#include "server/net/address.h"

struct nlmsghdr;

namespace mcgw::net {

struct Route {
  enum class Kind : uint8_t {
    kNone,     // No route.
    kRefused,  // A blackhole, prohibit or unreachable route.
    kLocal,    // An address of this host itself.
    kThrough,  // Through an interface, also for a multicast destination.
  };
  Kind kind = Kind::kNone;
  uint32_t interface_index = 0;  // For kLocal (often the loopback) and kThrough.
  // The preferred source address (RTA_PREFSRC); not necessarily an address of the interface.
  std::optional<IpAddress> source = std::nullopt;
};

// Asks the kernel (rtnetlink RTM_GETROUTE) for its route. A nonzero `interface_index` asks for the route through that
// interface, like SO_BINDTODEVICE or IP_PKTINFO; a VRF's index asks for the route in its table. Blocks only for the
// kernel's answer. A missing route is kNone, not an error.
absl::StatusOr<Route> LookUpRoute(const IpAddress& destination, uint32_t interface_index = 0);

// The route in an RTM_NEWROUTE message, which may have any bytes.
Route ReadRoute(const nlmsghdr& message);

}  // namespace mcgw::net

#endif  // MCGW_NET_ROUTE_LOOKUP_H_
