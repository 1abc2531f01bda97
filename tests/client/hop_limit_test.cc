// Hop limits by number and by name.

#include "client/cli/hop_limit.h"

#include <string>
#include <utility>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace mcgw::cli {
namespace {

using testing::AllOf;
using testing::HasSubstr;

TEST(HopLimitTest, ReadsPresetsInAnyCase) {
  const std::pair<const char*, uint32_t> presets[] = {{"host", 0},        {"subnet", 1},        {"site", 32},
                                                      {"region", 64},     {"continent", 128},   {"unrestricted", 255},
                                                      {"Continent", 128}, {"UNRESTRICTED", 255}};
  for (const auto& [name, hops] : presets) {
    EXPECT_EQ(ParseHopLimit("--ttl", name).value(), hops) << name;
    EXPECT_THAT(HopLimitPresets(), HasSubstr(std::to_string(hops)));
  }
}

TEST(HopLimitTest, ReadsNumbers) {
  for (const uint32_t hops : {0u, 1u, 33u, 255u}) {
    EXPECT_EQ(ParseHopLimit("--ttl", std::to_string(hops)).value(), hops);
  }
}

TEST(HopLimitTest, SaysWhatWouldBeRight) {
  for (const char* text : {"", "256", "-1", "1.5", "sitewide", "1 hop", "99999999999"}) {
    const absl::Status status = ParseHopLimit("--ttl", text).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << text;
    EXPECT_THAT(std::string(status.message()),
                AllOf(HasSubstr(std::string("--ttl '") + text + "'"), HasSubstr("0 to 255"), HasSubstr("site 32")));
  }
}

}  // namespace
}  // namespace mcgw::cli
