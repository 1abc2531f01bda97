#include "server/net/host_settings.h"

#include <optional>
#include <string>

#include "gtest/gtest.h"

namespace mcgw::net {
namespace {

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
