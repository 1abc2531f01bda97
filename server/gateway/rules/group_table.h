// The registered groups and ranges of both families, from the multicast address registries of IANA and the RFCs.
//
// One table serves the description of groups (group_description.h) and the check of what clients may send to
// (policy.h). All functions are pure and thread-safe; what they return lives as long as the program.

#ifndef MCGW_GATEWAY_RULES_GROUP_TABLE_H_
#define MCGW_GATEWAY_RULES_GROUP_TABLE_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "server/net/address.h"

namespace mcgw::gateway {

enum class GroupUse : uint8_t {
  kOpen,      // For programs, as far as the registry permits.
  kNetwork,   // Routers and hosts run their own protocols on it: clients may listen, but not send.
  kReserved,  // Not a group: cannot be joined or sent to.
};

struct GroupEntry {
  // In canonical text: a prefix ("239.255.0.0/16", "224.0.0.251/32"), or first and last address
  // ("224.3.0.0-224.4.255.255").
  std::string_view range;
  std::string_view name;
  // What it is for, as a phrase.
  std::string_view description;
  // The RFC that defines it, or the registry or body that does.
  std::string_view source;
  GroupUse use = GroupUse::kOpen;
  // IPv6: the range is written with scope 0 and holds for every scope, as ff0x::101 does.
  bool any_scope = false;
};

// Sorted by first address, the wider range first; IPv4 before IPv6. Ranges are disjoint or nested.
absl::Span<const GroupEntry> GroupTable();

// Returns the entry with the smallest range that contains the group; one for the group's own scope wins over one for
// all scopes. Null if the address is not multicast: the table covers all multicast addresses.
const GroupEntry* FindGroup(const net::IpAddress& group);

// The entry's range; if it holds for every scope, with the scope of `group`: "ff05::101/128".
std::string RangeFor(const GroupEntry& entry, const net::IpAddress& group);

// Parses the range of an entry. INVALID_ADDRESS if it is malformed, which no entry of the table is.
struct GroupRange {
  net::IpAddress first;
  net::IpAddress last;
};
absl::StatusOr<GroupRange> ParseRange(std::string_view range);

}  // namespace mcgw::gateway

#endif  // MCGW_GATEWAY_RULES_GROUP_TABLE_H_
