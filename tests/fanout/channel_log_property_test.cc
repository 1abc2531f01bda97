// A log and cursors against a plain list: whatever is appended, dropped, interrupted and evicted, every cursor hears of
// each number exactly once, in order, as a datagram or inside one gap with its true cause; and what the log counts
// ahead of a cursor is what is there.

#include <memory>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "server/fanout/channel_log.h"
#include "tests/fanout/log_reader.h"

namespace mcgw::fanout {
namespace {

// What a number was: the payload of a datagram, or nothing where it was dropped. Index 0 is number 1.
struct Model {
  std::vector<std::optional<std::string>> numbers;
  std::set<uint64_t> interruptions;  // The numbers that came next.
};

// A cursor, and where a perfect listener would be.
struct Listener {
  Cursor cursor;
  uint64_t expected = 1;
};

class ChannelLogPropertyTest : public ::testing::TestWithParam<int> {
 protected:
  // A random number from 0 to n - 1.
  size_t Random(size_t n) { return std::uniform_int_distribution<size_t>(0, n - 1)(random_); }

  void Write() {
    switch (Random(8)) {
      case 0: {
        const uint64_t count = 1 + Random(5);
        log_.AppendDrops(count, 0, 0);
        model_.numbers.resize(model_.numbers.size() + count);
        break;
      }
      case 1:
        log_.AppendUnknown(GapCause::kNotJoined, 0, 0);
        model_.interruptions.insert(model_.numbers.size() + 1);
        break;
      default: {
        const size_t size = Random(20) == 0 ? 1000 + Random(5000) : Random(200);
        const std::string payload(size, static_cast<char>('a' + Random(26)));
        log_.Append(TestDatagram(payload), now_ns_ += static_cast<int64_t>(Random(20'000'000)));
        model_.numbers.emplace_back(payload);
      }
    }
    if (Random(3) == 0) log_.Commit();
    if (Random(200) == 0) log_.EvictOldest();
    if (Random(1000) == 0) log_.EvictAll();
    if (Random(300) == 0) log_.Expire(now_ns_);
  }

  Listener NewListener() {
    Listener listener;
    switch (Random(5)) {
      case 0:
        listener.cursor = log_.Head();
        break;
      case 1:
        listener.cursor = log_.Oldest();
        break;
      case 2:
        listener.cursor = log_.AtSequence(1 + Random(model_.numbers.size() + 2));
        break;
      case 3:
        listener.cursor = log_.Resume(1 + Random(log_.next_sequence()));
        break;
      default:
        listener.cursor = log_.BytesBeforeHead(Random(20'000));
        break;
    }
    listener.expected = listener.cursor.sequence;
    return listener;
  }

  // A gap covers numbers of its own cause only.
  void Pass(const Gap& gap, Listener* listener) {
    if (gap.count == 0) {
      EXPECT_TRUE(model_.interruptions.contains(listener->expected)) << listener->expected;
      return;
    }
    EXPECT_EQ(gap.first_sequence, listener->expected);
    for (uint64_t i = 0; i < gap.count; ++i) {
      EXPECT_EQ(model_.numbers.at(listener->expected - 1).has_value(), gap.cause == GapCause::kLagged)
          << listener->expected;
      ++listener->expected;
    }
  }

  // One step of a listener. False if it is at the head.
  bool Listen(Listener* listener) {
    fanout::Run run;
    Gap gap;
    switch (log_.Read(listener->cursor, 1 + Random(3000), kToTheEnd, &run, &gap)) {
      case ChannelLog::ReadResult::kEmpty:
        listener->cursor = run.next;
        return false;
      case ChannelLog::ReadResult::kOvertaken: {
        const Cursor next = Random(2) == 0 ? log_.Oldest() : log_.Head();
        while (!HasFailure() && log_.PassOver(&listener->cursor, next, GapCause::kLagged, &gap)) Pass(gap, listener);
        EXPECT_EQ(listener->expected, next.sequence);
        EXPECT_EQ(listener->cursor.position, next.position);
        return true;
      }
      case ChannelLog::ReadResult::kMark:
        Pass(gap, listener);
        break;
      case ChannelLog::ReadResult::kRun:
        for (const DecodedRecord& record : DecodeRecords({run.data, run.size_bytes})) {
          EXPECT_EQ(record.sequence, listener->expected);
          EXPECT_EQ(record.payload, model_.numbers.at(listener->expected - 1));
          ++listener->expected;
        }
        break;
    }
    EXPECT_EQ(run.next.sequence, listener->expected);
    listener->cursor = run.next;
    return true;
  }

  std::mt19937 random_{static_cast<unsigned>(GetParam())};
  const std::shared_ptr<LogBudget> budget_ = LogBudget::Create(64 << 20);
  ChannelLog log_{{.channel_id = 7, .budget_bytes = 30 << 10, .age_limit_ns = 2'000'000'000}, budget_};
  Model model_;
  int64_t now_ns_ = 0;
};

TEST_P(ChannelLogPropertyTest, EveryCursorHearsOfEachNumberOnceInOrder) {
  std::vector<Listener> listeners(1);
  for (int step = 0; step < 3000 && !HasFailure(); ++step) {
    Write();
    if (Random(100) == 0) listeners.push_back(NewListener());
    // The first listener is fast and never overtaken, the others are slow.
    while (Listen(&listeners.front())) {
    }
    Listener& slow = listeners[Random(listeners.size())];
    for (size_t reads = Random(12); reads > 0; --reads) Listen(&slow);
    const Backlog ahead = log_.Ahead(slow.cursor);
    EXPECT_EQ(ahead.datagrams, ahead.next_sequence - slow.cursor.sequence);
  }
  log_.Commit();
  for (Listener& listener : listeners) {
    while (!HasFailure() && Listen(&listener)) {
    }
    ASSERT_EQ(listener.expected, model_.numbers.size() + 1);
  }
  EXPECT_EQ(log_.next_sequence(), model_.numbers.size() + 1);
}

INSTANTIATE_TEST_SUITE_P(Seeds, ChannelLogPropertyTest, ::testing::Range(1, 17));

}  // namespace
}  // namespace mcgw::fanout
