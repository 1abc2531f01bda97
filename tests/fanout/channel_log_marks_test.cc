// Losses in a log: each at its exact place, each told once, whatever goes on around it.

#include <memory>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/fanout/channel_log.h"
#include "tests/fanout/log_reader.h"

namespace mcgw::fanout {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class ChannelLogMarksTest : public ::testing::Test {
 protected:
  void Append(int count, size_t size = 10) { Fill(&log_, count, size); }
  void Drop(uint64_t count) {
    log_.AppendDrops(count, 100, 200);
    log_.Commit();
  }
  void Interrupt() {
    log_.AppendUnknown(GapCause::kNotJoined, 300, 400);
    log_.Commit();
  }
  std::vector<Step> Read(Cursor cursor) const { return ReadAll(log_, &cursor); }
  // Marks that follow stand in one large slab, the one being written, so none can go with an older one. Returns the
  // next number.
  uint64_t StartLargeSlab() {
    Fill(&log_, 2000, 100);
    while (LastSlab()->published_records.load() != 1) Append(1, 100);
    EXPECT_EQ(LastSlab()->capacity_bytes(), SlabPool::kSlabBytes.back());
    return log_.Head().sequence;
  }
  // That of the last datagram, which has 100 bytes.
  SlabRef LastSlab() const {
    fanout::Run run;
    Gap gap;
    EXPECT_EQ(log_.Read(log_.BytesBeforeHead(200), 1000, kToTheEnd, &run, &gap), ChannelLog::ReadResult::kRun);
    return run.slab;
  }

