// Frames as the peer puts them on the wire, also such as no host would send.

#ifndef MCGW_TESTS_KERNEL_FRAMES_H_
#define MCGW_TESTS_KERNEL_FRAMES_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "tests/kernel/kernel_net.h"

namespace mcgw::kernel {

// Two bytes in network order.
std::string Bytes16(uint32_t value);
// The checksum of RFC 1071 over `bytes`, in network order.
std::string Checksum(std::string bytes);

// An IPv4 packet to a group, with a router alert. `fragment`: the flags and the offset field.
std::string Ipv4(std::string_view source, std::string_view group, uint8_t protocol, const std::string& payload,
                 uint32_t fragment = 0);
// An IPv6 packet to a group. `next_header` is that of `payload`, which may begin with extension headers.
std::string Ipv6(std::string_view source, std::string_view group, uint8_t next_header, uint8_t hop_limit,
                 const std::string& payload);
// What checksums of UDP and ICMPv6 cover beside the message.
std::string PseudoHeader(std::string_view source, std::string_view destination, uint8_t protocol, size_t bytes);

// Sends an IP packet to its group by an interface of the peer, as it is.
void PutOnTheWire(const Peer& peer, const std::string& interface, const std::string& packet);

}  // namespace mcgw::kernel

#endif  // MCGW_TESTS_KERNEL_FRAMES_H_
