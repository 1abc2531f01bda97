// What outlives a stream, and the accounts of what has gone.

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/gateway/rules/log_rules.h"
#include "tests/gateway/gateway_fixture.h"

namespace mcgw::gateway {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class RetainedTest : public GatewayTest {
 protected:
  std::unique_ptr<Subscription> SubscribeRetaining(absl::Duration retain, const std::string& group = "239.1.1.1",
                                                   const std::string& identity = "me") {
    SubscribeRequest request{.memberships = {Request("a0", group)}, .session_id = "", .options = {}};
    request.retain_ns = absl::ToInt64Nanoseconds(retain);
    auto subscription =
        gateway_->Subscribe({.identity = identity, .peer = {}}, request, std::make_shared<fanout::CountingDoorbell>());
    EXPECT_TRUE(subscription.ok()) << subscription.status();
    return *std::move(subscription);
  }
  std::vector<Holder> Holders() { return gateway_->inspector().ListChannels()->at(0).holders; }
};

TEST_F(RetainedTest, AChannelStaysJoinedUntilItsTimeIsOver) {
  SubscribeRetaining(absl::Seconds(10)).reset();
  EXPECT_THAT(kernel_->Memberships(), SizeIs(1));
  ASSERT_THAT(Holders(), SizeIs(1));
  EXPECT_EQ(Holders()[0].kind, Holder::Kind::kRetained);
  SweepAfter(absl::Seconds(9));
  EXPECT_THAT(kernel_->Memberships(), SizeIs(1));
  SweepAfter(absl::Seconds(11));
  EXPECT_THAT(kernel_->Memberships(), IsEmpty());
}

TEST_F(RetainedTest, WithoutRetainItIsLeftAtOnce) {
  SubscribeRetaining(absl::ZeroDuration()).reset();
  EXPECT_THAT(kernel_->Memberships(), IsEmpty());
}

TEST_F(RetainedTest, AStreamThatFailsToOpenRetainsNothing) {
  SubscribeRequest request{
      .memberships = {Request("a0", "239.1.1.1"), Request("nosuch", "239.1.1.2")}, .session_id = "", .options = {}};
  request.retain_ns = 60'000'000'000;
  EXPECT_FALSE(gateway_->Subscribe(me_, request, std::make_shared<fanout::CountingDoorbell>()).ok());
  EXPECT_THAT(kernel_->Memberships(), IsEmpty());
}

TEST_F(RetainedTest, AClientThatReconnectsAgainAndAgainIsKeptOnce) {
  for (int i = 0; i < 20; ++i) SubscribeRetaining(absl::Seconds(10)).reset();
  EXPECT_THAT(Holders(), SizeIs(1));
  SubscribeRetaining(absl::Seconds(60)).reset();
  SubscribeRetaining(absl::Seconds(1)).reset();
  SweepAfter(absl::Seconds(30));  // The longest of them holds.
  EXPECT_THAT(Holders(), SizeIs(1));
}

TEST_F(RetainedTest, EachIdentityKeepsItsOwn) {
  SubscribeRetaining(absl::Seconds(60), "239.1.1.1", "uid:1").reset();
  SubscribeRetaining(absl::Seconds(1), "239.1.1.1", "uid:2").reset();
  ASSERT_THAT(Holders(), SizeIs(2));
  EXPECT_NE(Holders()[0].identity, Holders()[1].identity);
  SweepAfter(absl::Seconds(30));
  ASSERT_THAT(Holders(), SizeIs(1));
  EXPECT_EQ(Holders()[0].identity, "uid:1");
}

TEST_F(RetainedTest, PastTheLimitTheFirstToEndEndsNow) {
  options_.limits.subscribers = 2;
  gateway_ = NewGateway(options_);
  SubscribeRetaining(absl::Seconds(20), "239.1.1.1").reset();
  SubscribeRetaining(absl::Seconds(10), "239.1.1.2").reset();
  SubscribeRetaining(absl::Seconds(30), "239.1.1.3").reset();
  std::vector<std::string> groups;
  for (const auto& [key, filter] : kernel_->Memberships()) groups.push_back(std::get<1>(key));
  EXPECT_THAT(groups, ElementsAre("239.1.1.1", "239.1.1.3"));
}

TEST_F(RetainedTest, TheEndOfTheGatewayLeavesWhatWasRetained) {
  SubscribeRetaining(absl::Seconds(60)).reset();
  gateway_->EndAllSessions();
  EXPECT_THAT(kernel_->Memberships(), IsEmpty());
}

TEST_F(RetainedTest, AccountsOfRetiredChannelsGoIntoTheGateways) {
  auto subscription = SubscribeRetaining(absl::ZeroDuration());
  Receive("239.1.1.1", "a");
  Receive("239.1.1.1", "b");
  EXPECT_THAT(Deliver(subscription.get()), ElementsAre("a", "b"));
  subscription.reset();
  SweepAfter(absl::Hours(1));
  Settle();
  ASSERT_THAT(*gateway_->inspector().ListChannels(), IsEmpty());
  const GatewayAccount account = gateway_->inspector().Account();
  EXPECT_EQ(account.channels.read, 2u);
  EXPECT_EQ(account.channels.logged, 2u);
  EXPECT_EQ(account.subscribers.offered, 2u);
  EXPECT_EQ(account.subscribers.written, 2u);
}

TEST_F(RetainedTest, AStreamThatHoldsMoreMemoryThanItsShareIsEnded) {
  options_.total_log_bytes = 1 << 20;
  options_.channel_log_bytes = 256 << 10;
  gateway_ = NewGateway(options_);
  const auto greedy = SubscribeRetaining(absl::ZeroDuration());
  const auto modest = SubscribeRetaining(absl::ZeroDuration());
  std::vector<fanout::SlabRef> held;
  const auto pin = [&](Subscription* subscription, size_t size_class) {
    held.push_back(gateway_->slabs()->Acquire(size_class));
    subscription->subscriber().pinned()->fetch_add(held.back()->footprint_bytes());
  };
  pin(modest.get(), 0);
  pin(greedy.get(), 3);
  gateway_->Sweep();
  EXPECT_FALSE(greedy->subscriber().verdict().has_value());  // There is room.
  pin(greedy.get(), 3);
  gateway_->Sweep();
  ASSERT_TRUE(greedy->subscriber().verdict().has_value());
  EXPECT_EQ(net::ReasonOf(*greedy->subscriber().verdict()), net::Reason::kSubscriberTooSlow);
  EXPECT_FALSE(modest->subscriber().verdict().has_value());
}

TEST_F(RetainedTest, LogsKeepToTheRuleOfTheirGroup) {
  options_.channel_log_age = absl::Seconds(100);
  for (const char* text : {"239.1.0.0/16 bytes=300000", "239.1.1.0/24 age=5s bytes=400000", "ff15::/16 age=0s"}) {
    options_.log_rules.push_back(ParseLogRule(text).value());
  }
  gateway_ = NewGateway(options_);
  const auto subscription = Subscribe(
      {Request("a0", "239.1.2.1"), Request("a0", "239.1.1.1"), Request("a0", "239.9.9.9"), Request("a0", "ff15::1")});
  std::map<std::string, std::pair<size_t, int64_t>> limits;
  const std::vector<ChannelSnapshot> channels = *gateway_->inspector().ListChannels();
  for (const ChannelSnapshot& channel : channels) {
    limits[channel.status.group.ToString()] = {channel.log_limit_bytes, channel.log_limit_age_ns / 1'000'000'000};
  }
  EXPECT_EQ(limits["239.1.2.1"], (std::pair<size_t, int64_t>(300000, 100)));
  EXPECT_EQ(limits["239.1.1.1"], (std::pair<size_t, int64_t>(400000, 5)));
  EXPECT_EQ(limits["239.9.9.9"], (std::pair<size_t, int64_t>(options_.channel_log_bytes, 100)));
  EXPECT_EQ(limits["ff15::1"], (std::pair<size_t, int64_t>(options_.channel_log_bytes, 0)));
}

TEST(LogRulesTest, WhatIsWrongIsNamed) {
  const std::pair<const char*, const char*> bad[] = {
      {"239.1.0.0/16", "give a prefix and its limits"},
      {"10.0.0.0/8 bytes=300000", "not a prefix of multicast groups"},
      {"239.1.0.0/33 bytes=300000", "a number from 0 to 32"},
      {"239.1.0.0/x bytes=300000", "a number from 0 to 32"},
      {"ff15::/129 bytes=300000", "a number from 0 to 128"},
      {"239.1.0.0/16 bytes=1", "'bytes=1': bytes are a whole number from 262144"},
      {"239.1.0.0/16 bytes", "bytes are a whole number"},
      {"239.1.0.0/16 age=10", "age is a duration"},
      {"239.1.0.0/16 age=500ms", "age is a duration"},
      {"239.1.0.0/16 size=3", "not bytes=NUMBER or age=DURATION"},
  };
  for (const auto& [text, why] : bad) {
    const absl::StatusOr<LogRule> rule = ParseLogRule(text);
    ASSERT_FALSE(rule.ok()) << text;
    EXPECT_THAT(std::string(rule.status().message()), HasSubstr(why)) << text;
  }
  const LogRule rule = ParseLogRule("224.0.0.0/4  age=1m").value();
  EXPECT_TRUE(rule.Covers(testing::Ip("239.255.255.255")));
  EXPECT_FALSE(rule.Covers(testing::Ip("ff15::1")));
  EXPECT_FALSE(rule.bytes.has_value());
  EXPECT_EQ(rule.age, absl::Minutes(1));
  EXPECT_TRUE(ParseLogRule("239.1.1.1 age=1s")->Covers(testing::Ip("239.1.1.1")));
  EXPECT_FALSE(ParseLogRule("239.1.1.1 age=1s")->Covers(testing::Ip("239.1.1.2")));
}

}  // namespace
}  // namespace mcgw::gateway
