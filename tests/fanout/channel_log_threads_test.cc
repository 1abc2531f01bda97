// One writer and several readers at once. Run it under ThreadSanitizer.

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "gtest/gtest.h"
#include "server/fanout/channel_log.h"
#include "tests/fanout/log_reader.h"

namespace mcgw::fanout {
namespace {

constexpr int kDatagrams = 30'000;
constexpr int kReaders = 4;

// A cursor that waits at the head, as a subscriber does.
class Reader {
 public:
  explicit Reader(ChannelLog* log) : log_(log), ready_(doorbell_), waiter_(&ready_) {}
  ~Reader() {
    log_->Forget(&waiter_);
    ready_.Remove(&waiter_);
  }

  // Reads up to number `last`, waiting as need be, or never asleep. Returns how many were datagrams.
  uint64_t ReadUpTo(uint64_t last, bool never_asleep = false) {
    uint64_t datagrams = 0;
    while (cursor_.sequence <= last) {
      next_sequence_.store(cursor_.sequence);
      Run run;
      Gap gap;
      switch (log_->Read(cursor_, 8 << 10, kToTheEnd, &run, &gap)) {
        case ChannelLog::ReadResult::kRun:
          EXPECT_EQ(Sequences(run).front(), cursor_.sequence);
          EXPECT_EQ(run.next.sequence, cursor_.sequence + run.records);
          datagrams += run.records;
          cursor_ = run.next;
          break;
        case ChannelLog::ReadResult::kMark:
          EXPECT_EQ(gap.first_sequence, cursor_.sequence);
          lost_ += gap.count;
          cursor_ = run.next;
          break;
        case ChannelLog::ReadResult::kOvertaken: {
          const Cursor oldest = log_->Oldest();
          EXPECT_GT(oldest.sequence, cursor_.sequence);
          lost_ += oldest.sequence - cursor_.sequence;
          cursor_ = oldest;
          break;
        }
        case ChannelLog::ReadResult::kEmpty:
          cursor_ = run.next;
          if (!never_asleep && log_->Wait(cursor_, &waiter_)) {
            while (ready_.Pop() == nullptr) doorbell_->WaitForRing();
          }
          break;
      }
    }
    next_sequence_.store(cursor_.sequence);
    return datagrams;
  }
  // The number that it wants next. Any thread.
  uint64_t next_sequence() const { return next_sequence_.load(); }
  uint64_t lost() const { return lost_; }

