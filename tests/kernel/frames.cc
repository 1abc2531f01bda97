#include "tests/kernel/frames.h"

#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>

#include "gtest/gtest.h"

namespace mcgw::kernel {

using std::string_literals::operator""s;

std::string Bytes16(uint32_t value) { return {static_cast<char>(value >> 8), static_cast<char>(value & 0xff)}; }

std::string Checksum(std::string bytes) {
  if (bytes.size() % 2 != 0) bytes += '\0';
  uint32_t sum = 0;
  for (size_t i = 0; i < bytes.size(); i += 2) {
    sum += static_cast<uint8_t>(bytes[i]) * 256u + static_cast<uint8_t>(bytes[i + 1]);
    sum = (sum & 0xffff) + (sum >> 16);
  }
  return Bytes16(~sum & 0xffff);
}

std::string Ipv4(std::string_view source, std::string_view group, uint8_t protocol, const std::string& payload,
                 uint32_t fragment) {
  const std::string router_alert = "\x94\4\0\0"s;
  std::string header = "\x46\xc0"s + Bytes16(static_cast<uint32_t>(24 + payload.size())) + "\1\2"s + Bytes16(fragment) +
                       "\1"s + static_cast<char>(protocol) + "\0\0"s + std::string(Ip(source).bytes()) +
                       std::string(Ip(group).bytes()) + router_alert;
  header.replace(10, 2, Checksum(header));
  return header + payload;
}

std::string Ipv6(std::string_view source, std::string_view group, uint8_t next_header, uint8_t hop_limit,
                 const std::string& payload) {
  return "\x60\0\0\0"s + Bytes16(static_cast<uint32_t>(payload.size())) + static_cast<char>(next_header) +
         static_cast<char>(hop_limit) + std::string(Ip(source).bytes()) + std::string(Ip(group).bytes()) + payload;
}

std::string PseudoHeader(std::string_view source, std::string_view destination, uint8_t protocol, size_t bytes) {
  return std::string(Ip(source).bytes()) + std::string(Ip(destination).bytes()) + "\0\0"s +
         Bytes16(static_cast<uint32_t>(bytes)) + "\0"s + static_cast<char>(protocol);
}

void PutOnTheWire(const Peer& peer, const std::string& interface, const std::string& packet) {
  const bool is_v4 = (packet[0] & 0xf0) == 0x40;
  const std::string group = packet.substr(is_v4 ? 16 : 24, is_v4 ? 4 : 16);
  std::string mac = is_v4 ? "\1\0\x5e"s + group.substr(1) : "\x33\x33"s + group.substr(12);
  if (is_v4) mac[3] = static_cast<char>(mac[3] & 0x7f);
  peer.Do([&] {
    const net::OwnedFd wire(socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    ASSERT_TRUE(wire.valid());
    sockaddr_ll to = {};
    to.sll_family = AF_PACKET;
    to.sll_protocol = htons(is_v4 ? ETHERTYPE_IP : ETHERTYPE_IPV6);
    to.sll_ifindex = static_cast<int>(if_nametoindex(interface.c_str()));
    to.sll_halen = ETH_ALEN;
    mac.copy(reinterpret_cast<char*>(to.sll_addr), ETH_ALEN);
    const ssize_t sent =
        sendto(wire.get(), packet.data(), packet.size(), 0, reinterpret_cast<sockaddr*>(&to), sizeof(to));
    // Unlike a real wire, a veth tells the sender that the other end drops the frame.
    ASSERT_TRUE(sent == static_cast<ssize_t>(packet.size()) || errno == ENOBUFS) << errno;
  });
}

}  // namespace mcgw::kernel
