// The interface table, the routes and the watch against the real kernel.

#include <linux/rtnetlink.h>
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
#include "server/net/route_lookup.h"
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
  static bool Has(std::string_view address) { return !Table().FindByAddress(Ip(address)).empty(); }
  // The interface that a route leads through, by index; 0 if there is none.
  static uint32_t Through(std::string_view destination) {
    const net::Route route = net::LookUpRoute(Ip(destination)).value();
    return route.kind == net::Route::Kind::kThrough ? route.interface_index : 0;
  }
  // Waits until the watch has heard enough for the condition to hold.
  static bool HearsOf(net::InterfaceWatch* watch, const std::function<bool()>& condition) {
    while (WaitReadable(watch->fd())) {
      if (watch->Take().any && condition()) return true;
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
  EXPECT_THAT(a0.addresses,
              ElementsAre(InterfaceAddress{Ip("10.0.0.1"), 24}, InterfaceAddress{Ip("fd00::1"), 64},
                          InterfaceAddress{.address = Ip("fe80::1"), .prefix_length = 64, .scope = RT_SCOPE_LINK}));
  EXPECT_EQ(a0.DefaultSource(Family::kIpv6), Ip("fd00::1"));
}

TEST_F(InterfaceTest, DescribesTheLoopback) {
  const Interface lo = Find("lo");
  EXPECT_TRUE(lo.loopback);
  EXPECT_TRUE(lo.up);
  EXPECT_TRUE(lo.carrier);
  EXPECT_FALSE(lo.multicast);
  EXPECT_FALSE(lo.peer_in_other_namespace);
  EXPECT_THAT(lo.addresses,
              ElementsAre(InterfaceAddress{.address = Ip("127.0.0.1"), .prefix_length = 8, .scope = RT_SCOPE_HOST},
                          InterfaceAddress{.address = Ip("::1"), .prefix_length = 128, .scope = RT_SCOPE_HOST}));
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
  EXPECT_EQ(Find("a0").master_name, "br0");
  EXPECT_EQ(Find("a0").port_kind, "bridge");
  EXPECT_TRUE(Find("a0").ReceivesForMaster());
  EXPECT_EQ(Find("br0").port_kind, "");
  EXPECT_EQ(Find("br0").kind, "bridge");
  EXPECT_FALSE(Find("br0").peer_in_other_namespace);
  Shell("ip link del br0");
}

TEST_F(InterfaceTest, ShowsTheOwnAddressOfAPointToPointLink) {
  Shell("ip addr add 10.5.0.1 peer 10.5.0.2/32 dev a0");
  EXPECT_TRUE(Has("10.5.0.1"));
  EXPECT_FALSE(Has("10.5.0.2"));
}

TEST_F(InterfaceTest, LeavesOutAnAddressUntilItsDuplicateDetectionEnds) {
  const auto watch = net::InterfaceWatch::Create().value();
  Shell("ip addr add fd00::77/64 dev a0");
  EXPECT_FALSE(Has("fd00::77"));
  EXPECT_TRUE(HearsOf(watch.get(), [] { return Has("fd00::77"); }));
}

TEST_F(InterfaceTest, WatchHearsOfLinksAndAddresses) {
  const auto watch = net::InterfaceWatch::Create().value();
  const uint32_t index = if_nametoindex("a0");
  EXPECT_FALSE(watch->Take().any);

  Shell("ip addr add 10.0.0.9/24 dev a0");
  EXPECT_TRUE(HearsOf(watch.get(), [] { return Has("10.0.0.9"); }));
  Shell("ip addr del 10.0.0.9/24 dev a0");
  EXPECT_TRUE(HearsOf(watch.get(), [] { return !Has("10.0.0.9"); }));
  Shell("ip addr add fd00::9/64 dev a0 nodad");
  EXPECT_TRUE(HearsOf(watch.get(), [] { return Has("fd00::9"); }));
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

TEST_F(InterfaceTest, ABridgeShowsThePortsThatPassFrames) {
  // Its spanning tree holds a port back for two seconds of listening and two of learning.
  Shell("ip link add br0 type bridge stp_state 1 forward_delay 200 && ip link add p0 type veth peer name p1");
  Shell("ip link set p0 master br0 && ip link set a0 master br0");
  const auto watch = net::InterfaceWatch::Create().value();
  Shell("ip link set br0 up && ip link set p1 up && ip link set p0 up");
  EXPECT_TRUE(HearsOf(watch.get(), [] { return Find("p0").carrier; }));
  EXPECT_FALSE(Find("p0").forwarding);
  EXPECT_THAT(Find("br0").ports, testing::IsEmpty());
  EXPECT_TRUE(HearsOf(watch.get(), [] { return !Find("br0").ports.empty(); }));
  ASSERT_EQ(Find("br0").ports.size(), 1u) << "a0 leads to another namespace, as to a container";
  EXPECT_EQ(Find("br0").ports.at(0).index, if_nametoindex("p0"));
  EXPECT_TRUE(Find("p0").forwarding);
  Shell("ip link del br0 && ip link del p0");
}

TEST_F(InterfaceTest, WatchTellsWhatTheTableCannotShow) {
  const auto watch = net::InterfaceWatch::Create().value();
  const uint32_t a0 = if_nametoindex("a0");
  Shell("ip link add new0 type veth peer name new1 && ip link set new0 up && ip link set new1 up");
  net::InterfaceChanges changes = watch->Take();
  EXPECT_TRUE(changes.any);
  EXPECT_THAT(changes.down, testing::IsEmpty()) << "a link is made down, which is no loss of it";
  EXPECT_THAT(changes.deleted, testing::IsEmpty());

  Shell("ip link set a0 mtu 1400 && ip link set a0 down && ip link set a0 up");
  changes = watch->Take();
  EXPECT_THAT(changes.down, ElementsAre(a0));
  EXPECT_THAT(changes.enslaved, testing::IsEmpty());

  Shell("ip link add br0 type bridge && ip link set a0 master br0 && ip link set a0 nomaster");
  changes = watch->Take();
  EXPECT_THAT(changes.enslaved, ElementsAre(a0));
  EXPECT_THAT(changes.down, testing::IsEmpty());
  EXPECT_THAT(changes.deleted, testing::IsEmpty());

  const uint32_t new0 = if_nametoindex("new0");
  Shell("ip link del new0 && ip link del br0");
  EXPECT_THAT(watch->Take().deleted, testing::Contains(new0));
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
  EXPECT_TRUE(watch->Take().any);
  EXPECT_GT(std::stoi(Output("awk 'NR > 1 { drops += $9 } END { print drops }' /proc/net/netlink")), 0);
  EXPECT_EQ(Find("a0").addresses.size(), 3003u) << "a dump of many parts is read whole";
  Shell("ip addr add 10.0.0.9/24 dev a0");
  EXPECT_TRUE(HearsOf(watch.get(), [] { return Has("10.0.0.9"); })) << "it goes on";
}

TEST_F(InterfaceTest, FindsTheInterfaceThatTheRoutesChoose) {
  peer_.AddLink("a1", "b1");
  EXPECT_EQ(Through("239.1.1.1"), 0u);
  Shell("ip route add 224.0.0.0/4 dev a0 && ip route add 239.0.0.0/8 dev a1");
  EXPECT_EQ(Through("239.1.1.1"), if_nametoindex("a1"));
  EXPECT_EQ(Through("225.1.1.1"), if_nametoindex("a0"));
  EXPECT_EQ(Through("10.1.0.2"), if_nametoindex("a1"));
  EXPECT_EQ(Through("fd01::2"), if_nametoindex("a1"));
  Shell("ip -6 route add ff15::/16 dev a1 table local metric 1");
  EXPECT_EQ(Through("ff15::1"), if_nametoindex("a1"));
}

TEST_F(InterfaceTest, TakesARouteThatRefusesForNone) {
  Shell(
      "ip route add unreachable 239.1.0.0/16 && ip route add prohibit 239.2.0.0/16 && "
      "ip route add blackhole 239.3.0.0/16");
  for (const char* group : {"239.1.1.1", "239.2.1.1", "239.3.1.1", "239.4.1.1"}) {
    EXPECT_EQ(Through(group), 0u) << group;
  }
  EXPECT_EQ(Through("2001:db8::1"), 0u);
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

TEST_F(InterfaceTest, ShowsAlternativeNames) {
  const auto watch = net::InterfaceWatch::Create().value();
  EXPECT_THAT(Find("a0").alternative_names, testing::IsEmpty());
  Shell("ip link property add dev a0 altname enp5s0 altname a-name-that-is-longer-than-15-bytes");
  EXPECT_TRUE(HearsOf(watch.get(), [] { return Table().FindByName("enp5s0") != nullptr; }));
  EXPECT_THAT(Find("a0").alternative_names, ElementsAre("enp5s0", "a-name-that-is-longer-than-15-bytes"));
  EXPECT_EQ(Find("a-name-that-is-longer-than-15-bytes").name, "a0");
}

TEST_F(InterfaceTest, TheInterfaceOfTheDefaultRouteLeadsOut) {
  EXPECT_TRUE(Find("a0").uplink) << "the only one";
  peer_.AddLink("a1", "b1");
  EXPECT_FALSE(Find("a0").uplink);
  EXPECT_FALSE(Find("a1").uplink);
  Shell("ip route add 10.42.0.1 dev a0 && ip route add default via 10.42.0.1 dev a0");
  EXPECT_TRUE(Find("a0").uplink);
  EXPECT_FALSE(Find("a1").uplink);
  Shell("ip -6 route add default via fd01::2");
  EXPECT_TRUE(Find("a1").uplink) << "of either family";
}

TEST_F(InterfaceTest, WatchHearsOfRoutesIfAskedTo) {
  const auto plain = net::InterfaceWatch::Create().value();
  const auto routes = net::InterfaceWatch::Create(0, net::InterfaceWatch::Scope::kInterfacesAndRoutes).value();
  plain->Take();
  routes->Take();
  for (const char* change : {"ip route add 239.0.0.0/8 dev a0", "ip route del 239.0.0.0/8 dev a0",
                             "ip -6 route add 2001:db8::/32 dev a0", "ip rule add from 10.9.0.0/16 table 77",
                             "ip -6 rule add from fd09::/16 table 77", "ip nexthop add id 7 dev a0"}) {
    Shell(change);
    EXPECT_TRUE(HearsOf(routes.get(), [] { return true; })) << change;
    while (routes->Take().any) {
    }
  }
  EXPECT_FALSE(plain->Take().any);
}

// The kernel says what it would send from, if the interface has an address at all that it would.
TEST_F(InterfaceTest, SendsFromWhatTheKernelWould) {
  Shell("ip addr flush dev a0 scope global && ip -6 addr flush dev a0");
  Shell("ip link set lo multicast on && ip -6 route add local ff00::/8 dev lo table local 2>/dev/null || true");
  const auto expect_same = [](const std::string& after) {
    const Interface a0 = Find("a0");
    for (const char* group :
         {"239.1.1.1", "224.0.0.251", "224.0.1.1", "ff11::1", "ff12::1", "ff15::1", "ff18::1", "ff1e::1", "ff0e::1"}) {
      const net::Route route = net::LookUpRoute(Ip(group), a0.index).value();
      EXPECT_EQ(a0.SourceFor(Ip(group)), route.source) << group << " after " << after;
    }
  };
  for (const char* change :
       {"addr add 10.1.0.1/24 dev a0", "addr add 10.1.0.9/24 dev a0", "addr add 169.254.7.1/16 scope link dev a0",
        "addr add 10.2.0.1/24 dev a0", "addr add 10.3.0.1/24 scope site dev a0", "addr del 10.1.0.1/24 dev a0",
        "addr add fe80::1/64 dev a0 nodad", "addr add fd00::1/64 dev a0 nodad",
        "addr add 2001:db8:2::1/64 dev a0 nodad preferred_lft 0", "addr add 2001:db8:1::1/64 dev a0 nodad",
        "addr add fd00::2/64 dev a0 nodad", "addr add 2002:a01::1/64 dev a0 nodad", "addr add fec0::1/64 dev a0 nodad",
        "addr add 2001:db8:1::2/64 dev a0 nodad", "addr change 2001:db8:1::2/64 dev a0 preferred_lft 0",
        "addr del 2001:db8:1::1/64 dev a0", "addr del 2002:a01::1/64 dev a0", "addr del 2001:db8:2::1/64 dev a0"}) {
    Shell(absl::StrCat("ip ", change));
    expect_same(change);
  }
}

}  // namespace
}  // namespace mcgw::kernel
