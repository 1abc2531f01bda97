// Describes a group by its address alone: its scope, its registration, its MAC, a hop limit that fits, and warnings.

#ifndef MCGW_GATEWAY_RULES_GROUP_DESCRIPTION_H_
#define MCGW_GATEWAY_RULES_GROUP_DESCRIPTION_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "server/gateway/rules/group_table.h"
#include "server/net/address.h"

namespace mcgw::gateway {

enum class GroupScope : uint8_t {
  kInterfaceLocal,
  kLinkLocal,
  kRealmLocal,
  kAdminLocal,
  kSiteLocal,
  kOrganizationLocal,
  kAdministered,  // Scoped by the network's administrators; nothing more is known.
  kGlobal,
  kReserved,
};

enum class GroupWarningCode : uint8_t {
  kHopLimitExceedsScope,
  kHopLimitBelowScope,
  kReserved,
  kSourceRequired,
  kFloodedMac,
  kInterfaceRequired,
};

struct GroupWarning {
  GroupWarningCode code;
  std::string message;
};

struct GroupDescription {
  net::IpAddress group;
  GroupScope scope = GroupScope::kGlobal;
  std::string_view scope_description;
  const GroupEntry* entry = nullptr;  // Never null after DescribeGroup.
  std::string range;                  // Of the entry, with the group's own scope.
  std::string mac;
  std::vector<net::IpAddress> mac_aliases;  // IPv4: the 31 others, ascending.
  std::string_view mac_rule;
  uint8_t advised_hop_limit = 1;
  bool source_specific = false;
  bool send_refused = false;  // By CheckSend, on any interface.
  bool join_refused = false;  // By CheckMembership.
  std::vector<GroupWarning> warnings;
};

// Pure, thread-safe. `hop_limit`, if set, is compared with the scope. NOT_A_MULTICAST_GROUP, for the field "group".
absl::StatusOr<GroupDescription> DescribeGroup(const net::IpAddress& group, std::optional<uint8_t> hop_limit);

GroupScope ScopeOf(const net::IpAddress& group);

// "01:00:5e:01:01:01": the destination of the group's frames on Ethernet (RFC 1112, 6.4; RFC 2464, 7).
std::string MacOf(const net::IpAddress& group);

}  // namespace mcgw::gateway

#endif  // MCGW_GATEWAY_RULES_GROUP_DESCRIPTION_H_
