// What happens to the channels of an interface that is lost and comes back, and what streams hear of it.

#include <unistd.h>

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/gateway/interfaces_fixture.h"

namespace mcgw::gateway {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::ElementsAreArray;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::Pair;
using ::testing::SizeIs;
using ::testing::UnorderedElementsAre;

TEST_F(InterfacesTest, DownAndUpIsAnnouncedAndKeepsTheSocketUntilItIsBack) {
  const auto stream = Subscribe({Request("a0", "239.1.1.1")});
  Receive("one");
  host_.Find("a0").up = false;
  Follow();
  EXPECT_THAT(Hear(stream.get()), ElementsAre("one", "lost a0 down", "gap interface"));
  EXPECT_THAT(JoinedOn(), ElementsAre(2u));
  EXPECT_THAT(Channels(), ElementsAre("1 a0/2 waiting"));
  EXPECT_THAT(gateway_->reconciler().Health(), ElementsAre(Pair("a0", false)));
  host_.Find("a0").up = true;
  Follow();
  Receive("two");
  EXPECT_THAT(Hear(stream.get()), ElementsAre("back a0", "gap interface", "two"));
  EXPECT_THAT(Channels(), ElementsAre("1 a0/2 joined"));
  EXPECT_THAT(gateway_->reconciler().Health(), ElementsAre(Pair("a0", true)));
}

TEST_F(InterfacesTest, ACarrierThatComesBackJoinsIpv4AnewSinceTheKernelReportsNothing) {
  const auto stream = Subscribe({Request("a0", "239.1.1.1"), Request("a0", "ff15::1")});
  host_.Find("a0").carrier = false;
  Follow();
  EXPECT_THAT(Channels(), ElementsAre("1 a0/2 joined", "2 a0/2 joined"));
  EXPECT_THAT(gateway_->reconciler().Health(), ElementsAre(Pair("a0", false)));
  host_.Find("a0").carrier = true;
  Follow();
  EXPECT_THAT(kernel_->receivers().at(0)->calls(), ElementsAre("join EXCLUDE{}", "leave", "close"));
  EXPECT_THAT(kernel_->receivers().at(1)->calls(), ElementsAre("join EXCLUDE{}"));
  EXPECT_THAT(JoinedOn(), ElementsAre(2u));
  EXPECT_THAT(JoinedOn("ff15::1"), ElementsAre(2u));
  EXPECT_THAT(Hear(stream.get()),
              UnorderedElementsAre("lost a0 no-carrier", "back a0", "gap interface", "gap interface", "gap interface"));
}

TEST_F(InterfacesTest, ACarrierThatWentAndCameUnseenIsKnownByItsCount) {
  const auto stream = Subscribe({Request("a0", "239.1.1.1")});
  host_.Find("a0").carrier_changes += 2;
  Follow();
  EXPECT_THAT(Hear(stream.get()), ElementsAre("lost a0 no-carrier", "back a0", "gap interface"));
  Follow();
  EXPECT_THAT(Hear(stream.get()), IsEmpty());
}

TEST_F(InterfacesTest, AnInterfaceThatWasDownForAMomentIsAnnounced) {
  const auto stream = Subscribe({Request("a0", "239.1.1.1")});
  Follow({.any = true, .down = {2}});
  EXPECT_THAT(Hear(stream.get()), ElementsAre("lost a0 down", "back a0", "gap interface"));
}

TEST_F(InterfacesTest, AnInterfaceMadeAnewKeepsChannelLogAndEpoch) {
  const auto stream = Subscribe({Request("a0", "239.1.1.1")});
  const auto ipv6_stream = Subscribe({Request("a0", "ff15::1")});
  const uint64_t epoch = stream->channels().at(0).epoch;
  Receive("one");
  Delete("a0");
  Follow();
  EXPECT_THAT(Channels(), ElementsAre("1 a0/0 waiting", "2 a0/0 waiting"));
  EXPECT_THAT(gateway_->reconciler().Health(), ElementsAre(Pair("a0", false)));
  Add(9, "a0", {"10.0.0.1/24"});
  Follow();
  EXPECT_THAT(JoinedOn(), ElementsAre(9u));
  EXPECT_THAT(JoinedOn("ff15::1"), ElementsAre(9u));
  Receive("two");
  EXPECT_THAT(Hear(stream.get()), ElementsAre("one", "lost a0 deleted", "back a0", "gap interface", "two"));
  EXPECT_THAT(Hear(ipv6_stream.get()), ElementsAre("lost a0 deleted", "back a0", "gap interface"));
  EXPECT_THAT(Channels(), ElementsAre("1 a0/9 joined", "2 a0/9 joined"));
  EXPECT_EQ(gateway_->inspector().ListChannels()->at(0).status.epoch, epoch);
  EXPECT_EQ(gateway_->inspector().ListChannels()->at(0).status.next_sequence, 3u);
}

TEST_F(InterfacesTest, TheSameIndexDoesNotHideThatItWasMadeAnew) {
  const auto stream = Subscribe({Request("a0", "239.1.1.1")});
  kernel_->LoseMemberships(2);
  Follow({.any = true, .deleted = {2}});
  Receive("two");
  EXPECT_THAT(Hear(stream.get()), ElementsAre("lost a0 deleted", "back a0", "gap interface", "two"));
  EXPECT_THAT(kernel_->receivers(), SizeIs(2));
}

TEST_F(InterfacesTest, AnIpvlanOfLayer3IsNotJoinedAndIsTakenOnceItIsOfLayer2) {
  host_.Find("a0").carries_multicast = false;
  Follow();
  EXPECT_EQ(net::ReasonOf(TryJoin("", Request("a0", "239.1.1.1")).status()), net::Reason::kNoMulticast);
  EXPECT_EQ(net::ReasonOf(TryJoin("", Request("a0", "ff15::1")).status()), net::Reason::kNoMulticast);
  EXPECT_THAT(JoinedOn(), IsEmpty());
  host_.Find("a0").carries_multicast = true;
  Follow();
  EXPECT_TRUE(TryJoin("", Request("a0", "239.1.1.1")).ok());
  EXPECT_THAT(JoinedOn(), ElementsAre(2u));
}

TEST_F(InterfacesTest, Ipv6ThatIsSwitchedOffIsALossForItsChannelsOnly) {
  const auto ipv4_stream = Subscribe({Request("a0", "239.1.1.1")});
  const auto ipv6_stream = Subscribe({Request("a0", "ff15::1")});
  host_.Find("a0").ipv6 = false;
  Follow();
  EXPECT_THAT(JoinedOn("ff15::1"), IsEmpty());
  EXPECT_THAT(JoinedOn(), ElementsAre(2u));
  EXPECT_THAT(Channels(), ElementsAre("1 a0/2 joined", "2 a0/2 waiting"));
  EXPECT_EQ(net::ReasonOf(TryJoin("", Request("a0", "ff15::2")).status()), net::Reason::kNoAddress);
  host_.Find("a0").ipv6 = true;
  Follow();
  EXPECT_THAT(JoinedOn("ff15::1"), ElementsAre(2u));
  EXPECT_THAT(Hear(ipv6_stream.get()),
              UnorderedElementsAre("lost a0 membership", "waiting a0", "back a0", "joined a0", "gap interface"));
  EXPECT_THAT(Hear(ipv4_stream.get()), IsEmpty());
}

TEST_F(InterfacesTest, AMembershipThatTheKernelLostIsFoundMissingAndJoinedAgain) {
  const auto stream = Subscribe({Request("a0", "239.1.1.1"), Request("a0", "239.1.1.2"), Request("a1", "239.1.1.1")});
  kernel_->LoseMemberships(2);
  Follow();
  EXPECT_THAT(JoinedOn(), ElementsAre(2u, 3u));
  EXPECT_THAT(JoinedOn("239.1.1.2"), ElementsAre(2u));
  EXPECT_THAT(Hear(stream.get()),
              UnorderedElementsAre("lost a0 membership", "back a0", "gap interface", "gap interface"));
  EXPECT_THAT(kernel_->receivers(), SizeIs(5)) << "what a1 has is left alone";
  Follow();
  EXPECT_THAT(kernel_->receivers(), SizeIs(5));
}

TEST_F(InterfacesTest, WhatNobodyTellsOfIsFoundWithinTheSweepsTime) {
  const auto stream = Subscribe({Request("a0", "239.1.1.1")});
  kernel_->LoseMemberships(2);
  SweepAfter(absl::Seconds(5));
  EXPECT_THAT(JoinedOn(), IsEmpty());
  SweepAfter(absl::Seconds(11));
  EXPECT_THAT(JoinedOn(), ElementsAre(2u));
}

TEST_F(InterfacesTest, SocketsOfOneGroupAllLetGoBeforeOneJoinsAgain) {
  std::vector<std::string> calls;
  const auto stream = Subscribe({Request("a0", "239.1.1.1", {}, 5000), Request("a0", "239.1.1.1", {}, 5001)});
  kernel_->set_refusal([&](const testing::FakeKernel::Attempt& attempt) {
    if (attempt.call != "socket") calls.push_back(attempt.call.substr(0, 5));
    return absl::OkStatus();
  });
  host_.Find("a0").carrier_changes += 2;
  Follow();
  EXPECT_THAT(calls, ElementsAre("leave", "leave", "join ", "join "));
}

TEST_F(InterfacesTest, AJoinThatIsRefusedAfterTheInterfaceCameBackIsToldAndTriedAgain) {
  const auto stream = Subscribe({Request("a0", "ff15::1")});
  kernel_->set_refusal([](const testing::FakeKernel::Attempt& attempt) {
    return attempt.call == "socket" ? absl::OkStatus() : net::Error(net::Reason::kNoAddress, "", "IPv6 is off");
  });
  Delete("a0");
  Add(2, "a0", {});
  Follow({.any = true, .deleted = {2}});
  EXPECT_THAT(Hear(stream.get()), ElementsAre("lost a0 deleted", "back a0", "waiting a0"));
  EXPECT_THAT(gateway_->reconciler().Health(), ElementsAre(Pair("a0", false)));
  kernel_->set_refusal(nullptr);
  SweepAfter(absl::Seconds(1));
  EXPECT_THAT(Hear(stream.get()), IsEmpty()) << "not all the time";
  Follow();
  EXPECT_THAT(Hear(stream.get()), ElementsAre("joined a0", "gap interface"));
}

TEST_F(InterfacesTest, AJoinThatIsRefusedAfterTheInterfaceCameBackHoldsUpNoOther) {
  const auto stream = Subscribe({Request("a0", "239.1.1.1"), Request("a0", "239.1.1.2"), Request("a0", "239.1.1.3")});
  kernel_->set_refusal([](const testing::FakeKernel::Attempt& attempt) {
    return attempt.call == "socket" || attempt.spec.group != testing::Ip("239.1.1.1")
               ? absl::OkStatus()
               : net::Error(net::Reason::kNoAddress, "", "not yet");
  });
  Delete("a0");
  Add(2, "a0", {"10.0.0.1/24"});
  Follow({.any = true, .deleted = {2}});
  EXPECT_THAT(JoinedOn("239.1.1.1"), IsEmpty());
  EXPECT_THAT(JoinedOn("239.1.1.2"), ElementsAre(2u));
  EXPECT_THAT(JoinedOn("239.1.1.3"), ElementsAre(2u));
}

// Long before all interfaces are looked at again.
TEST_F(InterfacesTest, ARefusedJoinIsTriedAgainSoon) {
  const auto stream = Subscribe({Request("a0", "239.1.1.1")});
  kernel_->set_refusal([](const testing::FakeKernel::Attempt& attempt) {
    return attempt.call == "socket" ? absl::OkStatus() : net::Error(net::Reason::kNoAddress, "", "not yet");
  });
  Delete("a0");
  Add(2, "a0", {"10.0.0.1/24"});
  Follow({.any = true, .deleted = {2}});
  kernel_->set_refusal(nullptr);
  const int64_t end_ns = net::MonotonicNs() + 8'000'000'000;
  while (JoinedOn().empty() && net::MonotonicNs() < end_ns) {
    SweepAfter(absl::ZeroDuration());
    usleep(10'000);
  }
  EXPECT_THAT(JoinedOn(), ElementsAre(2u));
}

TEST_F(InterfacesTest, AMembershipThatOneOfTwoSocketsLostIsFoundMissing) {
  const auto stream = Subscribe({Request("a0", "239.1.1.1", {}, 5000), Request("a0", "239.1.1.1", {}, 5001)});
  kernel_->receivers().front()->LoseMembership();
  Follow();
  EXPECT_THAT(Hear(stream.get()), Contains("gap interface"));
  EXPECT_EQ(kernel_->Users().users.at({2, testing::Ip("239.1.1.1")}), 2u);
}

TEST_F(InterfacesTest, ALogThatIsKeptOutlivesItsInterface) {
  const JoinResult joined = Join("", Request("a0", "239.1.1.1"));
  Receive("one");
  ASSERT_TRUE(gateway_->Leave(me_, joined.session_id, WholeSession()).ok());
  Delete("a0");
  Follow();
  Add(9, "a0", {"10.0.0.1/24"});
  Follow();
  EXPECT_THAT(Channels(), ElementsAre("1 a0/9 left"));
  EXPECT_THAT(JoinedOn(), IsEmpty());
  Join("", Request("a0", "239.1.1.1"));
  EXPECT_THAT(Channels(), ElementsAre("1 a0/9 joined"));
  EXPECT_EQ(gateway_->inspector().ListChannels()->at(0).status.next_sequence, 2u);
}

TEST_F(InterfacesTest, ALeaseIsRenewedWhileTheInterfaceIsAway) {
  const JoinResult joined = Join("", Request("a0", "239.1.1.1"));
  Delete("a0");
  Follow();
  const JoinResult again =
      Join(joined.session_id, Request("a0", "239.1.1.1", fanout::SourceFilter::Include({testing::Ip("10.0.0.7")})));
  EXPECT_EQ(again.membership_id, joined.membership_id);
  ASSERT_THAT(again.channels, SizeIs(1));
  EXPECT_EQ(again.channels.at(0).phase, fanout::ChannelPhase::kWaiting);
  EXPECT_EQ(again.channels.at(0).interface_index, 0u);
  EXPECT_EQ(net::ReasonOf(again.channels.at(0).error), net::Reason::kInterfaceNotFound);
  Add(9, "a0", {"10.0.0.1/24"});
  Follow();
  EXPECT_EQ(kernel_->receiver("239.1.1.1")->filter(), "INCLUDE{10.0.0.7}");
}

TEST_F(InterfacesTest, AStreamThatDoesNotReadPilesUpNothingWhileAnInterfaceFlaps) {
  const auto named = Subscribe({Request("a0", "239.1.1.1")});
  const auto every = Subscribe({Request("*", "239.1.1.1")});
  for (int i = 0; i < 500; ++i) {
    host_.Find("a0").up = false;
    Follow();
    host_.Find("a0").up = true;
    Follow();
  }
  Receive("one");
  const std::vector<std::string> heard = Hear(named.get());
  EXPECT_EQ(std::count(heard.begin(), heard.end(), "lost a0 down"), 1);
  EXPECT_EQ(std::count(heard.begin(), heard.end(), "back a0"), 1);
  EXPECT_EQ(heard.back(), "one");
  const std::vector<std::string> all = Hear(every.get());
  EXPECT_LT(std::count(all.begin(), all.end(), "joined a0"), 70);
  EXPECT_EQ(all.back(), "one");
}

TEST_F(InterfacesTest, AnInterfaceThatIsGoneAndStillWishedIsListedAsLost) {
  const auto stream = Subscribe({Request("a0", "239.1.1.1")});
  EXPECT_FALSE(gateway_->inspector().ListInterfaces()->at(1).lost);
  Delete("a0");
  Follow();
  const auto listed = gateway_->inspector().ListInterfaces().value();
  ASSERT_THAT(listed, SizeIs(3));
  EXPECT_EQ(listed.at(2).interface.name, "a0");
  EXPECT_EQ(listed.at(2).interface.index, 0u);
  EXPECT_TRUE(listed.at(2).lost);
  EXPECT_EQ(listed.at(2).losses, 1u);
  EXPECT_EQ(listed.at(2).families[0].memberships, 1u);
  EXPECT_GT(listed.at(2).order, listed.at(1).order);
}

TEST_F(InterfacesTest, ListingShowsTheInterfacesOfNowAndFollowsNothing) {
  const auto stream = Subscribe({Request("a0", "239.1.1.1"), Request("*", "239.1.1.2")});
  const std::vector<uint32_t> joined = JoinedOn("239.1.1.2");
  const size_t sockets = kernel_->receivers().size();
  host_.Remove("a0");
  host_.Find("a1").up = false;
  Add(9, "b0", {"10.0.9.1/24"});
  for (int i = 0; i < 2; ++i) {
    const auto listed = gateway_->inspector().ListInterfaces().value();
    std::vector<std::string> names;
    for (const InterfaceSnapshot& each : listed) names.push_back(each.interface.name);
    EXPECT_THAT(names, ElementsAre("lo", "a1", "b0", "a0"));  // A missing interface that is still requested comes last.
    EXPECT_FALSE(listed.at(1).interface.up);
    EXPECT_EQ(listed.at(3).interface.index, 0u);
    EXPECT_EQ(listed.at(3).families[0].memberships, 2u);
    EXPECT_THAT(JoinedOn("239.1.1.2"), ElementsAreArray(joined));
    EXPECT_THAT(kernel_->receivers(), SizeIs(sockets));
    EXPECT_THAT(Hear(stream.get()), IsEmpty());
  }
  Follow();
  EXPECT_THAT(Hear(stream.get()), Not(IsEmpty()));
  EXPECT_THAT(JoinedOn("239.1.1.2"), ElementsAre(9u));
}

TEST_F(InterfacesTest, FollowingFailsWholeAndIsDoneAgain) {
  const auto stream = Subscribe({Request("a0", "239.1.1.1")});
  host_.table_status = absl::ResourceExhaustedError("no descriptors");
  host_.watch.Tell({.any = true, .deleted = {2}});
  EXPECT_FALSE(gateway_->reconciler().Follow().ok());
  EXPECT_THAT(Hear(stream.get()), IsEmpty());
  host_.table_status = absl::OkStatus();
  Follow();
  EXPECT_THAT(Hear(stream.get()), ElementsAre("lost a0 deleted", "back a0", "gap interface"));
}

// ---- What was told, and when ----

TEST_F(InterfacesTest, WhatWasToldBeforeAnInterfaceWasFirstSeenIsNoLossOfIt) {
  const auto stream = Subscribe({Request("*", "239.1.1.1")});
  Add(9, "b0", {"10.0.9.1/24"});
  // Of the time before it was read as it is now, but heard only after the answer.
  host_.after_reading = [this] {
    host_.after_reading = nullptr;
    host_.watch.Tell({.any = true, .deleted = {9}, .down = {9}, .enslaved = {9}});
  };
  Follow();
  EXPECT_THAT(Hear(stream.get()), ElementsAre("joined b0"));
  Follow();
  EXPECT_THAT(Hear(stream.get()), IsEmpty());
}

TEST_F(InterfacesTest, WhatAJoinHasFollowedIsNotFollowedAgain) {
  const auto stream = Subscribe({Request("a0", "239.1.1.1")});
  host_.Find("a0").up = false;
  host_.watch.Tell({.any = true, .down = {2}});
  EXPECT_FALSE(TryJoin("", Request("unknown", "239.1.1.1")).ok());
  EXPECT_THAT(Hear(stream.get()), ElementsAre("lost a0 down", "gap interface"));
  host_.Find("a0").up = true;
  EXPECT_FALSE(TryJoin("", Request("unknown", "239.1.1.1")).ok());
  EXPECT_THAT(Hear(stream.get()), ElementsAre("back a0", "gap interface"));
  Follow();
  EXPECT_THAT(Hear(stream.get()), IsEmpty());
}

TEST_F(InterfacesTest, AHostThatNeverRestsIsFollowedAllTheSame) {
  const auto stream = Subscribe({Request("a0", "239.1.1.1")});
  host_.after_reading = [this] { host_.watch.Tell({.any = true}); };
  host_.Find("a0").up = false;
  Follow();
  EXPECT_THAT(Hear(stream.get()), ElementsAre("lost a0 down", "gap interface"));
}

}  // namespace
}  // namespace mcgw::gateway
