// An interface that becomes the port of another device, which takes what it receives.

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/gateway/interfaces_fixture.h"

namespace mcgw::gateway {
namespace {

using net::Reason;
using net::ReasonOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;

class InterfacePortTest : public InterfacesTest {
 protected:
  InterfacePortTest() { Add(9, "br0", {"10.0.9.1/24"}); }

  void Enslave(const std::string& kind = "bridge") {
    host_.Find("a0").master_index = 9;
    host_.Find("a0").port_kind = kind;
  }
  void Free() {
    host_.Find("a0").master_index = 0;
    host_.Find("a0").port_kind = "";
  }
};

TEST_F(InterfacePortTest, IsLostUntilItIsFree) {
  const auto ipv4 = Subscribe({Request("a0", "239.1.1.1")});
  const auto ipv6 = Subscribe({Request("a0", "ff15::1")});
  Enslave();
  Follow();
  EXPECT_THAT(Hear(ipv4.get()), ElementsAre("lost a0 enslaved", "gap interface"));
  EXPECT_THAT(Hear(ipv6.get()), ElementsAre("lost a0 enslaved", "gap interface"));
  EXPECT_THAT(Channels(), ElementsAre("1 a0/2 waiting", "2 a0/2 waiting"));
  EXPECT_THAT(gateway_->reconciler().Health(), ElementsAre(Pair("a0", false)));
  Follow();
  EXPECT_THAT(Hear(ipv4.get()), IsEmpty());
  Free();
  Follow();
  Receive("one");
  Receive("one", "ff15::1");
  // It heard no query meanwhile, so that a switch may have forgotten both families.
  EXPECT_THAT(Hear(ipv4.get()), ElementsAre("back a0", "gap interface", "one"));
  EXPECT_THAT(Hear(ipv6.get()), ElementsAre("back a0", "gap interface", "one"));
  EXPECT_THAT(gateway_->reconciler().Health(), ElementsAre(Pair("a0", true)));
}

TEST_F(InterfacePortTest, IsLostToABondThatTookItWhileItWasDown) {
  const auto stream = Subscribe({Request("a0", "239.1.1.1")});
  host_.Find("a0").up = false;
  Follow();
  EXPECT_THAT(Hear(stream.get()), ElementsAre("lost a0 down", "gap interface"));
  host_.Find("a0").up = true;
  Enslave("bond");
  Follow();
  EXPECT_THAT(Hear(stream.get()), ElementsAre("lost a0 enslaved"));
  EXPECT_EQ(gateway_->inspector().ListInterfaces()->at(1).losses, 1u) << "one loss, whose cause has changed";
  // The bond takes it down before it lets go.
  host_.Find("a0").up = false;
  Free();
  Follow();
  host_.Find("a0").up = true;
  Follow();
  EXPECT_THAT(Hear(stream.get()), ElementsAre("back a0", "gap interface"));
}

TEST_F(InterfacePortTest, ForAMomentIsAnnounced) {
  const auto stream = Subscribe({Request("a0", "239.1.1.1")});
  Follow({.any = true, .enslaved = {2}});
  EXPECT_THAT(Hear(stream.get()), ElementsAre("lost a0 enslaved", "back a0", "gap interface"));
}

TEST_F(InterfacePortTest, OfAVrfReceives) {
  const auto stream = Subscribe({Request("a0", "239.1.1.1")});
  Enslave("vrf");
  Follow();
  Receive("one");
  EXPECT_THAT(Hear(stream.get()), ElementsAre("one"));
  EXPECT_THAT(Join("", Request("a0", "239.1.1.2")).channels.at(0).phase, fanout::ChannelPhase::kJoined);
}

TEST_F(InterfacePortTest, CannotBeJoinedOnAndSaysWhoHasIt) {
  Enslave();
  Follow();
  const absl::Status status = TryJoin("", Request("a0", "239.1.1.1")).status();
  EXPECT_EQ(ReasonOf(status), Reason::kInterfaceEnslaved);
  EXPECT_EQ(net::FieldOf(status), "membership.interface");
  EXPECT_THAT(std::string(status.message()), HasSubstr("port of br0"));
  EXPECT_THAT(JoinedOn(), IsEmpty());
}

TEST_F(InterfacePortTest, IsWaitedForUntilItIsFree) {
  Enslave();
  Follow();
  MembershipRequest request = Request("a0", "239.1.1.1");
  request.wait_for_interface = true;
  const auto stream = Subscribe({request});
  EXPECT_EQ(stream->channels().at(0).phase, fanout::ChannelPhase::kWaiting);
  EXPECT_EQ(ReasonOf(stream->channels().at(0).error), Reason::kInterfaceEnslaved);
  Free();
  Follow();
  Receive("one");
  EXPECT_THAT(Hear(stream.get()), ElementsAre("back a0", "joined a0", "one"));
}

TEST_F(InterfacePortTest, ThatWasFreedUnheardIsFoundFreeByAJoin) {
  Enslave();
  Follow();
  Free();
  EXPECT_EQ(Join("", Request("a0", "239.1.1.1")).channels.at(0).phase, fanout::ChannelPhase::kJoined);
}

}  // namespace
}  // namespace mcgw::gateway
