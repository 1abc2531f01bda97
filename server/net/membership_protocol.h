// Which version of MLD the kernel speaks on an interface, as far as it can be known. (That of IGMP stands in
// /proc/net/igmp; see kernel_memberships.h.)

#ifndef MCGW_NET_MEMBERSHIP_PROTOCOL_H_
#define MCGW_NET_MEMBERSHIP_PROTOCOL_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace mcgw::net {

// Counters of ICMPv6 on one interface, since IPv6 began on it (/proc/net/dev_snmp6/INTERFACE).
struct MldCounters {
  uint64_t queries_received = 0;  // Of either version.
  uint64_t v1_reports_sent = 0;
  uint64_t v2_reports_sent = 0;
  friend bool operator==(const MldCounters&, const MldCounters&) = default;
};
// Nothing where IPv6 is off on the interface.
std::optional<MldCounters> ReadMldCounters(std::string_view interface_name);
// Its parser, for the file's text.
MldCounters ParseMldCounters(const std::string& text);

// How long a router of an older version counts as present, with the default intervals (RFC 9777, 9.12: robustness 2 x
// 125 s + 10 s).
inline constexpr int64_t kOlderQuerierPresentNs = 260'000'000'000;

// The version in force: 1 or 2; 0 where it cannot be known. The kernel does not show it, but it follows from what it
// does show: version 2, unless a version is forced, or a version 1 query came in the last minutes. Such a query is
// answered with reports of version 1, so without any of these there was none. `v1_query_heard`: whether one was heard
// within kOlderQuerierPresentNs; unset where nobody listened for so long.
uint32_t MldVersion(const std::optional<MldCounters>& counters, std::optional<int64_t> forced_version,
                    std::optional<bool> v1_query_heard);

}  // namespace mcgw::net

#endif  // MCGW_NET_MEMBERSHIP_PROTOCOL_H_
