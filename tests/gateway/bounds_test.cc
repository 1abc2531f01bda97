// The bounds that hold for all clients together, with one shard and with several.

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/match.h"
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
using ::testing::HasSubstr;
using ::testing::SizeIs;

class BoundsTest : public GatewayTest, public ::testing::WithParamInterface<int> {
 protected:
  void Begin(const Limits& limits) {
    gateway_.reset();
    options_.limits = limits;
    options_.shards = GetParam();
    gateway_ = NewGateway(options_);
  }
  void TearDown() override {
    if (gateway_ == nullptr) return;
    gateway_->EndAllSessions();
    SettleAll();
  }
  void SettleAll() {
    for (size_t shard = 0; shard < gateway_->shards(); ++shard) {
      while (gateway_->loop(shard)->RunOnce(absl::ZeroDuration()) > 0) {
      }
    }
  }

  static std::string Group(int i) { return "239.1." + std::to_string(i / 250) + "." + std::to_string(1 + i % 250); }
  static SourceFilter Sources(int count, int first = 0) {
    std::vector<net::IpAddress> sources;
    for (int i = first; i < first + count; ++i) {
      sources.push_back(testing::Ip("10.0." + std::to_string(i / 250) + "." + std::to_string(1 + i % 250)));
    }
    return SourceFilter::Include(sources);
  }
  void JoinAndLeave(const std::string& interface, const std::string& group) {
    const std::string session = Join("", Request(interface, group)).session_id;
    ASSERT_TRUE(gateway_->Leave(me_, session, WholeSession()).ok());
  }
  // "239.1.0.1 on a0", and " left" behind one without a holder.
  std::vector<std::string> Channels() const {
    std::vector<std::string> channels;
    const std::vector<ChannelSnapshot> snapshots = *gateway_->inspector().ListChannels();
    for (const ChannelSnapshot& channel : snapshots) {
      channels.push_back(channel.status.group.ToString() + " on " + channel.status.interface_name +
                         (channel.status.phase == ChannelPhase::kLeft ? " left" : ""));
    }
    return channels;
  }
};

// ---- Channels ----

TEST_P(BoundsTest, ChannelsThatWereLeftLockNobodyOut) {
  Begin({.channels = 20});
  for (int i = 0; i < 500; ++i) ASSERT_NO_FATAL_FAILURE(JoinAndLeave(i % 2 == 0 ? "a0" : "a1", Group(i))) << i;
  EXPECT_THAT(*gateway_->inspector().ListChannels(), SizeIs(20));
}

TEST_P(BoundsTest, TheOneThatWasLeftLongestAgoGoesFirst) {
  Begin({.channels = 3});
  JoinAndLeave("a1", Group(1));
  const std::string session = Join("", Request("a0", Group(2))).session_id;
  JoinAndLeave("a0", Group(3));
  Join(session, Request("a0", Group(4)));
  EXPECT_THAT(Channels(), ElementsAre("239.1.0.3 on a0", "239.1.0.4 on a0 left", "239.1.0.5 on a0"));
}

TEST_P(BoundsTest, OneThatIsJoinedAgainIsNoLongerLeft) {
  Begin({.channels = 2});
  JoinAndLeave("a0", Group(1));
  const uint64_t epoch = gateway_->inspector().ListChannels()->at(0).status.epoch;
  JoinAndLeave("a0", Group(2));
  const std::string session = Join("", Request("a0", Group(1))).session_id;
  EXPECT_EQ(gateway_->inspector().ListChannels()->at(0).status.epoch, epoch);
  Join(session, Request("a0", Group(3)));
  EXPECT_THAT(Channels(), ElementsAre("239.1.0.2 on a0", "239.1.0.4 on a0"));
}

TEST_P(BoundsTest, ChannelsThatAreHeldStay) {
  Begin({.channels = 2});
  const std::string session = Join("", Request("a0", Group(1))).session_id;
  Join(session, Request("a0", Group(2)));
  const absl::Status refused = TryJoin(session, Request("a0", Group(3))).status();
  EXPECT_EQ(ReasonOf(refused), Reason::kChannelLimit);
  EXPECT_THAT(std::string(refused.message()), HasSubstr("max_channels"));
  EXPECT_THAT(Channels(), ElementsAre("239.1.0.2 on a0", "239.1.0.3 on a0"));
}

TEST_P(BoundsTest, TheDoctorWarnsOfThoseThatAreHeldOnly) {
  Begin({.channels = 10});
  const auto finding = [this] {
    const std::vector<Finding> findings = gateway_->inspector().Diagnose({}).value();
    const auto at = std::find_if(findings.begin(), findings.end(), [](const Finding& each) {
      return each.code == FindingCode::kLimits && absl::StrContains(each.seen, " channels");
    });
    return at == findings.end() ? Finding{} : *at;
  };
  for (int i = 0; i < 10; ++i) JoinAndLeave(i % 2 == 0 ? "a0" : "a1", Group(i));
  EXPECT_EQ(finding().seen, "the gateway holds 0 of at most 10 channels");
  EXPECT_EQ(finding().severity, Severity::kOk);
  const std::string session = Join("", Request("a0", Group(0))).session_id;
  for (int i = 1; i < 9; ++i) Join(session, Request(i % 2 == 0 ? "a0" : "a1", Group(i)));
  EXPECT_EQ(finding().seen, "the gateway holds 9 of at most 10 channels");
  EXPECT_EQ(finding().severity, Severity::kWarning);
}

