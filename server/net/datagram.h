// Datagrams as the kernel delivers and accepts them. Payloads are borrowed, never owned, so no datagram costs an
// allocation.

#ifndef MCGW_NET_DATAGRAM_H_
#define MCGW_NET_DATAGRAM_H_

#include <cstdint>
#include <optional>
#include <string_view>

#include "server/net/address.h"

namespace mcgw::net {

// One datagram read from a receive socket. `payload` points into the ReceiveBatch that holds it.
struct ReceivedDatagram {
  std::string_view payload;  // May be empty: UDP allows zero-length datagrams.
  IpAddress source;
  uint16_t source_port = 0;
  IpAddress destination;             // From PKTINFO: the group.
  uint32_t interface_index = 0;      // From PKTINFO: the arrival interface.
  int64_t receive_time_unix_ns = 0;  // The kernel's timestamp (SO_TIMESTAMPNS), wall clock.
  uint8_t hop_limit = 0;             // As it arrived.
  uint8_t traffic_class = 0;         // DSCP and ECN, the whole octet.
  // The socket's running drop count when this datagram was queued (SO_RXQ_OVFL); 0 until the first drop. The increase
  // since the previous datagram is the number dropped between the two.
  uint32_t drops_so_far = 0;
};

// One datagram to send. `payload` is borrowed until the send call returns.
struct OutgoingDatagram {
  IpAddress group;
  uint16_t port = 0;
  uint32_t interface_index = 0;          // Never 0.
  IpAddress source;                      // Unspecified: the kernel chooses an address of the interface.
  uint8_t hop_limit = 1;                 // 1 to 255; 0 on a host-only socket.
  std::optional<uint8_t> traffic_class;  // Unset: 0.
  std::string_view payload;
};

}  // namespace mcgw::net

#endif  // MCGW_NET_DATAGRAM_H_
