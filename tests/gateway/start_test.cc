// How a stream starts: what it hears of, and that it is never silently deaf.

#include <memory>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/gateway/gateway_fixture.h"

namespace mcgw::gateway {
namespace {

using fanout::ChannelPhase;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

class StartTest : public GatewayTest {
 protected:
  // A channel whose log has outlived its last holder.
  void LeaveALog(std::string_view group) {
    const auto holder = Subscribe({Request("a0", group)});
    Receive(group, "before");
  }
  ChannelSnapshot OnlyChannel() const {
    const auto channels = gateway_->inspector().ListChannels();
    EXPECT_TRUE(channels.ok());
    EXPECT_EQ(channels->size(), 1u);
    return channels->front();
  }
};

TEST_F(StartTest, ALiveStreamHearsOfNothingOlderThanItself) {
  LeaveALog("239.1.1.1");
  // The shard has not come to mark the time away when the stream takes its place.
  const auto early = Subscribe({Request("a0", "239.1.1.1")});
  Settle();
  const auto late = Subscribe({Request("a0", "239.1.1.1")});
  Receive("239.1.1.1", "after");
  EXPECT_THAT(Deliver(early.get()), ElementsAre("after"));
  EXPECT_THAT(Deliver(late.get()), ElementsAre("after"));
}

TEST_F(StartTest, AJoinOnAnOpenStreamIsLiveToo) {
  LeaveALog("239.1.1.1");
  const std::string session = Join("", Request("a0", "239.1.1.2")).session_id;
  const auto stream = Subscribe({}, session);
  Join(session, Request("a0", "239.1.1.1"));
  Receive("239.1.1.1", "after");
  EXPECT_THAT(Deliver(stream.get()), ElementsAre("joined 239.1.1.1 any source", "after"));
}

TEST_F(StartTest, WhoReadsThePastHearsOfTheTimeAway) {
  LeaveALog("239.1.1.1");
  const auto stream = Subscribe({Request("a0", "239.1.1.1")}, "", Start::kOldest);
  Receive("239.1.1.1", "after");
  EXPECT_THAT(Deliver(stream.get()), ElementsAre("before", "gap", "after"));
}

TEST_F(StartTest, WhatInterruptsALiveStreamIsToldOf) {
  LeaveALog("239.1.1.1");
  const auto stream = Subscribe({Request("a0", "239.1.1.1")});
  kernel_->LoseMemberships(2);
  ASSERT_TRUE(gateway_->reconciler().Follow().ok());
  Receive("239.1.1.1", "after");
  EXPECT_THAT(Deliver(stream.get()), ElementsAre("gap", "after"));
}

TEST_F(StartTest, AChannelWhoseSocketTheHostDoesNotWatchIsNotJoined) {
  kernel_->set_unwatchable(true);
  const auto stream = Subscribe({Request("a0", "239.1.1.1")});
  Settle();  // The shard finds out.
  EXPECT_EQ(OnlyChannel().status.phase, ChannelPhase::kFailed);
  EXPECT_EQ(net::ReasonOf(OnlyChannel().status.error), net::Reason::kHostLimit);
  gateway_->Sweep();
  Settle();
  EXPECT_EQ(OnlyChannel().status.phase, ChannelPhase::kFailed);
  EXPECT_THAT(kernel_->Memberships(), IsEmpty());  // Nothing is asked of the network in vain.
  EXPECT_THAT(Deliver(stream.get()), ElementsAre("joined 239.1.1.1 any source"));  // Told, with its error.

  kernel_->set_unwatchable(false);
  ASSERT_TRUE(gateway_->reconciler().Follow().ok());
  Settle();
  EXPECT_EQ(OnlyChannel().status.phase, ChannelPhase::kJoined);
  Receive("239.1.1.1", "after");
  EXPECT_THAT(Deliver(stream.get()), ElementsAre("joined 239.1.1.1 any source", "gap", "after"));
}

TEST_F(StartTest, AKeptUpStreamLosesNothingBesideSilentChannels) {
  // The silent ones fill it, and an equal share of it holds more than what is received at once.
  options_.total_log_bytes = 8 << 20;
  options_.channel_log_bytes = 1 << 20;
  gateway_ = NewGateway(options_);
  std::vector<MembershipRequest> requests;
  for (int group = 1; group <= 120; ++group) requests.push_back(Request("a0", "239.2.1." + std::to_string(group)));
  const auto silent = Subscribe(std::move(requests));
  const auto live = Subscribe({Request("a0", "239.1.1.1")});
  const std::string payload(1000, 'x');
  for (int group = 1; group <= 120; ++group) {
    for (int i = 0; i < 100; ++i) {
      kernel_->receiver("239.2.1." + std::to_string(group))->Inject({.payload = payload});
    }
    Settle();
  }
  for (int i = 0; i < 500; ++i) {
    for (int each = 0; each < 16; ++each) kernel_->receiver("239.1.1.1")->Inject({.payload = payload});
    Settle();
    ASSERT_EQ(Deliver(live.get()).size(), 16u) << i;  // And no gap.
  }
}

}  // namespace
}  // namespace mcgw::gateway
