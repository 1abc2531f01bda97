// Which packets are queries of IGMP and MLD, as the kernel judges it.
//
// A query that the kernel ignores is answered by no host, so it keeps no snooping switch informed: whoever sent it is
// no querier. The rules are those of igmp_heard_query (net/ipv4/igmp.c) and __mld_query_work (net/ipv6/mcast.c), which
// follow RFC 9776 and RFC 9777.

#ifndef MCGW_NET_MEMBERSHIP_QUERY_H_
#define MCGW_NET_MEMBERSHIP_QUERY_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "server/net/address.h"

namespace mcgw::net {

// What a packet turned out to be. With neither a version nor a fault it is no query at all.
struct QueryVerdict {
  uint32_t version = 0;  // IGMP 1, 2 or 3; MLD 1 or 2. 0 unless the kernel takes the query.
  std::string fault;     // Why the kernel ignores the query: "its checksum is wrong". Empty if it takes it.
  friend bool operator==(const QueryVerdict&, const QueryVerdict&) = default;
};

// An IGMP packet, from its IPv4 header on. Any bytes may be given.
QueryVerdict JudgeIgmpQuery(std::string_view packet);

// An MLD message, from its ICMPv6 header on, and what the IPv6 header in front of it says.
struct MldPacket {
  std::string_view message;
  IpAddress source;
  IpAddress destination;
  int hop_limit = 0;
  std::string_view hop_by_hop;  // The hop-by-hop options header, from its first byte on; empty if there is none.
};
// Any bytes may be given; the addresses are IPv6.
QueryVerdict JudgeMldQuery(const MldPacket& packet);

}  // namespace mcgw::net

#endif  // MCGW_NET_MEMBERSHIP_QUERY_H_
