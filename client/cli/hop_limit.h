// Hop limits as people write them: a number, or a name for how far a datagram may go.

#ifndef MCGW_CLIENT_CLI_HOP_LIMIT_H_
#define MCGW_CLIENT_CLI_HOP_LIMIT_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace mcgw::cli {

// Parses a number from 0 to 255, or a preset: host 0, subnet 1, site 32, region 64, continent 128, unrestricted 255.
// Case does not matter. Other text is INVALID_HOP_LIMIT; the error names `flag` ("--ttl"), the value and what is right.
absl::StatusOr<uint32_t> ParseHopLimit(absl::string_view flag, absl::string_view text);

// "host 0, subnet 1, site 32, region 64, continent 128, unrestricted 255", for help texts.
std::string HopLimitPresets();

}  // namespace mcgw::cli

#endif  // MCGW_CLIENT_CLI_HOP_LIMIT_H_
