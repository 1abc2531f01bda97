// Counters of this host's network devices.

#ifndef MCGW_NET_DEVICE_COUNTERS_H_
#define MCGW_NET_DEVICE_COUNTERS_H_

#include <cstdint>
#include <map>

#include "absl/status/statusor.h"

struct nlmsghdr;

namespace mcgw::net {

// Since the device was created (IFLA_STATS64).
struct DeviceCounters {
  uint64_t received_packets = 0;
  uint64_t multicast_packets = 0;  // Part of received_packets; 0 where the driver does not count them (veth).
  uint64_t dropped_packets = 0;    // Dropped on receipt, including packets of unhandled protocols.
  uint64_t length_errors = 0;      // Received frames that were too long or too short.
  uint64_t overruns = 0;           // Dropped for lack of room in the device.
  uint64_t damaged = 0;            // Wrong checksum or alignment.
  friend bool operator==(const DeviceCounters&, const DeviceCounters&) = default;
};

// The increase since `before`. A counter that fell has restarted at 0. For a device created later, `before` is empty.
DeviceCounters Since(const DeviceCounters& before, const DeviceCounters& now);

// By interface index. Blocks only for the kernel's answer.
absl::StatusOr<std::map<uint32_t, DeviceCounters>> ReadDeviceCounters();

// Adds the counters in an RTM_NEWLINK message, which may have any bytes.
void ReadDeviceCounters(const nlmsghdr& message, std::map<uint32_t, DeviceCounters>* counters);

}  // namespace mcgw::net

#endif  // MCGW_NET_DEVICE_COUNTERS_H_
