// Which interface a channel and a membership belong to, as interfaces are renamed, deleted, created again and moved.

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/gateway/interfaces_fixture.h"

namespace mcgw::gateway {
namespace {

using net::Reason;
using net::ReasonOf;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::UnorderedElementsAre;

MembershipRequest Waiting(MembershipRequest request) {
  request.wait_for_interface = true;
  return request;
}

TEST_F(InterfacesTest, ARenameKeepsTheChannelAndANewInterfaceOfTheOldNameIsAnother) {
  const auto stream = Subscribe({Request("a0", "239.1.1.1")});
  host_.Find("a0").name = "b0";
  Add(9, "a0", {"10.0.9.1/24"});
  Follow();
  EXPECT_THAT(Hear(stream.get()), ElementsAre("a0 is now b0"));
  EXPECT_THAT(Channels(), ElementsAre("1 b0/2 joined"));
  const auto other = Subscribe({Request("a0", "239.1.1.1")});
  EXPECT_THAT(Channels(), ElementsAre("1 b0/2 joined", "2 a0/9 joined"));
  const auto renamed = Subscribe({Request("b0", "239.1.1.1")});
  EXPECT_THAT(Channels(), SizeIs(2)) << "the same channel by its new name";
}

TEST_F(InterfacesTest, NamesThatAreSwappedLeaveEachMembershipWithItsInterface) {
  const auto stream = Subscribe({Request("a0", "239.1.1.1"), Request("a1", "239.1.1.2")});
  host_.Find("a0").name = "tmp";
  host_.Find("a1").name = "a0";
  host_.Find("tmp").name = "a1";
  Follow();
  EXPECT_THAT(Hear(stream.get()), ElementsAre("a0 is now a1", "a1 is now a0"));
  EXPECT_THAT(Channels(), ElementsAre("1 a1/2 joined", "2 a0/3 joined"));
}

TEST_F(InterfacesTest, ADeletedInterfaceWhoseNameAnotherTakesMovesItsMembershipsThere) {
  const auto a0 = Subscribe({Request("a0", "239.1.1.1")});
  const auto a1 = Subscribe({Request("a1", "239.1.1.1")});
  Delete("a0");
  host_.Find("a1").name = "a0";
  Follow();
  EXPECT_THAT(Hear(a0.get()), UnorderedElementsAre("lost a0 deleted", "joined a0", "left a0"));
  EXPECT_THAT(Hear(a1.get()), ElementsAre("a1 is now a0"));
  EXPECT_THAT(Channels(), ElementsAre("1 a0/0 left", "2 a0/3 joined"));
  Receive("one");
  EXPECT_THAT(Hear(a0.get()), ElementsAre("one"));
  EXPECT_THAT(Hear(a1.get()), ElementsAre("one"));
}

TEST_F(InterfacesTest, ADeletedInterfaceWhoseNameAnUnusedOneTakesGoesOnThere) {
  const auto stream = Subscribe({Request("a0", "239.1.1.1")});
  Delete("a0");
  host_.Find("a1").name = "a0";
  Follow();
  EXPECT_THAT(Channels(), ElementsAre("1 a0/3 joined"));
  EXPECT_THAT(Hear(stream.get()), ElementsAre("lost a0 deleted", "back a0", "gap interface"));
}

TEST_F(InterfacesTest, AnInterfaceThatGetsTheIndexOfADeletedOneIsAnother) {
  const auto stream = Subscribe({Request("a0", "239.1.1.1")});
  Delete("a0");
  Add(2, "x9", {"10.0.9.1/24"});
  Follow({.any = true, .deleted = {2}});
  EXPECT_THAT(Channels(), ElementsAre("1 a0/0 waiting"));
  EXPECT_THAT(JoinedOn(), IsEmpty());
  EXPECT_THAT(Hear(stream.get()), ElementsAre("lost a0 deleted"));
}

TEST_F(InterfacesTest, OfTwoThatAreLostTheOneLostLastComesBack) {
  const auto a0 = Subscribe({Request("a0", "239.1.1.1")});
  const auto a1 = Subscribe({Request("a1", "239.1.1.2")});
  Delete("a0");
  Follow();
  host_.Find("a1").name = "a0";
  Follow();
  Delete("a0");
  Follow();
  Add(9, "a0", {"10.0.0.1/24"});
  Follow();
  EXPECT_THAT(Hear(a1.get()), ElementsAre("a1 is now a0", "lost a0 deleted", "back a0", "gap interface"));
  EXPECT_THAT(JoinedOn("239.1.1.2"), ElementsAre(9u));
}

TEST_F(InterfacesTest, OneThatWasRenamedAndDeletedComesBackByItsLastName) {
  const auto stream = Subscribe({Request("a0", "239.1.1.1")});
  host_.Find("a0").name = "b0";
  Follow();
  Delete("b0");
  Follow();
  Add(8, "a0", {"10.0.0.1/24"});
  Follow();
  EXPECT_THAT(Channels(), ElementsAre("1 b0/0 waiting"));
  Add(9, "b0", {"10.0.0.1/24"});
  Follow();
  EXPECT_THAT(Channels(), ElementsAre("1 b0/9 joined"));
}

TEST_F(InterfacesTest, AWaitingNameThatARenameBringsIsJoinedOnThatInterfacesChannel) {
  const auto holder = Subscribe({Request("a0", "239.1.1.1")});
  const auto waiter = Subscribe({Waiting(Request("b0", "239.1.1.1"))});
  EXPECT_THAT(Channels(), ElementsAre("1 a0/2 joined", "2 b0/0 waiting"));
  host_.Find("a0").name = "b0";
  Follow();
  EXPECT_THAT(Hear(waiter.get()), ElementsAre("joined b0", "left b0"));
  Receive("one");
  EXPECT_THAT(Hear(waiter.get()), ElementsAre("one"));
  EXPECT_THAT(Hear(holder.get()), ElementsAre("a0 is now b0", "one"));
}

TEST_F(InterfacesTest, AnAddressIsFollowedToTheInterfaceThatHasItNow) {
  const auto stream = Subscribe({Request("10.0.0.1", "239.1.1.1")});
  host_.Find("a0").addresses.clear();
  Follow();
  EXPECT_THAT(JoinedOn(), ElementsAre(2u)) << "while no interface has it, it stays";
  host_.Find("a1").addresses.push_back({testing::Ip("10.0.0.1"), 24});
  Follow();
  EXPECT_THAT(JoinedOn(), ElementsAre(3u));
  EXPECT_THAT(Hear(stream.get()), ElementsAre("joined a1", "left a0"));
}

TEST_F(InterfacesTest, AnAddressThatTwoInterfacesHaveStaysWhereItIs) {
  const auto stream = Subscribe({Request("10.0.1.1", "239.1.1.1")});
  host_.Find("a0").addresses.push_back({testing::Ip("10.0.1.1"), 24});
  Follow();
  EXPECT_THAT(JoinedOn(), ElementsAre(3u));
  EXPECT_THAT(Hear(stream.get()), IsEmpty());
}

TEST_F(InterfacesTest, JoiningAgainByAnAddressThatMovedHoldsOneInterfaceOnly) {
  const JoinResult joined = Join("", Request("10.0.0.1", "239.1.1.1"));
  host_.Find("a0").addresses.clear();
  host_.Find("a1").addresses.push_back({testing::Ip("10.0.0.1"), 24});
  Follow();
  const JoinResult again = Join(joined.session_id, Request("10.0.0.1", "239.1.1.1"));
  EXPECT_EQ(again.membership_id, joined.membership_id);
  ASSERT_THAT(again.channels, SizeIs(1));
  EXPECT_EQ(again.channels.at(0).interface_name, "a1");
  EXPECT_THAT(JoinedOn(), ElementsAre(3u));
}

TEST_F(InterfacesTest, TheDefaultInterfaceIsResolvedOnceAndComesBackByName) {
  const auto stream = Subscribe({Request("", "239.1.1.1")});
  host_.ipv4_route = 3;
  Follow();
  EXPECT_THAT(JoinedOn(), ElementsAre(2u));
  Delete("a0");
  Follow();
  EXPECT_THAT(JoinedOn(), IsEmpty());
  Add(9, "a0", {});
  Follow();
  EXPECT_THAT(JoinedOn(), ElementsAre(9u));
}

// ---- Waiting ----

TEST_F(InterfacesTest, AnInterfaceThatIsWaitedForIsJoinedOnceItIsUp) {
  const JoinResult joined = Join("", Waiting(Request("b0", "239.1.1.1")));
  ASSERT_THAT(joined.channels, SizeIs(1));
  EXPECT_EQ(joined.channels.at(0).phase, fanout::ChannelPhase::kWaiting);
  EXPECT_EQ(ReasonOf(joined.channels.at(0).error), Reason::kInterfaceNotFound);
  const auto stream = Subscribe({}, joined.session_id);
  ASSERT_THAT(stream->channels(), SizeIs(1));
  EXPECT_EQ(stream->channels().at(0).phase, fanout::ChannelPhase::kWaiting);
  Add(9, "b0", {});
  host_.Find("b0").up = false;
  Follow();
  EXPECT_THAT(Hear(stream.get()), IsEmpty());
  EXPECT_EQ(ReasonOf(gateway_->inspector().ListChannels()->at(0).status.error), Reason::kInterfaceDown);
  host_.Find("b0").up = true;
  Follow();
  Receive("one");
  EXPECT_THAT(Hear(stream.get()), ElementsAre("back b0", "joined b0", "one")) << "with no gap: nothing was joined";
}

TEST_F(InterfacesTest, WaitingOnAnInterfaceThatIsDown) {
  host_.Find("a0").up = false;
  Follow();
  EXPECT_EQ(ReasonOf(TryJoin("", Request("a0", "239.1.1.1")).status()), Reason::kInterfaceDown);
  const JoinResult joined = Join("", Waiting(Request("a0", "239.1.1.1")));
  EXPECT_EQ(joined.channels.at(0).phase, fanout::ChannelPhase::kWaiting);
  host_.Find("a0").up = true;
  Follow();
  EXPECT_THAT(Channels(), ElementsAre("2 a0/2 joined"));
}

TEST_F(InterfacesTest, WaitingForAnAddressBeginsWithoutAChannel) {
  const auto stream = Subscribe({Waiting(Request("10.0.9.1", "239.1.1.1"))});
  EXPECT_THAT(stream->channels(), IsEmpty());
  host_.Find("a1").addresses.push_back({testing::Ip("10.0.9.1"), 24});
  Follow();
  Receive("one");
  EXPECT_THAT(Hear(stream.get()), ElementsAre("joined a1", "one"));
}

TEST_F(InterfacesTest, OnlyWhatCanBeAnInterfacesNameIsWaitedFor) {
  const std::string too_long(128, 'x');
  const std::string_view selectors[] = {too_long,         "a b", "a/b",   "a:1",          std::string_view("a\0b", 3),
                                        "\x1b]0;own\x07", "a\n", "a\x7f", "a\xe2\x80\xae"};
  for (const std::string_view selector_view : selectors) {
    const std::string selector(selector_view);
    const absl::Status status = TryJoin("", Waiting(Request(selector, "239.1.1.1"))).status();
    EXPECT_EQ(ReasonOf(status), Reason::kInterfaceNotFound) << selector;
    EXPECT_EQ(net::FieldOf(status), "membership.interface") << selector;
  }
  options_.interfaces = {"a0"};
  gateway_ = NewGateway(options_);
  EXPECT_EQ(ReasonOf(TryJoin("", Waiting(Request("b0", "239.1.1.1"))).status()), Reason::kInterfaceNotAllowed);
}

TEST_F(InterfacesTest, ALeaveWhileWaitingLeavesNothingBehind) {
  for (int i = 0; i < 100; ++i) {
    const JoinResult joined = Join("", Waiting(Request("w" + std::to_string(i), "239.1.1.1")));
    ASSERT_TRUE(gateway_->Leave(me_, joined.session_id, WholeSession()).ok());
  }
  SweepAfter(absl::Seconds(40));
  Follow();
  EXPECT_THAT(Channels(), IsEmpty());
  EXPECT_THAT(gateway_->reconciler().Health(), IsEmpty());
  EXPECT_THAT(*gateway_->inspector().ListInterfaces(), SizeIs(3));
}

TEST_F(InterfacesTest, AnInterfaceThatAppearedMeanwhileIsFoundWithoutBeingTold) {
  Add(9, "b0", {"10.0.9.1/24"});
  EXPECT_THAT(Join("", Request("b0", "239.1.1.1")).channels, SizeIs(1));
  host_.Find("b0").up = false;
  Follow();
  host_.Find("b0").up = true;
  EXPECT_THAT(Join("", Request("b0", "239.1.1.2")).channels, SizeIs(1));
}

// ---- Every interface ----

TEST_F(InterfacesTest, EveryInterfaceIsTakenAsItComesAndLeftAsItGoes) {
  const auto stream = Subscribe({Request("*", "239.1.1.1")});
  EXPECT_THAT(JoinedOn(), ElementsAre(2u, 3u));
  Add(9, "b0", {"10.0.9.1/24"});
  Follow();
  EXPECT_THAT(JoinedOn(), ElementsAre(2u, 3u, 9u));
  EXPECT_THAT(Hear(stream.get()), ElementsAre("joined b0"));
  Delete("b0");
  Follow();
  EXPECT_THAT(Hear(stream.get()), ElementsAre("lost b0 deleted", "left b0"));
  Add(10, "b0", {"10.0.9.1/24"});
  Follow();
  Receive("one");
  EXPECT_THAT(Hear(stream.get()), ElementsAre("back b0", "joined b0", "gap interface", "one"));
  EXPECT_THAT(Channels(), ElementsAre("1 a0/2 joined", "2 a1/3 joined", "3 b0/10 joined"));
}

TEST_F(InterfacesTest, EveryInterfaceThatIsNoLongerEligibleIsLeft) {
  const JoinResult joined = Join("", Request("*", "239.1.1.1"));
  const auto stream = Subscribe({}, joined.session_id);
  host_.Find("a1").master_index = 2;
  Follow();
  EXPECT_THAT(JoinedOn(), ElementsAre(2u));
  host_.Find("a1").master_index = 0;
  host_.Find("a0").addresses.clear();
  Follow();
  EXPECT_THAT(JoinedOn(), ElementsAre(3u));
  EXPECT_THAT(Hear(stream.get()),
              UnorderedElementsAre("lost a1 enslaved", "left a1", "back a1", "joined a1", "left a0", "gap interface"));
}

TEST_F(InterfacesTest, EveryInterfaceLeftByTheStarStaysForWhoNamedIt) {
  const auto stream = Subscribe({Request("*", "239.1.1.1", fanout::SourceFilter::Include({testing::Ip("10.0.0.2")})),
                                 Request("a0", "239.1.1.1", fanout::SourceFilter::Include({testing::Ip("10.0.0.3")}))});
  EXPECT_EQ(kernel_->Memberships().at({2, "239.1.1.1", 5000}), "INCLUDE{10.0.0.2, 10.0.0.3}");
  host_.Find("a0").addresses.clear();
  Follow();
  EXPECT_EQ(kernel_->Memberships().at({2, "239.1.1.1", 5000}), "INCLUDE{10.0.0.3}");
  EXPECT_THAT(Hear(stream.get()), ElementsAre("joined a0")) << "the filter changed";
}

TEST_F(InterfacesTest, AnInterfaceThatRefusesTheStarIsToldOnce) {
  const auto stream = Subscribe({Request("*", "239.1.1.1")});
  kernel_->set_refusal([](const testing::FakeKernel::Attempt& attempt) {
    return attempt.spec.interface_index == 9 ? net::Error(Reason::kPortInUse, "", "taken") : absl::OkStatus();
  });
  Add(9, "b0", {"10.0.9.1/24"});
  Follow();
  Follow();
  EXPECT_THAT(Hear(stream.get()), ElementsAre("refused b0"));
  kernel_->set_refusal(nullptr);
  Follow();
  EXPECT_THAT(Hear(stream.get()), ElementsAre("joined b0"));
}

// ---- Alternative names and VRFs ----

TEST_F(InterfacesTest, AnAlternativeNameMeansTheSameChannel) {
  host_.Find("a0").alternative_names = {"enp5s0"};
  Follow();
  const auto by_name = Subscribe({Request("a0", "239.1.1.1")});
  const auto by_alternative = Subscribe({Request("enp5s0", "239.1.1.1")});
  EXPECT_THAT(Channels(), ElementsAre("1 a0/2 joined"));
  Receive("one");
  EXPECT_THAT(Hear(by_alternative.get()), ElementsAre("one"));
}

TEST_F(InterfacesTest, AnAlternativeNameIsWaitedFor) {
  const auto stream = Subscribe({Waiting(Request("enp5s0", "239.1.1.1"))});
  EXPECT_THAT(Channels(), ElementsAre("1 enp5s0/0 waiting"));
  Add(9, "a9", {"10.0.9.1/24"});
  host_.Find("a9").alternative_names = {"enx1", "enp5s0"};
  Follow();
  EXPECT_THAT(Channels(), ElementsAre("1 a9/9 joined"));
  Receive("one");
  EXPECT_THAT(Hear(stream.get()), ElementsAre("joined a9", "one"));
}

TEST_F(InterfacesTest, ThoseWhoWaitForOneInterfaceByDifferentNamesShareItsChannel) {
  const auto by_alternative = Subscribe({Waiting(Request("enp5s0", "239.1.1.1"))});
  const auto by_name = Subscribe({Waiting(Request("a9", "239.1.1.1"))});
  Add(9, "a9", {"10.0.9.1/24"});
  host_.Find("a9").alternative_names = {"enp5s0"};
  Follow();
  EXPECT_THAT(JoinedOn(), ElementsAre(9));
  Hear(by_alternative.get());
  Hear(by_name.get());
  Receive("one");
  EXPECT_THAT(Hear(by_alternative.get()), ElementsAre("one"));
  EXPECT_THAT(Hear(by_name.get()), ElementsAre("one"));
}

TEST_F(InterfacesTest, AJoinOnAVrfNamesItsPorts) {
  Add(9, "red", {"10.9.0.1/32"});
  host_.Find("red").kind = "vrf";
  for (const char* port : {"a0", "a1"}) {
    host_.Find(port).master_index = 9;
    host_.Find(port).port_kind = "vrf";
  }
  Follow();
  const absl::Status status = TryJoin("", Request("red", "239.1.1.1")).status();
  EXPECT_EQ(ReasonOf(status), Reason::kInterfaceAmbiguous) << status;
  EXPECT_EQ(net::FieldOf(status), "membership.interface");
  EXPECT_NE(std::string(status.message()).find("a0, a1"), std::string::npos) << status;
  EXPECT_THAT(JoinedOn(), IsEmpty());
  const auto stream = Subscribe({Request("*", "239.1.1.1")});
  EXPECT_THAT(JoinedOn(), ElementsAre(2, 3));
}

}  // namespace
}  // namespace mcgw::gateway
