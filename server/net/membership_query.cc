#include "server/net/membership_query.h"

#include <netinet/icmp6.h>
#include <netinet/igmp.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>

#include <algorithm>
#include <cstddef>

#include "server/net/text.h"

namespace mcgw::net {
namespace {

constexpr size_t kIgmpQueryBytes = 8;  // Versions 1 and 2.
constexpr size_t kIgmp3QueryBytes = 12;
constexpr size_t kMldQueryBytes = 24;  // Version 1.
constexpr size_t kMld2QueryBytes = 28;
constexpr size_t kMldGroupAt = 8;
constexpr char kWrongChecksum[] = "its checksum is wrong";

uint8_t ByteAt(std::string_view bytes, size_t at) { return static_cast<uint8_t>(bytes[at]); }
uint32_t WordAt(std::string_view bytes, size_t at) { return ByteAt(bytes, at) << 8 | ByteAt(bytes, at + 1); }

// Adds up 16-bit words (RFC 1071). A last odd byte is padded with zero.
uint64_t SumOf(std::string_view bytes) {
  uint64_t sum = 0;
  for (size_t at = 0; at < bytes.size(); at += 2) {
    sum += at + 1 < bytes.size() ? WordAt(bytes, at) : ByteAt(bytes, at) << 8;
  }
  return sum;
}

// Whether bytes agree with the checksum that they contain.
bool ChecksumHolds(uint64_t sum) {
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
  return sum == 0xffff;
}

QueryVerdict Taken(uint32_t version) { return {.version = version, .fault = ""}; }
QueryVerdict Ignored(std::string fault) { return {.version = 0, .fault = std::move(fault)}; }

QueryVerdict WrongLength(size_t bytes, size_t old_bytes, size_t new_bytes) {
  return Ignored(StrCat("it is ", bytes, " bytes long, and a query has ", old_bytes, ", or at least ", new_bytes));
}

// The fault of a newest-version query's source list; empty if there is none. `general`: the query asks about all
// groups.
std::string FaultOfSources(size_t sources, bool general, size_t room) {
  if (general && sources > 0) return StrCat("it asks about all groups but names ", sources, " sources");
  if (sources > room) return StrCat("it announces ", sources, " sources but is too short to hold them");
  return "";
}

// Whether a hop-by-hop header asks routers to examine an MLD message (RFC 2711).
bool HasMldRouterAlert(std::string_view header) {
  constexpr size_t kFirstOption = 2;  // After the next header and the length.
  size_t at = kFirstOption;
  while (at < header.size()) {
    const uint8_t type = ByteAt(header, at);
    if (type == IP6OPT_PAD1) {
      ++at;
      continue;
    }
    if (at + 2 > header.size()) return false;
    const size_t length = ByteAt(header, at + 1);
    if (at + 2 + length > header.size()) return false;
    if (type == IP6OPT_ROUTER_ALERT) return length == 2 && WordAt(header, at + 2) == 0;  // 0: MLD.
    at += 2 + length;
  }
  return false;
}

}  // namespace

QueryVerdict JudgeIgmpQuery(std::string_view packet) {
  if (packet.size() < sizeof(ip)) return {};
  const size_t header_bytes = 4u * (ByteAt(packet, 0) & 0xf);
  if (header_bytes < sizeof(ip) || packet.size() <= header_bytes) return {};
  const std::string_view igmp = packet.substr(header_bytes);
  if (ByteAt(igmp, 0) != IGMP_MEMBERSHIP_QUERY) return {};
  const bool of_version_3 = igmp.size() >= kIgmp3QueryBytes;
  if (igmp.size() != kIgmpQueryBytes && !of_version_3) {
    return WrongLength(igmp.size(), kIgmpQueryBytes, kIgmp3QueryBytes);
  }
  if (!ChecksumHolds(SumOf(igmp))) return Ignored(kWrongChecksum);
  if (!of_version_3) return Taken(ByteAt(igmp, 1) == 0 ? 1 : 2);  // Version 1 has no response time (RFC 9776, 7.1).
  const bool general = igmp.substr(4, 4) == std::string_view("\0\0\0\0", 4);
  std::string fault = FaultOfSources(WordAt(igmp, 10), general, (igmp.size() - kIgmp3QueryBytes) / sizeof(in_addr));
  return fault.empty() ? Taken(3) : Ignored(std::move(fault));
}

QueryVerdict JudgeMldQuery(const MldPacket& packet) {
  const std::string_view message = packet.message;
  if (message.empty() || ByteAt(message, 0) != MLD_LISTENER_QUERY) return {};
  const std::string size({static_cast<char>(message.size() >> 24), static_cast<char>(message.size() >> 16),
                          static_cast<char>(message.size() >> 8), static_cast<char>(message.size())});
  const uint64_t pseudo_header =
      SumOf(packet.source.bytes()) + SumOf(packet.destination.bytes()) + SumOf(size) + IPPROTO_ICMPV6;
  if (!ChecksumHolds(pseudo_header + SumOf(message))) return Ignored(kWrongChecksum);
  if (!packet.source.IsLinkLocalUnicast()) {
    return Ignored(StrCat("its source, ", packet.source.ToString(), ", is not a link-local address"));
  }
  if (packet.hop_limit != 1) return Ignored(StrCat("its hop limit is ", packet.hop_limit, ", not 1"));
  if (!HasMldRouterAlert(packet.hop_by_hop)) return Ignored("it lacks the router alert option of MLD");
  const bool of_version_2 = message.size() >= kMld2QueryBytes;
  if (message.size() != kMldQueryBytes && !of_version_2) {
    return WrongLength(message.size(), kMldQueryBytes, kMld2QueryBytes);
  }
  in6_addr bytes;
  std::copy_n(message.data() + kMldGroupAt, sizeof(bytes), reinterpret_cast<char*>(&bytes));
  const IpAddress group = IpAddress::FromV6(bytes);
  if (!group.IsUnspecified() && !group.IsMulticast()) {
    return Ignored(StrCat("it asks about ", group.ToString(), ", which is not a multicast group"));
  }
  if (!of_version_2) return Taken(1);
  std::string fault =
      FaultOfSources(WordAt(message, 26), group.IsUnspecified(), (message.size() - kMld2QueryBytes) / sizeof(in6_addr));
  return fault.empty() ? Taken(2) : Ignored(std::move(fault));
}

}  // namespace mcgw::net
