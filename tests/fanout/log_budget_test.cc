// The memory of all logs together: what each log gives up, and that none starves.

#include "server/fanout/log_budget.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "gtest/gtest.h"
#include "server/fanout/channel_log.h"
#include "tests/fanout/log_reader.h"

namespace mcgw::fanout {
namespace {

constexpr size_t kSlabBytes = 1000;

// A log that holds slabs of one size, and says how often it was asked.
class FakeLog : public LogBudget::Holder {
 public:
  FakeLog(LogBudget* budget, size_t shard) : Holder(shard), budget_(budget) {}
  ~FakeLog() override { budget_->Forget(this); }

  void Take(size_t slabs, size_t slab_bytes = kSlabBytes) {
    for (size_t i = 0; i < slabs; ++i) {
      memory_.push_back(budget_->pool()->Acquire(SlabPool::kOversize, slab_bytes));
      budget_->AddSlab(this, memory_.back()->footprint_bytes());
    }
  }
  bool GiveUp() override {
    ++asked_;
    if (refuses_ || memory_.size() < 2) return false;
    const size_t bytes = memory_.front()->footprint_bytes();
    memory_.erase(memory_.begin());
    budget_->RemoveSlabs(this, 1, bytes);
    return true;
  }
  void Refuse() { refuses_ = true; }
  size_t slabs() const { return memory_.size(); }
  int asked() const { return asked_; }

 private:
  LogBudget* const budget_;
  std::vector<SlabRef> memory_;
  bool refuses_ = false;
  int asked_ = 0;
};

class LogBudgetTest : public ::testing::TestWithParam<size_t> {
 protected:
  size_t shards() const { return GetParam(); }
  std::shared_ptr<FakeLog> NewLog(size_t shard, size_t slabs) {
    auto log = std::make_shared<FakeLog>(budget_.get(), shard);
    log->Take(slabs);
    return log;
  }

