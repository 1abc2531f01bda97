// The side of ChannelLog that readers call, from any thread.

#include <algorithm>

#include "server/fanout/channel_log.h"

namespace mcgw::fanout {
namespace {

// The first entry at or behind `offset`.
uint32_t EntryAt(const Slab& slab, uint32_t records, uint64_t offset) {
  const RecordEntry* const begin = slab.entries();
  return std::lower_bound(begin, begin + records, offset,
                          [](const RecordEntry& entry, uint64_t at) { return entry.offset < at; }) -
         begin;
}

// Where the numbers of entries `first` to `stop` have their first hole; `stop` if there is none.
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

uint64_t ChannelLog::TailPosition() const { return slabs_.empty() ? 0 : slabs_.front()->begin_position; }

size_t ChannelLog::SlabIndexAt(uint64_t position) const {
  size_t low = 0;
  size_t high = slabs_.size();
  while (high - low > 1) {
    const size_t middle = (low + high) / 2;
    (slabs_[middle]->begin_position <= position ? low : high) = middle;
  }
  return low;
}

uint64_t ChannelLog::MarkFrom(uint64_t position, uint64_t sequence) const {
  size_t low = 0;
  size_t high = marks_.size();
  while (low < high) {
    const size_t middle = (low + high) / 2;
    const Mark& mark = marks_[middle];
    const bool passed = mark.position < position ||
                        (mark.position == position &&
                         (mark.gap.count > 0 ? mark.next_sequence() <= sequence : mark.gap.first_sequence < sequence));
    passed ? low = middle + 1 : high = middle;
  }
  return first_mark_ + low;
}

Cursor ChannelLog::CursorAt(uint64_t position, uint64_t sequence) const {
  return {.position = position, .sequence = sequence, .mark = MarkFrom(position, sequence)};
}

Cursor ChannelLog::OldestLocked() const {
  if (slabs_.empty()) return HeadLocked();
  return CursorAt(slabs_.front()->begin_position, slabs_.front()->begin_sequence);
}

Cursor ChannelLog::HeadLocked() const {
  // In this order, the reverse of Commit's: no mark before the position is missed.
  const uint64_t position = committed_position_.load(std::memory_order_acquire);
  const uint64_t marks_end = marks_end_.load(std::memory_order_acquire);
  uint64_t sequence = 1;
  if (position > 0) {
    // Nothing of a slab that begins at the head is committed: the last record is in the slab before. If that has gone,
    // all before the slab is committed.
    size_t at = SlabIndexAt(position);
    if (at > 0 && slabs_[at]->begin_position == position) --at;
    const Slab& slab = *slabs_[at].get();
    sequence = slab.begin_sequence;
    const uint32_t records = slab.published_records.load(std::memory_order_acquire);
    const uint32_t end = EntryAt(slab, records, position - slab.begin_position);
    if (end > 0) sequence = slab.begin_sequence + slab.entries()[end - 1].sequence_delta + 1;
  }
  uint64_t mark = std::max(first_mark_, std::min(marks_end, first_mark_ + marks_.size()));
  // Marks behind the committed position are still to come.
  while (mark > first_mark_ && marks_[mark - 1 - first_mark_].position > position) --mark;
  if (mark > first_mark_) sequence = std::max(sequence, marks_[mark - 1 - first_mark_].next_sequence());
  return {.position = position, .sequence = sequence, .mark = mark};
}

Cursor ChannelLog::Head() const {
  net::MutexLock lock(&mutex_);
  return HeadLocked();
}

Cursor ChannelLog::Oldest() const {
  net::MutexLock lock(&mutex_);
  return OldestLocked();
}

Cursor ChannelLog::AtSequence(uint64_t sequence) const {
  net::MutexLock lock(&mutex_);
  const Cursor head = HeadLocked();
  if (sequence >= head.sequence || slabs_.empty()) return head;
  const Cursor oldest = OldestLocked();
  if (sequence <= oldest.sequence) return oldest;
  size_t low = 0;
  size_t high = slabs_.size();
  while (high - low > 1) {
    const size_t middle = (low + high) / 2;
    (slabs_[middle]->begin_sequence <= sequence ? low : high) = middle;
  }
  const Slab& slab = *slabs_[low].get();
  const uint32_t records = slab.published_records.load(std::memory_order_acquire);
  const RecordEntry* const begin = slab.entries();
  const RecordEntry* const at =
      std::lower_bound(begin, begin + records, sequence - slab.begin_sequence,
                       [](const RecordEntry& entry, uint64_t delta) { return entry.sequence_delta < delta; });
  const uint64_t position = at != begin + records     ? slab.begin_position + at->offset
                            : low + 1 < slabs_.size() ? slabs_[low + 1]->begin_position
                                                      : head.position;
  return CursorAt(std::min(position, head.position), sequence);
}

Cursor ChannelLog::BytesBeforeHead(uint64_t bytes) const {
  net::MutexLock lock(&mutex_);
  const Cursor head = HeadLocked();
  const uint64_t tail = TailPosition();
  if (slabs_.empty() || head.position <= tail) return head;
  const uint64_t wanted = head.position - std::min(bytes, head.position - tail);
  const size_t at = SlabIndexAt(wanted);
  const Slab& slab = *slabs_[at].get();
  const uint32_t records = slab.published_records.load(std::memory_order_acquire);
  const uint32_t entry = EntryAt(slab, records, wanted - slab.begin_position);
  if (entry == records) {  // In the last record: the next one is in the next slab.
    if (at + 1 == slabs_.size() || slabs_[at + 1]->begin_position >= head.position) return head;
    return CursorAt(slabs_[at + 1]->begin_position, slabs_[at + 1]->begin_sequence);
  }
  if (slab.begin_position + slab.entries()[entry].offset >= head.position) return head;
  return CursorAt(slab.begin_position + slab.entries()[entry].offset,
                  slab.begin_sequence + slab.entries()[entry].sequence_delta);
}

ChannelLog::ReadResult ChannelLog::Read(const Cursor& cursor, size_t max_bytes, uint64_t end_position, Run* run,
                                        Gap* gap) const {
  uint64_t next_mark = 0;
  uint64_t limit = 0;  // A place between records, in the same slab as the cursor.
  {
    net::MutexLock lock(&mutex_);
    limit = std::min(committed_position_.load(std::memory_order_acquire), end_position);
    const uint64_t marks_end = marks_end_.load(std::memory_order_acquire);  // After the position, as in HeadLocked.
    if (cursor.position < TailPosition()) return ReadResult::kOvertaken;
    for (next_mark = std::max(cursor.mark, first_mark_); next_mark < marks_end; ++next_mark) {
      const Mark& mark = marks_[next_mark - first_mark_];
      if (mark.position > cursor.position) {
        limit = std::min(limit, mark.position);
        break;
      }
      if (mark.gap.count > 0 && mark.next_sequence() <= cursor.sequence) continue;  // The cursor began behind it.
      *gap = mark.gap;
      run->next = {.position = cursor.position, .sequence = cursor.sequence, .mark = next_mark + 1};
      if (mark.gap.count > 0) {
        // Clipped to what the cursor has not dealt with; widened where older marks of this place had to go.
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
  const uint32_t first = EntryAt(slab, records, begin);
  uint32_t stop = EntryAt(slab, records, end);
  if (end - begin > max_bytes) {
    const uint32_t fitting = EntryAt(slab, records, begin + max_bytes + 1) - 1;
    stop = std::min(stop, std::max(fitting, first + 1));
    if (stop < records) end = std::min<uint64_t>(end, entries[stop].offset);
  }
  // Where a mark had to go (AddMark), its numbers are missing here without one: they are told of when they are met.
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
  run->data = slab.data() + begin;
  run->size_bytes = end - begin;
  run->first_entry = first;
  run->records = stop - first;
  run->next = {.position = slab.begin_position + end,
               .sequence = slab.begin_sequence + entries[stop - 1].sequence_delta + 1,
               .mark = next_mark};
  return ReadResult::kRun;
}

bool ChannelLog::AnythingBehind(const Cursor& cursor) const {
  // A cursor may have been placed behind marks that are still to be published.
  return marks_end_.load(std::memory_order_seq_cst) > cursor.mark || committed_position() != cursor.position;
}

bool ChannelLog::Wait(const Cursor& cursor, Waiter* waiter) {
  net::MutexLock lock(&mutex_);
  // It may be waiting already, or woken and not yet taken from its ready list: a control decision had it look again.
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
