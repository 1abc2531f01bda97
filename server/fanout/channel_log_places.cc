// Places in a ChannelLog: cursors by position, number and time. Any thread.

#include <algorithm>

#include "server/fanout/channel_log.h"
#include "server/fanout/datagram_record.h"

namespace mcgw::fanout {

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
    const bool passed = mark.position < position || (mark.position == position && mark.IsBefore(sequence));
    passed ? low = middle + 1 : high = middle;
  }
  if (low == 0 && given_up_end_ > 0 && given_up_.position >= position && !given_up_.IsBefore(sequence)) {
    return given_up_end_ - 1;
  }
  return first_mark_ + low;
}

Cursor ChannelLog::CursorAt(uint64_t position, uint64_t sequence) const {
  return {.position = position, .sequence = sequence, .mark = MarkFrom(position, sequence)};
}

Cursor ChannelLog::OldestLocked() const {
  if (slabs_.empty()) return HeadLocked();
  return CursorAt(tail_position_, tail_sequence_);
}

Cursor ChannelLog::HeadLocked() const {
  // In this order, the reverse of Commit's, so that no mark before the position is missed.
  const uint64_t position = committed_position_.load(std::memory_order_acquire);
  const uint64_t marks_end = marks_end_.load(std::memory_order_acquire);
  uint64_t sequence = tail_sequence_;
  if (position > tail_position_) {
    // No record of a slab that begins at the head is committed: the last record is in the slab before.
    size_t at = SlabIndexAt(position);
    if (at > 0 && slabs_[at]->begin_position == position) --at;
    const Slab& slab = *slabs_[at].get();
    sequence = slab.begin_sequence;
    const uint32_t records = slab.published_records.load(std::memory_order_acquire);
    const uint32_t end = slab.EntryAt(records, position - slab.begin_position);
    if (end > 0) sequence = slab.begin_sequence + slab.entries()[end - 1].sequence_delta + 1;
  }
  uint64_t mark = std::max(first_mark_, std::min(marks_end, first_mark_ + marks_.size()));
  // Marks behind the committed position are not published yet.
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
  return RecordAt(sequence, head);
}

Cursor ChannelLog::RecordAt(uint64_t sequence, const Cursor& head) const {
  size_t low = 0;
  size_t high = slabs_.size();
  while (high - low > 1) {
    const size_t middle = (low + high) / 2;
    (slabs_[middle]->begin_sequence <= sequence ? low : high) = middle;
  }
  const Slab& slab = *slabs_[low].get();
  const uint32_t records = slab.published_records.load(std::memory_order_acquire);
  const RecordEntry* const begin = slab.entries();
  // Numbers before the first slab were dropped since the log was empty.
  const uint64_t delta = sequence - std::min(sequence, slab.begin_sequence);
  const RecordEntry* const at = std::lower_bound(
      begin, begin + records, delta, [](const RecordEntry& entry, uint64_t to) { return entry.sequence_delta < to; });
  const uint64_t position = at != begin + records     ? slab.begin_position + at->offset
                            : low + 1 < slabs_.size() ? slabs_[low + 1]->begin_position
                                                      : head.position;
  return CursorAt(std::min(position, head.position), sequence);
}

Cursor ChannelLog::BytesBeforeHead(uint64_t bytes) const {
  net::MutexLock lock(&mutex_);
  const Cursor head = HeadLocked();
  const uint64_t tail = tail_position_;
  if (slabs_.empty() || head.position <= tail) return head;
  const uint64_t wanted = head.position - std::min(bytes, head.position - tail);
  const size_t at = SlabIndexAt(wanted);
  const Slab& slab = *slabs_[at].get();
  const uint32_t records = slab.published_records.load(std::memory_order_acquire);
  const uint32_t entry = slab.EntryAt(records, wanted - slab.begin_position);
  if (entry == records) {  // The last record: the next one is in the next slab.
    if (at + 1 == slabs_.size() || slabs_[at + 1]->begin_position >= head.position) return head;
    return CursorAt(slabs_[at + 1]->begin_position, slabs_[at + 1]->begin_sequence);
  }
  if (slab.begin_position + slab.entries()[entry].offset >= head.position) return head;
  return CursorAt(slab.begin_position + slab.entries()[entry].offset,
                  slab.begin_sequence + slab.entries()[entry].sequence_delta);
}

