// Parses values of flags. Errors name the flag, the value and the range.

#ifndef MCGW_CLIENT_CLI_FLAGS_H_
#define MCGW_CLIENT_CLI_FLAGS_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "multicast/gateway/v1/errors.pb.h"

namespace mcgw::cli {

// The range of a flag, and how its errors name it.
struct NumberFlag {
  absl::string_view flag;   // "--ttl"
  absl::string_view field;  // The field of the API: "hop_limit".
  multicast::gateway::v1::ErrorReason reason = multicast::gateway::v1::ERROR_REASON_VALUE_OUT_OF_RANGE;
  int64_t minimum = 0;
  int64_t maximum = INT64_MAX;
};

absl::StatusOr<int64_t> ParseNumber(const NumberFlag& flag, absl::string_view text);

// A number of seconds or a number with a unit, with or without a fraction: "2", "0.5", "30s", "500ms", "1h". Nothing if
// it is neither.
absl::optional<absl::Duration> ReadDuration(absl::string_view text);

// The same from `minimum` to `maximum`.
absl::StatusOr<absl::Duration> ParseDuration(absl::string_view flag, absl::string_view text, absl::Duration minimum,
                                             absl::Duration maximum);

// A positive number up to 1e12, such as "2500" or "0.5", with k, M or G for 1e3, 1e6 or 1e9: "4M".
absl::StatusOr<double> ParseRate(absl::string_view flag, absl::string_view text);

}  // namespace mcgw::cli

#endif  // MCGW_CLIENT_CLI_FLAGS_H_
