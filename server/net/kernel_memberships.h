// The kernel's own list of joined groups: /proc/net/igmp and /proc/net/igmp6 (proc(5)). It covers all processes of the
// network namespace.

#ifndef MCGW_NET_KERNEL_MEMBERSHIPS_H_
#define MCGW_NET_KERNEL_MEMBERSHIPS_H_

#include <cstdint>
#include <map>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "server/net/address.h"

namespace mcgw::net {

struct KernelMemberships {
  // (interface index, group) to the number of sockets that have joined, plus one if the kernel itself has.
  std::map<std::pair<uint32_t, IpAddress>, uint32_t> users;
  // The IGMP version in force on an interface: 1, 2 or 3.
  std::map<uint32_t, uint32_t> igmp_version;
};

// Reads both files, of /proc or of another directory. A kernel without IPv6 has no igmp6, which is not an error. Fails
// if a file cannot be read to its end, since a part would look as if the other memberships were gone.
absl::StatusOr<KernelMemberships> ReadKernelMemberships();
absl::StatusOr<KernelMemberships> ReadKernelMembershipsIn(const std::string& directory);

// The parsers of the two files' text. They skip malformed lines.
void ParseIgmp(const std::string& text, KernelMemberships* out);
void ParseIgmp6(const std::string& text, KernelMemberships* out);

}  // namespace mcgw::net

#endif  // MCGW_NET_KERNEL_MEMBERSHIPS_H_
