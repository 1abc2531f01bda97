#include "tests/fanout/log_story.h"

#include <string_view>

#include "tests/fanout/log_reader.h"

namespace mcgw::fanout {
namespace {

constexpr size_t kMostListeners = 64;

void Require(bool holds, std::string_view promise, uint64_t number) {
  if (!holds) throw LogBroken(std::string(promise) + " (number " + std::to_string(number) + ")");
}

}  // namespace

void LogStory::Write() {
  switch (choose_(8)) {
    case 0: {
      const uint64_t count = 1 + choose_(5);
      log_.AppendDrops(count, 0, 0);
      model_.numbers.resize(model_.numbers.size() + count);
      break;
    }
    case 1:
      log_.AppendUnknown(GapCause::kNotJoined, 0, 0);
      model_.interruptions.insert(model_.numbers.size() + 1);
      break;
    default: {
      const size_t size = choose_(20) == 0 ? 1000 + choose_(5000) : choose_(200);
      const std::string payload(size, static_cast<char>('a' + choose_(26)));
      log_.Append(TestDatagram(payload), now_ns_ += static_cast<int64_t>(choose_(20'000'000)));
      model_.numbers.emplace_back(payload);
    }
  }
  if (choose_(3) == 0) log_.Commit();
  if (choose_(200) == 1) log_.EvictOldest();
  if (choose_(1000) == 1) log_.EvictAll();
  if (choose_(300) == 1) log_.Expire(now_ns_);
  if (choose_(300) == 1) forgot_ |= log_.GiveUp();
  if (choose_(300) == 1) log_.EvictIfIdle(now_ns_ + 1, static_cast<int64_t>(choose_(2)));
}

LogStory::Listener LogStory::NewListener() {
  Listener listener;
  switch (choose_(6)) {
    case 0:
      listener.cursor = log_.Head();
      break;
    case 1:
      listener.cursor = log_.Oldest();
      break;
    case 2:
      listener.cursor = log_.AtSequence(1 + choose_(model_.numbers.size() + 2));
      break;
    case 3:
      listener.cursor = log_.Resume(1 + choose_(log_.next_sequence()));
      break;
    case 4:
      listener.cursor = log_.NotBefore(static_cast<int64_t>(choose_(static_cast<size_t>(now_ns_) + 1)));
      break;
    default:
      listener.cursor = log_.BytesBeforeHead(choose_(20'000));
      break;
  }
  listener.expected = listener.cursor.sequence;
  return listener;
}

void LogStory::Pass(const Gap& gap, Listener* listener) {
  if (gap.count == 0) {
    const auto next = model_.interruptions.lower_bound(listener->expected);
    Require(next != model_.interruptions.end() && (*next == listener->expected || forgot_),
            "an interruption that there was", listener->expected);
    return;
  }
  Require(gap.first_sequence == listener->expected, "a gap begins where the listener is", listener->expected);
  for (uint64_t i = 0; i < gap.count; ++i) {
    Require(listener->expected <= model_.numbers.size(), "a gap of numbers that there were", listener->expected);
    const bool dropped = !model_.numbers[listener->expected - 1].has_value();
    Require(gap.cause == GapCause::kLagged ? !dropped || forgot_ : dropped,
            "a gap with the cause of each of its numbers", listener->expected);
    ++listener->expected;
  }
}

bool LogStory::Listen(Listener* listener) {
  Run run;
  Gap gap;
  switch (log_.Read(listener->cursor, 1 + choose_(3000), kToTheEnd, &run, &gap)) {
    case ChannelLog::ReadResult::kEmpty:
      listener->cursor = run.next;
      return false;
    case ChannelLog::ReadResult::kOvertaken: {
      const Cursor next = choose_(2) == 0 ? log_.Oldest() : log_.Head();
      while (log_.PassOver(&listener->cursor, next, GapCause::kLagged, &gap)) Pass(gap, listener);
      Require(listener->expected == next.sequence, "gaps up to where the log goes on", listener->expected);
      Require(listener->cursor.position == next.position, "a cursor where the log goes on", listener->expected);
      return true;
    }
    case ChannelLog::ReadResult::kMark:
      Pass(gap, listener);
      break;
    case ChannelLog::ReadResult::kRun:
      for (const DecodedRecord& record : DecodeRecords({run.data, run.size_bytes})) {
        Require(record.sequence == listener->expected, "datagrams in order", listener->expected);
        Require(record.sequence <= model_.numbers.size() && record.payload == model_.numbers[record.sequence - 1],
                "each with its payload", listener->expected);
        ++listener->expected;
      }
      break;
  }
  Require(run.next.sequence == listener->expected, "a cursor behind what was read", listener->expected);
  listener->cursor = run.next;
  return true;
}

void LogStory::Step() {
  Write();
  if (choose_(100) == 1 && listeners_.size() < kMostListeners) listeners_.push_back(NewListener());
  // The first listener is fast and never overtaken, the others are slow.
  while (Listen(&listeners_.front())) {
  }
  Listener& slow = listeners_[choose_(listeners_.size())];
  for (size_t reads = choose_(12); reads > 0; --reads) Listen(&slow);
  const Backlog ahead = log_.Ahead(slow.cursor);
  Require(ahead.datagrams == ahead.next_sequence - slow.cursor.sequence, "as many ahead as there are numbers",
          slow.cursor.sequence);
}

void LogStory::Finish() {
  log_.Commit();
  for (Listener& listener : listeners_) {
    while (Listen(&listener)) {
    }
    Require(listener.expected == model_.numbers.size() + 1, "all that there is", listener.expected);
  }
  Require(log_.next_sequence() == model_.numbers.size() + 1, "the next number", log_.next_sequence());
}

}  // namespace mcgw::fanout
