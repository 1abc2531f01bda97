// What is known of IGMP, MLD and the host without asking a kernel.

#include "server/net/membership_protocol.h"

#include <string>
#include <string_view>

#include "gtest/gtest.h"
#include "server/net/host_settings.h"

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

TEST(HostSettings, FindACounterByProtocolAndName) {
  const std::string text = "TcpExt: A IPReversePathFilter B\nTcpExt: 1 22 3\nIpExt: A\nIpExt: 44\n";
  EXPECT_EQ(CounterIn(text, "TcpExt", "IPReversePathFilter"), 22u);
  EXPECT_EQ(CounterIn(text, "IpExt", "A"), 44u);
  EXPECT_EQ(CounterIn(text, "IpExt", "B"), std::nullopt);
  EXPECT_EQ(CounterIn("TcpExt: A B\nTcpExt: 1\n", "TcpExt", "B"), std::nullopt);
  EXPECT_EQ(CounterIn("", "TcpExt", "A"), std::nullopt);
}

TEST(HostSettings, FindACounterByName) {
  const std::string text = "Ip6InReceives                   \t18\nIp6ReasmFails                   \t7\nbroken\n";
  EXPECT_EQ(CounterIn(text, "Ip6ReasmFails"), 7u);
  EXPECT_EQ(CounterIn(text, "Ip6Reasm"), std::nullopt);
  EXPECT_EQ(CounterIn(text, "broken"), std::nullopt);
  EXPECT_EQ(CounterIn("", "Ip6ReasmFails"), std::nullopt);
}

TEST(HostSettings, TakeTheGreaterRpFilter) {
  EXPECT_EQ((InterfaceSettings{.rp_filter_all = 1,
                               .rp_filter_own = 2,
                               .disable_ipv6 = {},
                               .force_igmp_version = {},
                               .force_mld_version = {}})
                .rp_filter(),
            2);
  EXPECT_EQ(InterfaceSettings().rp_filter(), 0);
  EXPECT_EQ(ReadSysctl("no/such/setting"), std::nullopt);
}

}  // namespace
}  // namespace mcgw::net
