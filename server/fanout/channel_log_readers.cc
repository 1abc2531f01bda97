// The readers' half of ChannelLog. Any thread.

#include <algorithm>

#include "server/fanout/channel_log.h"

namespace mcgw::fanout {
namespace {

// The first entry in [first, stop) behind a hole in the numbers; `stop` if there is none.
uint32_t GaplessFrom(const RecordEntry* entries, uint32_t first, uint32_t stop) {
  const auto gapless_to = [&](uint32_t entry) {
    return entries[entry].sequence_delta - entries[first].sequence_delta == entry - first;
  };
  if (gapless_to(stop - 1)) return stop;
  uint32_t low = first;
  uint32_t high = stop - 1;
  while (high - low > 1) {
    const uint32_t middle = low + (high - low) / 2;
    (gapless_to(middle) ? low : high) = middle;
  }
  return high;
}

}  // namespace

ChannelLog::ReadResult ChannelLog::Read(const Cursor& cursor, size_t max_bytes, uint64_t end_position, Run* run,
                                        Gap* gap) const {
  uint64_t next_mark = 0;
  uint64_t limit = 0;  // A boundary between records in the cursor's slab.
  {
    net::MutexLock lock(&mutex_);
    limit = std::min(committed_position_.load(std::memory_order_acquire), end_position);
    const uint64_t marks_end = marks_end_.load(std::memory_order_acquire);  // After the position, as in HeadLocked.
    MCGW_INVARIANT(cursor.position <= committed_position_.load(std::memory_order_acquire));
    MCGW_INVARIANT(cursor.mark <= first_mark_ + marks_.size());
    if (cursor.position < tail_position_) return ReadResult::kOvertaken;
    if (MissesGivenUp(cursor)) {
      *gap = given_up_.gap;
      gap->first_sequence = cursor.sequence;
      run->next = {.position = cursor.position, .sequence = cursor.sequence, .mark = given_up_end_};
      return ReadResult::kMark;
    }
    for (next_mark = std::max(cursor.mark, first_mark_); next_mark < marks_end; ++next_mark) {
      const Mark& mark = marks_[next_mark - first_mark_];
      if (mark.position > cursor.position) {
        limit = std::min(limit, mark.position);
        break;
      }
      if (mark.gap.count > 0 && mark.next_sequence() <= cursor.sequence) continue;  // The cursor started behind it.
      *gap = mark.gap;
      run->next = {.position = cursor.position, .sequence = cursor.sequence, .mark = next_mark + 1};
      if (mark.gap.count > 0) {
        // Clipped to what the cursor has not handled; widened where older marks at this place were dropped.
        gap->first_sequence = cursor.sequence;
        gap->count = mark.next_sequence() - cursor.sequence;
        run->next.sequence = mark.next_sequence();
      }
      return ReadResult::kMark;
    }
    if (cursor.position >= limit) {
      run->next = cursor;
      run->next.mark = next_mark;
      return ReadResult::kEmpty;
    }
    const size_t at = SlabIndexAt(cursor.position);
    run->slab = slabs_[at];
    if (at + 1 < slabs_.size()) limit = std::min(limit, slabs_[at + 1]->begin_position);
  }
  const Slab& slab = *run->slab.get();
  const RecordEntry* const entries = slab.entries();
  const uint32_t records = slab.published_records.load(std::memory_order_acquire);
  const uint64_t begin = cursor.position - slab.begin_position;
  uint64_t end = limit - slab.begin_position;
  const uint32_t first = slab.EntryAt(records, begin);
  uint32_t stop = slab.EntryAt(records, end);
  if (end - begin > max_bytes) {
    const uint32_t fitting = slab.EntryAt(records, begin + max_bytes + 1) - 1;
    stop = std::min(stop, std::max(fitting, first + 1));
    if (stop < records) end = std::min<uint64_t>(end, entries[stop].offset);
  }
  // Where a mark was dropped (AddMark), its numbers are missing without one; report them when they are met.
  if (const uint64_t first_sequence = slab.begin_sequence + entries[first].sequence_delta;
      first_sequence > cursor.sequence) {
    *gap = {.channel_id = options_.channel_id,
            .cause = GapCause::kKernelDrop,
            .first_sequence = cursor.sequence,
            .count = first_sequence - cursor.sequence};
    run->next = {.position = cursor.position, .sequence = first_sequence, .mark = next_mark};
    return ReadResult::kMark;
  }
  const uint32_t gapless = GaplessFrom(entries, first, stop);
  if (gapless < stop) {
    stop = gapless;
    end = entries[stop].offset;
  }
  MCGW_INVARIANT(first < stop && begin < end && end <= slab.capacity_bytes());
  MCGW_INVARIANT(entries[first].offset == begin);
  run->data = slab.data() + begin;
  run->size_bytes = end - begin;
  run->first_entry = first;
  run->records = stop - first;
  run->next = {.position = slab.begin_position + end,
               .sequence = slab.begin_sequence + entries[stop - 1].sequence_delta + 1,
               .mark = next_mark};
  return ReadResult::kRun;
}

bool ChannelLog::PassOver(Cursor* cursor, const Cursor& end, GapCause cause, Gap* gap) const {
  MCGW_INVARIANT(cursor->position <= end.position && end.position <= committed_position());
  uint64_t stop = end.sequence;
  bool at_mark = false;
  {
    net::MutexLock lock(&mutex_);
    if (MissesGivenUp(*cursor) && given_up_end_ <= end.mark) {
      *gap = given_up_.gap;
      gap->first_sequence = cursor->sequence;
      cursor->mark = given_up_end_;
      return true;
    }
    for (uint64_t at = std::max(cursor->mark, first_mark_); at < end.mark && at - first_mark_ < marks_.size(); ++at) {
      const Mark& mark = marks_[at - first_mark_];
      if (mark.IsBefore(cursor->sequence)) continue;  // The cursor started behind it.
      cursor->mark = at;
      cursor->position = std::max(cursor->position, mark.position);
      at_mark = mark.gap.first_sequence > cursor->sequence;
      if (at_mark) {
        stop = std::min(stop, mark.gap.first_sequence);
        break;
      }
      *gap = mark.gap;
      cursor->mark = at + 1;
      if (mark.gap.count > 0) {
        gap->first_sequence = cursor->sequence;
        gap->count = std::min(mark.next_sequence(), end.sequence) - cursor->sequence;
        cursor->sequence += gap->count;
      }
      return true;
    }
  }
  if (stop <= cursor->sequence) {
    *cursor = end;
    return false;
  }
  *gap = {.channel_id = options_.channel_id,
          .cause = cause,
          .first_sequence = cursor->sequence,
          .count = stop - cursor->sequence};
  if (at_mark) {
    cursor->sequence = stop;
  } else {
    *cursor = end;
  }
  return true;
}

uint64_t ChannelLog::RecordsBetween(uint64_t from, uint64_t to) const {
  uint64_t count = 0;
  for (size_t i = slabs_.empty() ? 0 : SlabIndexAt(from); i < slabs_.size() && slabs_[i]->begin_position < to; ++i) {
    const Slab& slab = *slabs_[i].get();
    const uint32_t records = slab.published_records.load(std::memory_order_acquire);
    const uint32_t first = from <= slab.begin_position ? 0 : slab.EntryAt(records, from - slab.begin_position);
    count += slab.EntryAt(records, to - slab.begin_position) - first;
  }
  return count;
}

uint64_t ChannelLog::NumbersAhead(const Cursor& cursor, const Cursor& head) const {
  uint64_t numbers = RecordsBetween(cursor.position, head.position);
  if (cursor.mark <= first_mark_ && first_mark_ > 0) {
    // Marks ahead of it were dropped (AddMark), perhaps before it was placed; only the missing numbers reveal them.
    const bool none = marks_.empty() || first_mark_ >= head.mark;
    const uint64_t position = none ? head.position : marks_.front().position;
    const uint64_t sequence = none ? head.sequence : marks_.front().gap.first_sequence;
    if (sequence > cursor.sequence) numbers += sequence - cursor.sequence - RecordsBetween(cursor.position, position);
  }
  for (uint64_t at = std::max(cursor.mark, first_mark_); at < head.mark; ++at) {
    const Mark& mark = marks_[at - first_mark_];
    if (mark.next_sequence() > cursor.sequence) {
      numbers += std::min(mark.gap.count, mark.next_sequence() - cursor.sequence);
    }
  }
  return numbers;
}

Backlog ChannelLog::Ahead(const Cursor& cursor) const {
  net::MutexLock lock(&mutex_);
  const Cursor head = HeadLocked();
  Backlog backlog{.next_sequence = head.sequence};
  if (head.position > cursor.position) backlog.bytes = head.position - cursor.position;
  Cursor from = cursor;
  if (cursor.position < tail_position_) {
    from = OldestLocked();
    if (from.sequence > cursor.sequence) backlog.datagrams = from.sequence - cursor.sequence;
  }
  backlog.datagrams += NumbersAhead(from, head);
  if (from.position < head.position) {
    const Slab& slab = *slabs_[SlabIndexAt(from.position)].get();
    const uint32_t records = slab.published_records.load(std::memory_order_acquire);
    const uint32_t entry = slab.EntryAt(records, from.position - slab.begin_position);
    if (entry < records) backlog.oldest_ns = slab.begin_time_ns + slab.entries()[entry].time_delta_us * 1000LL;
  }
  return backlog;
}

bool ChannelLog::AnythingBehind(const Cursor& cursor) const {
  // A cursor may stand behind marks that are not published yet.
  return marks_end_.load(std::memory_order_seq_cst) > cursor.mark || committed_position() != cursor.position;
}

bool ChannelLog::Wait(const Cursor& cursor, Waiter* waiter) {
  net::MutexLock lock(&mutex_);
  MCGW_INVARIANT(cursor.position <= committed_position());
  // The waiter may already wait, or be woken and still in its ready list, after a control decision made the cursor look
  // again.
  if (waiter->place == Waiter::Place::kNone) {
    waiters_.PushBack(waiter);
    waiter->place = Waiter::Place::kLog;
    waiting_.store(1, std::memory_order_seq_cst);
  }
  if (!AnythingBehind(cursor)) return true;
  if (waiter->place == Waiter::Place::kLog) {
    waiters_.Remove(waiter);
    waiter->place = Waiter::Place::kNone;
    if (waiters_.empty()) waiting_.store(0, std::memory_order_seq_cst);
  }
  return false;
}

void ChannelLog::Forget(Waiter* waiter) {
  net::MutexLock lock(&mutex_);
  if (waiter->place != Waiter::Place::kLog) return;
  waiters_.Remove(waiter);
  waiter->place = Waiter::Place::kNone;
  if (waiters_.empty()) waiting_.store(0, std::memory_order_seq_cst);
}

}  // namespace mcgw::fanout
