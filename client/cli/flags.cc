#include "client/cli/flags.h"

#include <cmath>

#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "mcgw/error.h"

namespace mcgw::cli {
namespace {

namespace v1 = multicast::gateway::v1;

absl::Status OutOfRange(absl::string_view flag, absl::string_view text, absl::string_view right) {
  return client::InvalidInput(v1::ERROR_REASON_VALUE_OUT_OF_RANGE, flag.substr(2),
                              absl::StrCat(flag, " ", absl::CHexEscape(text), " must be ", right));
}

}  // namespace

absl::StatusOr<int64_t> ParseNumber(const NumberFlag& flag, absl::string_view text) {
  int64_t value = 0;
  if (!absl::SimpleAtoi(text, &value) || value < flag.minimum || value > flag.maximum) {
    const std::string range = flag.maximum == INT64_MAX ? absl::StrCat("of at least ", flag.minimum)
                                                        : absl::StrCat("from ", flag.minimum, " to ", flag.maximum);
    return client::InvalidInput(
        flag.reason, flag.field,
        absl::StrCat(flag.flag, " ", absl::CHexEscape(text), " must be a whole number ", range));
  }
  return value;
}

absl::optional<absl::Duration> ReadDuration(absl::string_view text) {
  double seconds = 0;
  absl::Duration duration = absl::InfiniteDuration();
  if (absl::SimpleAtod(text, &seconds)) {
    if (std::isfinite(seconds)) duration = absl::Seconds(seconds);
  } else if (!absl::ParseDuration(text, &duration)) {
    return absl::nullopt;
  }
  if (absl::AbsDuration(duration) == absl::InfiniteDuration()) return absl::nullopt;
  return duration;
}

absl::StatusOr<absl::Duration> ParseDuration(absl::string_view flag, absl::string_view text, absl::Duration minimum,
                                             absl::Duration maximum) {
  const absl::optional<absl::Duration> duration = ReadDuration(text);
  if (!duration.has_value() || *duration < minimum || *duration > maximum) {
    return OutOfRange(flag, text,
                      absl::StrCat("a number of seconds from ", absl::ToDoubleSeconds(minimum), " to ",
                                   absl::ToInt64Seconds(maximum), ", or a duration such as 1500ms or 2m"));
  }
  return *duration;
}

absl::StatusOr<double> ParseRate(absl::string_view flag, absl::string_view text) {
  constexpr double kMaximum = 1e12;
  absl::string_view number = text;
  double factor = 1;
  if (!number.empty()) {
    const char unit = number.back();
    factor = unit == 'k' || unit == 'K' ? 1e3 : unit == 'M' || unit == 'm' ? 1e6 : unit == 'G' || unit == 'g' ? 1e9 : 1;
    if (factor > 1) number.remove_suffix(1);
  }
  double value = 0;
  if (!absl::SimpleAtod(number, &value) || !(value > 0) || value * factor > kMaximum) {
    return OutOfRange(flag, text, "a number greater than 0 and at most 1e12, such as 2500, 0.5 or 4M");
  }
  return value * factor;
}

}  // namespace mcgw::cli
