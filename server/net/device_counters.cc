#include "server/net/device_counters.h"

#include <linux/if_link.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>

#include "server/net/netlink.h"

namespace mcgw::net {

DeviceCounters Since(const DeviceCounters& before, const DeviceCounters& now) {
  DeviceCounters since;
  for (const auto counter :
       {&DeviceCounters::received_packets, &DeviceCounters::multicast_packets, &DeviceCounters::dropped_packets,
        &DeviceCounters::length_errors, &DeviceCounters::overruns, &DeviceCounters::damaged}) {
    since.*counter = now.*counter >= before.*counter ? now.*counter - before.*counter : now.*counter;
  }
  return since;
}

void ReadDeviceCounters(const nlmsghdr& message, std::map<uint32_t, DeviceCounters>* counters) {
  const auto* const link = netlink::HeaderOf<ifinfomsg>(message);
  const nlattr* const attribute = netlink::AttributesOf<IFLA_STATS64>(message, sizeof(ifinfomsg))[IFLA_STATS64];
  // Older kernels report fewer counters; the ones used here come first.
  constexpr size_t kWantedBytes = offsetof(rtnl_link_stats64, tx_aborted_errors);
  if (link == nullptr || attribute == nullptr || mnl_attr_get_payload_len(attribute) < kWantedBytes) return;
  rtnl_link_stats64 stats = {};  // The attribute is aligned to 4 bytes only.
  std::memcpy(&stats, mnl_attr_get_payload(attribute), kWantedBytes);
  (*counters)[static_cast<uint32_t>(link->ifi_index)] = {
      .received_packets = stats.rx_packets,
      .multicast_packets = stats.multicast,
      .dropped_packets = stats.rx_dropped,
      .length_errors = stats.rx_length_errors,
      .overruns = std::max(stats.rx_over_errors, stats.rx_fifo_errors) + stats.rx_missed_errors,
      .damaged = stats.rx_crc_errors + stats.rx_frame_errors};
}

absl::StatusOr<std::map<uint32_t, DeviceCounters>> ReadDeviceCounters() {
  std::map<uint32_t, DeviceCounters> counters;
  const absl::Status status = netlink::Uninterrupted("read the counters of the interfaces", [&](mnl_socket* socket) {
    counters.clear();
    return netlink::Dump(socket, RTM_GETLINK, AF_UNSPEC, sizeof(ifinfomsg), [&](const nlmsghdr& message) {
      if (message.nlmsg_type == RTM_NEWLINK) ReadDeviceCounters(message, &counters);
    });
  });
  if (!status.ok()) return status;
  return counters;
}

}  // namespace mcgw::net
