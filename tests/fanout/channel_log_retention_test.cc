// What a log gives up, and how one finds one's place in what it still has.

#include <limits>
#include <memory>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/fanout/channel_log.h"
#include "tests/fanout/log_reader.h"

namespace mcgw::fanout {
namespace {

using ::testing::ElementsAre;

constexpr int64_t kSecond = 1'000'000'000;

class ChannelLogRetentionTest : public ::testing::Test {
 protected:
  std::unique_ptr<ChannelLog> NewLog(int64_t age_limit_ns = 0) {
    return std::make_unique<ChannelLog>(ChannelLog::Options{.channel_id = 1, .age_limit_ns = age_limit_ns}, budget_);
  }
  // A datagram that the kernel stamped with this time.
  void AppendAt(int64_t wall_ns) {
    net::ReceivedDatagram datagram = TestDatagram("x");
    datagram.receive_time_unix_ns = wall_ns;
    log_->Append(datagram, now_ns_ += 1000);
    log_->Commit();
  }

  const std::shared_ptr<LogBudget> budget_ = LogBudget::Create(64 << 20);
  const std::unique_ptr<ChannelLog> log_ = NewLog();
  int64_t now_ns_ = 0;
};

// ---- Age ----

TEST_F(ChannelLogRetentionTest, WhatIsOlderThanTheLimitGoes) {
  const auto log = NewLog(10 * kSecond);
  Fill(log.get(), 3, 10, 0);
  Fill(log.get(), 2, 10, 5 * kSecond);
  log->Expire(10 * kSecond);
  EXPECT_EQ(log->Oldest().sequence, 1u);
  log->Expire(11 * kSecond);
  Cursor oldest = log->Oldest();
  EXPECT_THAT(ReadAll(*log, &oldest), ElementsAre(Datagrams(4, 5)));
  EXPECT_EQ(log->evicted(), 3u);
  Cursor behind;
  EXPECT_THAT(ReadAll(*log, &behind), ElementsAre(Overtaken()));
}

TEST_F(ChannelLogRetentionTest, ALogThatHasExpiredHoldsNoMemoryAndGoesOn) {
  const auto log = NewLog(10 * kSecond);
  Fill(log.get(), 3, 10, 0);
  log->Expire(60 * kSecond);
  EXPECT_EQ(log->footprint_bytes(), 0u);
  EXPECT_EQ(budget_->used_bytes(), 0u);
  EXPECT_EQ(log->evicted(), 3u);
  EXPECT_EQ(log->next_sequence(), 4u);
  EXPECT_EQ(log->Oldest().sequence, 4u);
  Cursor cursor = log->Head();
  log->Expire(61 * kSecond);
  Fill(log.get(), 2, 10, 62 * kSecond);
  EXPECT_THAT(ReadAll(*log, &cursor), ElementsAre(Datagrams(4, 5)));
  log->Expire(62 * kSecond);
  EXPECT_EQ(log->Oldest().sequence, 4u);
}

TEST_F(ChannelLogRetentionTest, WithoutALimitNothingAges) {
  Fill(log_.get(), 3, 10, 0);
  log_->Expire(1'000'000 * kSecond);
  EXPECT_EQ(log_->Oldest().sequence, 1u);
}

TEST_F(ChannelLogRetentionTest, TheIndexHoldsTimesThatAreHoursApart) {
  for (int64_t hour = 0; hour < 5; ++hour) Fill(log_.get(), 1, 10, hour * 3600 * kSecond);
  for (int64_t hour = 0; hour < 5; ++hour) {
    EXPECT_EQ(log_->NotBefore(hour * 3600 * kSecond).sequence, static_cast<uint64_t>(hour + 1));
  }
  EXPECT_EQ(log_->NotBefore(5 * 3600 * kSecond).sequence, 6u);
}

// ---- Memory ----

TEST_F(ChannelLogRetentionTest, TheLastSlabGoesTooWhenMemoryIsNeeded) {
  Fill(log_.get(), 3, 10);
  log_->AppendDrops(2, 0, 0);
  log_->Commit();
  Cursor at_drop = log_->AtSequence(4);
  log_->EvictAll();
  EXPECT_EQ(budget_->pool()->used_bytes(), 0u);
  EXPECT_EQ(log_->footprint_bytes(), budget_->used_bytes());  // Of marks.
  EXPECT_EQ(log_->evicted(), 3u);
  EXPECT_EQ(log_->next_sequence(), 6u);
  Fill(log_.get(), 1, 10);
  EXPECT_THAT(ReadAll(*log_, &at_drop), ElementsAre(Lost(4, 5), Datagrams(6, 6)));
  Cursor oldest = log_->Oldest();
  EXPECT_THAT(ReadAll(*log_, &oldest), ElementsAre(Datagrams(6, 6)));
}

TEST_F(ChannelLogRetentionTest, ThePoolKnowsWhatLogsHoldAndWhatMessagesPin) {
  Fill(log_.get(), 3, 10);
  EXPECT_EQ(budget_->logged_bytes(), log_->footprint_bytes());
  EXPECT_EQ(budget_->pinned_bytes(), 0u);
  fanout::Run held;
  Gap gap;
  log_->Read(Cursor(), 1 << 20, kToTheEnd, &held, &gap);
  log_->EvictAll();
  EXPECT_EQ(budget_->logged_bytes(), 0u);
  EXPECT_EQ(budget_->pinned_bytes(), held.slab->footprint_bytes());
  held = {};
  EXPECT_EQ(budget_->pinned_bytes(), 0u);
}

// ---- Places to resume at ----

TEST_F(ChannelLogRetentionTest, ResumingGoesOnWithTheNextNumber) {
  Fill(log_.get(), 5, 10);
  for (uint64_t sequence = 1; sequence <= 5; ++sequence) {
    Cursor cursor = log_->Resume(sequence);
    EXPECT_THAT(ReadAll(*log_, &cursor), ElementsAre(Datagrams(sequence, 5)));
  }
  Cursor cursor = log_->Resume(6);
  Fill(log_.get(), 1, 10);
  EXPECT_THAT(ReadAll(*log_, &cursor), ElementsAre(Datagrams(6, 6)));
}

TEST_F(ChannelLogRetentionTest, ResumingAtTheHeadHearsOfAnInterruptionThere) {
  Fill(log_.get(), 2, 10);
  log_->AppendUnknown(GapCause::kNotJoined, 0, 0);
  log_->Commit();
  Cursor cursor = log_->Resume(3);
  EXPECT_THAT(ReadAll(*log_, &cursor), ElementsAre(Unknown()));
}

TEST_F(ChannelLogRetentionTest, WhatHasGoneIsPassedWithItsTrueCauses) {
  Fill(log_.get(), 2, 10);
  log_->AppendDrops(3, 0, 0);
  Fill(log_.get(), 2, 10);
  log_->AppendUnknown(GapCause::kInterfaceLost, 0, 0);
  Fill(log_.get(), 1, 10);
  log_->EvictAll();
  Fill(log_.get(), 1, 10);
  Cursor cursor = log_->Resume(4);
  const Cursor oldest = log_->Oldest();
  ASSERT_EQ(oldest.sequence, 9u);
  Gap gap;
  ASSERT_TRUE(log_->PassOver(&cursor, oldest, GapCause::kExpired, &gap));
  EXPECT_EQ(gap.cause, GapCause::kKernelDrop);
  EXPECT_EQ(gap.first_sequence, 4u);
  EXPECT_EQ(gap.count, 2u);
  ASSERT_TRUE(log_->PassOver(&cursor, oldest, GapCause::kExpired, &gap));
  EXPECT_EQ(gap.cause, GapCause::kExpired);
  EXPECT_EQ(gap.first_sequence, 6u);
  EXPECT_EQ(gap.count, 2u);
  ASSERT_TRUE(log_->PassOver(&cursor, oldest, GapCause::kExpired, &gap));
  EXPECT_EQ(gap.cause, GapCause::kInterfaceLost);
  EXPECT_EQ(gap.count, 0u);
  ASSERT_TRUE(log_->PassOver(&cursor, oldest, GapCause::kExpired, &gap));
  EXPECT_EQ(gap.first_sequence, 8u);
  EXPECT_EQ(gap.count, 1u);
  EXPECT_FALSE(log_->PassOver(&cursor, oldest, GapCause::kExpired, &gap));
  EXPECT_THAT(ReadAll(*log_, &cursor), ElementsAre(Datagrams(9, 9)));
}

// ---- Wall time ----

TEST_F(ChannelLogRetentionTest, AWallTimeMeansTheFirstDatagramThatReachesIt) {
  const int64_t begin = 1'800'000'000 * kSecond;
  for (const int64_t at : {10, 11, 12, 12, 13}) AppendAt(begin + at);
  for (const auto& [at, sequence] : {std::pair(1, 1u), {10, 1u}, {11, 2u}, {12, 3u}, {13, 5u}, {14, 6u}}) {
    EXPECT_EQ(log_->NotBeforeWallTime(begin + at).cursor.sequence, sequence) << at;
  }
  EXPECT_EQ(log_->NotBeforeWallTime(begin + 5000 * kSecond).cursor.sequence, 6u);
}

// Clients choose the time; the sanitizers see a difference that does not fit.
TEST_F(ChannelLogRetentionTest, AWallTimeMayBeAnyNumber) {
  AppendAt(1'800'000'000 * kSecond);
  EXPECT_EQ(log_->NotBeforeWallTime(std::numeric_limits<int64_t>::min()).cursor.sequence, 1u);
  EXPECT_EQ(log_->NotBeforeWallTime(std::numeric_limits<int64_t>::max()).cursor.sequence, 2u);
}

TEST_F(ChannelLogRetentionTest, AClockThatJumpsBackHidesNothing) {
  const int64_t begin = 1'800'000'000 * kSecond;
  for (const int64_t at : {10, 5000, 20, 30, 6000}) AppendAt(begin + at * kSecond);
  EXPECT_EQ(log_->NotBeforeWallTime(begin + 10 * kSecond).cursor.sequence, 1u);
  // The second datagram is the first of that time or later, by the clock of its moment.
  EXPECT_EQ(log_->NotBeforeWallTime(begin + 25 * kSecond).cursor.sequence, 2u);
  EXPECT_EQ(log_->NotBeforeWallTime(begin + 5001 * kSecond).cursor.sequence, 5u);
}

TEST_F(ChannelLogRetentionTest, AWallTimeKnowsWhetherSomethingBeforeWasLost) {
  const int64_t begin = 2'500'000'000 * kSecond;  // Later than the log began.
  AppendAt(begin + 10);
  ChannelLog::AtTime at = log_->NotBeforeWallTime(begin);
  EXPECT_FALSE(at.lost);
  AppendAt(begin + 20);
  log_->EvictAll();
  AppendAt(begin + kSecond);
  at = log_->NotBeforeWallTime(begin + 15);
  EXPECT_TRUE(at.lost);
  EXPECT_EQ(at.at_most, 2u);
  EXPECT_EQ(at.cursor.sequence, 3u);
  EXPECT_FALSE(log_->NotBeforeWallTime(begin + kSecond / 2).lost);
  at = log_->NotBeforeWallTime(1);  // Nothing was counted before the log began.
  EXPECT_TRUE(at.lost);
  EXPECT_FALSE(at.at_most.has_value());
}

}  // namespace
}  // namespace mcgw::fanout
