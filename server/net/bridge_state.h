// The multicast state of a bridge on this host.

#ifndef MCGW_NET_BRIDGE_STATE_H_
#define MCGW_NET_BRIDGE_STATE_H_

#include <cstdint>
#include <optional>

#include "absl/status/statusor.h"

struct nlmsghdr;

namespace mcgw::net {

struct BridgeState {
  bool snooping = false;  // Forwards a group only to ports that asked for it, once it has heard a querier.
  bool querier = false;   // Sends queries itself.
  // Whether the bridge hears another querier: IPv4, IPv6. Always false without snooping.
  bool hears_querier[2] = {false, false};
};

// Asks the kernel (rtnetlink). INVALID_ARGUMENT if the interface is not a bridge, NOT_FOUND if it does not exist.
absl::StatusOr<BridgeState> ReadBridgeState(uint32_t interface_index);

// The state in an RTM_NEWLINK message, which may have any bytes. Nothing if its link is not a bridge.
std::optional<BridgeState> ReadBridgeState(const nlmsghdr& message);

}  // namespace mcgw::net

#endif  // MCGW_NET_BRIDGE_STATE_H_
