#include "server/net/interface_table.h"

#include <linux/rtnetlink.h>
#include <net/if.h>

#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/net/status.h"

namespace mcgw::net {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

IpAddress Ip(std::string_view text) { return IpAddress::Parse(text).value(); }

Interface Named(uint32_t index, const char* name, std::vector<InterfaceAddress> addresses = {}) {
  Interface interface;
  interface.index = index;
  interface.name = name;
  interface.addresses = std::move(addresses);
  return interface;
}

TEST(InterfaceTable, IsInOrderOfIndexAndFindsByNameIndexAndAddress) {
  const InterfaceTable table({Named(7, "eth7", {{Ip("10.0.0.7"), 24}, {Ip("fd00::7"), 64}}), Named(2, "eth2")});
  ASSERT_EQ(table.interfaces().size(), 2u);
  EXPECT_EQ(table.interfaces()[0].name, "eth2");
  EXPECT_EQ(table.FindByName("eth7"), &table.interfaces()[1]);
  EXPECT_EQ(table.FindByIndex(2), &table.interfaces()[0]);
  EXPECT_THAT(table.FindByAddress(Ip("10.0.0.7")), ElementsAre(&table.interfaces()[1]));
  EXPECT_THAT(table.FindByAddress(Ip("fd00::7")), ElementsAre(&table.interfaces()[1]));
  EXPECT_EQ(table.FindByName("eth"), nullptr);
  EXPECT_EQ(table.FindByIndex(3), nullptr);
  EXPECT_THAT(table.FindByAddress(Ip("10.0.0.8")), IsEmpty());
}

TEST(InterfaceTable, FindsByAlternativeName) {
  Interface eth7 = Named(7, "eth7");
  eth7.alternative_names = {"enp5s0", "enx020000000001"};
  const InterfaceTable table({eth7, Named(2, "eth2")});
  for (const char* name : {"eth7", "enp5s0", "enx020000000001"}) {
    EXPECT_EQ(table.FindByName(name), &table.interfaces()[1]) << name;
    EXPECT_THAT(table.FindBySelector(name), ElementsAre(&table.interfaces()[1])) << name;
  }
  EXPECT_EQ(table.FindByName("enp5s"), nullptr);
}

TEST(InterfaceTable, LeavesOutNamesThatNoClientCanSay) {
  std::vector<Interface> interfaces(3);
  const char* const names[] = {"eth0", "u\xff", "\xc3\xbc"};
  for (uint32_t i = 0; i < 3; ++i) {
    interfaces[i].index = i + 1;
    interfaces[i].name = names[i];
  }
  interfaces[0].alternative_names = {"\xe2\x82", "enp1s0"};
  const InterfaceTable table(interfaces);
  EXPECT_EQ(table.interfaces().size(), 2u);
  EXPECT_EQ(table.FindByIndex(2), nullptr);
  EXPECT_NE(table.FindByName("\xc3\xbc"), nullptr);
  EXPECT_EQ(table.FindByName("enp1s0"), table.FindByIndex(1));
  EXPECT_EQ(table.FindByName("\xe2\x82"), nullptr);
  EXPECT_EQ(table.left_out(), std::vector<std::string>{"u\\xff"});
}

TEST(InterfaceTable, FindsAllThatShareAnAddress) {
  const InterfaceTable table({Named(1, "lo", {{Ip("10.8.0.1"), 32}}), Named(2, "eth2"),
                              Named(3, "eth3", {{Ip("10.8.0.1"), 32}, {Ip("fe80::1"), 64}}),
                              Named(4, "eth4", {{Ip("fe80::1"), 64}})});
  const std::vector<Interface>& all = table.interfaces();
  EXPECT_THAT(table.FindByAddress(Ip("10.8.0.1")), ElementsAre(&all[0], &all[2]));
  EXPECT_THAT(table.FindBySelector("fe80::1"), ElementsAre(&all[2], &all[3]));
}

TEST(InterfaceTable, TheOnlyInterfaceThatIsUpLeadsOut) {
  const auto interface = [](uint32_t index, const char* name, bool up, bool loopback = false) {
    Interface made = Named(index, name);
    made.up = up;
    made.loopback = loopback;
    return made;
  };
  const Interface lo = interface(1, "lo", true, true);
  const Interface tunl0 = interface(2, "tunl0", false);
  const Interface eth0 = interface(3, "eth0", true);
  const InterfaceTable pod({lo, tunl0, eth0});
  EXPECT_TRUE(pod.FindByName("eth0")->uplink);
  EXPECT_FALSE(pod.FindByName("lo")->uplink);
  EXPECT_FALSE(pod.FindByName("tunl0")->uplink);
  const InterfaceTable host({lo, eth0, interface(4, "eth1", true)});
  for (const Interface& each : host.interfaces()) EXPECT_FALSE(each.uplink) << each.name;
}

// ---- The address that is sent from ----

InterfaceAddress Scoped(const char* address, uint8_t scope, bool secondary = false) {
  return {.address = Ip(address), .prefix_length = 24, .scope = scope, .secondary = secondary};
}

TEST(SourceFor, Ipv4IsTheFirstOfWideScope) {
  const Interface interface = Named(1, "a",
                                    {Scoped("169.254.7.1", RT_SCOPE_LINK), Scoped("10.1.0.1", RT_SCOPE_UNIVERSE),
                                     Scoped("10.2.0.1", RT_SCOPE_UNIVERSE)});
  EXPECT_EQ(interface.SourceFor(Ip("239.1.1.1")), Ip("10.1.0.1"));
  EXPECT_EQ(interface.DefaultSource(Family::kIpv4), Ip("10.1.0.1"));
  // To groups of the link the first of the link's scope or wider.
  EXPECT_EQ(interface.SourceFor(Ip("224.0.0.251")), Ip("169.254.7.1"));
  EXPECT_EQ(interface.SourceFor(Ip("224.0.1.1")), Ip("10.1.0.1"));
  EXPECT_EQ(interface.DefaultSource(Family::kIpv6), std::nullopt);
}

TEST(SourceFor, Ipv4OfNarrowScopeIsBetterThanNone) {
  const Interface interface = Named(1, "a", {Scoped("127.5.0.1", RT_SCOPE_HOST), Scoped("169.254.7.1", RT_SCOPE_LINK)});
  EXPECT_EQ(interface.SourceFor(Ip("239.1.1.1")), Ip("169.254.7.1"));
  EXPECT_EQ(interface.SourceFor(Ip("224.0.0.251")), Ip("169.254.7.1"));
  EXPECT_EQ(Named(1, "lo", {Scoped("127.0.0.1", RT_SCOPE_HOST)}).SourceFor(Ip("239.1.1.1")), Ip("127.0.0.1"));
}

TEST(SourceFor, Ipv4IsNoSecondaryAddress) {
  const Interface interface =
      Named(1, "a", {Scoped("10.1.0.9", RT_SCOPE_UNIVERSE, true), Scoped("10.1.0.1", RT_SCOPE_UNIVERSE)});
  EXPECT_EQ(interface.SourceFor(Ip("239.1.1.1")), Ip("10.1.0.1"));
}

TEST(SourceFor, Ipv4BySubnetsWithoutScopesIsTheFirst) {
  const Interface two = Named(1, "a", {{Ip("169.254.0.1"), 16}, {Ip("10.0.0.1"), 24}});
  EXPECT_EQ(two.DefaultSource(Family::kIpv4), Ip("169.254.0.1"));  // As the kernel does: it looks at the scope only.
}

TEST(SourceFor, Ipv6HasTheSmallestScopeThatIsWideEnough) {
  const Interface interface = Named(1, "a", {{Ip("fe80::1"), 64}, {Ip("fec0::1"), 64}, {Ip("2001:db8::1"), 64}});
  EXPECT_EQ(interface.SourceFor(Ip("ff12::1")), Ip("fe80::1"));
  EXPECT_EQ(interface.SourceFor(Ip("ff11::1")), Ip("fe80::1"));
  EXPECT_EQ(interface.SourceFor(Ip("ff15::1")), Ip("fec0::1"));
  EXPECT_EQ(interface.SourceFor(Ip("ff18::1")), Ip("2001:db8::1"));
  EXPECT_EQ(interface.SourceFor(Ip("ff1e::1")), Ip("2001:db8::1"));
  // Where none is, the widest.
  const Interface narrow = Named(1, "a", {{Ip("fe80::1"), 64}, {Ip("fec0::1"), 64}});
  EXPECT_EQ(narrow.SourceFor(Ip("ff1e::1")), Ip("fec0::1"));
  EXPECT_EQ(Named(1, "a", {{Ip("fe80::1"), 64}}).SourceFor(Ip("ff1e::1")), Ip("fe80::1"));
  EXPECT_EQ(Named(1, "a", {{Ip("fd00::1"), 64}}).SourceFor(Ip("ff12::1")), Ip("fd00::1"));
}

TEST(SourceFor, Ipv6IsNotDeprecatedWhereAnotherIsThere) {
  const InterfaceAddress old{.address = Ip("2001:db8:2::1"), .prefix_length = 64, .deprecated = true};
  const Interface interface = Named(1, "a", {old, {Ip("2001:db8:1::1"), 64}, {Ip("fe80::1"), 64}});
  EXPECT_EQ(interface.SourceFor(Ip("ff15::2")), Ip("2001:db8:1::1"));
  // The scope goes before: a deprecated address of wide scope is better than a narrow one.
  EXPECT_EQ(Named(1, "a", {old, {Ip("fe80::1"), 64}}).SourceFor(Ip("ff15::2")), Ip("2001:db8:2::1"));
}

TEST(SourceFor, Ipv6HasTheLabelOfGroupsWhereOneHas) {
  for (const char* special : {"fd00::1", "2002::1", "2001::1", "2001:10::1", "2001:1f::1", "3ffe::1", "::5"}) {
    const Interface interface = Named(1, "a", {{Ip(special), 64}, {Ip("2001:db8::1"), 64}});
    EXPECT_EQ(interface.SourceFor(Ip("ff1e::1")), Ip("2001:db8::1")) << special;
    EXPECT_EQ(Named(1, "a", {{Ip(special), 64}}).SourceFor(Ip("ff1e::1")), Ip(special));
  }
}

TEST(SourceFor, Ipv6IsTemporaryWhereTheHostPrefersThat) {
  const InterfaceAddress temporary{.address = Ip("2001:db8::77"), .prefix_length = 64, .temporary = true};
  Interface interface = Named(1, "a", {temporary, {Ip("2001:db8::1"), 64}});
  EXPECT_EQ(interface.SourceFor(Ip("ff15::1")), Ip("2001:db8::1"));
  interface.prefers_temporary = true;
  EXPECT_EQ(interface.SourceFor(Ip("ff15::1")), Ip("2001:db8::77"));
}

TEST(SourceFor, OfSpecialIpv6OnesTheOneThatIsMostLikeTheGroup) {
  EXPECT_EQ(Named(1, "a", {{Ip("2002:a01::1"), 64}, {Ip("fd00::2"), 64}}).SourceFor(Ip("ff15::1")), Ip("fd00::2"));
}

TEST(SourceFor, OfEqualOnesIsTheFirst) {
  const Interface interface = Named(1, "a", {{Ip("fd00::2"), 64}, {Ip("fd00::1"), 64}});
  EXPECT_EQ(interface.SourceFor(Ip("ff15::1")), Ip("fd00::2"));
  EXPECT_TRUE(interface.HasAddress(Family::kIpv6));
  EXPECT_FALSE(interface.HasAddress(Family::kIpv4));
}

TEST(Read, AgreesWithTheHost) {
  const absl::StatusOr<InterfaceTable> table = InterfaceTable::Read();
  ASSERT_TRUE(table.ok()) << table.status();
  const Interface* const lo = table->FindByIndex(if_nametoindex("lo"));
  ASSERT_NE(lo, nullptr);
  EXPECT_EQ(lo->name, "lo");
  EXPECT_TRUE(lo->loopback);
  EXPECT_GT(lo->mtu_bytes, 0u);
  for (const Interface& interface : table->interfaces()) {
    EXPECT_EQ(if_nametoindex(interface.name.c_str()), interface.index);
  }
}

TEST(InterfaceWatch, DrainsWithoutBlocking) {
  const absl::StatusOr<std::unique_ptr<InterfaceWatch>> watch = InterfaceWatch::Create();
  ASSERT_TRUE(watch.ok()) << watch.status();
  EXPECT_GE((*watch)->fd(), 0);
  (*watch)->Hear();
}

}  // namespace
}  // namespace mcgw::net
