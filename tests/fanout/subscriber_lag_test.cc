// Slow streams, the end of streams, and the accounts of both.

#include <map>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/fanout/subscriber.h"
#include "server/net/status.h"
#include "tests/fanout/subscriber_fixture.h"

namespace mcgw::fanout {
namespace {

using ::testing::ElementsAre;
using testing::Ips;
using ::testing::IsEmpty;
using ::testing::SizeIs;

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
  EXPECT_THAT(TakeAll(subscriber.get()), ElementsAre("lagged 1-110", "changed"));
  Append(log_.get(), {"10.0.0.2", "10.0.0.9"});
  EXPECT_THAT(TakeAll(subscriber.get()), ElementsAre("112"));
}

// ---- Accounts ----

TEST_F(SubscriberLagTest, EveryNumberIsInOneColumnOfTheLedger) {
  const auto subscriber = NewSubscriber();
  Add(subscriber.get(), log_, SourceFilter::Include(Ips({"10.0.0.2"})));
  Append(log_.get(), {"10.0.0.2", "10.0.0.3"});
  log_->AppendDrops(4, 0, 0);
  Append(log_.get(), {"10.0.0.2"});
  TakeAll(subscriber.get());
  Append(log_.get(), {"10.0.0.2"});
  Message message;
  ASSERT_TRUE(subscriber->Next(&message));
  Append(log_.get(), {"10.0.0.2", "10.0.0.2"});

  LedgerEntry entry = subscriber->Ledger().at(0);
  EXPECT_EQ(entry.offered, 10u);
  EXPECT_EQ(entry.written, 2u);
  EXPECT_EQ(entry.filtered, 1u);
  EXPECT_EQ(entry.skipped[static_cast<int>(GapCause::kKernelDrop)], 4u);
  EXPECT_EQ(entry.in_flight, 1u);
  EXPECT_EQ(entry.pending, 2u);
  ExpectBalanced(*subscriber);

  subscriber->Abandon();
  entry = subscriber->Ledger().at(0);
  EXPECT_EQ(entry.in_flight, 0u);
  EXPECT_EQ(entry.abandoned, 1u);
  EXPECT_EQ(entry.written, 2u);
  ExpectBalanced(*subscriber);
}

TEST_F(SubscriberLagTest, UnknownGapsAreCountedApart) {
  const auto subscriber = NewSubscriber();
  Add(subscriber.get(), log_);
  log_->AppendUnknown(GapCause::kNotJoined, 0, 0);
  log_->AppendDrops(1, 0, 0);
  log_->Commit();
  EXPECT_THAT(TakeAll(subscriber.get()), ElementsAre("unknown", "lost 1-1"));
  EXPECT_EQ(subscriber->Total().unknown_gaps, 1u);
  EXPECT_EQ(subscriber->Total().range_gaps, 1u);
}

TEST_F(SubscriberLagTest, TheTotalKeepsWhatRemovedChannelsHad) {
  const auto subscriber = NewSubscriber();
  constexpr uint64_t kChannels = 200;  // More than are kept one by one.
  for (uint64_t id = 1; id <= kChannels; ++id) {
    const auto log = NewLog(id);
    Add(subscriber.get(), log);
    Fill(log.get(), 3, 10);
    subscriber->RemoveChannel(id, std::nullopt);
    TakeAll(subscriber.get());
  }
  EXPECT_EQ(subscriber->Total().written, 3 * kChannels);
  EXPECT_EQ(subscriber->Total().offered, 3 * kChannels);
  EXPECT_LT(subscriber->Ledger().size(), kChannels);
  ExpectBalanced(*subscriber);
}

TEST_F(SubscriberLagTest, ASweepReportsThePositionOfAChannelThatMoved) {
  const auto subscriber = NewSubscriber();
  Add(subscriber.get(), log_, SourceFilter::Include(Ips({"10.0.0.9"})));
  subscriber->RequestSweep();
  EXPECT_THAT(TakeAll(subscriber.get(), true), IsEmpty());
  Fill(log_.get(), 3, 10);
  EXPECT_THAT(TakeAll(subscriber.get(), true), IsEmpty());  // All of it filtered.
  subscriber->RequestSweep();
  const std::optional<Message> message = Take(subscriber.get());
  ASSERT_TRUE(message.has_value());
  ASSERT_THAT(message->events, SizeIs(1));
  const Position position = std::get<Position>(message->events.front());
  EXPECT_EQ(position.channel_id, 1u);
  EXPECT_EQ(position.epoch, log_->epoch());
  EXPECT_EQ(position.next_sequence, 4u);
  EXPECT_EQ(position.filtered, 3u);
  subscriber->RequestSweep();
  EXPECT_THAT(TakeAll(subscriber.get(), true), IsEmpty());  // It has not moved since.
}

TEST_F(SubscriberLagTest, ASweepReportsTheLedgerWhenItsIntervalHasPassed) {
  Subscriber::Options options = DefaultOptions();
  options.ledger_interval_ns = 1;
  const auto subscriber = NewSubscriber(options);
  Add(subscriber.get(), log_);
  Fill(log_.get(), 2, 10);
  TakeAll(subscriber.get());
  subscriber->RequestSweep();
  const std::optional<Message> message = Take(subscriber.get());
  ASSERT_TRUE(message.has_value());
  const LedgerEntry* const ledger = std::get_if<LedgerEntry>(&message->events.back());
  ASSERT_NE(ledger, nullptr);
  EXPECT_EQ(ledger->written, 2u);
}

TEST_F(SubscriberLagTest, TheFarewellIsEveryPositionAndThenTheLedger) {
  const auto subscriber = NewSubscriber();
  const auto other = NewLog(2);
  Add(subscriber.get(), log_);
  Add(subscriber.get(), other);
  Fill(other.get(), 5, 10);
  TakeAll(subscriber.get());
  std::vector<Event> farewell;
  subscriber->AppendFarewell(&farewell);
  ASSERT_THAT(farewell, SizeIs(3));
  std::map<uint64_t, uint64_t> next;
  for (int i : {0, 1}) {
    const Position position = std::get<Position>(farewell[i]);
    next[position.channel_id] = position.next_sequence;
  }
  EXPECT_EQ(next, (std::map<uint64_t, uint64_t>{{1, 1}, {2, 6}}));
  EXPECT_EQ(std::get<LedgerEntry>(farewell[2]).written, 5u);
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
