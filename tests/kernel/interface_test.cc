// The interface table, the routes and the watch against the real kernel.

#include <net/if.h>
#include <unistd.h>

#include <fstream>
#include <functional>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/net/interface_table.h"
#include "server/net/status.h"
#include "tests/kernel/kernel_net.h"

namespace mcgw::kernel {
namespace {

using net::Family;
using net::Interface;
using net::InterfaceAddress;
using net::InterfaceTable;
using net::Reason;
using net::ReasonOf;
using testing::ElementsAre;

class InterfaceTest : public testing::Test {
 protected:
  static InterfaceTable Table() { return InterfaceTable::Read().value(); }
  static Interface Find(const std::string& name) {
    const InterfaceTable table = Table();
    const Interface* const found = table.FindByName(name);
    EXPECT_NE(found, nullptr) << name;
    return found == nullptr ? Interface() : *found;
  }
  // Waits until the watch has heard enough for the condition to hold.
  static bool HearsOf(net::InterfaceWatch* watch, const std::function<bool()>& condition) {
    while (WaitReadable(watch->fd())) {
      if (watch->Drain() && condition()) return true;
    }
    return false;
  }

  Peer peer_;
};

TEST_F(InterfaceTest, DescribesALinkToAnotherNamespace) {
  const Interface a0 = Find("a0");
  EXPECT_EQ(a0.index, if_nametoindex("a0"));
  EXPECT_TRUE(a0.up);
  EXPECT_TRUE(a0.carrier);
  EXPECT_TRUE(a0.multicast);
  EXPECT_FALSE(a0.loopback);
  EXPECT_EQ(a0.mtu_bytes, 1500u);
  EXPECT_EQ(a0.master_index, 0u);
  EXPECT_EQ(a0.kind, "veth");
  EXPECT_TRUE(a0.peer_in_other_namespace);
  EXPECT_THAT(a0.addresses, ElementsAre(InterfaceAddress{Ip("10.0.0.1"), 24}, InterfaceAddress{Ip("fd00::1"), 64},
                                        InterfaceAddress{Ip("fe80::1"), 64}));
  EXPECT_EQ(a0.FirstAddress(Family::kIpv6), Ip("fd00::1"));
}

TEST_F(InterfaceTest, DescribesTheLoopback) {
  const Interface lo = Find("lo");
  EXPECT_TRUE(lo.loopback);
  EXPECT_TRUE(lo.up);
  EXPECT_TRUE(lo.carrier);
  EXPECT_FALSE(lo.multicast);
  EXPECT_FALSE(lo.peer_in_other_namespace);
  EXPECT_THAT(lo.addresses, ElementsAre(InterfaceAddress{Ip("127.0.0.1"), 8}, InterfaceAddress{Ip("::1"), 128}));
}

TEST_F(InterfaceTest, ShowsFlagsAndCarrier) {
  Shell("ip link set a0 multicast off mtu 9000");
  EXPECT_FALSE(Find("a0").multicast);
  EXPECT_EQ(Find("a0").mtu_bytes, 9000u);
  peer_.Shell("ip link set b0 down");
  EXPECT_TRUE(Find("a0").up);
  EXPECT_FALSE(Find("a0").carrier);
  Shell("ip link set a0 down");
  EXPECT_FALSE(Find("a0").up);
}

TEST_F(InterfaceTest, ShowsTheDeviceThatEnslavesAnother) {
  Shell("ip link add br0 type bridge && ip link set a0 master br0");
  EXPECT_EQ(Find("a0").master_index, if_nametoindex("br0"));
  EXPECT_EQ(Find("a0").port_kind, "bridge");
  EXPECT_EQ(Find("br0").port_kind, "");
  EXPECT_EQ(Find("br0").kind, "bridge");
  EXPECT_FALSE(Find("br0").peer_in_other_namespace);
  Shell("ip link del br0");
}

TEST_F(InterfaceTest, ShowsTheOwnAddressOfAPointToPointLink) {
  Shell("ip addr add 10.5.0.1 peer 10.5.0.2/32 dev a0");
  EXPECT_NE(Table().FindByAddress(Ip("10.5.0.1")), nullptr);
  EXPECT_EQ(Table().FindByAddress(Ip("10.5.0.2")), nullptr);
}

TEST_F(InterfaceTest, LeavesOutAnAddressUntilItsDuplicateDetectionEnds) {
  const auto watch = net::InterfaceWatch::Create().value();
  Shell("ip addr add fd00::77/64 dev a0");
  EXPECT_EQ(Table().FindByAddress(Ip("fd00::77")), nullptr);
  EXPECT_TRUE(HearsOf(watch.get(), [] { return Table().FindByAddress(Ip("fd00::77")) != nullptr; }));
}

TEST_F(InterfaceTest, WatchHearsOfLinksAndAddresses) {
  const auto watch = net::InterfaceWatch::Create().value();
  const uint32_t index = if_nametoindex("a0");
  EXPECT_FALSE(watch->Drain());

  Shell("ip addr add 10.0.0.9/24 dev a0");
  EXPECT_TRUE(HearsOf(watch.get(), [] { return Table().FindByAddress(Ip("10.0.0.9")) != nullptr; }));
  Shell("ip addr del 10.0.0.9/24 dev a0");
  EXPECT_TRUE(HearsOf(watch.get(), [] { return Table().FindByAddress(Ip("10.0.0.9")) == nullptr; }));
  Shell("ip addr add fd00::9/64 dev a0 nodad");
  EXPECT_TRUE(HearsOf(watch.get(), [] { return Table().FindByAddress(Ip("fd00::9")) != nullptr; }));
  Shell("ip link set a0 mtu 1400");
  EXPECT_TRUE(HearsOf(watch.get(), [] { return Find("a0").mtu_bytes == 1400; }));
  peer_.Shell("ip link set b0 down");
  EXPECT_TRUE(HearsOf(watch.get(), [] { return !Find("a0").carrier; }));
  peer_.Shell("ip link set b0 up");
  EXPECT_TRUE(HearsOf(watch.get(), [] { return Find("a0").carrier; }));
  Shell("ip link set a0 down");
  EXPECT_TRUE(HearsOf(watch.get(), [] { return !Find("a0").up; }));
  Shell("ip link set a0 name renamed");
  EXPECT_TRUE(HearsOf(watch.get(), [&] { return Find("renamed").index == index; }));
  Shell("ip link del renamed");
  EXPECT_TRUE(HearsOf(watch.get(), [&] { return Table().FindByIndex(index) == nullptr; }));
  Shell("ip link add new0 type veth peer name new1");
  EXPECT_TRUE(HearsOf(watch.get(), [] { return Table().FindByName("new0") != nullptr; }));
  Shell("ip link del new0");
}

TEST_F(InterfaceTest, WatchSaysSoWhenMessagesWereLost) {
  const auto watch = net::InterfaceWatch::Create(/*receive_buffer_bytes=*/64 << 10).value();
  const std::string commands = absl::StrCat("/tmp/addresses.", getpid());
  {
    std::ofstream file(commands);
    for (int i = 0; i < 3000; ++i) {
      file << "addr add 10.9." << i / 250 << "." << i % 250 + 1 << "/32 dev a0\n";
    }
  }
  Shell(absl::StrCat("ip -batch ", commands));
  unlink(commands.c_str());
  EXPECT_TRUE(watch->Drain());
  int more = 0;
  while (watch->Drain()) ++more;
  EXPECT_LT(more, 3000 / 256) << "fewer messages than changes: some were lost";
  EXPECT_EQ(Find("a0").addresses.size(), 3003u) << "a dump of many parts is read whole";
  Shell("ip addr add 10.0.0.9/24 dev a0");
  EXPECT_TRUE(HearsOf(watch.get(), [] { return Table().FindByAddress(Ip("10.0.0.9")) != nullptr; })) << "it goes on";
}

TEST_F(InterfaceTest, FindsTheInterfaceThatTheRoutesChoose) {
  peer_.AddLink("a1", "b1");
  EXPECT_EQ(ReasonOf(net::RouteInterface(Ip("239.1.1.1")).status()), Reason::kNoRoute);
  Shell("ip route add 224.0.0.0/4 dev a0 && ip route add 239.0.0.0/8 dev a1");
  EXPECT_EQ(net::RouteInterface(Ip("239.1.1.1")).value(), if_nametoindex("a1"));
  EXPECT_EQ(net::RouteInterface(Ip("225.1.1.1")).value(), if_nametoindex("a0"));
  EXPECT_EQ(net::RouteInterface(Ip("10.1.0.2")).value(), if_nametoindex("a1"));
  EXPECT_EQ(net::RouteInterface(Ip("fd01::2")).value(), if_nametoindex("a1"));
  Shell("ip -6 route add ff15::/16 dev a1 table local metric 1");
  EXPECT_EQ(net::RouteInterface(Ip("ff15::1")).value(), if_nametoindex("a1"));
}

TEST_F(InterfaceTest, TakesARouteThatRefusesForNone) {
  Shell(
      "ip route add unreachable 239.1.0.0/16 && ip route add prohibit 239.2.0.0/16 && "
      "ip route add blackhole 239.3.0.0/16");
  for (const char* group : {"239.1.1.1", "239.2.1.1", "239.3.1.1", "239.4.1.1"}) {
    const absl::Status status = net::RouteInterface(Ip(group)).status();
    EXPECT_EQ(ReasonOf(status), Reason::kNoRoute) << status;
  }
  EXPECT_EQ(ReasonOf(net::RouteInterface(Ip("2001:db8::1")).status()), Reason::kNoRoute);
}

TEST_F(InterfaceTest, FindsTheDefaultRouteOfTheLowestMetric) {
  peer_.AddLink("a1", "b1");
  for (const Family family : {Family::kIpv4, Family::kIpv6}) {
    EXPECT_EQ(ReasonOf(net::DefaultRouteInterface(family).status()), Reason::kNoRoute);
  }
  Shell("ip route add default via 10.0.0.2 metric 100 && ip -6 route add default via fd00::2 metric 100");
  for (const Family family : {Family::kIpv4, Family::kIpv6}) {
    EXPECT_EQ(net::DefaultRouteInterface(family).value(), if_nametoindex("a0"));
  }
  Shell("ip route add default via 10.1.0.2 metric 50 && ip -6 route add default via fd01::2 metric 50");
  Shell("ip route add unreachable default metric 10 && ip route add default dev a0 table 77");
  for (const Family family : {Family::kIpv4, Family::kIpv6}) {
    EXPECT_EQ(net::DefaultRouteInterface(family).value(), if_nametoindex("a1"));
  }
}

TEST_F(InterfaceTest, TakesTheFirstHopOfADefaultRouteOfSeveral) {
  peer_.AddLink("a1", "b1");
  Shell("ip route add default nexthop via 10.1.0.2 nexthop via 10.0.0.2");
  EXPECT_EQ(net::DefaultRouteInterface(Family::kIpv4).value(), if_nametoindex("a1"));
}

}  // namespace
}  // namespace mcgw::kernel