TEST_P(BoundsTest, WhatAChannelReceivedCountsWhenItHasGoneToo) {
  Begin({.channels = 1});
  const std::string session = Join("", Request("a0", Group(1))).session_id;
  SettleAll();
  kernel_->receiver(Group(1))->Inject({.payload = "one", .source = "10.0.0.2"});
  SettleAll();
  ASSERT_TRUE(gateway_->Leave(me_, session, WholeSession()).ok());
  SettleAll();
  JoinAndLeave("a0", Group(2));
  SettleAll();
  EXPECT_THAT(Channels(), ElementsAre("239.1.0.3 on a0 left"));
  EXPECT_EQ(gateway_->inspector().Account().channels.read, 1u);
  EXPECT_EQ(gateway_->inspector().ListInterfaces()->at(1).received.read, 1u);
}

// ---- Memberships ----

TEST_P(BoundsTest, MembershipsOfAllTogether) {
  Begin({.memberships = 3, .memberships_per_holder = 2});
  const std::string session = Join("", Request("a0", Group(1))).session_id;
  Join(session, Request("a0", Group(2)));
  EXPECT_THAT(std::string(TryJoin(session, Request("a0", Group(3))).status().message()), HasSubstr("max_memberships"));
  auto stream = Subscribe({Request("a0", Group(1))});
  for (const absl::Status& refused :
       {TryJoin("", Request("a0", Group(4))).status(), TrySubscribe({Request("a0", Group(4))}).status()}) {
    EXPECT_EQ(ReasonOf(refused), Reason::kMembershipLimit);
    EXPECT_THAT(std::string(refused.message()), HasSubstr("3 memberships"));
    EXPECT_THAT(std::string(refused.message()), HasSubstr("max_total_memberships"));
  }
  // The same membership again is none more.
  Join(session, Request("a0", Group(1), Sources(1)));
  // However it goes, it makes room.
  stream.reset();
  const std::string other = Join("", Request("a0", Group(4))).session_id;
  EXPECT_FALSE(TryJoin("", Request("a0", Group(5))).ok());
  ASSERT_TRUE(gateway_->Leave(me_, other, WholeSession()).ok());
  JoinAndLeave("a0", Group(5));
  ASSERT_TRUE(gateway_->Leave(me_, session, MembershipKey{"a0", testing::Ip(Group(2)), 5000}).ok());
  Join("", Request("a0", Group(6)));
  Join("", Request("a0", Group(7)));
  EXPECT_FALSE(TryJoin("", Request("a0", Group(8))).ok());
}

TEST_P(BoundsTest, AJoinThatFailsTakesNoRoom) {
  Begin({.memberships = 1, .sources = 2});
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(ReasonOf(TryJoin("", Request("a9", Group(1), Sources(2))).status()), Reason::kInterfaceNotFound);
    EXPECT_EQ(ReasonOf(TryJoin("", Request("a0", Group(1), Sources(3))).status()), Reason::kSourceLimit);
  }
  Join("", Request("a0", Group(1), Sources(2)));
}

// ---- Sources ----

TEST_P(BoundsTest, SourcesOfOneHolder) {
  Begin({.sources_per_holder = 10});
  const std::string session = Join("", Request("a0", Group(1), Sources(6))).session_id;
  const absl::Status refused = TryJoin(session, Request("a0", Group(2), Sources(5))).status();
  EXPECT_EQ(ReasonOf(refused), Reason::kSourceLimit);
  EXPECT_EQ(net::FieldOf(refused), "membership.source_filter.sources");
  EXPECT_THAT(std::string(refused.message()), HasSubstr("max_holder_sources"));
  Join(session, Request("a0", Group(2), Sources(4)));
  // A filter that is replaced counts once, and one that is refused stays.
  EXPECT_FALSE(TryJoin(session, Request("a0", Group(2), Sources(5))).ok());
  Join(session, Request("a0", Group(1), Sources(5)));
  Join(session, Request("a0", Group(2), Sources(5, 20)));
  EXPECT_EQ(ReasonOf(TrySubscribe({Request("a0", Group(1), Sources(6)), Request("a0", Group(2), Sources(5))}).status()),
            Reason::kSourceLimit);
  Subscribe({Request("a0", Group(1), Sources(6)), Request("a0", Group(2), Sources(4))});
}

TEST_P(BoundsTest, SourcesOfAllTogether) {
  Begin({.sources = 10, .sources_per_holder = 6});
  const std::string session = Join("", Request("a0", Group(1), Sources(6))).session_id;
  auto stream = Subscribe({Request("a0", Group(2), Sources(4))});
  const absl::Status refused = TryJoin("", Request("a0", Group(3), Sources(1))).status();
  EXPECT_EQ(ReasonOf(refused), Reason::kSourceLimit);
  EXPECT_THAT(std::string(refused.message()), HasSubstr("max_total_sources"));
  // Who wants any source needs none of them.
  Join("", Request("a0", Group(3)));
  stream.reset();
  Join("", Request("a0", Group(3), Sources(4)));
  EXPECT_FALSE(TryJoin("", Request("a0", Group(4), Sources(1))).ok());
  Join(session, Request("a0", Group(1)));
  Join("", Request("a0", Group(4), Sources(6)));
}

INSTANTIATE_TEST_SUITE_P(Shards, BoundsTest, ::testing::Values(1, 2, 4));

}  // namespace
}  // namespace mcgw::gateway