 private:
  ChannelLog* const log_;
  const std::shared_ptr<CountingDoorbell> doorbell_ = std::make_shared<CountingDoorbell>();
  ReadyList ready_;
  Waiter waiter_;
  Cursor cursor_;
  uint64_t lost_ = 0;
  std::atomic<uint64_t> next_sequence_{1};
};

void RunReaders(ChannelLog* log, uint64_t last, const std::function<void()>& write) {
  std::vector<std::thread> threads;
  for (int i = 0; i < kReaders; ++i) {
    threads.emplace_back([log, last] {
      Reader reader(log);
      const uint64_t read = reader.ReadUpTo(last);
      EXPECT_EQ(read + reader.lost(), last);
    });
  }
  write();
  for (std::thread& thread : threads) thread.join();
}

TEST(ChannelLogThreads, EveryCommitWakesThoseWhoWait) {
  ChannelLog log({.channel_id = 1, .budget_bytes = 64 << 20}, LogBudget::Create(64 << 20));
  RunReaders(&log, kDatagrams, [&] {
    for (int i = 0; i < kDatagrams; ++i) Fill(&log, 1, 20);
  });
}

TEST(ChannelLogThreads, ACommitBetweenLookingAndWaitingIsNotMissed) {
  // The writer commits just when the reader has read all and is about to wait; nothing wakes it later.
  ChannelLog log({.channel_id = 1}, LogBudget::Create(64 << 20));
  Reader reader(&log);
  std::thread reading([&] { reader.ReadUpTo(kDatagrams); });
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);  // Only met when it fails.
  bool missed = false;
  for (int i = 1; i <= kDatagrams; ++i) {
    Fill(&log, 1, 20);
    while (!missed && reader.next_sequence() == static_cast<uint64_t>(i)) {
      missed = std::chrono::steady_clock::now() > deadline;
      std::this_thread::yield();
    }
  }
  reading.join();
  EXPECT_FALSE(missed);
}

TEST(ChannelLogThreads, MarksKeepTheirPlacesWhileTheyArePublished) {
  // Each commit publishes a mark and a datagram: no run may cross a mark, however the reader comes by.
  constexpr int kCommits = 100'000;
  ChannelLog log({.channel_id = 1, .budget_bytes = 64 << 20}, LogBudget::Create(64 << 20));
  std::atomic<int> ready{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 2; ++i) {
    threads.emplace_back([&] {
      Reader reader(&log);
      ++ready;
      const uint64_t read = reader.ReadUpTo(kCommits, /*never_asleep=*/true);
      EXPECT_EQ(read + reader.lost(), static_cast<uint64_t>(kCommits));
    });
  }
  while (ready.load() < 2) std::this_thread::yield();
  const std::string payload(10, 'x');
  for (int i = 0; i < kCommits; ++i) {
    log.AppendUnknown(GapCause::kInterfaceLost, 0, 0);
    log.Append(TestDatagram(payload), 0);
    log.Commit();
  }
  for (std::thread& thread : threads) thread.join();
}

TEST(ChannelLogThreads, OvertakenReadersMissNoNumber) {
  ChannelLog log({.channel_id = 1, .budget_bytes = 24 << 10}, LogBudget::Create(64 << 20));
  RunReaders(&log, kDatagrams, [&] {
    for (int i = 0; i < kDatagrams / 8; ++i) Fill(&log, 8, 100);
  });
}

TEST(ChannelLogThreads, PlacesAreFoundWhileTheLogIsWritten) {
  ChannelLog log({.channel_id = 1, .budget_bytes = 24 << 10}, LogBudget::Create(64 << 20));
  std::atomic<bool> stop{false};
  std::thread finder([&] {
    uint64_t head_before = 0;
    while (!stop.load()) {
      const Cursor head = log.Head();
      EXPECT_GE(head.sequence, head_before);
      head_before = head.sequence;
      const Cursor oldest = log.Oldest();
      const Cursor before_head = log.BytesBeforeHead(5000);
      const Cursor later_head = log.Head();
      EXPECT_LE(oldest.sequence, later_head.sequence);
      EXPECT_LE(before_head.sequence, later_head.sequence);
      EXPECT_GE(log.AtSequence(head.sequence).sequence, head.sequence);
    }
  });
  for (int i = 0; i < kDatagrams / 8; ++i) {
    log.AppendDrops(1, 0, 0);
    Fill(&log, 8, 100);
  }
  stop.store(true);
  finder.join();
  EXPECT_EQ(log.next_sequence(), 1u + kDatagrams / 8 * 9);
}

TEST(ChannelLogThreads, WaitersComeAndGoWhileTheLogIsWritten) {
  ChannelLog log({.channel_id = 1}, LogBudget::Create(64 << 20));
  std::atomic<bool> stop{false};
  std::vector<std::thread> threads;
  for (int i = 0; i < kReaders; ++i) {
    threads.emplace_back([&] {
      while (!stop.load()) {
        const auto doorbell = std::make_shared<CountingDoorbell>();
        ReadyList ready(doorbell);
        Waiter waiter(&ready);
        log.Wait(log.Head(), &waiter);
        log.Forget(&waiter);
        ready.Remove(&waiter);
      }
    });
  }
  for (int i = 0; i < kDatagrams; ++i) Fill(&log, 1, 10);
  stop.store(true);
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(log.logged(), static_cast<uint64_t>(kDatagrams));
}

}  // namespace
}  // namespace mcgw::fanout
