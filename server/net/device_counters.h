// What the devices of this host have counted.

#ifndef MCGW_NET_DEVICE_COUNTERS_H_
#define MCGW_NET_DEVICE_COUNTERS_H_

#include <cstdint>
#include <map>

#include "absl/status/statusor.h"

namespace mcgw::net {

// Since the device was made (IFLA_STATS64).
struct DeviceCounters {
  uint64_t received_packets = 0;
  uint64_t multicast_packets = 0;  // Of the received; 0 also where the driver does not count them, as with veth.
  uint64_t dropped_packets = 0;    // On receipt.
};

// By index of interface. Blocks for the kernel's answer only.
absl::StatusOr<std::map<uint32_t, DeviceCounters>> ReadDeviceCounters();

}  // namespace mcgw::net

#endif  // MCGW_NET_DEVICE_COUNTERS_H_
