// What the host's routes say of one destination.

#ifndef MCGW_NET_ROUTE_LOOKUP_H_
#define MCGW_NET_ROUTE_LOOKUP_H_

#include <cstdint>
#include <optional>

#include "absl/status/statusor.h"
#include "server/net/address.h"

namespace mcgw::net {

struct Route {
  enum class Kind : uint8_t {
    kNone,     // No route.
    kRefused,  // A blackhole, prohibit or unreachable route.
    kLocal,    // An address of this host itself.
    kThrough,  // By an interface, also for a multicast destination.
  };
  Kind kind = Kind::kNone;
  uint32_t interface_index = 0;  // With kLocal (then often the loopback) and kThrough.
  // What the host would send from (RTA_PREFSRC); it need not be an address of the interface.
  std::optional<IpAddress> source = std::nullopt;
};

// Asks the kernel (rtnetlink RTM_GETROUTE) which way it would send. `interface_index` other than 0 asks for the way
// through that interface, as SO_BINDTODEVICE or IP_PKTINFO do; the index of a VRF asks for the way in its table. Blocks
// for the kernel's answer only. That there is no route is no error.
absl::StatusOr<Route> LookUpRoute(const IpAddress& destination, uint32_t interface_index = 0);

}  // namespace mcgw::net

#endif  // MCGW_NET_ROUTE_LOOKUP_H_
