// What the kernel itself says it has joined: /proc/net/igmp and /proc/net/igmp6 (proc(5)). The memberships are those of
// all processes of the network namespace together.

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
  // (interface index, group) to the number of sockets that hold it, the kernel's own hold included.
  std::map<std::pair<uint32_t, IpAddress>, uint32_t> users;
  // The version of IGMP in force on an interface: 1, 2 or 3.
  std::map<uint32_t, uint32_t> igmp_version;
};

// Reads both files. A kernel without IPv6 has no igmp6: that is no error.
absl::StatusOr<KernelMemberships> ReadKernelMemberships();

// The two parsers, for the text of each file. Lines that make no sense are skipped.
void ParseIgmp(const std::string& text, KernelMemberships* out);
void ParseIgmp6(const std::string& text, KernelMemberships* out);

}  // namespace mcgw::net

#endif  // MCGW_NET_KERNEL_MEMBERSHIPS_H_
