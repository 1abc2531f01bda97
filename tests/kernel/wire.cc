#include "tests/kernel/wire.h"

#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/udp.h>
#include <sys/socket.h>

#include <cstring>
#include <optional>

namespace mcgw::kernel {
namespace {

constexpr size_t kMostPacketBytes = 65'536;

template <typename T>
std::optional<T> HeaderIn(std::string_view bytes) {
  if (bytes.size() < sizeof(T)) return std::nullopt;
  T header;
  std::memcpy(&header, bytes.data(), sizeof(T));
  return header;
}

void ReadUdp(std::string_view bytes, Packet* packet) {
  const std::optional<udphdr> header = HeaderIn<udphdr>(bytes);
  if (packet->protocol != IPPROTO_UDP || packet->fragment || !header) return;
  packet->source_port = ntohs(header->uh_sport);
  packet->destination_port = ntohs(header->uh_dport);
  packet->payload = bytes.substr(sizeof(udphdr), ntohs(header->uh_ulen) - sizeof(udphdr));
}

std::optional<Packet> ReadIpv4(std::string_view bytes) {
  const std::optional<iphdr> header = HeaderIn<iphdr>(bytes);
  if (!header) return std::nullopt;
  const uint16_t offset = ntohs(header->frag_off);
  Packet packet{.source = net::IpAddress::FromV4({header->saddr}),
                .destination = net::IpAddress::FromV4({header->daddr}),
                .protocol = header->protocol,
                .hop_limit = header->ttl,
                .traffic_class = header->tos,
                .dont_fragment = (offset & IP_DF) != 0,
                .fragment = (offset & (IP_MF | IP_OFFMASK)) != 0,
                .payload = {}};
  ReadUdp(bytes.substr(size_t{4} * header->ihl), &packet);
  return packet;
}

std::optional<Packet> ReadIpv6(std::string_view bytes) {
  const std::optional<ip6_hdr> header = HeaderIn<ip6_hdr>(bytes);
  if (!header) return std::nullopt;
  Packet packet{.source = net::IpAddress::FromV6(header->ip6_src),
                .destination = net::IpAddress::FromV6(header->ip6_dst),
                .protocol = header->ip6_nxt,
                .hop_limit = header->ip6_hlim,
                .traffic_class = static_cast<uint8_t>(ntohl(header->ip6_flow) >> 20),
                .fragment = header->ip6_nxt == IPPROTO_FRAGMENT,
                .payload = {}};
  ReadUdp(bytes.substr(sizeof(ip6_hdr)), &packet);
  return packet;
}

}  // namespace

Wire::Wire(const Peer& peer, const std::string& interface) {
  peer.Do([&] {
    fd_ = net::OwnedFd(socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC, htons(ETH_P_ALL)));
    sockaddr_ll name = {};
    name.sll_family = AF_PACKET;
    name.sll_protocol = htons(ETH_P_ALL);
    name.sll_ifindex = static_cast<int>(if_nametoindex(interface.c_str()));
    if (bind(fd_.get(), reinterpret_cast<const sockaddr*>(&name), sizeof(name)) != 0) fd_.Reset();
  });
}

std::vector<Packet> Wire::ReadUntil(std::string_view payload) {
  std::vector<Packet> packets;
  std::vector<char> buffer(kMostPacketBytes);
  while (WaitReadable(fd_.get())) {
    sockaddr_ll from = {};
    socklen_t length = sizeof(from);
    const ssize_t size =
        recvfrom(fd_.get(), buffer.data(), buffer.size(), 0, reinterpret_cast<sockaddr*>(&from), &length);
    if (size < 0 || from.sll_pkttype == PACKET_OUTGOING) continue;
    const std::string_view bytes(buffer.data(), static_cast<size_t>(size));
    std::optional<Packet> packet;
    if (from.sll_protocol == htons(ETH_P_IP)) packet = ReadIpv4(bytes);
    if (from.sll_protocol == htons(ETH_P_IPV6)) packet = ReadIpv6(bytes);
    if (!packet.has_value()) continue;
    if (packet->payload == payload) break;
    packets.push_back(*std::move(packet));
  }
  return packets;
}

std::vector<Packet> Wire::DatagramsUntil(std::string_view payload, uint16_t port) {
  std::vector<Packet> datagrams;
  for (Packet& packet : ReadUntil(payload)) {
    if (packet.destination_port == port) datagrams.push_back(std::move(packet));
  }
  return datagrams;
}

}  // namespace mcgw::kernel
