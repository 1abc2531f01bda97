// Slow streams, and the end of streams.

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/fanout/subscriber.h"
#include "server/net/clock.h"
#include "server/net/status.h"
#include "tests/fanout/subscriber_fixture.h"

namespace mcgw::fanout {
namespace {

using ::testing::ElementsAre;
using testing::Ips;
using ::testing::IsEmpty;

constexpr int kLagged = static_cast<int>(GapCause::kLagged);
constexpr uint64_t kLimitBytes = 20'000;

class SubscriberLagTest : public SubscriberTest {
 protected:
  std::unique_ptr<Subscriber> NewSlow(LagPolicy policy) {
    Subscriber::Options options = DefaultOptions();
    options.lag_limit_bytes = kLimitBytes;
    options.lag_policy = policy;
    auto subscriber = NewSubscriber(options);
    Add(subscriber.get(), log_);
    return subscriber;
  }
  // Takes all; every number must come once, as a datagram or in a gap. Returns how many were in gaps.
  uint64_t CountSkipped(Subscriber* subscriber, uint64_t next) {
    uint64_t skipped = 0;
    while (std::optional<Message> message = Take(subscriber)) {
      for (const Event& event : message->events) {
        const Gap* gap = std::get_if<Gap>(&event);
        if (gap == nullptr) continue;
        EXPECT_EQ(gap->first_sequence, next);
        EXPECT_EQ(gap->cause, GapCause::kLagged);
        EXPECT_LE(gap->from_time_unix_ns, gap->to_time_unix_ns);
        next += gap->count;
        skipped += gap->count;
      }
      for (const DecodedRecord& record : Records(*message)) EXPECT_EQ(record.sequence, next++);
    }
    EXPECT_EQ(next, log_->next_sequence());
    return skipped;
  }
};

TEST_F(SubscriberLagTest, WithinTheLimitNothingIsSkipped) {
  const auto subscriber = NewSlow(LagPolicy::kSkipOldest);
  while (log_->committed_position() < kLimitBytes - 2000) Fill(log_.get(), 1, 1000);
  EXPECT_EQ(CountSkipped(subscriber.get(), 1), 0u);
}

TEST_F(SubscriberLagTest, SkipOldestGoesOnAtHalfTheLimit) {
  const auto subscriber = NewSlow(LagPolicy::kSkipOldest);
  Fill(log_.get(), 100, 1000);
  const uint64_t record_bytes = log_->committed_position() / 100;
  const uint64_t kept = kLimitBytes / 2 / record_bytes;
  const uint64_t skipped = CountSkipped(subscriber.get(), 1);
  EXPECT_NEAR(static_cast<double>(100 - skipped), static_cast<double>(kept), 1.0);
  const LedgerEntry entry = subscriber->Ledger().at(0);
  EXPECT_EQ(entry.skipped[kLagged], skipped);
  EXPECT_EQ(entry.range_gaps, 1u);
  EXPECT_EQ(entry.offered, 100u);
  ExpectBalanced(*subscriber);
}

TEST_F(SubscriberLagTest, SkipToLiveGoesOnAtTheHead) {
  const auto subscriber = NewSlow(LagPolicy::kSkipToLive);
  Fill(log_.get(), 100, 1000);
  EXPECT_THAT(TakeAll(subscriber.get()), ElementsAre("lagged 1-100"));
  Fill(log_.get(), 1, 1000);
  EXPECT_THAT(TakeAll(subscriber.get()), ElementsAre("101"));
  ExpectBalanced(*subscriber);
}

TEST_F(SubscriberLagTest, DisconnectEndsTheStreamWithItsReason) {
  const auto subscriber = NewSlow(LagPolicy::kDisconnect);
  Fill(log_.get(), 100, 1000);
  EXPECT_THAT(TakeAll(subscriber.get()), IsEmpty());
  ASSERT_TRUE(subscriber->verdict().has_value());
  EXPECT_EQ(net::ReasonOf(*subscriber->verdict()), net::Reason::kSubscriberTooSlow);
  EXPECT_EQ(subscriber->verdict()->code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(subscriber->Total().pending, 100u);
  ExpectBalanced(*subscriber);
}

TEST_F(SubscriberLagTest, OnlyTheSlowCursorOfAStreamSkips) {
  const auto subscriber = NewSlow(LagPolicy::kSkipToLive);
  const auto other = NewLog(2);
  Add(subscriber.get(), other);
  Fill(other.get(), 5, 10);
  Fill(log_.get(), 100, 1000);
  EXPECT_THAT(TakeAll(subscriber.get()), ElementsAre("lagged 1-100", "1", "2", "3", "4", "5"));
}

TEST_F(SubscriberLagTest, AnOvertakenCursorSkipsEvenWithinItsLimit) {
  const auto log = NewLog(2, 20 << 10);
  const auto subscriber = NewSubscriber();  // Its limit is larger than the log.
  Add(subscriber.get(), log);
  Fill(log.get(), 500, 100);
  const uint64_t oldest = log->Oldest().sequence;
  const std::vector<std::string> story = TakeAll(subscriber.get());
  EXPECT_EQ(story.front(), "lagged 1-" + std::to_string(oldest - 1));
  EXPECT_EQ(story.at(1), std::to_string(oldest));
  EXPECT_EQ(story.back(), "500");
  ExpectBalanced(*subscriber);
}

TEST_F(SubscriberLagTest, ABatchLargerThanTheLogOvertakesWithoutAnUnknownGap) {
  // A part of it is evicted before it is committed: a stream that looks meanwhile sees whole numbers all the same.
  const auto log = NewLog(2, 20 << 10);
  const auto subscriber = NewSubscriber();
  Add(subscriber.get(), log);
  Fill(log.get(), 1, 100);
  const std::string payload(1000, 'x');
  uint64_t next = 1;
  const auto take_all = [&] {
    subscriber->ChangeFilter(2, SourceFilter::AnySource(), std::nullopt);  // Has it look.
    while (std::optional<Message> message = Take(subscriber.get())) {
      for (const Event& event : message->events) {
        const Gap* gap = std::get_if<Gap>(&event);
        if (gap == nullptr) continue;
        ASSERT_EQ(gap->first_sequence, next);
        ASSERT_GT(gap->count, 0u);
        next += gap->count;
      }
      for (const DecodedRecord& record : Records(*message)) ASSERT_EQ(record.sequence, next++);
    }
  };
  for (int i = 0; i < 64; ++i) {
    log->Append(TestDatagram(payload), 0);
    if (i % 23 == 0) {
      ASSERT_NO_FATAL_FAILURE(take_all());
    }
  }
  log->Commit();
  ASSERT_NO_FATAL_FAILURE(take_all());
  EXPECT_EQ(next, 66u);
}

TEST_F(SubscriberLagTest, ASkipTakesInTheChangesOnItsWay) {
  const auto subscriber = NewSlow(LagPolicy::kSkipToLive);
  Fill(log_.get(), 10, 1000);
  subscriber->ChangeFilter(1, SourceFilter::Include(Ips({"10.0.0.9"})), Changed(ChangeCause::kJoin));
  Fill(log_.get(), 100, 1000);
  EXPECT_THAT(TakeAll(subscriber.get()), ElementsAre("lagged 1-10", "changed", "lagged 11-110"));
  Append(log_.get(), {"10.0.0.2", "10.0.0.9"});
  EXPECT_THAT(TakeAll(subscriber.get()), ElementsAre("112"));
}

TEST_F(SubscriberLagTest, ASkipLeavesOtherCausesWhatTheyAre) {
  const auto subscriber = NewSlow(LagPolicy::kSkipToLive);
  Fill(log_.get(), 10, 1000);
  log_->AppendDrops(5, 0, 0);
  Fill(log_.get(), 10, 1000);
  log_->AppendUnknown(GapCause::kInterfaceLost, 0, 0);
  Fill(log_.get(), 100, 1000);
  EXPECT_THAT(TakeAll(subscriber.get()),
              ElementsAre("lagged 1-10", "lost 11-15", "lagged 16-25", "unknown", "lagged 26-125"));
  const LedgerEntry total = subscriber->Total();
  EXPECT_EQ(total.skipped[kLagged], 120u);
  EXPECT_EQ(total.skipped[static_cast<int>(GapCause::kKernelDrop)], 5u);
  EXPECT_EQ(total.offered, 125u);
  EXPECT_EQ(total.range_gaps, 4u);
  EXPECT_EQ(total.unknown_gaps, 1u);
}

TEST_F(SubscriberLagTest, AnOvertakenCursorLearnsWhatTheKernelHadDropped) {
  const auto log = NewLog(2, 20 << 10);
  const auto subscriber = NewSubscriber();
  Add(subscriber.get(), log);
  Fill(log.get(), 5, 100);
  log->AppendDrops(3, 0, 0);
  Fill(log.get(), 500, 100);
  const std::vector<std::string> story = TakeAll(subscriber.get());
  EXPECT_EQ(story.at(0), "lagged 1-5");
  EXPECT_EQ(story.at(1), "lost 6-8");
  EXPECT_EQ(story.at(2), "lagged 9-" + std::to_string(log->Oldest().sequence - 1));
  ExpectBalanced(*subscriber);
}

TEST_F(SubscriberLagTest, ALeaveInsideASkipEndsIt) {
  const auto subscriber = NewSlow(LagPolicy::kSkipToLive);
  Fill(log_.get(), 10, 1000);
  subscriber->RemoveChannel(1, Changed(ChangeCause::kLeave, true));
  Fill(log_.get(), 100, 1000);
  EXPECT_THAT(TakeAll(subscriber.get(), true), ElementsAre("lagged 1-10", "left", "position 11"));
  EXPECT_EQ(subscriber->Total().offered, 10u);
  ExpectBalanced(*subscriber);
}

TEST_F(SubscriberLagTest, ManyGapsSpreadOverSeveralMessages) {
  Subscriber::Options options = DefaultOptions();
  options.lag_limit_bytes = kLimitBytes;
  options.lag_policy = LagPolicy::kSkipToLive;
  const auto subscriber = NewSubscriber(options);
  Add(subscriber.get(), log_);
  for (int i = 0; i < 3000; ++i) {
    Fill(log_.get(), 1, 10);
    log_->AppendDrops(1, 0, 0);
  }
  log_->Commit();
  size_t messages = 0;
  uint64_t next = 1;
  while (std::optional<Message> message = Take(subscriber.get())) {
    ++messages;
    EXPECT_LT(message->events.size(), 1100u);
    for (const Event& event : message->events) {
      const Gap* const gap = std::get_if<Gap>(&event);
      if (gap == nullptr) continue;
      EXPECT_EQ(gap->first_sequence, next);
      EXPECT_EQ(gap->cause, next % 2 == 1 ? GapCause::kLagged : GapCause::kKernelDrop);
      next += gap->count;
    }
    ExpectBalanced(*subscriber);
  }
  EXPECT_EQ(next, 6001u);
  EXPECT_GT(messages, 5u);
}

// ---- Age ----

class SubscriberAgeTest : public SubscriberTest {
 protected:
  std::unique_ptr<Subscriber> NewAged(LagPolicy policy) {
    Subscriber::Options options = DefaultOptions();
    options.lag_limit_age_ns = 3'600'000'000'000;  // What is appended at time 0 is older on any machine that is up.
    options.lag_policy = policy;
    auto subscriber = NewSubscriber(options);
    Add(subscriber.get(), log_);
    return subscriber;
  }
  // Datagrams received an age limit ago, and now.
  void FillOldAndNew(int old, int young) {
    const int64_t now_ns = net::MonotonicNs();
    Fill(log_.get(), old, 10, now_ns - 2 * 3'600'000'000'000);
    Fill(log_.get(), young, 10, now_ns);
  }
};

TEST_F(SubscriberAgeTest, WhatIsTooOldIsSkipped) {
  const auto subscriber = NewAged(LagPolicy::kSkipOldest);
  FillOldAndNew(3, 2);
  EXPECT_THAT(TakeAll(subscriber.get()), ElementsAre("lagged 1-3", "4", "5"));
  ExpectBalanced(*subscriber);
}

TEST_F(SubscriberAgeTest, SkipToLiveSkipsWhatIsYoungToo) {
  const auto subscriber = NewAged(LagPolicy::kSkipToLive);
  FillOldAndNew(3, 2);
  EXPECT_THAT(TakeAll(subscriber.get()), ElementsAre("lagged 1-5"));
}

TEST_F(SubscriberAgeTest, DisconnectEndsAStreamThatDoesNotRead) {
  const auto subscriber = NewAged(LagPolicy::kDisconnect);
  const auto busy = NewLog(2);
  Add(subscriber.get(), busy);
  Fill(busy.get(), 1, 10, net::MonotonicNs());
  Message message;
  ASSERT_TRUE(subscriber->Next(&message));  // And is never written.
  FillOldAndNew(1, 0);
  EXPECT_FALSE(subscriber->verdict().has_value());
  subscriber->RequestSweep();
  ASSERT_TRUE(subscriber->verdict().has_value());
  EXPECT_EQ(net::ReasonOf(*subscriber->verdict()), net::Reason::kSubscriberTooSlow);
}

TEST_F(SubscriberAgeTest, DisconnectEndsAStreamThatReadsTooLate) {
  const auto subscriber = NewAged(LagPolicy::kDisconnect);
  FillOldAndNew(1, 2);
  EXPECT_THAT(TakeAll(subscriber.get()), IsEmpty());
  ASSERT_TRUE(subscriber->verdict().has_value());
  EXPECT_EQ(net::ReasonOf(*subscriber->verdict()), net::Reason::kSubscriberTooSlow);
  ExpectBalanced(*subscriber);
}

TEST_F(SubscriberAgeTest, ASweepLeavesAStreamWithinItsLimitsAlone) {
  const auto subscriber = NewAged(LagPolicy::kDisconnect);
  FillOldAndNew(0, 3);
  subscriber->RequestSweep();
  EXPECT_THAT(TakeAll(subscriber.get()), ElementsAre("1", "2", "3"));
  EXPECT_FALSE(subscriber->verdict().has_value());
}

// ---- Ends ----

TEST_F(SubscriberLagTest, AnEndedStreamDeliversNoMoreDatagrams) {
  const auto subscriber = NewSubscriber();
  Add(subscriber.get(), log_);
  Fill(log_.get(), 3, 10);
  EXPECT_FALSE(subscriber->verdict().has_value());
  subscriber->End(absl::UnavailableError("first"));
  subscriber->End(absl::InternalError("second"));
  EXPECT_EQ(*subscriber->verdict(), absl::UnavailableError("first"));
  EXPECT_THAT(TakeAll(subscriber.get()), IsEmpty());
  ExpectBalanced(*subscriber);
}

TEST_F(SubscriberLagTest, EndWhenEmptyWaitsForTheLastChannel) {
  const auto subscriber = NewSubscriber();
  Add(subscriber.get(), log_);
  Fill(log_.get(), 1, 10);
  subscriber->RemoveChannel(1, Changed(ChangeCause::kLeave, true));
  subscriber->EndWhenEmpty();
  EXPECT_FALSE(subscriber->verdict().has_value());
  EXPECT_THAT(TakeAll(subscriber.get()), ElementsAre("1", "left"));
  ASSERT_TRUE(subscriber->verdict().has_value());
  EXPECT_TRUE(subscriber->verdict()->ok());
}

TEST_F(SubscriberLagTest, EndWhenEmptyWithoutAChannelEndsAtTheNextLook) {
  const auto subscriber = NewSubscriber();
  subscriber->EndWhenEmpty();
  EXPECT_THAT(TakeAll(subscriber.get()), IsEmpty());
  EXPECT_EQ(subscriber->verdict(), std::optional(absl::OkStatus()));
}

}  // namespace
}  // namespace mcgw::fanout
