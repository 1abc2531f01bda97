#include "server/net/mld_version.h"

#include <string>
#include <string_view>

#include "gtest/gtest.h"

namespace mcgw::net {
namespace {

TEST(MldCounters, AreTakenFromTheFile) {
  EXPECT_EQ(ParseMldCounters("ifIndex                         \t2\nIcmp6InGroupMembQueries         \t4\n"
                             "Icmp6InGroupMembResponses       \t9\nIcmp6OutGroupMembResponses      \t1\n"
                             "Icmp6OutMLDv2Reports            \t5\n"),
            (MldCounters{4, 1, 5}));
  EXPECT_EQ(ParseMldCounters(""), MldCounters());
  EXPECT_EQ(ParseMldCounters("Icmp6InGroupMembQueries many\n"), MldCounters());
}

TEST(MldVersion, FollowsFromWhatTheKernelShows) {
  EXPECT_EQ(MldVersion(std::nullopt, 0, std::nullopt), 0u);          // IPv6 is off.
  EXPECT_EQ(MldVersion(MldCounters{0, 0, 9}, 0, std::nullopt), 2u);  // Nobody ever asked.
  EXPECT_EQ(MldVersion(MldCounters{5, 0, 9}, 0, std::nullopt), 2u);  // Answered in version 2 only.
  EXPECT_EQ(MldVersion(MldCounters{5, 1, 9}, 0, std::nullopt), 0u);  // Once in version 1: perhaps still.
  EXPECT_EQ(MldVersion(MldCounters{5, 1, 9}, std::nullopt, true), 1u);
  EXPECT_EQ(MldVersion(MldCounters{5, 1, 9}, 0, false), 2u);
  EXPECT_EQ(MldVersion(MldCounters{0, 0, 9}, 1, std::nullopt), 1u);  // Forced.
  EXPECT_EQ(MldVersion(MldCounters{5, 1, 9}, 2, true), 2u);
}

}  // namespace
}  // namespace mcgw::net
