// Streams that begin in the past.

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/fanout/subscriber.h"
#include "tests/fanout/subscriber_fixture.h"

namespace mcgw::fanout {
namespace {

using ::testing::ElementsAre;
using testing::Ips;

constexpr int kExpired = static_cast<int>(GapCause::kExpired);

class SubscriberStartTest : public SubscriberTest {
 protected:
  static void AddPast(Subscriber* subscriber, const std::shared_ptr<ChannelLog>& log, const Cursor& cursor,
                      std::optional<Gap> gap = std::nullopt) {
    subscriber->AddChannel(log, SourceFilter::AnySource(), ChannelStart(cursor, true, gap), std::nullopt);
  }
  // Takes all that there is; the place that the MembershipChanged in it names.
  static std::optional<uint64_t> PlaceOfChange(Subscriber* subscriber) {
    std::optional<uint64_t> place;
    while (std::optional<Message> message = Take(subscriber)) {
      for (const Event& event : message->events) {
        if (const auto* changed = std::get_if<MembershipChanged>(&event)) place = changed->channel.next_sequence;
      }
    }
    return place;
  }
};

TEST_F(SubscriberStartTest, AResumedStreamGoesOnIntoTheLiveWithoutASeam) {
  Fill(log_.get(), 4, 10);
  const auto subscriber = NewSubscriber();
  AddPast(subscriber.get(), log_, log_->Resume(3));
  EXPECT_THAT(TakeAll(subscriber.get()), ElementsAre("3", "4"));
  Fill(log_.get(), 1, 10);
  EXPECT_THAT(TakeAll(subscriber.get()), ElementsAre("5"));
  EXPECT_EQ(subscriber->Total().offered, 3u);
  ExpectBalanced(*subscriber);
}

TEST_F(SubscriberStartTest, WhatTheLogNoLongerHeldHasExpired) {
  Fill(log_.get(), 4, 10);
  log_->AppendDrops(2, 0, 0);
  Fill(log_.get(), 1, 10);
  log_->EvictAll();
  Fill(log_.get(), 1, 10);
  const auto subscriber = NewSubscriber();
  AddPast(subscriber.get(), log_, log_->Resume(3));
  ExpectBalanced(*subscriber);
  std::vector<std::string> story;
  const std::optional<Message> message = Take(subscriber.get());
  ASSERT_TRUE(message.has_value());
  for (const Event& event : message->events) {
    if (const Gap* gap = std::get_if<Gap>(&event)) {
      story.push_back(std::to_string(static_cast<int>(gap->cause)) + ": " + Tell(event));
    }
  }
  EXPECT_THAT(story, ElementsAre("2: lost 3-4", "0: lost 5-6", "2: lost 7-7"));
  EXPECT_THAT(Sequences({message->data, message->size_bytes}), ElementsAre(8));
  EXPECT_EQ(subscriber->Total().skipped[kExpired], 3u);
  EXPECT_EQ(subscriber->Total().offered, 6u);
  ExpectBalanced(*subscriber);
}

TEST_F(SubscriberStartTest, WhatGoesAfterTheStartHasBeenLagged) {
  const auto log = NewLog(2, 20 << 10);
  Fill(log.get(), 10, 100);
  const auto subscriber = NewSubscriber();
  AddPast(subscriber.get(), log, log->Resume(1));
  Fill(log.get(), 500, 100);
  EXPECT_EQ(TakeAll(subscriber.get()).front(), "lagged 1-" + std::to_string(log->Oldest().sequence - 1));
  ExpectBalanced(*subscriber);
}

TEST_F(SubscriberStartTest, TheLagLimitHoldsOnceItHasCaughtUp) {
  Subscriber::Options options = DefaultOptions();
  options.lag_limit_bytes = 20'000;
  Fill(log_.get(), 100, 1000);
  const auto subscriber = NewSubscriber(options);
  AddPast(subscriber.get(), log_, log_->Oldest());
  const std::vector<std::string> story = TakeAll(subscriber.get());
  EXPECT_EQ(story.front(), "1");
  EXPECT_EQ(story.size(), 100u);
  Fill(log_.get(), 100, 1000);
  EXPECT_THAT(TakeAll(subscriber.get()).front(), ::testing::StartsWith("lagged 101-"));
}

TEST_F(SubscriberStartTest, AnotherEpochIsAnnouncedFirst) {
  Fill(log_.get(), 2, 10);
  const auto subscriber = NewSubscriber();
  AddPast(subscriber.get(), log_, log_->Oldest(),
          Gap{.channel_id = 1, .cause = GapCause::kOtherEpoch, .first_sequence = 1, .count = 0});
  EXPECT_THAT(TakeAll(subscriber.get()), ElementsAre("unknown", "1", "2"));
  EXPECT_EQ(subscriber->Total().unknown_gaps, 1u);
}

TEST_F(SubscriberStartTest, TheGapOfASecondBeginningIsAnnouncedBeforeItsDatagrams) {
  Fill(log_.get(), 2, 10);
  const auto subscriber = NewSubscriber();
  AddPast(subscriber.get(), log_, log_->Oldest());
  subscriber->RemoveChannel(1, std::nullopt);
  Fill(log_.get(), 2, 10);
  AddPast(subscriber.get(), log_, log_->Resume(3),
          Gap{.channel_id = 1, .cause = GapCause::kOtherEpoch, .first_sequence = 3, .count = 0});
  EXPECT_THAT(TakeAll(subscriber.get()), ElementsAre("1", "2", "unknown", "3", "4"));
  EXPECT_EQ(subscriber->Total().offered, 4u);
  ExpectBalanced(*subscriber);
}

TEST_F(SubscriberStartTest, AMembershipChangedNamesThePlaceFromWhichItApplies) {
  Fill(log_.get(), 2, 10);
  const auto subscriber = NewSubscriber();
  Add(subscriber.get(), log_, SourceFilter::AnySource(), Changed(ChangeCause::kJoin));
  EXPECT_EQ(PlaceOfChange(subscriber.get()), 3u);
  Fill(log_.get(), 2, 10);
  subscriber->ChangeFilter(1, SourceFilter::Include(Ips({"10.0.0.2"})), Changed(ChangeCause::kJoin));
  EXPECT_EQ(PlaceOfChange(subscriber.get()), 5u);
}

}  // namespace
}  // namespace mcgw::fanout
