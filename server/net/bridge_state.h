// What a bridge of this host does with multicast.

#ifndef MCGW_NET_BRIDGE_STATE_H_
#define MCGW_NET_BRIDGE_STATE_H_

#include <cstdint>

#include "absl/status/statusor.h"

namespace mcgw::net {

struct BridgeState {
  bool snooping = false;  // Forwards a group only to the ports that asked for it, once it has heard a querier.
  bool querier = false;   // Sends queries itself.
  // Hears another querier, for IPv4 and IPv6. Never where the bridge does not snoop.
  bool hears_querier[2] = {false, false};
};

// Asks the kernel (rtnetlink). INVALID_ARGUMENT if the interface is no bridge, NOT_FOUND if there is none.
absl::StatusOr<BridgeState> ReadBridgeState(uint32_t interface_index);

}  // namespace mcgw::net

#endif  // MCGW_NET_BRIDGE_STATE_H_
