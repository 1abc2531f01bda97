// Sessions through the gateway's face: Join, Leave, leases.

#include <cerrno>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/gateway/gateway_fixture.h"

namespace mcgw::gateway {
namespace {

using fanout::ChannelPhase;
using fanout::SourceFilter;
using net::Reason;
using net::ReasonOf;
using ::testing::ElementsAre;
using testing::FakeKernel;
using testing::Ips;
using ::testing::IsEmpty;
using ::testing::SizeIs;

using SessionTest = GatewayTest;

TEST_F(SessionTest, JoinMakesASessionAndTellsItsChannel) {
  const JoinResult joined = Join("", Request("a0", "239.1.1.1"));
  EXPECT_THAT(joined.session_id, SizeIs(32));
  EXPECT_EQ(joined.lease, absl::Seconds(60));
  ASSERT_TRUE(joined.expires.has_value());
  EXPECT_GT(*joined.expires, absl::Now() + absl::Seconds(50));
  ASSERT_THAT(joined.channels, SizeIs(1));
  EXPECT_EQ(joined.channels[0].interface_name, "a0");
  EXPECT_EQ(joined.channels[0].phase, ChannelPhase::kJoined);
  EXPECT_EQ(joined.channels[0].next_sequence, 1u);
  EXPECT_NE(joined.channels[0].epoch, 0u);
  EXPECT_EQ(gateway_->session_count(), 1u);
  EXPECT_TRUE(kernel_->Memberships().contains(FakeKernel::ChannelKey(2, "239.1.1.1", 5000)));
}

TEST_F(SessionTest, SessionsHaveIdsOfTheirOwn) {
  EXPECT_NE(Join("", Request("a0", "239.1.1.1")).session_id, Join("", Request("a0", "239.1.1.1")).session_id);
  EXPECT_THAT(kernel_->receivers(), SizeIs(1));
}

TEST_F(SessionTest, TheSameJoinAgainChangesNothing) {
  const JoinResult first = Join("", Request("a0", "239.1.1.1"));
  const JoinResult second = Join(first.session_id, Request("a0", "239.1.1.1"));
  EXPECT_EQ(second.session_id, first.session_id);
  EXPECT_EQ(second.membership_id, first.membership_id);
  EXPECT_EQ(second.channels.at(0).channel_id, first.channels.at(0).channel_id);
  EXPECT_THAT(kernel_->receiver("239.1.1.1")->calls(), ElementsAre("join EXCLUDE{}"));
}

TEST_F(SessionTest, JoiningAgainReplacesTheFilter) {
  const JoinResult first = Join("", Request("a0", "239.1.1.1", SourceFilter::Include(Ips({"10.0.0.2"}))));
  const JoinResult second =
      Join(first.session_id, Request("a0", "239.1.1.1", SourceFilter::Include(Ips({"10.0.0.3"}))));
  EXPECT_EQ(second.membership_id, first.membership_id);
  EXPECT_EQ(kernel_->receiver("239.1.1.1")->filter(), "INCLUDE{10.0.0.3}");
}

TEST_F(SessionTest, AJoinThatFailsLeavesNeitherSessionNorMembership) {
  EXPECT_EQ(ReasonOf(TryJoin("", Request("nosuch", "239.1.1.1")).status()), Reason::kInterfaceNotFound);
  EXPECT_EQ(ReasonOf(TryJoin("", Request("a0", "10.0.0.1")).status()), Reason::kNotAMulticastGroup);
  kernel_->set_refusal([](const FakeKernel::Attempt&) { return net::ErrnoStatus(EPERM, "no"); });
  EXPECT_FALSE(TryJoin("", Request("a0", "239.1.1.1")).ok());
  EXPECT_EQ(gateway_->session_count(), 0u);
  EXPECT_THAT(gateway_->inspector().ListChannels().value(), IsEmpty());
}

TEST_F(SessionTest, ErrorsNameTheFieldOfTheRequest) {
  EXPECT_EQ(net::FieldOf(TryJoin("", Request("a0", "10.0.0.1")).status()), "membership.group");
  EXPECT_EQ(net::FieldOf(TryJoin("", Request("nosuch", "239.1.1.1")).status()), "membership.interface");
}

TEST_F(SessionTest, AFailedJoinOfAnOldSessionKeepsIt) {
  const JoinResult first = Join("", Request("a0", "239.1.1.1"));
  EXPECT_FALSE(TryJoin(first.session_id, Request("nosuch", "239.1.1.2")).ok());
  EXPECT_EQ(gateway_->session_count(), 1u);
  EXPECT_THAT(kernel_->Memberships(), SizeIs(1));
}

TEST_F(SessionTest, AnInterfaceThatIsDownIsRefused) {
  host_.Find("a0").up = false;
  gateway_ = NewGateway(options_);
  EXPECT_EQ(ReasonOf(TryJoin("", Request("a0", "239.1.1.1")).status()), Reason::kInterfaceDown);
}

TEST_F(SessionTest, AnotherIdentityDoesNotFindIt) {
  const JoinResult joined = Join("", Request("a0", "239.1.1.1"));
  const Caller stranger{"stranger"};
  EXPECT_EQ(ReasonOf(gateway_->Join(stranger, joined.session_id, Request("a0", "239.1.1.2"), std::nullopt).status()),
            Reason::kSessionNotFound);
  EXPECT_EQ(ReasonOf(gateway_->Leave(stranger, joined.session_id, WholeSession()).status()), Reason::kSessionNotFound);
  EXPECT_EQ(gateway_->session_count(), 1u);
}

TEST_F(SessionTest, UnknownSessionsAreNotFound) {
  EXPECT_EQ(ReasonOf(TryJoin("0123", Request("a0", "239.1.1.1")).status()), Reason::kSessionNotFound);
  EXPECT_EQ(ReasonOf(gateway_->Leave(me_, "0123", WholeSession()).status()), Reason::kSessionNotFound);
  EXPECT_EQ(ReasonOf(TrySubscribe({}, "0123").status()), Reason::kSessionNotFound);
}

TEST_F(SessionTest, SessionsAreLimited) {
  options_.limits.sessions = 1;
  gateway_ = NewGateway(options_);
  const JoinResult first = Join("", Request("a0", "239.1.1.1"));
  EXPECT_EQ(ReasonOf(TryJoin("", Request("a0", "239.1.1.1")).status()), Reason::kSessionLimit);
  ASSERT_TRUE(gateway_->Leave(me_, first.session_id, WholeSession()).ok());
  EXPECT_TRUE(TryJoin("", Request("a0", "239.1.1.1")).ok());
}

TEST_F(SessionTest, MembershipsOfOneSessionAreLimited) {
  options_.limits.memberships_per_holder = 1;
  gateway_ = NewGateway(options_);
  const std::string session = Join("", Request("a0", "239.1.1.1")).session_id;
  EXPECT_EQ(ReasonOf(TryJoin(session, Request("a0", "239.1.1.2")).status()), Reason::kMembershipLimit);
  EXPECT_TRUE(TryJoin(session, Request("a0", "239.1.1.1")).ok());
}

// ---- Leave ----

TEST_F(SessionTest, LeavesByKey) {
  const JoinResult joined = Join("", Request("a0", "239.1.1.1"));
  const auto left = gateway_->Leave(me_, joined.session_id, MembershipKey{"a0", testing::Ip("239.1.1.1"), 5000});
  EXPECT_THAT(left.value(), ElementsAre(joined.membership_id));
  EXPECT_THAT(kernel_->Memberships(), IsEmpty());
  EXPECT_EQ(gateway_->session_count(), 1u);
}

TEST_F(SessionTest, LeavesById) {
  const JoinResult first = Join("", Request("a0", "239.1.1.1"));
  const JoinResult second = Join(first.session_id, Request("a0", "239.1.1.2"));
  EXPECT_THAT(gateway_->Leave(me_, first.session_id, second.membership_id).value(), ElementsAre(second.membership_id));
  EXPECT_THAT(kernel_->Memberships(), SizeIs(1));
}

TEST_F(SessionTest, LeavesTheWholeSession) {
  const JoinResult first = Join("", Request("a0", "239.1.1.1"));
  const JoinResult second = Join(first.session_id, Request("*", "239.1.1.2"));
  EXPECT_THAT(gateway_->Leave(me_, first.session_id, WholeSession()).value(),
              ::testing::UnorderedElementsAre(first.membership_id, second.membership_id));
  EXPECT_THAT(kernel_->Memberships(), IsEmpty());
  EXPECT_EQ(gateway_->session_count(), 0u);
  EXPECT_EQ(ReasonOf(gateway_->Leave(me_, first.session_id, WholeSession()).status()), Reason::kSessionNotFound);
}

TEST_F(SessionTest, LeavingWhatIsNotHeldIsNotFound) {
  const JoinResult joined = Join("", Request("a0", "239.1.1.1"));
  const auto leave = [&](const LeaveTarget& target) {
    return ReasonOf(gateway_->Leave(me_, joined.session_id, target).status());
  };
  EXPECT_EQ(leave(MembershipKey{"a0", testing::Ip("239.1.1.1"), 5001}), Reason::kNotJoined);
  EXPECT_EQ(leave(MembershipKey{"a1", testing::Ip("239.1.1.1"), 5000}), Reason::kNotJoined);
  EXPECT_EQ(leave(MembershipKey{"*", testing::Ip("239.1.1.1"), 5000}), Reason::kNotJoined);
  EXPECT_EQ(leave(joined.membership_id + 1), Reason::kNotJoined);
  EXPECT_THAT(kernel_->Memberships(), SizeIs(1));
}

TEST_F(SessionTest, AGroupIsLeftWhenItsLastSessionLeaves) {
  const std::string first = Join("", Request("a0", "239.1.1.1")).session_id;
  const std::string second = Join("", Request("a0", "239.1.1.1")).session_id;
  ASSERT_TRUE(gateway_->Leave(me_, first, WholeSession()).ok());
  EXPECT_THAT(kernel_->Memberships(), SizeIs(1));
  ASSERT_TRUE(gateway_->Leave(me_, second, WholeSession()).ok());
  EXPECT_THAT(kernel_->Memberships(), IsEmpty());
}

// ---- Selectors ----

TEST_F(SessionTest, TheStarJoinsEveryEligibleInterface) {
  const JoinResult joined = Join("", Request("*", "239.1.1.1"));
  EXPECT_THAT(joined.channels, SizeIs(2));
  EXPECT_TRUE(kernel_->Memberships().contains(FakeKernel::ChannelKey(2, "239.1.1.1", 5000)));
  EXPECT_TRUE(kernel_->Memberships().contains(FakeKernel::ChannelKey(3, "239.1.1.1", 5000)));
}

TEST_F(SessionTest, UnderTheStarARefusalOfOneInterfaceIsReportedOnly) {
  kernel_->set_refusal([](const FakeKernel::Attempt& attempt) {
    return attempt.spec.interface_name == "a1" ? net::ErrnoStatus(EPERM, "no") : absl::OkStatus();
  });
  const JoinResult joined = Join("", Request("*", "239.1.1.1"));
  ASSERT_THAT(joined.channels, SizeIs(2));
  for (const fanout::ChannelStatus& channel : joined.channels) {
    EXPECT_EQ(channel.phase, channel.interface_name == "a1" ? ChannelPhase::kFailed : ChannelPhase::kJoined);
    EXPECT_EQ(channel.error.ok(), channel.interface_name != "a1");
  }
  // Once the kernel is willing, the same Join completes it.
  kernel_->set_refusal(nullptr);
  for (const fanout::ChannelStatus& channel : Join(joined.session_id, Request("*", "239.1.1.1")).channels) {
    EXPECT_EQ(channel.phase, ChannelPhase::kJoined);
  }
}

TEST_F(SessionTest, UnderTheStarAnInterfaceWhoseFilterIsRefusedIsReportedOnce) {
  const SourceFilter one = SourceFilter::Include(Ips({"10.0.0.2"}));
  const SourceFilter other = SourceFilter::Include(Ips({"10.0.0.3"}));
  const JoinResult joined = Join("", Request("*", "239.1.1.1", one));
  kernel_->set_refusal([](const FakeKernel::Attempt& attempt) {
    return attempt.spec.interface_name == "a1" ? net::ErrnoStatus(EPERM, "no") : absl::OkStatus();
  });
  const JoinResult again = Join(joined.session_id, Request("*", "239.1.1.1", other));
  ASSERT_THAT(again.channels, SizeIs(2));
  EXPECT_NE(again.channels[0].interface_name, again.channels[1].interface_name);
}

TEST_F(SessionTest, OverlappingSelectorsShareAChannelAndUniteTheirFilters) {
  const std::string session = Join("", Request("a0", "239.1.1.1", SourceFilter::Include(Ips({"10.0.0.2"})))).session_id;
  Join(session, Request("10.0.0.1", "239.1.1.1", SourceFilter::Include(Ips({"10.0.0.3"}))));
  EXPECT_THAT(kernel_->receivers(), SizeIs(1));
  EXPECT_EQ(kernel_->receiver("239.1.1.1")->filter(), "INCLUDE{10.0.0.2, 10.0.0.3}");
  ASSERT_TRUE(gateway_->Leave(me_, session, MembershipKey{"a0", testing::Ip("239.1.1.1"), 5000}).ok());
  EXPECT_EQ(kernel_->receiver("239.1.1.1")->filter(), "INCLUDE{10.0.0.3}");
}

TEST_F(SessionTest, TheDefaultInterfaceIsResolvedOnceAndReported) {
  const JoinResult joined = Join("", Request("", "239.1.1.1"));
  EXPECT_EQ(joined.channels.at(0).interface_name, "a0");
  host_.ipv4_route = 3;
  EXPECT_EQ(Join(joined.session_id, Request("", "239.1.1.1")).channels.at(0).interface_name, "a0");
  EXPECT_THAT(kernel_->Memberships(), SizeIs(1));
  EXPECT_EQ(Join("", Request("", "239.1.1.1")).channels.at(0).interface_name, "a1");
}

// ---- Leases ----

TEST_F(SessionTest, ALeaseRunsOut) {
  Join("", Request("a0", "239.1.1.1"), absl::Seconds(10));
  SweepAfter(absl::Seconds(9));
  EXPECT_EQ(gateway_->session_count(), 1u);
  SweepAfter(absl::Seconds(10));
  EXPECT_EQ(gateway_->session_count(), 0u);
  EXPECT_THAT(kernel_->Memberships(), IsEmpty());
}

TEST_F(SessionTest, JoiningAgainRenewsTheLeaseAndMayChangeIt) {
  const std::string session = Join("", Request("a0", "239.1.1.1"), absl::Seconds(10)).session_id;
  EXPECT_EQ(Join(session, Request("a0", "239.1.1.1")).lease, absl::Seconds(10));
  EXPECT_EQ(Join(session, Request("a0", "239.1.1.1"), absl::Seconds(30)).lease, absl::Seconds(30));
  SweepAfter(absl::Seconds(20));
  EXPECT_EQ(gateway_->session_count(), 1u);
  SweepAfter(absl::Seconds(30));
  EXPECT_EQ(gateway_->session_count(), 0u);
}

TEST_F(SessionTest, ALeaseOutOfRangeIsRefused) {
  for (const absl::Duration lease :
       {absl::ZeroDuration(), absl::Milliseconds(999), absl::Hours(1) + absl::Nanoseconds(1), absl::Seconds(-1)}) {
    EXPECT_EQ(ReasonOf(TryJoin("", Request("a0", "239.1.1.1"), lease).status()), Reason::kValueOutOfRange) << lease;
  }
  EXPECT_TRUE(TryJoin("", Request("a0", "239.1.1.1"), absl::Hours(1)).ok());
}

TEST_F(SessionTest, AllSessionsEndTogether) {
  Join("", Request("a0", "239.1.1.1"));
  Join("", Request("*", "239.1.1.2"));
  gateway_->EndAllSessions();
  EXPECT_EQ(gateway_->session_count(), 0u);
  EXPECT_THAT(kernel_->Memberships(), IsEmpty());
}

TEST_F(SessionTest, TheEndOfTheGatewayLeavesEverything) {
  Join("", Request("*", "239.1.1.1"));
  gateway_.reset();
  EXPECT_THAT(kernel_->Memberships(), IsEmpty());
  for (const auto& receiver : kernel_->receivers()) EXPECT_TRUE(receiver->closed());
}

// ---- All interfaces, and one that refuses ----

TEST_F(SessionTest, WithAllInterfacesARefusedFilterLeavesTheOldOneWanted) {
  const fanout::SourceFilter before = fanout::SourceFilter::Include(testing::Ips({"10.0.0.2"}));
  const fanout::SourceFilter after = fanout::SourceFilter::Include(testing::Ips({"10.0.0.3"}));
  const JoinResult joined = Join("", Request("*", "239.1.1.1", before));
  const auto stream = Subscribe({}, joined.session_id);
  kernel_->set_refusal([](const testing::FakeKernel::Attempt& attempt) {
    return attempt.spec.interface_name == "a1" ? net::ErrnoStatus(EPERM, "filter") : absl::OkStatus();
  });
  const JoinResult again = Join(joined.session_id, Request("*", "239.1.1.1", after));
  ASSERT_EQ(again.channels.size(), 2u);
  for (const fanout::ChannelStatus& channel : again.channels) {
    const bool refused = channel.interface_name == "a1";
    EXPECT_EQ(channel.phase, refused ? fanout::ChannelPhase::kFailed : fanout::ChannelPhase::kJoined);
  }
  // What the client was told is what its stream does: one channel changed, the other goes on as before.
  EXPECT_EQ(Deliver(stream.get()), (std::vector<std::string>{"joined 239.1.1.1 from 10.0.0.3"}));
  const std::vector<ChannelSnapshot> channels = gateway_->inspector().ListChannels().value();
  for (const ChannelSnapshot& channel : channels) {
    const bool refused = channel.status.interface_name == "a1";
    EXPECT_EQ(channel.holders.at(0).filter, refused ? before : after);
    EXPECT_EQ(channel.told, refused ? before : after);
  }
  for (const auto& receiver : kernel_->receivers()) {
    const bool refused = receiver->spec.interface_name == "a1";
    receiver->Inject({.payload = refused ? "kept" : "changed", .source = refused ? "10.0.0.2" : "10.0.0.3"});
    receiver->Inject({.payload = "unwanted", .source = refused ? "10.0.0.3" : "10.0.0.2"});
  }
  Settle();
  EXPECT_THAT(Deliver(stream.get()), ::testing::UnorderedElementsAre("kept", "changed"));
}

// ---- Looking at many channels ----

TEST_F(SessionTest, AQueryShowsTheChannelsThatItAsksFor) {
  const std::string session = Join("", Request("*", "239.1.1.1")).session_id;
  Join(session, Request("a0", "239.1.1.2"));
  Join(session, Request("a0", "239.1.1.2", {}, 5001));
  const auto ids = [&](const ChannelQuery& query) {
    const std::vector<ChannelSnapshot> channels = gateway_->inspector().ListChannels(query).value();
    std::vector<uint64_t> found;
    for (const ChannelSnapshot& channel : channels) found.push_back(channel.status.channel_id);
    return found;
  };
  EXPECT_THAT(ids({}), ElementsAre(1, 2, 3, 4));
  EXPECT_THAT(ids({.most = 3}), ElementsAre(1, 2, 3));
  EXPECT_THAT(ids({.after_id = 3, .most = 3}), ElementsAre(4));
  EXPECT_THAT(ids({.interfaces = {"a1"}}), ElementsAre(2));
  EXPECT_THAT(ids({.group = testing::Ip("239.1.1.2")}), ElementsAre(3, 4));
  EXPECT_THAT(ids({.group = testing::Ip("239.1.1.2"), .port = 5001}), ElementsAre(4));
  EXPECT_THAT(ids({.interfaces = {"a2"}}), IsEmpty());
}

}  // namespace
}  // namespace mcgw::gateway