  const std::shared_ptr<LogBudget> budget_ = LogBudget::Create(64 << 20);
  ChannelLog log_{{.channel_id = 7}, budget_};
};

TEST_F(ChannelLogMarksTest, ADropIsToldBetweenItsNeighbours) {
  Append(2);
  Drop(3);
  Append(2);
  EXPECT_THAT(Read(Cursor()), ElementsAre(Datagrams(1, 2), Lost(3, 5), Datagrams(6, 7)));
  EXPECT_EQ(log_.kernel_drops(), 3u);
  EXPECT_EQ(log_.logged(), 4u);
}

TEST_F(ChannelLogMarksTest, AGapCarriesItsCauseAndTimes) {
  Drop(3);
  fanout::Run run;
  Gap gap;
  ASSERT_EQ(log_.Read(Cursor(), 1000, kToTheEnd, &run, &gap), ChannelLog::ReadResult::kMark);
  EXPECT_EQ(gap.channel_id, 7u);
  EXPECT_EQ(gap.cause, GapCause::kKernelDrop);
  EXPECT_EQ(gap.from_time_unix_ns, 100);
  EXPECT_EQ(gap.to_time_unix_ns, 200);
  Interrupt();
  ASSERT_EQ(log_.Read(run.next, 1000, kToTheEnd, &run, &gap), ChannelLog::ReadResult::kMark);
  EXPECT_EQ(gap.cause, GapCause::kNotJoined);
  EXPECT_EQ(gap.count, 0u);
  EXPECT_EQ(gap.from_time_unix_ns, 300);
  EXPECT_EQ(gap.to_time_unix_ns, 400);
}

TEST_F(ChannelLogMarksTest, DropsBeforeAllDatagramsAreTold) {
  Drop(4);
  Append(1);
  EXPECT_THAT(Read(Cursor()), ElementsAre(Lost(1, 4), Datagrams(5, 5)));
}

TEST_F(ChannelLogMarksTest, TrailingDropsAreToldToACursorAtTheHead) {
  Append(2);
  Cursor cursor;
  ReadAll(log_, &cursor);
  Drop(3);
  EXPECT_THAT(ReadAll(log_, &cursor), ElementsAre(Lost(3, 5)));
  EXPECT_THAT(ReadAll(log_, &cursor), IsEmpty());
  Drop(1);
  Append(1);
  EXPECT_THAT(ReadAll(log_, &cursor), ElementsAre(Lost(6, 6), Datagrams(7, 7)));
}

TEST_F(ChannelLogMarksTest, NoDropsLeaveNoMark) {
  Append(1);
  Drop(0);
  Append(1);
  EXPECT_THAT(Read(Cursor()), ElementsAre(Datagrams(1, 2)));
}

TEST_F(ChannelLogMarksTest, AnInterruptionUsesUpNoNumber) {
  Append(2);
  Interrupt();
  Append(2);
  EXPECT_THAT(Read(Cursor()), ElementsAre(Datagrams(1, 2), Unknown(), Datagrams(3, 4)));
  EXPECT_EQ(log_.unknown_gaps(), 1u);
}

TEST_F(ChannelLogMarksTest, MarksOfOnePlaceKeepTheirOrder) {
  Append(1);
  Interrupt();
  Drop(2);
  Interrupt();
  Drop(1);
  Append(1);
  EXPECT_THAT(Read(Cursor()),
              ElementsAre(Datagrams(1, 1), Unknown(), Lost(2, 3), Unknown(), Lost(4, 4), Datagrams(5, 5)));
}

TEST_F(ChannelLogMarksTest, ADropAtTheBorderOfTwoSlabsIsToldOnce) {
  Append(1, 3000);
  Drop(2);
  Append(1, 3000);  // Enters a new slab.
  EXPECT_THAT(Read(Cursor()), ElementsAre(Datagrams(1, 1), Lost(2, 3), Datagrams(4, 4)));
  ASSERT_TRUE(log_.EvictOldest());
  EXPECT_THAT(Read(log_.Oldest()), ElementsAre(Datagrams(4, 4)));
}

TEST_F(ChannelLogMarksTest, ACursorAtTheTailStillHearsOfTheDropThere) {
  Append(1, 3000);
  Cursor at_border = log_.Head();
  Drop(2);
  Append(1, 3000);
  ASSERT_TRUE(log_.EvictOldest());
  EXPECT_THAT(Read(at_border), ElementsAre(Lost(2, 3), Datagrams(4, 4)));
}

TEST_F(ChannelLogMarksTest, MarksGoWithTheirSlab) {
  Append(1, 1000);
  Drop(2);
  Append(1, 1000);
  Append(1, 3000);
  ASSERT_TRUE(log_.EvictOldest());
  EXPECT_THAT(Read(Cursor()), ElementsAre(Overtaken()));
  EXPECT_THAT(Read(log_.Oldest()), ElementsAre(Datagrams(5, 5)));
}

TEST_F(ChannelLogMarksTest, ALiveCursorHearsOfNothingBefore) {
  Append(1);
  Drop(2);
  Interrupt();
  Cursor head = log_.Head();
  EXPECT_EQ(head.sequence, 4u);
  EXPECT_THAT(ReadAll(log_, &head), IsEmpty());
  Append(1);
  EXPECT_THAT(ReadAll(log_, &head), ElementsAre(Datagrams(4, 4)));
}

TEST_F(ChannelLogMarksTest, ACursorInsideADropHearsOfItsRest) {
  Append(2);
  Drop(4);
  Append(2);
  EXPECT_THAT(Read(log_.AtSequence(3)), ElementsAre(Lost(3, 6), Datagrams(7, 8)));
  EXPECT_THAT(Read(log_.AtSequence(5)), ElementsAre(Lost(5, 6), Datagrams(7, 8)));
  EXPECT_THAT(Read(log_.AtSequence(7)), ElementsAre(Datagrams(7, 8)));
}

TEST_F(ChannelLogMarksTest, ACursorInsideATrailingDropHearsOfItsRest) {
  Append(2);
  Drop(4);
  EXPECT_THAT(Read(log_.AtSequence(4)), ElementsAre(Lost(4, 6)));
}

TEST_F(ChannelLogMarksTest, ACursorInsideADropBeforeAllSlabsHearsOfItsRest) {
  Drop(3);
  Append(2);
  EXPECT_THAT(Read(log_.Resume(2)), ElementsAre(Lost(2, 3), Datagrams(4, 5)));
  EXPECT_THAT(Read(log_.AtSequence(3)), ElementsAre(Lost(3, 3), Datagrams(4, 5)));
  log_.EvictAll();
  Drop(2);
  Drop(2);
  Append(1);
  EXPECT_THAT(Read(log_.Resume(8)), ElementsAre(Lost(8, 9), Datagrams(10, 10)));
}

TEST_F(ChannelLogMarksTest, ACursorInsideADropAtTheBorderHearsOfItsRest) {
  Append(1, 3000);
  Drop(4);
  Append(1, 3000);
  EXPECT_THAT(Read(log_.AtSequence(3)), ElementsAre(Lost(3, 5), Datagrams(6, 6)));
}

TEST_F(ChannelLogMarksTest, BytesBeforeHeadSkipsWhatLiesBeforeItsRecord) {
  Append(2);
  Drop(2);
  Interrupt();
  Append(1);
  Cursor cursor = log_.BytesBeforeHead(60);
  EXPECT_EQ(cursor.sequence, 5u);
  EXPECT_THAT(ReadAll(log_, &cursor), ElementsAre(Unknown(), Datagrams(5, 5)));
}

TEST_F(ChannelLogMarksTest, TooManyMarksOfOnePlaceAreToldAsOneGap) {
  Append(1);
  Cursor cursor;
  ReadAll(log_, &cursor);
  for (int i = 0; i < 6000; ++i) Drop(2);
  const std::vector<Step> steps = ReadAll(log_, &cursor);
  uint64_t next = 2;
  for (const Step& step : steps) {
    ASSERT_EQ(step.kind, Step::Kind::kGap);
    ASSERT_EQ(step.first, next);
    next += step.count;
  }
  EXPECT_EQ(next, 2u + 12'000);
  EXPECT_LE(steps.size(), 4096u);
}

// A quarter of a small log's bytes may be marks, whatever room their block has.
TEST_F(ChannelLogMarksTest, ASmallLogHasFewerMarks) {
  ChannelLog log({.channel_id = 8, .budget_bytes = 400'000}, budget_);
  Fill(&log, 1, 10);
  Cursor cursor;
  ReadAll(log, &cursor);
  for (int i = 0; i < 6000; ++i) {
    log.AppendDrops(2, 100, 200);
    log.Commit();
  }
  const size_t gaps = ReadAll(log, &cursor).size();
  EXPECT_GE(gaps, 1024u);
  EXPECT_LT(gaps, 2048u);
}

TEST_F(ChannelLogMarksTest, TooManyMarksBetweenDatagramsLoseNoNumber) {
  const uint64_t first = StartLargeSlab();
  Cursor cursor = log_.Head();
  for (int i = 0; i < 5000; ++i) {
    Drop(2);
    Append(1, 0);
  }
  uint64_t next = first;
  uint64_t datagrams = 0;
  for (const Step& step : ReadAll(log_, &cursor)) {
    ASSERT_EQ(step.first, next);
    next += step.count;
    if (step.kind == Step::Kind::kDatagrams) datagrams += step.count;
  }
  EXPECT_EQ(next, first + 15'000);
  EXPECT_EQ(datagrams, 5000u);
}

TEST_F(ChannelLogMarksTest, DropsWhoseMarksAreGoneCountAheadOfACursorPlacedSince) {
  const uint64_t first = StartLargeSlab();
  for (int i = 0; i < 5000; ++i) {
    Drop(2);
    Append(1, 0);
  }
  for (const uint64_t sequence : {first, first + 3, first + 6}) {
    const Cursor cursor = log_.AtSequence(sequence);
    ASSERT_EQ(cursor.sequence, sequence);
    EXPECT_EQ(log_.Ahead(cursor).datagrams, first + 15'000 - sequence);
  }
}

TEST_F(ChannelLogMarksTest, AHeadBehindUnpublishedDropsIsNotGivenUp) {
  Append(1, 3000);
  log_.AppendDrops(3, 100, 200);
  log_.Append(TestDatagram(std::string(3000, 'x')), 0);  // Into a second slab, which begins at the head.
  EXPECT_FALSE(log_.GiveUp());
  EXPECT_EQ(log_.Head().sequence, 2u);
  EXPECT_TRUE(log_.EvictOldest()) << "the writer publishes first";
  EXPECT_THAT(Read(log_.Oldest()), ElementsAre(Datagrams(5, 5)));
}

TEST_F(ChannelLogMarksTest, AnInterruptionBehindForgottenDropsHidesNone) {
  Append(1);
  Cursor cursor;
  ReadAll(log_, &cursor);
  for (int i = 0; i < 5000; ++i) Drop(1);
  for (int i = 0; i < 4096; ++i) Interrupt();  // Push out the drops.
  Append(1);
  uint64_t next = 2;
  for (const Step& step : ReadAll(log_, &cursor)) {
    if (step.kind == Step::Kind::kUnknown) continue;
    ASSERT_EQ(step.first, next);
    next += step.count;
  }
  EXPECT_EQ(next, 5003u);
}

TEST_F(ChannelLogMarksTest, InterruptionsWhoseMarksHadToGoAreToldAsOne) {
  Append(1);
  Cursor cursor;
  ReadAll(log_, &cursor);
  Interrupt();
  Interrupt();
  for (int i = 0; i < 5000; ++i) Drop(1);  // Push out the interruptions.
  Append(1);
  uint64_t next = 2;
  int interruptions = 0;
  for (const Step& step : ReadAll(log_, &cursor)) {
    if (step.kind == Step::Kind::kUnknown) {
      ++interruptions;
      continue;
    }
    ASSERT_EQ(step.first, next);
    next += step.count;
  }
  EXPECT_EQ(interruptions, 1);
  EXPECT_EQ(next, 5003u);
}

TEST_F(ChannelLogMarksTest, TheOldestMarkMakesRoomWithoutMoreMemory) {
  for (int i = 0; i < 4096; ++i) Interrupt();
  const size_t used = budget_->used_bytes();
  for (int i = 0; i < 100; ++i) Interrupt();
  EXPECT_EQ(budget_->used_bytes(), used);
}

}  // namespace
}  // namespace mcgw::fanout
