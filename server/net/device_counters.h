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
  uint64_t dropped_packets = 0;    // On receipt, also for being of a protocol that nobody receives.
  uint64_t length_errors = 0;      // Received frames that were too long, or too short.
  uint64_t overruns = 0;           // That the device had no room for.
  uint64_t damaged = 0;            // With a wrong checksum or alignment.
  friend bool operator==(const DeviceCounters&, const DeviceCounters&) = default;
};

// What was counted since `before`, which is nothing for a device made later; a counter that fell began again at 0.
DeviceCounters Since(const DeviceCounters& before, const DeviceCounters& now);

// By index of interface. Blocks for the kernel's answer only.
absl::StatusOr<std::map<uint32_t, DeviceCounters>> ReadDeviceCounters();

}  // namespace mcgw::net

#endif  // MCGW_NET_DEVICE_COUNTERS_H_
