// Streams, control and writers at once, and the doorbell. Run it under ThreadSanitizer.

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/fanout/subscriber.h"
#include "tests/fanout/subscriber_fixture.h"

namespace mcgw::fanout {
namespace {

using SubscriberDoorbellTest = SubscriberTest;
using SubscriberThreadsTest = SubscriberTest;

TEST_F(SubscriberDoorbellTest, RingsForTheFirstCommitAfterIdling) {
  const auto subscriber = NewSubscriber();
  Add(subscriber.get(), log_);
  TakeAll(subscriber.get());
  const int rings = doorbell_->rings();
  Fill(log_.get(), 1, 10);
  EXPECT_EQ(doorbell_->rings(), rings + 1);
  Fill(log_.get(), 1, 10);  // Not drained yet: there is no waiter to wake.
  EXPECT_EQ(doorbell_->rings(), rings + 1);
  TakeAll(subscriber.get());
  Fill(log_.get(), 1, 10);
  EXPECT_EQ(doorbell_->rings(), rings + 2);
}

TEST_F(SubscriberDoorbellTest, RingsForALossAlone) {
  const auto subscriber = NewSubscriber();
  Add(subscriber.get(), log_);
  TakeAll(subscriber.get());
  const int rings = doorbell_->rings();
  log_->AppendDrops(1, 0, 0);
  log_->Commit();
  EXPECT_EQ(doorbell_->rings(), rings + 1);
}

TEST_F(SubscriberDoorbellTest, RingsOnceForManyChannels) {
  const auto subscriber = NewSubscriber();
  std::vector<std::shared_ptr<ChannelLog>> logs;
  for (uint64_t id = 1; id <= 10; ++id) {
    logs.push_back(NewLog(id));
    Add(subscriber.get(), logs.back());
  }
  TakeAll(subscriber.get());
  const int rings = doorbell_->rings();
  for (const auto& log : logs) Fill(log.get(), 1, 10);
  EXPECT_EQ(doorbell_->rings(), rings + 1);
}

TEST_F(SubscriberDoorbellTest, RingsForEveryControlCall) {
  const auto subscriber = NewSubscriber();
  int rings = doorbell_->rings();
  const auto expect_ring = [&](const char* what) {
    EXPECT_GT(doorbell_->rings(), rings) << what;
    rings = doorbell_->rings();
  };
  Add(subscriber.get(), log_);
  expect_ring("AddChannel");
  subscriber->ChangeFilter(1, SourceFilter::AnySource(), std::nullopt);
  expect_ring("ChangeFilter");
  subscriber->RemoveChannel(1, std::nullopt);
  expect_ring("RemoveChannel");
  subscriber->Notify(Draining{});
  expect_ring("Notify");
  subscriber->RequestSweep();
  expect_ring("RequestSweep");
  subscriber->EndWhenEmpty();
  expect_ring("EndWhenEmpty");
  subscriber->End(absl::OkStatus());
  expect_ring("End");
}

TEST_F(SubscriberDoorbellTest, OutlivesItsSubscriber) {
  auto subscriber = NewSubscriber();
  Add(subscriber.get(), log_);
  TakeAll(subscriber.get());
  subscriber.reset();
  const int rings = doorbell_->rings();
  Fill(log_.get(), 1, 10);
  EXPECT_EQ(doorbell_->rings(), rings);
}

// Drives a subscriber until its verdict, asleep whenever it has nothing.
uint64_t Drive(Subscriber* subscriber, CountingDoorbell* doorbell) {
  uint64_t datagrams = 0;
  while (true) {
    Message message;
    if (subscriber->Next(&message)) {
      datagrams += message.datagrams;
      subscriber->Written();
    } else if (subscriber->verdict().has_value()) {
      return datagrams;
    } else {
      doorbell->WaitForRing();
    }
  }
}

TEST_F(SubscriberThreadsTest, NoDatagramIsLeftBehindByALostRing) {
  constexpr int kLogs = 3;
  constexpr int kDatagrams = 10'000;
  const auto subscriber = NewSubscriber({.lag_limit_bytes = 1 << 30, .ledger_interval_ns = 0});
  std::vector<std::shared_ptr<ChannelLog>> logs;
  for (uint64_t id = 1; id <= kLogs; ++id) {
    logs.push_back(NewLog(id, 16 << 20));
    Add(subscriber.get(), logs.back());
  }
  std::vector<std::thread> writers;
  for (const auto& log : logs) {
    writers.emplace_back([&] {
      for (int i = 0; i < kDatagrams; ++i) Fill(log.get(), 1, 20);
      subscriber->RemoveChannel(log->channel_id(), std::nullopt);
    });
  }
  subscriber->EndWhenEmpty();
  EXPECT_EQ(Drive(subscriber.get(), doorbell_.get()), static_cast<uint64_t>(kLogs) * kDatagrams);
  for (std::thread& writer : writers) writer.join();
  ExpectBalanced(*subscriber);
}

TEST_F(SubscriberThreadsTest, ControlAndInspectionMayComeAtAnyTime) {
  const auto subscriber = NewSubscriber({.lag_limit_bytes = 1 << 30, .ledger_interval_ns = 1});
  Add(subscriber.get(), log_);
  std::atomic<bool> stop{false};
  std::thread writer([&] {
    while (!stop.load()) Fill(log_.get(), 4, 50);
  });
  std::thread control([&] {
    for (int i = 0; i < 2000; ++i) {
      subscriber->ChangeFilter(1, i % 2 == 0 ? SourceFilter::Include(testing::Ips({"10.0.0.9"})) : SourceFilter(),
                               Changed(ChangeCause::kJoin));
      subscriber->RequestSweep();
      subscriber->Ledger();
      if (i % 100 == 50) subscriber->RemoveChannel(1, Changed(ChangeCause::kLeave, true));
      if (i % 100 == 60) Add(subscriber.get(), log_, SourceFilter(), Changed(ChangeCause::kJoin));
    }
    subscriber->End(absl::OkStatus());
  });
  Drive(subscriber.get(), doorbell_.get());
  control.join();
  stop.store(true);
  writer.join();
  ExpectBalanced(*subscriber);
}

TEST_F(SubscriberThreadsTest, ASubscriberMayGoWhileItsLogIsWritten) {
  std::atomic<bool> stop{false};
  std::thread writer([&] {
    while (!stop.load()) Fill(log_.get(), 1, 50);
  });
  while (log_->logged() == 0) std::this_thread::yield();
  for (int i = 0; i < 500; ++i) {
    const auto subscriber = NewSubscriber();
    Add(subscriber.get(), log_);
    Message message;
    for (int looks = i % 4; looks > 0; --looks) {
      if (subscriber->Next(&message)) subscriber->Written();
    }
  }
  stop.store(true);
  writer.join();
  // All have gone: none is woken, and none holds a slab.
  const int rings = doorbell_->rings();
  Fill(log_.get(), 1, 50);
  EXPECT_EQ(doorbell_->rings(), rings);
  EXPECT_EQ(budget_->used_bytes(), log_->footprint_bytes());
}

TEST_F(SubscriberThreadsTest, SlowStreamsOfOneLogHearOfEveryNumber) {
  const auto log = NewLog(1, 24 << 10);
  constexpr int kBatches = 3000;
  std::vector<std::thread> streams;
  std::atomic<int> ready{0};
  std::vector<std::unique_ptr<Subscriber>> subscribers;
  std::vector<std::shared_ptr<CountingDoorbell>> doorbells;
  for (int i = 0; i < 3; ++i) {
    doorbells.push_back(std::make_shared<CountingDoorbell>());
    subscribers.push_back(std::make_unique<Subscriber>(
        Subscriber::Options{.lag_limit_bytes = 8 << 10, .ledger_interval_ns = 0}, pool_, doorbells.back()));
    Add(subscribers.back().get(), log);
    subscribers.back()->EndWhenEmpty();
  }
  for (int i = 0; i < 3; ++i) {
    streams.emplace_back([&, i] {
      ++ready;
      Drive(subscribers[i].get(), doorbells[i].get());
    });
  }
  while (ready.load() < 3) std::this_thread::yield();
  for (int i = 0; i < kBatches; ++i) {
    log->AppendDrops(i % 2, 0, 0);
    Fill(log.get(), 8, 100);
  }
  for (const auto& subscriber : subscribers) subscriber->RemoveChannel(1, std::nullopt);
  for (std::thread& stream : streams) stream.join();
  for (const auto& subscriber : subscribers) {
    EXPECT_EQ(subscriber->Total().offered, log->next_sequence() - 1);
    ExpectBalanced(*subscriber);
  }
}

}  // namespace
}  // namespace mcgw::fanout
