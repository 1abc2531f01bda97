// Settings and counters of this host that decide about multicast, as /proc tells them to anybody.

#ifndef MCGW_NET_HOST_SETTINGS_H_
#define MCGW_NET_HOST_SETTINGS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace mcgw::net {

// A number under /proc/sys: ReadSysctl("net/ipv4/igmp_max_msf"). Nothing where it is absent or cannot be read. Of the
// calling thread's network namespace.
std::optional<int64_t> ReadSysctl(std::string_view path);

// Values are unset where this kernel or namespace does not show them.
struct HostSettings {
  std::optional<int64_t> rmem_max;              // net.core.rmem_max, bytes.
  std::optional<int64_t> optmem_max;            // net.core.optmem_max, bytes.
  std::optional<int64_t> igmp_max_memberships;  // net.ipv4.igmp_max_memberships, of one socket.
  std::optional<int64_t> igmp_max_msf;          // net.ipv4.igmp_max_msf, sources of one membership.
  std::optional<int64_t> mld_max_msf;           // net.ipv6.mld_max_msf.
  std::optional<uint64_t> open_files;           // Descriptors that this process has open.
  uint64_t open_files_limit = 0;                // RLIMIT_NOFILE, the soft limit.
  bool has_ipv6 = true;                         // The kernel knows the family at all.
};
HostSettings ReadHostSettings();

// What the host has dropped before any socket, since its start and on all interfaces together. Unset where it cannot be
// read.
struct HostCounters {
  std::optional<uint64_t> reverse_path_drops;      // By rp_filter.
  std::optional<uint64_t> reassembly_failures[2];  // Of IPv4 and IPv6: datagrams that fragments were missing of.
  std::optional<uint64_t> udp_checksum_errors[2];  // Of IPv4 and IPv6.
  std::optional<uint64_t> ipv4_header_checksum_errors;
};
HostCounters ReadHostCounters();

struct InterfaceSettings {
  std::optional<int64_t> rp_filter_all;
  std::optional<int64_t> rp_filter_own;
  std::optional<int64_t> disable_ipv6;
  std::optional<int64_t> force_igmp_version;  // In force, of the interface or of all; 0: none.
  std::optional<int64_t> force_mld_version;

  // The kernel takes the greater of both: 0 off, 1 strict, 2 loose.
  int64_t rp_filter() const;
};
InterfaceSettings ReadInterfaceSettings(std::string_view interface_name);

// The value of `name` in a file of two lines to a protocol, its names and its values, as /proc/net/netstat.
std::optional<uint64_t> CounterIn(const std::string& text, std::string_view protocol, std::string_view name);
// In a file of one line to a name and its value, as /proc/net/snmp6.
std::optional<uint64_t> CounterIn(const std::string& text, std::string_view name);

}  // namespace mcgw::net

#endif  // MCGW_NET_HOST_SETTINGS_H_
