// The MLD version that the kernel speaks on an interface, as far as it can be known. (/proc/net/igmp shows the IGMP
// version; see kernel_memberships.h.)

#ifndef MCGW_NET_MLD_VERSION_H_
#define MCGW_NET_MLD_VERSION_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace mcgw::net {

// ICMPv6 counters of one interface since IPv6 was enabled on it (/proc/net/dev_snmp6/INTERFACE).
struct MldCounters {
  uint64_t queries_received = 0;  // Both versions.
  uint64_t v1_reports_sent = 0;
  uint64_t v2_reports_sent = 0;
  friend bool operator==(const MldCounters&, const MldCounters&) = default;
};
// Nothing if IPv6 is off on the interface.
std::optional<MldCounters> ReadMldCounters(std::string_view interface_name);
// The parser of the file's text.
MldCounters ParseMldCounters(const std::string& text);

// How long a router of an older version counts as present, with default intervals (RFC 9777, 9.12: robustness 2 x 125 s
// + 10 s).
inline constexpr int64_t kOlderQuerierPresentNs = 260'000'000'000;

// The version in force: 1 or 2; 0 if unknown. The kernel does not show it, so it is inferred: version 2, unless a
// version is forced or a version 1 query came within kOlderQuerierPresentNs. The kernel answers such a query with
// version 1 reports, so no such report means no such query. `v1_query_heard`: whether one was heard in that time; unset
// if the gateway has not listened that long.
uint32_t MldVersion(const std::optional<MldCounters>& counters, std::optional<int64_t> forced_version,
                    std::optional<bool> v1_query_heard);

}  // namespace mcgw::net

#endif  // MCGW_NET_MLD_VERSION_H_
