// Streams through the gateway's face: what they hold, and how they follow a session.

#include <atomic>
#include <cerrno>
#include <memory>
#include <semaphore>
#include <string>
#include <thread>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/gateway/gateway_fixture.h"

namespace mcgw::gateway {
namespace {

using fanout::SourceFilter;
using net::Reason;
using net::ReasonOf;
using ::testing::ElementsAre;
using testing::FakeKernel;
using testing::Ips;
using ::testing::IsEmpty;
using ::testing::SizeIs;

using SubscriptionTest = GatewayTest;

SourceFilter From(std::string_view source) { return SourceFilter::Include(Ips({source})); }

TEST_F(SubscriptionTest, DeliversWhatItsOwnMembershipsReceive) {
  const auto stream = Subscribe({Request("a0", "239.1.1.1"), Request("a0", "239.1.1.2")});
  EXPECT_THAT(stream->channels(), SizeIs(2));
  Receive("239.1.1.1", "one");
  Receive("239.1.1.2", "two");
  EXPECT_THAT(Deliver(stream.get()), ElementsAre("one", "two"));
}

TEST_F(SubscriptionTest, ItsMembershipsEndWithIt) {
  auto stream = Subscribe({Request("*", "239.1.1.1")});
  EXPECT_THAT(kernel_->Memberships(), SizeIs(2));
  EXPECT_EQ(gateway_->subscription_count(), 1u);
  stream.reset();
  EXPECT_THAT(kernel_->Memberships(), IsEmpty());
  EXPECT_EQ(gateway_->subscription_count(), 0u);
}

TEST_F(SubscriptionTest, StreamsOfOneChannelEachGetEverything) {
  const auto first = Subscribe({Request("a0", "239.1.1.1")});
  const auto second = Subscribe({Request("a0", "239.1.1.1")});
  EXPECT_THAT(kernel_->receivers(), SizeIs(1));
  Receive("239.1.1.1", "one");
  EXPECT_THAT(Deliver(first.get()), ElementsAre("one"));
  EXPECT_THAT(Deliver(second.get()), ElementsAre("one"));
}

TEST_F(SubscriptionTest, EachStreamKeepsItsOwnFilter) {
  const auto all = Subscribe({Request("a0", "239.1.1.1")});
  const auto some = Subscribe({Request("a0", "239.1.1.1", From("10.0.0.2"))});
  Receive("239.1.1.1", "two", "10.0.0.2");
  Receive("239.1.1.1", "three", "10.0.0.3");
  EXPECT_THAT(Deliver(all.get()), ElementsAre("two", "three"));
  EXPECT_THAT(Deliver(some.get()), ElementsAre("two"));
}

TEST_F(SubscriptionTest, OverlappingMembershipsShareOneCursor) {
  const auto stream =
      Subscribe({Request("a0", "239.1.1.1", From("10.0.0.2")), Request("*", "239.1.1.1", From("10.0.0.3"))});
  EXPECT_THAT(stream->channels(), SizeIs(2));  // a0 once, and a1.
  for (const char* source : {"10.0.0.2", "10.0.0.3", "10.0.0.4"}) {
    kernel_->receivers().at(0)->Inject({.payload = source, .source = source});
  }
  Settle();
  EXPECT_THAT(Deliver(stream.get()), ElementsAre("10.0.0.2", "10.0.0.3"));
}

TEST_F(SubscriptionTest, BeginsLiveOrAtTheOldest) {
  const auto first = Subscribe({Request("a0", "239.1.1.1")});
  Receive("239.1.1.1", "one");
  const auto live = Subscribe({Request("a0", "239.1.1.1")});
  const auto oldest = Subscribe({Request("a0", "239.1.1.1")}, "", Start::kOldest);
  EXPECT_EQ(live->channels().at(0).next_sequence, 2u);
  EXPECT_EQ(oldest->channels().at(0).next_sequence, 1u);
  Receive("239.1.1.1", "two");
  EXPECT_THAT(Deliver(live.get()), ElementsAre("two"));
  EXPECT_THAT(Deliver(oldest.get()), ElementsAre("one", "two"));
}

TEST_F(SubscriptionTest, IsAllOrNothing) {
  kernel_->set_refusal([](const FakeKernel::Attempt& attempt) {
    return attempt.spec.group == testing::Ip("239.1.1.9") ? net::ErrnoStatus(EPERM, "no") : absl::OkStatus();
  });
  EXPECT_FALSE(TrySubscribe({Request("a0", "239.1.1.1"), Request("a0", "239.1.1.9")}).ok());
  EXPECT_THAT(kernel_->Memberships(), IsEmpty());
  const absl::Status status =
      TrySubscribe({Request("a0", "239.1.1.1"), Request("a0", "239.1.1.2"), Request("a0", "10.0.0.1")}).status();
  EXPECT_EQ(ReasonOf(status), Reason::kNotAMulticastGroup);
  EXPECT_EQ(net::FieldOf(status), "memberships[2].group");
  EXPECT_THAT(kernel_->Memberships(), IsEmpty());
  EXPECT_EQ(gateway_->subscription_count(), 0u);
}

TEST_F(SubscriptionTest, UnderTheStarARefusalOfOneInterfaceIsReportedOnly) {
  kernel_->set_refusal([](const FakeKernel::Attempt& attempt) {
    return attempt.spec.interface_name == "a1" ? net::ErrnoStatus(EPERM, "no") : absl::OkStatus();
  });
  const auto stream = Subscribe({Request("*", "239.1.1.1")});
  ASSERT_THAT(stream->channels(), SizeIs(2));
  int failed = 0;
  for (const fanout::ChannelStatus& channel : stream->channels()) {
    failed += channel.phase == fanout::ChannelPhase::kFailed;
  }
  EXPECT_EQ(failed, 1);
}

TEST_F(SubscriptionTest, WithoutAMembershipOrSessionThereIsNothingToSubscribeTo) {
  EXPECT_EQ(ReasonOf(TrySubscribe({}).status()), Reason::kFieldRequired);
}

TEST_F(SubscriptionTest, StreamsAreLimited) {
  options_.limits.subscribers = 1;
  gateway_ = NewGateway(options_);
  auto stream = Subscribe({Request("a0", "239.1.1.1")});
  EXPECT_EQ(ReasonOf(TrySubscribe({Request("a0", "239.1.1.1")}).status()), Reason::kSubscriberLimit);
  stream.reset();
  EXPECT_TRUE(TrySubscribe({Request("a0", "239.1.1.1")}).ok());
}

// ---- With a session ----

TEST_F(SubscriptionTest, ReadsWhatItsSessionHolds) {
  const std::string session = Join("", Request("a0", "239.1.1.1")).session_id;
  const auto stream = Subscribe({Request("a0", "239.1.1.2")}, session);
  EXPECT_THAT(stream->channels(), SizeIs(2));
  Receive("239.1.1.1", "of the session");
  EXPECT_THAT(Deliver(stream.get()), ElementsAre("of the session"));
}

TEST_F(SubscriptionTest, TheSessionsMembershipsOutliveIt) {
  const std::string session = Join("", Request("a0", "239.1.1.1")).session_id;
  Subscribe({Request("a0", "239.1.1.2")}, session).reset();
  EXPECT_THAT(kernel_->Memberships(), SizeIs(1));
  EXPECT_TRUE(kernel_->Memberships().contains(FakeKernel::ChannelKey(2, "239.1.1.1", 5000)));
}

TEST_F(SubscriptionTest, AJoinActsOnAnOpenStream) {
  const std::string session = Join("", Request("a0", "239.1.1.1")).session_id;
  const auto stream = Subscribe({}, session);
  Join(session, Request("a0", "239.1.1.2"));
  Receive("239.1.1.2", "new");
  EXPECT_THAT(Deliver(stream.get()), ElementsAre("joined 239.1.1.2 any source", "new"));
}

TEST_F(SubscriptionTest, ANewFilterAppliesBehindItsEvent) {
  const std::string session = Join("", Request("a0", "239.1.1.1")).session_id;
  const auto stream = Subscribe({}, session);
  Receive("239.1.1.1", "before", "10.0.0.3");
  Join(session, Request("a0", "239.1.1.1", From("10.0.0.2")));
  Receive("239.1.1.1", "unwanted", "10.0.0.3");
  Receive("239.1.1.1", "wanted", "10.0.0.2");
  EXPECT_THAT(Deliver(stream.get()), ElementsAre("before", "joined 239.1.1.1 from 10.0.0.2", "wanted"));
}

TEST_F(SubscriptionTest, AJoinThatChangesNothingIsNoEvent) {
  const std::string session = Join("", Request("a0", "239.1.1.1")).session_id;
  const auto stream = Subscribe({}, session);
  Join(session, Request("a0", "239.1.1.1"));
  Join(session, Request("10.0.0.1", "239.1.1.1"));
  EXPECT_THAT(Deliver(stream.get()), IsEmpty());
}

TEST_F(SubscriptionTest, ALeaveActsOnAnOpenStream) {
  const std::string session = Join("", Request("a0", "239.1.1.1")).session_id;
  Join(session, Request("a0", "239.1.1.2"));
  const auto stream = Subscribe({}, session);
  Receive("239.1.1.1", "before");
  ASSERT_TRUE(gateway_->Leave(me_, session, MembershipKey{"a0", testing::Ip("239.1.1.1"), 5000}).ok());
  EXPECT_THAT(Deliver(stream.get()), ElementsAre("before", "left 239.1.1.1"));
  Receive("239.1.1.2", "still held");
  EXPECT_THAT(Deliver(stream.get()), ElementsAre("still held"));
}

TEST_F(SubscriptionTest, WhatTheStreamHoldsItselfStaysWhenTheSessionLeavesIt) {
  const std::string session = Join("", Request("a0", "239.1.1.1")).session_id;
  const auto stream = Subscribe({Request("a0", "239.1.1.1", From("10.0.0.2"))}, session);
  ASSERT_TRUE(gateway_->Leave(me_, session, MembershipKey{"a0", testing::Ip("239.1.1.1"), 5000}).ok());
  EXPECT_THAT(Deliver(stream.get()), ElementsAre("joined 239.1.1.1 from 10.0.0.2"));
  Receive("239.1.1.1", "unwanted", "10.0.0.3");
  Receive("239.1.1.1", "wanted", "10.0.0.2");
  EXPECT_THAT(Deliver(stream.get()), ElementsAre("wanted"));
}

TEST_F(SubscriptionTest, ALeaveAndJoinInBetweenLosesNoPlace) {
  const std::string session = Join("", Request("a0", "239.1.1.1")).session_id;
  const auto stream = Subscribe({}, session);
  ASSERT_TRUE(gateway_->Leave(me_, session, MembershipKey{"a0", testing::Ip("239.1.1.1"), 5000}).ok());
  Join(session, Request("a0", "239.1.1.1"));
  Receive("239.1.1.1", "after");
  EXPECT_THAT(Deliver(stream.get()), ElementsAre("left 239.1.1.1", "joined 239.1.1.1 any source", "after"));
}

TEST_F(SubscriptionTest, EveryStreamOfASessionFollowsIt) {
  const std::string session = Join("", Request("a0", "239.1.1.1")).session_id;
  const auto first = Subscribe({}, session);
  const auto second = Subscribe({}, session);
  Join(session, Request("a0", "239.1.1.2"));
  EXPECT_THAT(Deliver(first.get()), ElementsAre("joined 239.1.1.2 any source"));
  EXPECT_THAT(Deliver(second.get()), ElementsAre("joined 239.1.1.2 any source"));
}

TEST_F(SubscriptionTest, AnOpenStreamKeepsTheLease) {
  const std::string session = Join("", Request("a0", "239.1.1.1"), absl::Seconds(10)).session_id;
  auto stream = Subscribe({}, session);
  EXPECT_FALSE(Join(session, Request("a0", "239.1.1.1")).expires.has_value());
  SweepAfter(absl::Hours(2));
  EXPECT_EQ(gateway_->session_count(), 1u);
}

TEST_F(SubscriptionTest, TheFullLeaseRunsAgainFromTheEndOfTheLastStream) {
  const std::string session = Join("", Request("a0", "239.1.1.1"), absl::Seconds(1)).session_id;
  auto first = Subscribe({}, session);
  auto second = Subscribe({}, session);
  first.reset();
  SweepAfter(absl::Hours(2));
  EXPECT_EQ(gateway_->session_count(), 1u);
  const int64_t before_ns = net::MonotonicNs();
  second.reset();
  gateway_->Sweep(before_ns + 999'999'999);
  EXPECT_EQ(gateway_->session_count(), 1u);
  SweepAfter(absl::Seconds(1));
  EXPECT_EQ(gateway_->session_count(), 0u);
}

TEST_F(SubscriptionTest, WithItsSessionAStreamEnds) {
  const std::string session = Join("", Request("a0", "239.1.1.1")).session_id;
  const auto stream = Subscribe({}, session);
  Receive("239.1.1.1", "before");
  ASSERT_TRUE(gateway_->Leave(me_, session, WholeSession()).ok());
  EXPECT_FALSE(stream->subscriber().verdict().has_value());
  EXPECT_THAT(Deliver(stream.get()), ElementsAre("before", "left 239.1.1.1"));
  EXPECT_EQ(stream->subscriber().verdict(), std::optional(absl::OkStatus()));
}

TEST_F(SubscriptionTest, AStreamWithMembershipsOfItsOwnOutlivesItsSession) {
  const std::string session = Join("", Request("a0", "239.1.1.1")).session_id;
  const auto stream = Subscribe({Request("a0", "239.1.1.2")}, session);
  ASSERT_TRUE(gateway_->Leave(me_, session, WholeSession()).ok());
  EXPECT_THAT(Deliver(stream.get()), ElementsAre("left 239.1.1.1"));
  EXPECT_FALSE(stream->subscriber().verdict().has_value());
  Receive("239.1.1.2", "own");
  EXPECT_THAT(Deliver(stream.get()), ElementsAre("own"));
}

// ---- Draining ----

TEST_F(SubscriptionTest, WhileDrainingNothingNewBegins) {
  const std::string session = Join("", Request("a0", "239.1.1.1")).session_id;
  const auto stream = Subscribe({}, session);
  EXPECT_TRUE(gateway_->CheckServing().ok());
  gateway_->Drain(absl::Seconds(5));
  EXPECT_EQ(ReasonOf(gateway_->CheckServing()), Reason::kDraining);
  EXPECT_EQ(ReasonOf(TryJoin("", Request("a0", "239.1.1.1")).status()), Reason::kDraining);
  EXPECT_EQ(ReasonOf(TryJoin(session, Request("a0", "239.1.1.1")).status()), Reason::kDraining);
  EXPECT_EQ(ReasonOf(TrySubscribe({Request("a0", "239.1.1.1")}).status()), Reason::kDraining);
  Receive("239.1.1.1", "still delivered");
  EXPECT_THAT(Deliver(stream.get()), ElementsAre("draining", "still delivered"));
  EXPECT_TRUE(gateway_->Leave(me_, session, WholeSession()).ok());
}

TEST_F(SubscriptionTest, AStreamThatOpensWhileTheDrainBeginsIsRefused) {
  host_.interfaces.push_back(testing::FakeInterface(9, "new", {"10.9.0.1/24"}));
  host_.after_reading = [&] { gateway_->Drain(absl::Seconds(5)); };
  EXPECT_EQ(ReasonOf(TrySubscribe({Request("new", "239.1.1.1")}).status()), Reason::kDraining);
  host_.after_reading = nullptr;
  EXPECT_EQ(gateway_->subscription_count(), 0u);
}

// ---- What others see ----

TEST_F(SubscriptionTest, ChannelsShowTheirHolders) {
  const JoinResult joined = Join("", Request("*", "239.1.1.1"));
  const auto stream = Subscribe({Request("a0", "239.1.1.1", From("10.0.0.2"))});
  const std::vector<ChannelSnapshot> channels = gateway_->inspector().ListChannels().value();
  ASSERT_THAT(channels, SizeIs(2));
  const ChannelSnapshot& shared = channels[0];
  EXPECT_EQ(shared.status.interface_name, "a0");
  ASSERT_THAT(shared.holders, SizeIs(2));
  EXPECT_EQ(shared.holders[0].kind, Holder::Kind::kSession);
  EXPECT_EQ(shared.holders[0].membership_id, joined.membership_id);
  EXPECT_EQ(shared.holders[0].selector, "*");
  EXPECT_EQ(shared.holders[1].kind, Holder::Kind::kStream);
  EXPECT_EQ(shared.holders[1].subscriber_id, stream->id());
  EXPECT_EQ(shared.holders[1].identity, "me");
  EXPECT_EQ(shared.holders[1].filter, From("10.0.0.2"));
}

// Its memberships may be thousands. Others open meanwhile, and the interfaces are followed, which it then does by
// itself.
TEST_F(SubscriptionTest, OneThatOpensSlowlyHoldsUpNobody) {
  std::binary_semaphore resolving(0);
  std::binary_semaphore go_on(0);
  std::atomic<bool> first{true};
  HostInterfaces host = host_.Source();
  host.route = [&](const net::IpAddress& group, uint32_t /*vrf_index*/) -> absl::StatusOr<net::Route> {
    if (group == testing::Ip("239.9.9.9") && first.exchange(false)) {
      resolving.release();
      go_on.acquire();
    }
    return net::Route{.kind = net::Route::Kind::kThrough, .interface_index = 2};
  };
  gateway_ = Gateway::Create(options_, std::make_unique<testing::FakeSocketFactory>(kernel_), host).value();
  std::unique_ptr<Subscription> slow;
  std::thread opener([&] { slow = Subscribe({Request("*", "239.1.1.1"), Request("", "239.9.9.9")}); });
  resolving.acquire();
  EXPECT_NE(Subscribe({Request("a1", "239.1.1.2")}), nullptr);
  host_.interfaces.push_back(testing::FakeInterface(9, "a9", {"10.0.9.1/24"}));
  ASSERT_TRUE(gateway_->reconciler().Follow().ok());
  EXPECT_THAT(gateway_->inspector().ListSubscribers(), SizeIs(1));
  go_on.release();
  opener.join();
  ASSERT_NE(slow, nullptr);
  EXPECT_THAT(slow->channels(), SizeIs(4)) << "on a0 and a1, on a9 that came meanwhile, and by the route";
}

// ---- Streams that do not read ----

TEST_F(SubscriptionTest, AStreamThatDoesNotReadEndsWhileItsSessionGoesOnChanging) {
  const std::string session = Join("", Request("a0", "239.1.1.1")).session_id;
  const auto stalled = Subscribe({}, session);
  const auto reading = Subscribe({}, session);
  // The more sources, the more an event holds, and the fewer fill the stream.
  std::vector<net::IpAddress> sources;
  for (int i = 1; i <= 64; ++i) sources.push_back(testing::Ip("10.0.1." + std::to_string(i)));
  const MembershipRequest request = Request("a0", "239.1.1.2", fanout::SourceFilter::Include(sources));
  for (int i = 0; !stalled->subscriber().verdict().has_value(); ++i) {
    ASSERT_LT(i, 20'000);
    const JoinResult joined = Join(session, request, std::nullopt);
    ASSERT_TRUE(gateway_->Leave(me_, session, joined.membership_id).ok());
    // A new channel each time, as when groups differ.
    SweepAfter(options_.keep_after_leave + absl::Seconds(1));
    if (i % 100 == 0) Deliver(reading.get());
  }
  EXPECT_EQ(ReasonOf(*stalled->subscriber().verdict()), Reason::kSubscriberTooSlow);
  EXPECT_FALSE(reading->subscriber().verdict().has_value());
  // What it holds back from the stalled one, the session does not lose.
  Deliver(reading.get());
  Join(session, Request("a0", "239.1.1.3"));
  EXPECT_THAT(Deliver(reading.get()), ElementsAre("joined 239.1.1.3 any source"));
}

}  // namespace
}  // namespace mcgw::gateway
