// Recognises valid IGMP and MLD queries by the kernel's rules.
//
// No host answers a query that the kernel ignores, so it keeps no snooping switch informed; its sender is not a
// querier. The rules are those of igmp_heard_query (net/ipv4/igmp.c) and __mld_query_work (net/ipv6/mcast.c), which
// follow RFC 9776 and RFC 9777.

#ifndef MCGW_NET_MEMBERSHIP_QUERY_H_
#define MCGW_NET_MEMBERSHIP_QUERY_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "server/net/address.h"

namespace mcgw::net {

// The verdict on a packet. It is not a query if it has neither a version nor a fault.
struct QueryVerdict {
  uint32_t version = 0;  // IGMP 1, 2 or 3; MLD 1 or 2. 0 unless the kernel accepts the query.
  std::string fault;     // Why the kernel ignores the query: "its checksum is wrong". Empty if it accepts it.
  friend bool operator==(const QueryVerdict&, const QueryVerdict&) = default;
};

// Judges an IGMP packet from its IPv4 header on. Accepts any bytes.
QueryVerdict JudgeIgmpQuery(std::string_view packet);

// An MLD message from its ICMPv6 header on, with the fields of the IPv6 header.
struct MldPacket {
  std::string_view message;
  IpAddress source;
  IpAddress destination;
  int hop_limit = 0;
  std::string_view hop_by_hop;  // The hop-by-hop options header, from its first byte; empty if absent.
};
// Accepts any bytes; the addresses must be IPv6.
QueryVerdict JudgeMldQuery(const MldPacket& packet);

}  // namespace mcgw::net

#endif  // MCGW_NET_MEMBERSHIP_QUERY_H_