  const std::shared_ptr<LogBudget> budget_ = LogBudget::Create(100 * kSlabBytes, GetParam());
};

INSTANTIATE_TEST_SUITE_P(Shards, LogBudgetTest, ::testing::Values(1, 2, 4));

TEST_P(LogBudgetTest, TheLargestGivesWayWhicheverShardWritesIt) {
  for (size_t shard = 0; shard < shards(); ++shard) {
    const auto small = NewLog((shard + 1) % shards(), 20);
    const auto large = NewLog(shard, 90);
    budget_->MakeRoom();
    EXPECT_FALSE(budget_->spent());
    EXPECT_EQ(small->slabs(), 20u);
    EXPECT_LT(large->slabs(), 80u);
  }
  EXPECT_EQ(budget_->logged_bytes(), 0u);
  EXPECT_EQ(budget_->used_bytes(), 0u);
}

TEST_P(LogBudgetTest, EqualsGiveWayInTurn) {
  std::vector<std::shared_ptr<FakeLog>> logs;
  for (size_t i = 0; i < 8; ++i) logs.push_back(NewLog(i, 16));
  budget_->MakeRoom();
  EXPECT_FALSE(budget_->spent());
  for (const auto& log : logs) {
    EXPECT_GE(log->slabs(), 9u);
    EXPECT_LE(log->slabs(), 13u);
  }
}

TEST_P(LogBudgetTest, TheNewestSlabIsNeverAskedFor) {
  std::vector<std::shared_ptr<FakeLog>> logs;
  for (size_t i = 0; i < 200; ++i) logs.push_back(NewLog(i, 1));
  const auto live = NewLog(0, 2);
  budget_->MakeRoom();
  EXPECT_EQ(live->slabs(), 1u);
  for (const auto& log : logs) EXPECT_EQ(log->asked(), 0);
}

TEST_P(LogBudgetTest, BelowItsFloorAShardIsNotAsked) {
  if (shards() == 1) return;  // It has no neighbour.
  // One large log beside many small ones: by size alone it would shrink to theirs.
  const size_t floor_slabs = 100 / 4 / shards();
  const auto large = NewLog(0, floor_slabs - 2);
  std::vector<std::shared_ptr<FakeLog>> small;
  for (size_t i = 0; i < 40; ++i) small.push_back(NewLog(1, 3));
  budget_->MakeRoom();
  EXPECT_FALSE(budget_->spent());
  EXPECT_EQ(large->slabs(), floor_slabs - 2);
}

TEST_P(LogBudgetTest, WhatMessagesPinDoesNotEmptyTheLogs) {
  const auto log = NewLog(0, 50);
  std::vector<SlabRef> pinned;
  while (!budget_->spent()) pinned.push_back(budget_->pool()->Acquire(SlabPool::kOversize, kSlabBytes));
  EXPECT_GT(budget_->pinned_bytes(), 0u);
  budget_->MakeRoom();
  EXPECT_GE(budget_->logged_bytes(), budget_->budget_bytes() / 2 - 2 * kSlabBytes);
}

TEST_P(LogBudgetTest, LogsThatCannotGiveUpNowDoNotStopTheOthersNorEndlessly) {
  const auto refusing = NewLog(0, 80);
  refusing->Refuse();
  const auto other = NewLog(shards() - 1, 78);
  budget_->MakeRoom();
  EXPECT_GT(refusing->asked(), 0);
  EXPECT_LE(refusing->asked(), 2);
  EXPECT_LT(other->slabs(), 78u);
}

TEST_P(LogBudgetTest, MarksCount) {
  const auto log = NewLog(0, 1);
  budget_->SetMarkBytes(log.get(), 120 * kSlabBytes);
  EXPECT_TRUE(budget_->spent());
  budget_->MakeRoom();
  EXPECT_GT(log->asked(), 0);
  budget_->SetMarkBytes(log.get(), 0);
  EXPECT_FALSE(budget_->spent());
}

TEST_P(LogBudgetTest, ALogThatGoesTakesItsShareAlong) {
  auto log = NewLog(0, 120);
  budget_->SetMarkBytes(log.get(), 10'000);
  log.reset();
  EXPECT_EQ(budget_->logged_bytes(), 0u);
  EXPECT_EQ(budget_->used_bytes(), 0u);
  EXPECT_TRUE(budget_->AllowsNewest(0, 25 * kSlabBytes));
  budget_->MakeRoom();
}

TEST_P(LogBudgetTest, ManyIdleLogsDoNotMakeItSlower) {
  constexpr size_t kLogs = 100'000;
  const auto budget = LogBudget::Create(8 << 20, shards());
  std::vector<std::shared_ptr<FakeLog>> idle;
  for (size_t i = 0; i < kLogs; ++i) {
    idle.push_back(std::make_shared<FakeLog>(budget.get(), i));
    idle.back()->Take(2, 16);
  }
  ASSERT_TRUE(budget->spent());
  const auto live = std::make_shared<FakeLog>(budget.get(), 0);
  live->Take(2);
  const auto time_of = [](const auto& work) {
    auto best = std::chrono::nanoseconds::max();
    for (int i = 0; i < 5; ++i) {
      const auto begin = std::chrono::steady_clock::now();
      work();
      best = std::min<std::chrono::nanoseconds>(best, std::chrono::steady_clock::now() - begin);
    }
    return best;
  };
  size_t sum = 0;
  const auto walk = time_of([&] {
    for (const auto& log : idle) sum += log->footprint_bytes();
  });
  ASSERT_GT(sum, 0u);
  live->Refuse();
  // With all its refusals it may ask a few others, but never looks at all.
  const auto room = time_of([&] { live->Take(1); });
  EXPECT_LT(room * 10, walk);
}

// ---- Real logs ----

class LogsTest : public ::testing::TestWithParam<size_t> {
 protected:
  std::shared_ptr<ChannelLog> NewLog(uint64_t id) {
    return std::make_shared<ChannelLog>(
        ChannelLog::Options{.channel_id = id, .budget_bytes = 1 << 20, .shard = id % GetParam()}, budget_);
  }
  const std::shared_ptr<LogBudget> budget_ = LogBudget::Create(2 << 20, GetParam());
};

INSTANTIATE_TEST_SUITE_P(Shards, LogsTest, ::testing::Values(1, 2, 4));

TEST_P(LogsTest, AReaderThatKeepsUpLosesNothingBesideFullSilentLogs) {
  std::vector<std::shared_ptr<ChannelLog>> silent;
  for (uint64_t i = 0; i < 50; ++i) {
    silent.push_back(NewLog(i * GetParam()));  // All of shard 0.
    Fill(silent.back().get(), 100, 1000);
  }
  const auto live = NewLog(GetParam() - 1);
  Cursor cursor = live->Head();
  for (uint64_t i = 0; i < 200; ++i) {
    Fill(live.get(), 16, 1000);
    for (const Step& step : ReadAll(*live, &cursor)) ASSERT_EQ(step.kind, Step::Kind::kDatagrams) << step;
    ASSERT_EQ(cursor.sequence, i * 16 + 17);
    EXPECT_FALSE(budget_->spent());
  }
}

TEST_P(LogsTest, ManyFastLogsWriteSmallSlabs) {
  std::vector<std::shared_ptr<ChannelLog>> logs;
  for (uint64_t i = 0; i < 60; ++i) logs.push_back(NewLog(i));
  for (int round = 0; round < 10; ++round) {
    for (const auto& log : logs) Fill(log.get(), 40, 1000);  // All at one moment: as fast as can be.
  }
  EXPECT_FALSE(budget_->spent());
  uint64_t held = 0;
  for (const auto& log : logs) {
    held += log->next_sequence() - log->Oldest().sequence;
    EXPECT_GE(log->next_sequence() - log->Oldest().sequence, 3u);  // Of the smallest slab.
  }
  // The budget holds datagrams, and not the empty ends of large newest slabs.
  EXPECT_GT(held * 1000, budget_->budget_bytes() / 3);
}

TEST_P(LogsTest, MarksStayWithinTheBudgetAndAreStillToldOf) {
  std::vector<std::shared_ptr<ChannelLog>> logs;
  for (uint64_t i = 0; i < 40; ++i) {
    logs.push_back(NewLog(i));
    for (int mark = 0; mark < 2000; ++mark) {
      logs.back()->AppendDrops(1, 100, 200);
      logs.back()->AppendUnknown(GapCause::kNotJoined, 300 + mark, 400 + mark);
      logs.back()->Commit();
    }
  }
  EXPECT_FALSE(budget_->spent());
  for (const auto& log : logs) {
    // From the beginning: every number that was dropped, and that more is missing besides.
    uint64_t lost = 0;
    bool unknown = false;
    fanout::Run run;
    Gap gap;
    for (Cursor cursor; log->Read(cursor, 1000, kToTheEnd, &run, &gap) == ChannelLog::ReadResult::kMark;
         cursor = run.next) {
      lost += gap.count;
      unknown = unknown || (gap.count == 0 && gap.cause == GapCause::kNotJoined);
    }
    EXPECT_EQ(lost, 2000u);
    EXPECT_TRUE(unknown);
  }
}

TEST_P(LogsTest, MarksThatMustGoGoManyAtATime) {
  const auto large = std::make_shared<FakeLog>(budget_.get(), 0);
  large->Take(2, (budget_->budget_bytes() - (100 << 10)) / 2);
  large->Refuse();
  const auto log = NewLog(0);
  for (int mark = 0; mark < 4000; ++mark) {
    log->AppendDrops(1, 100, 200);
    log->Commit();
  }
  // Each time the larger one is asked first. A block of marks is copied then, which must not happen for each mark.
  EXPECT_GT(large->asked(), 0);
  EXPECT_LT(large->asked(), 40);
}

TEST_P(LogsTest, WritersReadersAndThoseWhoNeedRoomMayRunAtOnce) {
  constexpr int kWriters = 4;
  std::vector<std::shared_ptr<ChannelLog>> logs;
  for (uint64_t id = 0; id < 2 * kWriters; ++id) logs.push_back(NewLog(id));
  std::atomic<int> writing{kWriters};
  std::vector<std::thread> threads;
  for (int writer = 0; writer < kWriters; ++writer) {
    threads.emplace_back([&, writer] {
      for (int round = 0; round < 200; ++round) {
        ChannelLog* const log = logs[writer + kWriters * (round % 2)].get();
        Fill(log, 1 + round % 50, round % 7 == 0 ? 20'000 : 1000);
        log->AppendDrops(1, 0, 0);
        log->AppendUnknown(GapCause::kNotJoined, 0, 0);
        log->Commit();
      }
      writing.fetch_sub(1);
    });
  }
  for (const auto& log : logs) {
    threads.emplace_back([&, log] {
      Cursor cursor;
      while (true) {
        const bool last = writing.load() == 0;
        if (const std::vector<Step> steps = ReadAll(*log, &cursor); !steps.empty() && steps.back() == Overtaken()) {
          cursor = log->Oldest();
        } else if (last) {
          break;
        }
        log->Ahead(cursor);
      }
      EXPECT_EQ(cursor.sequence, log->next_sequence());
    });
  }
  for (std::thread& thread : threads) thread.join();
  size_t held = 0;
  for (const auto& log : logs) held += log->footprint_bytes();
  EXPECT_EQ(budget_->logged_bytes(), held);
  EXPECT_EQ(budget_->used_bytes(), held);
}

}  // namespace
}  // namespace mcgw::fanout
