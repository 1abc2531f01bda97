// Writing and reading a log: numbering, publishing, runs, slabs, eviction, places.

#include "server/fanout/channel_log.h"

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/fanout/datagram_record.h"
#include "tests/fanout/log_reader.h"

namespace mcgw::fanout {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr int64_t kSecondNs = 1'000'000'000;

class ChannelLogTest : public ::testing::Test {
 protected:
  std::unique_ptr<ChannelLog> NewLog(size_t budget_bytes = 4 << 20) {
    return std::make_unique<ChannelLog>(ChannelLog::Options{.channel_id = 7, .budget_bytes = budget_bytes}, budget_);
  }
  // Reads one run from a cursor.
  static fanout::Run ReadRun(const ChannelLog& log, const Cursor& cursor, size_t max_bytes = 64 << 10) {
    fanout::Run run;
    Gap gap;
    EXPECT_EQ(log.Read(cursor, max_bytes, kToTheEnd, &run, &gap), ChannelLog::ReadResult::kRun);
    return run;
  }

  const std::shared_ptr<LogBudget> budget_ = LogBudget::Create(64 << 20);
  const std::unique_ptr<ChannelLog> log_ = NewLog();
};

TEST_F(ChannelLogTest, NumbersDatagramsFromOne) {
  Fill(log_.get(), 3, 100);
  EXPECT_THAT(Sequences(ReadRun(*log_, Cursor())), ElementsAre(1, 2, 3));
  EXPECT_EQ(log_->next_sequence(), 4u);
  EXPECT_EQ(log_->logged(), 3u);
  EXPECT_EQ(log_->logged_payload_bytes(), 300u);
}

TEST_F(ChannelLogTest, KeepsEveryFieldOfADatagram) {
  const net::ReceivedDatagram datagram{.payload = "hello",
                                       .source = net::IpAddress::Parse("fd00::2").value(),
                                       .source_port = 65535,
                                       .receive_time_unix_ns = 1'700'000'000'123'456'789,
                                       .hop_limit = 255,
                                       .traffic_class = 0xb8};
  log_->Append(datagram, 0);
  log_->Commit();
  const fanout::Run run = ReadRun(*log_, Cursor());
  const DecodedRecord record = DecodeRecords({run.data, run.size_bytes}).at(0);
  EXPECT_EQ(record.channel_id, 7u);
  EXPECT_EQ(record.source_address, datagram.source.bytes());
  EXPECT_EQ(record.source_port, 65535);
  EXPECT_EQ(record.receive_time_unix_ns, datagram.receive_time_unix_ns);
  EXPECT_EQ(record.hop_limit, 255u);
  EXPECT_EQ(record.traffic_class, 0xb8u);
  EXPECT_EQ(record.payload, "hello");
}

TEST_F(ChannelLogTest, AnEmptyDatagramIsADatagram) {
  log_->Append(TestDatagram(""), 0);
  log_->Commit();
  const fanout::Run run = ReadRun(*log_, Cursor());
  EXPECT_EQ(run.records, 1u);
  EXPECT_EQ(DecodeRecords({run.data, run.size_bytes}).at(0).payload, "");
}

TEST_F(ChannelLogTest, TwoLogsOfOneChannelHaveDifferentEpochs) {
  EXPECT_NE(log_->epoch(), 0u);
  EXPECT_NE(log_->epoch(), NewLog()->epoch());
}

TEST_F(ChannelLogTest, NothingIsVisibleBeforeCommit) {
  log_->Append(TestDatagram("one"), 0);
  log_->AppendDrops(5, 0, 0);
  Cursor cursor;
  EXPECT_THAT(ReadAll(*log_, &cursor), IsEmpty());
  EXPECT_EQ(log_->next_sequence(), 1u);
  log_->Commit();
  EXPECT_THAT(ReadAll(*log_, &cursor), ElementsAre(Datagrams(1, 1), Lost(2, 6)));
}

TEST_F(ChannelLogTest, WhatIsAppendedAfterCommitIsNotVisible) {
  Fill(log_.get(), 2, 10);
  log_->Append(TestDatagram("three"), 0);
  Cursor cursor;
  EXPECT_THAT(ReadAll(*log_, &cursor), ElementsAre(Datagrams(1, 2)));
  EXPECT_EQ(log_->Head().sequence, 3u);
}

TEST_F(ChannelLogTest, ARunEndsAtTheMostBytesAskedFor) {
  Fill(log_.get(), 10, 100);
  const size_t record_bytes = ReadRun(*log_, Cursor()).size_bytes / 10;
  const fanout::Run exact = ReadRun(*log_, Cursor(), 3 * record_bytes);
  EXPECT_EQ(exact.records, 3u);
  const fanout::Run less = ReadRun(*log_, exact.next, 3 * record_bytes - 1);
  EXPECT_THAT(Sequences(less), ElementsAre(4, 5));
  const fanout::Run more = ReadRun(*log_, less.next, 3 * record_bytes + 1);
  EXPECT_THAT(Sequences(more), ElementsAre(6, 7, 8));
}

TEST_F(ChannelLogTest, ARunHoldsOneRecordHoweverLarge) {
  Fill(log_.get(), 2, 1000);
  Cursor cursor;
  EXPECT_THAT(ReadAll(*log_, &cursor, 1), ElementsAre(Datagrams(1, 1), Datagrams(2, 2)));
}

TEST_F(ChannelLogTest, ARunEndsAtTheEndPosition) {
  Fill(log_.get(), 1, 100);
  const uint64_t end = log_->committed_position();
  Fill(log_.get(), 1, 100);
  fanout::Run run;
  Gap gap;
  ASSERT_EQ(log_->Read(Cursor(), 64 << 10, end, &run, &gap), ChannelLog::ReadResult::kRun);
  EXPECT_THAT(Sequences(run), ElementsAre(1));
  EXPECT_EQ(log_->Read(run.next, 64 << 10, end, &run, &gap), ChannelLog::ReadResult::kEmpty);
}

TEST_F(ChannelLogTest, ADatagramTooLargeForAnySlabHasOneOfItsOwn) {
  const std::string payload(300 << 10, 'x');
  Fill(log_.get(), 1, 10);
  log_->Append(TestDatagram(payload), 0);
  log_->Commit();
  Fill(log_.get(), 1, 10);
  Cursor cursor;
  EXPECT_THAT(ReadAll(*log_, &cursor), ElementsAre(Datagrams(1, 1), Datagrams(2, 2), Datagrams(3, 3)));
  const fanout::Run run = ReadRun(*log_, log_->AtSequence(2));
  EXPECT_EQ(run.slab->max_records(), 1u);
  EXPECT_EQ(DecodeRecords({run.data, run.size_bytes}).at(0).payload, payload);
}

TEST_F(ChannelLogTest, SlabsGrowWhileTheyFillFastAndShrinkWhileTheyFillSlowly) {
  Fill(log_.get(), 2000, 100, /*now_ns=*/0);
  const uint32_t grown = ReadRun(*log_, log_->BytesBeforeHead(200)).slab->capacity_bytes();
  EXPECT_EQ(grown, SlabPool::kSlabBytes.back());
  int64_t now_ns = 0;
  for (int i = 0; i < 500; ++i) Fill(log_.get(), 1, 1000, now_ns += kSecondNs);
  EXPECT_EQ(ReadRun(*log_, log_->BytesBeforeHead(1200)).slab->capacity_bytes(), SlabPool::kSlabBytes.front());
}

TEST_F(ChannelLogTest, SlabsStaySmallWhereTheBudgetIs) {
  const std::unique_ptr<ChannelLog> log = NewLog(20 << 10);
  Fill(log.get(), 2000, 100);
  EXPECT_EQ(ReadRun(*log, log->BytesBeforeHead(200)).slab->capacity_bytes(), SlabPool::kSlabBytes.front());
}

TEST_F(ChannelLogTest, ASlabOfTinyDatagramsIsFullWhenItsIndexIs) {
  Fill(log_.get(), 200, 0);
  const fanout::Run run = ReadRun(*log_, Cursor());
  EXPECT_EQ(run.records, run.slab->max_records());
  Cursor cursor = run.next;
  EXPECT_THAT(ReadAll(*log_, &cursor), ElementsAre(Datagrams(run.records + 1, 200)));
}

TEST_F(ChannelLogTest, KeepsWithinItsBudgetByGivingUpTheOldest) {
  const size_t budget_bytes = 20 << 10;
  const std::unique_ptr<ChannelLog> log = NewLog(budget_bytes);
  for (int i = 0; i < 1000; ++i) {
    Fill(log.get(), 1, 100);
    ASSERT_LE(log->footprint_bytes(), budget_bytes);
  }
  EXPECT_EQ(budget_->used_bytes(), log->footprint_bytes());
  const Cursor oldest = log->Oldest();
  EXPECT_GT(oldest.sequence, 800u);
  EXPECT_LT(oldest.sequence, 990u);
  EXPECT_EQ(log->evicted(), oldest.sequence - 1);
  Cursor cursor = oldest;
  EXPECT_EQ(ReadAll(*log, &cursor).front().first, oldest.sequence);
  EXPECT_EQ(cursor.sequence, 1001u);
}

TEST_F(ChannelLogTest, KeepsTheSlabInUseWhateverTheBudget) {
  const std::unique_ptr<ChannelLog> log = NewLog(1);
  Fill(log.get(), 3, 100);
  EXPECT_FALSE(log->EvictOldest());
  Cursor cursor;
  EXPECT_THAT(ReadAll(*log, &cursor), ElementsAre(Datagrams(1, 3)));
}

TEST_F(ChannelLogTest, ACursorThatTheTailPassedIsOvertaken) {
  const std::unique_ptr<ChannelLog> log = NewLog(20 << 10);
  Fill(log.get(), 10, 100);
  Cursor behind;
  Cursor ahead = log->Head();
  Fill(log.get(), 130, 100);
  EXPECT_THAT(ReadAll(*log, &behind), ElementsAre(Overtaken()));
  EXPECT_THAT(ReadAll(*log, &ahead), ElementsAre(Overtaken()));
  Cursor oldest = log->Oldest();
  const uint64_t first = oldest.sequence;
  EXPECT_EQ(ReadAll(*log, &oldest).front().first, first);
}

TEST_F(ChannelLogTest, ACursorJustAtTheTailIsNotOvertaken) {
  Fill(log_.get(), 1, 3000);
  Cursor at_border = log_->Head();
  Fill(log_.get(), 1, 3000);
  ASSERT_TRUE(log_->EvictOldest());
  EXPECT_THAT(ReadAll(*log_, &at_border), ElementsAre(Datagrams(2, 2)));
}

TEST_F(ChannelLogTest, WhatIsEvictedWasPublished) {
  // A batch larger than the whole budget: its own slabs go before it is committed.
  const std::unique_ptr<ChannelLog> log = NewLog(20 << 10);
  Fill(log.get(), 1, 100);
  const std::string payload(1000, 'x');
  for (int i = 0; i < 64; ++i) {
    log->Append(TestDatagram(payload), 0);
    Cursor cursor = log->Head();
    fanout::Run run;
    Gap gap;
    ASSERT_EQ(log->Read(cursor, 64 << 10, kToTheEnd, &run, &gap), ChannelLog::ReadResult::kEmpty) << i;
    ASSERT_LE(cursor.sequence, 2u + i);
  }
  log->Commit();
  Cursor oldest = log->Oldest();
  ReadAll(*log, &oldest);
  EXPECT_EQ(oldest.sequence, 66u);
}

TEST_F(ChannelLogTest, AHeldRunOutlivesItsSlabsEviction) {
  const std::unique_ptr<ChannelLog> log = NewLog(20 << 10);
  const std::string payload(100, 'a');
  log->Append(TestDatagram(payload), 0);
  log->Commit();
  const fanout::Run held = ReadRun(*log, Cursor());
  Fill(log.get(), 1000, 100);
  EXPECT_EQ(DecodeRecords({held.data, held.size_bytes}).at(0).payload, payload);
  EXPECT_EQ(budget_->used_bytes(), log->footprint_bytes() + held.slab->footprint_bytes());
}

TEST_F(ChannelLogTest, AHeldRunOutlivesTheLogAndThePoolsOwner) {
  fanout::Run held;
  {
    const std::shared_ptr<LogBudget> budget = LogBudget::Create(1 << 20);
    ChannelLog log({.channel_id = 1}, budget);
    Fill(&log, 1, 100);
    held = ReadRun(log, Cursor());
  }
  EXPECT_THAT(Sequences(held), ElementsAre(1));
}

// ---- Waiting ----

TEST_F(ChannelLogTest, NobodyWaitsWithSomethingBehindIt) {
  ReadyList ready(std::make_shared<CountingDoorbell>());
  Waiter waiter(&ready);
  const Cursor at_datagram = log_->Head();
  Fill(log_.get(), 1, 10);
  EXPECT_FALSE(log_->Wait(at_datagram, &waiter));
  const Cursor at_mark = log_->Head();
  log_->AppendUnknown(GapCause::kNotJoined, 0, 0);
  log_->Commit();
  EXPECT_FALSE(log_->Wait(at_mark, &waiter));
  EXPECT_EQ(waiter.place, Waiter::Place::kNone);
  Fill(log_.get(), 1, 10);
  EXPECT_EQ(ready.Pop(), nullptr);
}

TEST_F(ChannelLogTest, TheOldestPlaceIsBeforeDropsThatCameFirst) {
  ReadyList ready(std::make_shared<CountingDoorbell>());
  Waiter waiter(&ready);
  log_->AppendDrops(3, 0, 0);
  log_->Append(TestDatagram("x"), 0);
  const Cursor oldest = log_->Oldest();
  EXPECT_EQ(oldest.sequence, 1u);
  EXPECT_TRUE(log_->Wait(oldest, &waiter));
  log_->Commit();
  EXPECT_EQ(ready.Pop(), &waiter);
  Cursor cursor = oldest;
  EXPECT_THAT(ReadAll(*log_, &cursor), ElementsAre(Lost(1, 3), Datagrams(4, 4)));
}

// ---- Places ----

TEST_F(ChannelLogTest, AnEmptyLogHasOnePlace) {
  for (const Cursor& place : {log_->Head(), log_->Oldest(), log_->AtSequence(5), log_->BytesBeforeHead(100)}) {
    EXPECT_EQ(place.sequence, 1u);
    EXPECT_EQ(place.position, 0u);
  }
}

TEST_F(ChannelLogTest, AtSequenceFindsEachNumberInAnySlab) {
  Fill(log_.get(), 500, 100);
  for (uint64_t sequence : {1, 2, 35, 36, 37, 250, 499, 500}) {
    Cursor cursor = log_->AtSequence(sequence);
    EXPECT_EQ(cursor.sequence, sequence);
    const std::vector<Step> steps = ReadAll(*log_, &cursor);
    EXPECT_EQ(steps.front().first, sequence);
    EXPECT_EQ(cursor.sequence, 501u);
  }
}

TEST_F(ChannelLogTest, AtSequenceGivesTheHeadForWhatIsToCome) {
  Fill(log_.get(), 5, 100);
  EXPECT_EQ(log_->AtSequence(6).sequence, 6u);
  EXPECT_EQ(log_->AtSequence(1000).sequence, 6u);
}

TEST_F(ChannelLogTest, AtSequenceGivesTheOldestForWhatHasGone) {
  const std::unique_ptr<ChannelLog> log = NewLog(20 << 10);
  Fill(log.get(), 500, 100);
  EXPECT_EQ(log->AtSequence(1).position, log->Oldest().position);
  EXPECT_EQ(log->AtSequence(1).sequence, log->Oldest().sequence);
}

TEST_F(ChannelLogTest, BytesBeforeHeadGivesAtMostSoMuch) {
  Fill(log_.get(), 500, 100);
  const uint64_t head = log_->Head().position;
  const uint64_t record_bytes = head / 500;
  for (uint64_t bytes = 1; bytes < head; bytes += 97) {
    Cursor cursor = log_->BytesBeforeHead(bytes);
    ASSERT_LE(head - cursor.position, bytes) << bytes;
    ASSERT_LE(bytes, head - cursor.position + 2 * record_bytes) << bytes;
    const uint64_t first = cursor.sequence;
    const std::vector<Step> steps = ReadAll(*log_, &cursor);
    ASSERT_EQ(cursor.sequence, 501u);
    if (!steps.empty()) {
      ASSERT_EQ(steps.front().first, first);
    }
  }
  EXPECT_EQ(log_->BytesBeforeHead(head).sequence, 1u);
  EXPECT_EQ(log_->BytesBeforeHead(head + 1).sequence, 1u);
}

}  // namespace
}  // namespace mcgw::fanout
