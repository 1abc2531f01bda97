#include "client/cli/hop_limit.h"

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "mcgw/error.h"

namespace mcgw::cli {
namespace {

constexpr uint32_t kMostHops = 255;

// The customary thresholds: a router at the edge of a site, region or continent forwards datagrams with more hops left.
struct Preset {
  absl::string_view name;
  uint32_t hops;
};
constexpr Preset kPresets[] = {{"host", 0},    {"subnet", 1},      {"site", 32},
                               {"region", 64}, {"continent", 128}, {"unrestricted", kMostHops}};

}  // namespace

absl::StatusOr<uint32_t> ParseHopLimit(absl::string_view flag, absl::string_view text) {
  for (const Preset& preset : kPresets) {
    if (absl::EqualsIgnoreCase(text, preset.name)) return preset.hops;
  }
  uint32_t hops = 0;
  if (absl::SimpleAtoi(text, &hops) && hops <= kMostHops) return hops;
  return client::InvalidInput(multicast::gateway::v1::ERROR_REASON_INVALID_HOP_LIMIT, "hop_limit",
                              absl::StrCat(flag, " '", absl::CHexEscape(text), "' must be a whole number from 0 to ",
                                           kMostHops, " or one of: ", HopLimitPresets()));
}

std::string HopLimitPresets() {
  return absl::StrJoin(kPresets, ", ", [](std::string* out, const Preset& preset) {
    absl::StrAppend(out, preset.name, " ", preset.hops);
  });
}

}  // namespace mcgw::cli
