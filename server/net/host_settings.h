// Host settings and counters that affect multicast, read from /proc without privileges.

#ifndef MCGW_NET_HOST_SETTINGS_H_
#define MCGW_NET_HOST_SETTINGS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace mcgw::net {

// A number under /proc/sys of the calling thread's network namespace: ReadSysctl("net/ipv4/igmp_max_msf"). Nothing if
// it is absent or unreadable.
std::optional<int64_t> ReadSysctl(std::string_view path);

// A value is unset if this kernel or namespace does not show it.
struct HostSettings {
  std::optional<int64_t> rmem_max;              // net.core.rmem_max, bytes.
  std::optional<int64_t> optmem_max;            // net.core.optmem_max, bytes.
  std::optional<int64_t> igmp_max_memberships;  // net.ipv4.igmp_max_memberships, per socket.
  std::optional<int64_t> igmp_max_msf;          // net.ipv4.igmp_max_msf, sources per membership.
  std::optional<int64_t> mld_max_msf;           // net.ipv6.mld_max_msf.
  std::optional<uint64_t> open_files;           // Descriptors that this process has open.
  uint64_t open_files_limit = 0;                // RLIMIT_NOFILE, the soft limit.
  bool has_ipv6 = true;                         // The kernel supports IPv6.
};
HostSettings ReadHostSettings();

// Datagrams that the host dropped before they reached a socket, on all interfaces since boot. Unset if unreadable.
struct HostCounters {
  std::optional<uint64_t> reverse_path_drops;      // By rp_filter.
  std::optional<uint64_t> reassembly_failures[2];  // IPv4, IPv6: datagrams with missing fragments.
  std::optional<uint64_t> udp_checksum_errors[2];  // IPv4, IPv6.
  std::optional<uint64_t> ipv4_header_checksum_errors;
};
HostCounters ReadHostCounters();

struct InterfaceSettings {
  std::optional<int64_t> rp_filter_all;
  std::optional<int64_t> rp_filter_own;
  std::optional<int64_t> disable_ipv6;
  std::optional<int64_t> force_igmp_version;  // In force, set for the interface or for all; 0: none.
  std::optional<int64_t> force_mld_version;

  // The kernel applies the greater of both: 0 off, 1 strict, 2 loose.
  int64_t rp_filter() const;
};
InterfaceSettings ReadInterfaceSettings(std::string_view interface_name);

// The value of `name` in a file that has a line of names and a line of values per protocol, like /proc/net/netstat.
std::optional<uint64_t> CounterIn(const std::string& text, std::string_view protocol, std::string_view name);
// The value of `name` in a file of "name value" lines, like /proc/net/snmp6.
std::optional<uint64_t> CounterIn(const std::string& text, std::string_view name);

}  // namespace mcgw::net

#endif  // MCGW_NET_HOST_SETTINGS_H_
