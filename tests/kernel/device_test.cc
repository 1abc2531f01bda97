// Devices that many kernels lack, under a gateway: run by tests/second_kernel/run.

#include <string>
#include <vector>

#include "server/net/status.h"
#include "tests/kernel/heal_fixture.h"

namespace mcgw::kernel {
namespace {

class DeviceTest : public HealFixture, public testing::Test {
 protected:
  static gateway::MembershipRequest On(const std::string& interface, bool is_v4 = true) {
    return kWishes[is_v4 ? 0 : 4].Request(interface);
  }
  static absl::Status TryJoin(LiveGateway* gateway, const std::string& interface) {
    return (*gateway)->Join({.identity = "me"}, "", On(interface), std::nullopt).status();
  }
  // What is sent to both families arrives.
  void ExpectHears(Listener* listener) {
    for (const bool is_v4 : {true, false}) {
      listener->Forget();
      Talker talker(peer_, Ip(is_v4 ? "239.1.1.1" : "ff15::1"), 5000, Ip(is_v4 ? "10.0.0.2" : "fd00::2"));
      EXPECT_TRUE(listener->WaitForData(talker.next()).has_value()) << (is_v4 ? "IPv4" : "IPv6");
    }
  }
  static std::string Events(const Listener& listener) {
    std::string events;
    for (const Listener::Heard& heard : listener.story()) {
      if (!heard.is_data) absl::StrAppend(&events, heard.what, "; ");
    }
    return events;
  }
};

// ---- Devices that take what a port of theirs receives ----

struct Taker {
  const char* kind;
  const char* make;    // The device m0,
  const char* take;    // whose port a0 becomes,
  const char* let_go;  // and no longer is.
};

class TakerTest : public DeviceTest, public testing::WithParamInterface<Taker> {};

TEST_P(TakerTest, LosesThePortUntilItIsFree) {
  LiveGateway gateway;
  Listener listener(&gateway, {On("a0"), On("a0", false)});
  ExpectHears(&listener);
  listener.Forget();
  Shell(GetParam().make);
  Shell(GetParam().take);
  ASSERT_TRUE(listener.Hears("lost a0 enslaved")) << Events(listener);
  EXPECT_FALSE(gateway->reconciler().Health().at("a0"));
  const absl::Status refused = TryJoin(&gateway, "a0");
  EXPECT_EQ(net::ReasonOf(refused), net::Reason::kInterfaceEnslaved);
  EXPECT_NE(std::string(refused.message()).find("port of m0"), std::string::npos) << refused;

  Shell("ip link set m0 addrgenmode none up");
  GiveAddresses("m0");
  {
    Listener on_master(&gateway, {On("m0"), On("m0", false)});
    ExpectHears(&on_master);
  }
  listener.Forget();
  Shell(GetParam().let_go);
  Shell("ip link del m0 && ip link set a0 addrgenmode none up");
  GiveAddresses();
  ASSERT_TRUE(listener.Hears("back a0")) << Events(listener);
  ASSERT_TRUE(listener.Hears("gap interface")) << Events(listener);
  peer_.WaitUntilUp("a0", "b0");
  ExpectHears(&listener);
  EXPECT_TRUE(gateway->reconciler().Health().at("a0"));
}

INSTANTIATE_TEST_SUITE_P(Kinds, TakerTest,
                         testing::Values(Taker{"Bridge", "ip link add m0 type bridge", "ip link set a0 master m0",
                                               "ip link set a0 nomaster"},
                                         Taker{"Bond", "ip link add m0 type bond mode active-backup miimon 100",
                                               "ip link set a0 down && ip link set a0 master m0",
                                               "ip link set a0 nomaster"},
                                         Taker{"Team", "ip link add m0 type team",
                                               "ip link set a0 down && ip link set a0 master m0 && ip link set a0 up",
                                               "ip link set a0 nomaster"}),
                         [](const testing::TestParamInfo<Taker>& each) { return each.param.kind; });

// ---- Devices that leave a link what it receives ----

struct Neighbour {
  const char* kind;
  const char* make;
};

class NeighbourTest : public DeviceTest, public testing::WithParamInterface<Neighbour> {};

TEST_P(NeighbourTest, LeavesTheLinkWhatItReceives) {
  LiveGateway gateway;
  Shell(GetParam().make);
  Shell("ip link set m0 up && ip link set a0 addrgenmode none up");
  GiveAddresses();
  peer_.WaitUntilUp("a0", "b0");
  Listener listener(&gateway, {On("a0"), On("a0", false)});
  ExpectHears(&listener);
  EXPECT_TRUE(gateway->reconciler().Health().at("a0"));
  Shell("ip link del m0");
}

INSTANTIATE_TEST_SUITE_P(
    Kinds, NeighbourTest,
    testing::Values(Neighbour{"Vrf", "ip link add m0 type vrf table 9 && ip link set a0 master m0"},
                    Neighbour{"BatmanMesh", "ip link add m0 type batadv && ip link set a0 master m0"},
                    Neighbour{"MacvlanPassthru", "ip link add m0 link a0 type macvlan mode passthru"},
                    Neighbour{"MacvlanBridge", "ip link add m0 link a0 type macvlan mode bridge"},
                    Neighbour{"IpvlanL2", "ip link add m0 link a0 type ipvlan mode l2"},
                    Neighbour{"Vlan", "ip link add m0 link a0 type vlan id 5"}),
    [](const testing::TestParamInfo<Neighbour>& each) { return each.param.kind; });

// ---- Links on others ----

TEST_F(DeviceTest, APortThatEntersAndLeavesAVrfGoesOn) {
  LiveGateway gateway;
  Listener listener(&gateway, {On("a0"), On("a0", false)});
  Shell("ip link add red type vrf table 9 && ip link set red up && ip link set a0 master red");
  GiveAddresses();
  ASSERT_TRUE(listener.Hears("back a0")) << Events(listener) << "the kernel takes it down and up for that";
  ExpectHears(&listener);
  listener.Forget();
  Shell("ip link set a0 nomaster");
  GiveAddresses();
  ASSERT_TRUE(listener.Hears("back a0")) << Events(listener);
  ExpectHears(&listener);
  Shell("ip link del red");
}

TEST_F(DeviceTest, AVlanIsLostAndBackWithTheLinkBelow) {
  Shell("ip link add v0 link a0 type vlan id 5 && ip link set v0 addrgenmode none up");
  peer_.Shell(
      "sh -c 'ip link set b0 down && ip link set b0 name c0 && ip link add b0 link c0 type vlan id 5 && ip link set c0 "
      "up'");
  peer_.Shell("ip link set b0 addrgenmode none up");
  Shell("ip addr flush dev a0");
  GiveAddresses("v0");
  GivePeerAddresses();
  LiveGateway gateway;
  Listener listener(&gateway, {On("v0"), On("v0", false)});
  ExpectHears(&listener);
  listener.Forget();
  peer_.Shell("ip link set c0 down");
  ASSERT_TRUE(listener.Hears("lost v0 no-carrier")) << Events(listener);
  peer_.Shell("sh -c 'ip link set c0 up && ip link set b0 up'");
  GivePeerAddresses();
  ASSERT_TRUE(listener.Hears("back v0")) << Events(listener);
  ExpectHears(&listener);
}

TEST_F(DeviceTest, AnIpvlanReceivesBesideItsParent) {
  Shell("ip link add i0 link a0 type ipvlan mode l2 && ip link set i0 addrgenmode none up");
  Shell("ip addr add 10.0.0.7/24 dev i0 && ip addr add fd00::7/64 dev i0 nodad && ip addr add fe80::7/64 dev i0 nodad");
  LiveGateway gateway;
  Listener listener(&gateway, {On("i0"), On("i0", false)});
  ExpectHears(&listener);
  Shell("ip link del i0");
  EXPECT_TRUE(listener.Hears("lost i0 deleted")) << Events(listener);
}

}  // namespace
}  // namespace mcgw::kernel
