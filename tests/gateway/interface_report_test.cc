// Reports that the network may not have heard or believed are sent again: the gateway leaves and joins.

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/gateway/interfaces_fixture.h"

namespace mcgw::gateway {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class InterfaceReportTest : public InterfacesTest {
 protected:
  void SetIpv4(std::string_view name, const std::vector<std::string_view>& addresses) {
    std::vector<net::InterfaceAddress>& held = host_.Find(name).addresses;
    std::erase_if(held, [](const net::InterfaceAddress& each) { return each.address.is_v4(); });
    const net::Interface given = testing::FakeInterface(99, "x", addresses);
    held.insert(held.begin(), given.addresses.begin(), given.addresses.end());
  }
  // How often a0 was joined again for each family since the last call.
  struct Rejoins {
    int ipv4 = 0;
    int ipv6 = 0;
    friend bool operator==(const Rejoins&, const Rejoins&) = default;
  };
  Rejoins NewRejoins() {
    Rejoins sockets;
    for (const auto& receiver : kernel_->receivers()) ++(receiver->spec.group.is_v4() ? sockets.ipv4 : sockets.ipv6);
    const Rejoins rejoins{sockets.ipv4 - sockets_.ipv4, sockets.ipv6 - sockets_.ipv6};
    sockets_ = sockets;
    return rejoins;
  }

  Rejoins sockets_;
};

TEST_F(InterfaceReportTest, GoOutAgainWhenTheFirstIpv4AddressComes) {
  SetIpv4("a0", {});
  Follow();
  const auto stream = Subscribe({Request("a0", "239.1.1.1"), Request("a0", "ff15::1")});
  NewRejoins();
  SetIpv4("a0", {"10.0.0.5/24"});
  Follow();
  EXPECT_EQ(NewRejoins(), (Rejoins{1, 0}));
  EXPECT_THAT(JoinedOn(), ElementsAre(2u));
  EXPECT_THAT(Hear(stream.get()), ElementsAre("gap interface"));
  Follow();
  EXPECT_EQ(NewRejoins(), (Rejoins{0, 0}));
}

TEST_F(InterfaceReportTest, GoOutAgainWhenTheirSourceChangesOrGoes) {
  SetIpv4("a0", {"10.0.0.5/24", "10.0.0.6/24"});
  Follow();
  const auto stream = Subscribe({Request("a0", "239.1.1.1"), Request("a0", "ff15::1")});
  NewRejoins();
  SetIpv4("a0", {"10.0.0.5/24", "10.0.0.7/24"});
  Follow();
  EXPECT_EQ(NewRejoins(), (Rejoins{0, 0})) << "not the one that reports come from";
  SetIpv4("a0", {"10.0.0.7/24"});
  Follow();
  EXPECT_EQ(NewRejoins(), (Rejoins{1, 0}));
  SetIpv4("a0", {});
  Follow();
  EXPECT_EQ(NewRejoins(), (Rejoins{0, 0})) << "there is none to take";
  SetIpv4("a0", {"10.0.0.7/24"});
  Follow();
  EXPECT_EQ(NewRejoins(), (Rejoins{1, 0})) << "a query may have been answered without a source meanwhile";
}

TEST_F(InterfaceReportTest, GoOutAgainWhenTheMacAddressChanges) {
  host_.Find("a0").mac_address = "02:00:00:00:00:01";
  Follow();
  const auto stream = Subscribe({Request("a0", "239.1.1.1"), Request("a0", "ff15::1"), Request("a1", "239.1.1.1")});
  NewRejoins();
  host_.Find("a0").mac_address = "02:00:00:00:00:02";
  Follow();
  EXPECT_EQ(NewRejoins(), (Rejoins{1, 1}));
  EXPECT_THAT(Hear(stream.get()), ElementsAre("gap interface", "gap interface"));
}

TEST_F(InterfaceReportTest, ThatWereNotHeardWhileItWasLostGoOutWhenItIsBack) {
  host_.Find("a0").mac_address = "02:00:00:00:00:01";
  Follow();
  const auto stream = Subscribe({Request("a0", "ff15::1")});
  NewRejoins();
  host_.Find("a0").carrier = false;
  host_.Find("a0").mac_address = "02:00:00:00:00:02";
  Follow();
  EXPECT_EQ(NewRejoins(), (Rejoins{0, 0}));
  host_.Find("a0").carrier = true;
  Follow();
  EXPECT_EQ(NewRejoins(), (Rejoins{0, 1}));
}

// ---- On a bridge ----

class BridgeReportTest : public InterfaceReportTest {
 protected:
  BridgeReportTest() {
    host_.Find("a0").kind = "bridge";
    AddPort(9, "eth0");
  }
  void AddPort(uint32_t index, const std::string& name) {
    Add(index, name, {});
    host_.Find(name).master_index = 2;
    host_.Find(name).port_kind = "bridge";
  }
};

TEST_F(BridgeReportTest, GoOutAgainWhenAPortComesBack) {
  const auto stream = Subscribe({Request("a0", "239.1.1.1"), Request("a0", "ff15::1")});
  NewRejoins();
  host_.Find("eth0").carrier = false;
  Follow();
  EXPECT_EQ(NewRejoins(), (Rejoins{0, 0})) << "no router hears them";
  host_.Find("eth0").carrier = true;
  host_.Find("eth0").carrier_changes += 2;
  Follow();
  EXPECT_EQ(NewRejoins(), (Rejoins{1, 1}));
  EXPECT_THAT(Hear(stream.get()), ElementsAre("gap interface", "gap interface"));
  host_.Find("eth0").carrier_changes += 2;
  Follow();
  EXPECT_EQ(NewRejoins(), (Rejoins{1, 1})) << "it went and came between two looks";
}

TEST_F(BridgeReportTest, GoOutAgainWhenAPortBeginsToPassFrames) {
  const auto stream = Subscribe({Request("a0", "239.1.1.1")});
  NewRejoins();
  AddPort(10, "eth1");
  host_.Find("eth1").forwarding = false;
  Follow();
  EXPECT_EQ(NewRejoins(), (Rejoins{0, 0})) << "the spanning tree still holds it back";
  host_.Find("eth1").forwarding = true;
  Follow();
  EXPECT_EQ(NewRejoins(), (Rejoins{1, 0}));
}

TEST_F(BridgeReportTest, StayWhereContainersAndVirtualMachinesComeAndGo) {
  const auto stream = Subscribe({Request("a0", "239.1.1.1")});
  NewRejoins();
  AddPort(10, "veth1");
  host_.Find("veth1").peer_in_other_namespace = true;
  AddPort(11, "tap1");
  host_.Find("tap1").kind = "tun";
  Follow();
  host_.Remove("tap1");
  Follow();
  EXPECT_EQ(NewRejoins(), (Rejoins{0, 0}));
  EXPECT_THAT(Hear(stream.get()), IsEmpty());
}

}  // namespace
}  // namespace mcgw::gateway