Cursor ChannelLog::NotBeforeLocked(int64_t time_ns) const {
  const Cursor head = HeadLocked();
  if (slabs_.empty() || slabs_.front()->begin_time_ns >= time_ns) return slabs_.empty() ? head : OldestLocked();
  size_t low = 0;
  size_t high = slabs_.size();
  while (high - low > 1) {
    const size_t middle = (low + high) / 2;
    (slabs_[middle]->begin_time_ns < time_ns ? low : high) = middle;
  }
  const Slab& slab = *slabs_[low].get();
  const uint32_t records = slab.published_records.load(std::memory_order_acquire);
  const RecordEntry* const begin = slab.entries();
  const RecordEntry* const at =
      std::lower_bound(begin, begin + records, time_ns - slab.begin_time_ns,
                       [](const RecordEntry& entry, int64_t delta) { return entry.time_delta_us * 1000LL < delta; });
  return RecordOr(low, at - begin, head);
}

Cursor ChannelLog::RecordOr(size_t slab_index, uint32_t entry, const Cursor& head) const {
  const Slab* slab = slabs_[slab_index].get();
  if (entry == slab->published_records.load(std::memory_order_acquire)) {
    if (slab_index + 1 == slabs_.size()) return head;
    slab = slabs_[slab_index + 1].get();
    entry = 0;
    if (slab->published_records.load(std::memory_order_acquire) == 0) return head;
  }
  const uint64_t position = slab->begin_position + slab->entries()[entry].offset;
  if (position >= head.position) return head;
  if (position <= tail_position_) return OldestLocked();
  return CursorAt(position, slab->begin_sequence + slab->entries()[entry].sequence_delta);
}

Cursor ChannelLog::NotBefore(int64_t time_ns) const {
  net::MutexLock lock(&mutex_);
  return NotBeforeLocked(time_ns);
}

ChannelLog::AtTime ChannelLog::NotBeforeWallTime(int64_t unix_ns) const {
  net::MutexLock lock(&mutex_);
  const Cursor head = HeadLocked();
  AtTime found{.cursor = head};
  // What was received before the log began is unknown. What it has given up is known by its greatest time.
  found.lost = unix_ns < begin_unix_ns_ || unix_ns <= given_up_wall_ns_;
  if (unix_ns >= begin_unix_ns_) found.at_most = tail_sequence_ - 1;
  if (slabs_.empty()) return found;
  size_t low = 0;
  size_t high = slabs_.size();
  while (high - low > 1) {
    const size_t middle = (low + high) / 2;
    (slabs_[middle]->begin_wall_ns < unix_ns ? low : high) = middle;
  }
  const Slab& slab = *slabs_[low].get();
  const uint32_t records = slab.published_records.load(std::memory_order_acquire);
  const RecordEntry* const begin = slab.entries();
  // Clients choose the time, so the difference may overflow.
  const int64_t delta_us = unix_ns <= slab.begin_wall_ns ? 0 : (unix_ns - slab.begin_wall_ns) / 1000;
  uint32_t entry = std::lower_bound(begin, begin + records, delta_us,
                                    [](const RecordEntry& one, int64_t delta) { return one.wall_delta_us < delta; }) -
                   begin;
  // The exact record is where the greatest time so far reaches `unix_ns`; the index is coarse.
  while (entry < records && slab.begin_wall_ns < unix_ns && begin[entry].wall_delta_us == delta_us &&
         RecordReceiveTime(slab.data() + begin[entry].offset) < unix_ns) {
    ++entry;
  }
  found.cursor = RecordOr(low, entry, head);
  return found;
}

Cursor ChannelLog::Resume(uint64_t sequence) const {
  net::MutexLock lock(&mutex_);
  const Cursor head = HeadLocked();
  if (sequence >= head.sequence) return CursorAt(head.position, sequence);
  if (sequence == tail_sequence_) return CursorAt(tail_position_, sequence);
  if (sequence > tail_sequence_) return slabs_.empty() ? CursorAt(head.position, sequence) : RecordAt(sequence, head);
  size_t low = 0;
  size_t high = marks_.size();
  while (low < high) {
    const size_t middle = (low + high) / 2;
    marks_[middle].IsBefore(sequence) ? low = middle + 1 : high = middle;
  }
  const bool misses_given_up = low == 0 && given_up_end_ > 0 && !given_up_.IsBefore(sequence);
  return {.position = 0, .sequence = sequence, .mark = misses_given_up ? given_up_end_ - 1 : first_mark_ + low};
}

}  // namespace mcgw::fanout
