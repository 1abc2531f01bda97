// Limits of a channel's log, by group.

#ifndef MCGW_GATEWAY_RULES_LOG_RULES_H_
#define MCGW_GATEWAY_RULES_LOG_RULES_H_

#include <cstddef>
#include <optional>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/net/address.h"

namespace mcgw::gateway {

// Limits for the logs of the groups of one prefix. The gateway's own limits apply where a rule sets none.
struct LogRule {
  net::IpAddress prefix;
  int prefix_bits = 0;
  std::optional<size_t> bytes;
  std::optional<absl::Duration> age;  // Zero: no limit by age.

  bool Covers(const net::IpAddress& group) const;
};

// Reads "239.1.0.0/16 bytes=1048576 age=30s": a prefix of multicast groups (a group alone is its own), and at least one
// limit. The error names the part that is wrong.
absl::StatusOr<LogRule> ParseLogRule(std::string_view text);

// The rule with the longest prefix that covers the group; null if there is none.
const LogRule* FindLogRule(const std::vector<LogRule>& rules, const net::IpAddress& group);

}  // namespace mcgw::gateway

#endif  // MCGW_GATEWAY_RULES_LOG_RULES_H_
