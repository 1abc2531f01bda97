#include "server/net/interface_table.h"

#include <net/if.h>

#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "gtest/gtest.h"
#include "server/net/status.h"

namespace mcgw::net {
namespace {

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
  EXPECT_EQ(table.FindByAddress(Ip("10.0.0.7")), &table.interfaces()[1]);
  EXPECT_EQ(table.FindByAddress(Ip("fd00::7")), &table.interfaces()[1]);
  EXPECT_EQ(table.FindByName("eth"), nullptr);
  EXPECT_EQ(table.FindByIndex(3), nullptr);
  EXPECT_EQ(table.FindByAddress(Ip("10.0.0.8")), nullptr);
}

TEST(FirstAddress, OfIpv6IsLinkLocalOnlyIfThereIsNoOther) {
  const Interface both = Named(1, "a", {{Ip("fe80::1"), 64}, {Ip("fd00::1"), 64}, {Ip("fd00::2"), 64}});
  EXPECT_EQ(both.FirstAddress(Family::kIpv6), Ip("fd00::1"));
  EXPECT_EQ(both.FirstAddress(Family::kIpv4), std::nullopt);
  EXPECT_FALSE(both.HasAddress(Family::kIpv4));
  const Interface link_local = Named(1, "a", {{Ip("fe80::1"), 64}});
  EXPECT_EQ(link_local.FirstAddress(Family::kIpv6), Ip("fe80::1"));
  EXPECT_TRUE(link_local.HasAddress(Family::kIpv6));
}

TEST(FirstAddress, OfIpv4IsTheFirst) {
  const Interface two = Named(1, "a", {{Ip("169.254.0.1"), 16}, {Ip("10.0.0.1"), 24}});
  EXPECT_EQ(two.FirstAddress(Family::kIpv4), Ip("169.254.0.1"));
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
  (*watch)->Drain();
}

}  // namespace
}  // namespace mcgw::net
