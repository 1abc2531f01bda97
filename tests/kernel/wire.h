// What crosses a wire, as a packet socket at its other end sees it.

#ifndef MCGW_TESTS_KERNEL_WIRE_H_
#define MCGW_TESTS_KERNEL_WIRE_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "server/net/address.h"
#include "server/net/owned_fd.h"
#include "tests/kernel/kernel_net.h"

namespace mcgw::kernel {

// An IP packet, as far as the tests look at it.
struct Packet {
  net::IpAddress source;
  net::IpAddress destination;
  uint8_t protocol = 0;  // 17: UDP.
  uint8_t hop_limit = 0;
  uint8_t traffic_class = 0;
  bool dont_fragment = false;  // IPv4's DF bit.
  bool fragment = false;
  uint16_t source_port = 0;  // The rest of UDP that is not a fragment.
  uint16_t destination_port = 0;
  std::string payload;
};

// Listens at the peer's end of a link from its construction on.
class Wire {
 public:
  Wire(const Peer& peer, const std::string& interface);

  // All packets up to the UDP datagram with this payload, which is left out; all that came within some seconds where it
  // does not come.
  std::vector<Packet> ReadUntil(std::string_view payload);
  // The UDP datagrams to this port among them.
  std::vector<Packet> DatagramsUntil(std::string_view payload, uint16_t port);

 private:
  net::OwnedFd fd_;
};

}  // namespace mcgw::kernel

#endif  // MCGW_TESTS_KERNEL_WIRE_H_
