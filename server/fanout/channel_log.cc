// The writer's half of ChannelLog.

#include "server/fanout/channel_log.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "server/fanout/datagram_record.h"
#include "server/net/clock.h"
#include "server/net/invariant.h"
#include "server/net/random.h"

namespace mcgw::fanout {
namespace {

// A slab that fills faster than this is followed by a larger one; one that fills slower than kSlowFillNs, by a smaller
// one.
constexpr int64_t kFastFillNs = 50'000'000;
constexpr int64_t kSlowFillNs = 1'000'000'000;

// With more marks than this, the oldest go, with their slabs. A small log holds fewer, but at least kFewestMarks.
constexpr size_t kMaxMarks = 4096;
constexpr size_t kFewestMarks = 1024;
// Up to this many marks are kept behind the tail.
constexpr size_t kMarksKept = 1024;

// Capacity, allocated before locking, for slabs freed together. More of them allocate under the lock, which is rare.
constexpr size_t kSlabsFreedAtOnce = 256;

// The time span of a slab's index. Its deltas could hold a little more.
constexpr int64_t kMostSlabTimeNs = 3'600'000'000'000;

uint64_t RandomEpoch() {
  uint64_t epoch = 0;
  while (epoch == 0) epoch = net::RandomNumber();
  return epoch;
}

void StoreRelaxedAdd(std::atomic<uint64_t>* counter, uint64_t n) {
  // There is one writer, so a read-modify-write is unnecessary.
  counter->store(counter->load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
}

}  // namespace

ChannelLog::ChannelLog(const Options& options, std::shared_ptr<LogBudget> budget)
    : Holder(options.shard),
      options_(options),
      epoch_(RandomEpoch()),
      begin_unix_ns_(net::UnixNs()),
      budget_(std::move(budget)),
      most_marks_(std::clamp(options.budget_bytes / 4 / sizeof(Mark), kFewestMarks, kMaxMarks)) {}

ChannelLog::~ChannelLog() { budget_->Forget(this); }

size_t ChannelLog::ChooseSlabClass(size_t record_bytes, int64_t now_ns) {
  if (current_ != nullptr) {
    const int64_t fill_ns = now_ns - current_->begin_time_ns;
    if (fill_ns < kFastFillNs && slab_class_ + 1 < SlabPool::kSlabBytes.size() &&
        SlabPool::kSlabBytes[slab_class_ + 1] * 4 <= options_.budget_bytes) {
      ++slab_class_;
    } else if (fill_ns > kSlowFillNs && slab_class_ > 0) {
      --slab_class_;
    }
  }
  size_t chosen = slab_class_;
  while (chosen < SlabPool::kSlabBytes.size() && SlabPool::kSlabBytes[chosen] < record_bytes) ++chosen;
  // No log gives up its newest slab, so these stay small while many logs are written fast.
  const size_t old_bytes = current_ == nullptr ? 0 : current_->footprint_bytes();
  while (chosen > 0 && chosen < SlabPool::kOversize && SlabPool::kSlabBytes[chosen - 1] >= record_bytes &&
         !budget_->AllowsNewest(old_bytes, SlabPool::kSlabBytes[chosen])) {
    --chosen;
  }
  return chosen;  // kOversize if none is large enough.
}

bool ChannelLog::FitsTimes(int64_t now_ns, int64_t wall_ns) const {
  return now_ns - current_->begin_time_ns < kMostSlabTimeNs && wall_ns - current_->begin_wall_ns < kMostSlabTimeNs;
}

void ChannelLog::EnterSlab(size_t record_bytes, int64_t now_ns, int64_t wall_ns) {
  const net::OneAtATime::Using writing(writing_);
  MCGW_INVARIANT(current_ == nullptr ||
                 (current_used_bytes_ <= current_->capacity_bytes() && current_records_ <= current_->max_records()));
  MCGW_INVARIANT(current_ == nullptr || current_->begin_position + current_used_bytes_ == head_position_);
  SlabRef slab = budget_->pool()->Acquire(ChooseSlabClass(record_bytes, now_ns), record_bytes);
  slab->begin_position = head_position_;
  slab->begin_sequence = next_sequence_;
  slab->begin_time_ns = now_ns;
  slab->begin_wall_ns = wall_ns;
  if (current_ != nullptr) current_->published_records.store(current_records_, std::memory_order_release);

  while (footprint_bytes() + slab->footprint_bytes() > options_.budget_bytes && EvictOldest()) {
  }
  budget_->AddSlab(this, slab->footprint_bytes());
  if (budget_->spent()) {
    Commit();  // Published slabs can be given up.
    budget_->MakeRoom();
  }
  std::vector<SlabRef> storage;
  size_t capacity = 0;
  bool full = false;
  {
    net::MutexLock lock(&mutex_);
    full = slabs_.full();
    capacity = slabs_.capacity();
  }
  if (full) storage.resize(capacity == 0 ? 4 : capacity * 2);
  {
    net::MutexLock lock(&mutex_);
    if (full) slabs_.MoveInto(&storage);
    MCGW_INVARIANT(tail_position_ <= head_position_ && tail_sequence_ <= next_sequence_);
    MCGW_INVARIANT(slabs_.empty() ||
                   (slabs_.back().get() == current_ && slabs_.back()->begin_position < slab->begin_position));
    current_ = slab.get();
    slabs_.PushBack(std::move(slab));
  }
  current_used_bytes_ = 0;
  current_records_ = 0;
}

void ChannelLog::Append(const net::ReceivedDatagram& datagram, int64_t now_ns) {
  const size_t most_bytes = datagram.payload.size() + kMaxRecordOverheadBytes;
  greatest_wall_ns_ = std::max(greatest_wall_ns_, datagram.receive_time_unix_ns);
  appended_ns_ = now_ns;
  if (current_ == nullptr || current_records_ == current_->max_records() ||
      current_used_bytes_ + most_bytes > current_->capacity_bytes() || !FitsTimes(now_ns, greatest_wall_ns_)) {
    EnterSlab(most_bytes, now_ns, greatest_wall_ns_);
  }
  const uint64_t sequence = next_sequence_++;
  RecordEntry& entry = current_->entries()[current_records_++];
  entry.offset = current_used_bytes_;
  entry.sequence_delta = static_cast<uint32_t>(sequence - current_->begin_sequence);
  entry.time_delta_us = static_cast<uint32_t>(std::max<int64_t>(now_ns - current_->begin_time_ns, 0) / 1000);
  entry.wall_delta_us = static_cast<uint32_t>((greatest_wall_ns_ - current_->begin_wall_ns) / 1000);
  const size_t size = EncodeRecord(options_.channel_id, sequence, datagram, current_->data() + current_used_bytes_);
  current_used_bytes_ += static_cast<uint32_t>(size);
  head_position_ += size;
  StoreRelaxedAdd(&logged_, 1);
  StoreRelaxedAdd(&logged_payload_bytes_, datagram.payload.size());
}

void ChannelLog::AppendDrops(uint64_t count, int64_t from_time_unix_ns, int64_t to_time_unix_ns) {
  if (count == 0) return;
  StoreRelaxedAdd(&kernel_drops_, count);
  AddMark({.channel_id = options_.channel_id,
           .cause = GapCause::kKernelDrop,
           .first_sequence = next_sequence_,
           .count = count,
           .from_time_unix_ns = from_time_unix_ns,
           .to_time_unix_ns = to_time_unix_ns});
  next_sequence_ += count;
}

void ChannelLog::AppendUnknown(GapCause cause, int64_t from_time_unix_ns, int64_t to_time_unix_ns,
                               uint32_t interruption) {
  StoreRelaxedAdd(&unknown_gaps_, 1);
  AddMark({.channel_id = options_.channel_id,
           .cause = cause,
           .interruption = interruption,
           .first_sequence = next_sequence_,
           .count = 0,
           .from_time_unix_ns = from_time_unix_ns,
           .to_time_unix_ns = to_time_unix_ns});
}

void ChannelLog::AddMark(const Gap& gap) {
  const net::OneAtATime::Using writing(writing_);
  std::vector<Mark> storage;
  size_t capacity = 0;
  bool full = false;
  bool too_many = false;
  {
    net::MutexLock lock(&mutex_);
    while (marks_.size() >= most_marks_ && marks_.front().position < tail_position_) DropFirstMark();
    too_many = marks_.size() >= most_marks_;
    full = marks_.full() && !too_many;  // Otherwise the oldest make room.
    capacity = marks_.capacity();
  }
  while (too_many && EvictOldest()) {
    net::MutexLock lock(&mutex_);
    too_many = marks_.size() >= most_marks_;
  }
  // Other threads only remove marks (GiveUpMarks), so a full block may have room by then, but in a smaller block.
  if (full) storage.resize(capacity == 0 ? 4 : capacity * 2);
  {
    net::MutexLock lock(&mutex_);
    // All marks stand in the slab being written: drop the oldest. A cursor that has yet to pass them learns the numbers
    // from the next mark it meets (Read).
    while (marks_.size() >= most_marks_ || (!full && marks_.full())) DropFirstMark();
    if (full) marks_.MoveInto(&storage);
    MCGW_INVARIANT(marks_.empty() ||
                   (marks_.back().position <= head_position_ && marks_.back().next_sequence() <= gap.first_sequence));
    marks_.PushBack({head_position_, gap});
    MCGW_INVARIANT(first_mark_ + marks_.size() == marks_added_ + 1);
    if (full) budget_->SetMarkBytes(this, marks_.capacity() * sizeof(Mark));
  }
  ++marks_added_;
  if (full && budget_->spent()) budget_->MakeRoom();
}

void ChannelLog::DropFirstMark() {
  const Mark mark = marks_.PopFront();
  ++first_mark_;
  if (mark.gap.count > 0) return;  // The missing numbers reveal it.
  const int64_t from_time_unix_ns = given_up_end_ == 0 ? mark.gap.from_time_unix_ns : given_up_.gap.from_time_unix_ns;
  given_up_ = mark;
  given_up_.gap.from_time_unix_ns = from_time_unix_ns;
  given_up_end_ = first_mark_;
}

void ChannelLog::Commit() {
  const net::OneAtATime::Using writing(writing_);
  MCGW_INVARIANT(committed_position_.load(std::memory_order_relaxed) <= head_position_);
  MCGW_INVARIANT(marks_end_.load(std::memory_order_relaxed) <= marks_added_);
  if (current_ != nullptr) current_->published_records.store(current_records_, std::memory_order_release);
  marks_end_.store(marks_added_, std::memory_order_seq_cst);
  committed_position_.store(head_position_, std::memory_order_seq_cst);
  // Sequentially consistent on both sides: either this sees the waiter, or the waiter's second check sees the commit.
  if (waiting_.load(std::memory_order_seq_cst) != 0) WakeWaiters();
}

void ChannelLog::WakeWaiters() {
  {
    net::MutexLock lock(&mutex_);
    waiting_.store(0, std::memory_order_seq_cst);
    while (Waiter* waiter = waiters_.PopFront()) {
      MCGW_INVARIANT(waiter->place == Waiter::Place::kLog);
      waiter->place = Waiter::Place::kNone;
      if (waiter->ready->Push(waiter)) to_ring_.push_back(waiter->ready->doorbell());
    }
  }
  for (const std::shared_ptr<Doorbell>& doorbell : to_ring_) doorbell->Ring();
  to_ring_.clear();
}

void ChannelLog::MoveTail(uint64_t position, uint64_t sequence, std::vector<SlabRef>* freed) {
  MCGW_INVARIANT(position >= tail_position_ && sequence >= tail_sequence_);
  MCGW_INVARIANT(position <= committed_position_.load(std::memory_order_relaxed));
  // Numbers given up are older than those that follow, if that is known.
  for (size_t i = 0; i < slabs_.size() && slabs_[i]->begin_position < position; ++i) {
    const Slab& slab = *slabs_[i].get();
    const uint32_t records = slab.published_records.load(std::memory_order_relaxed);
    const uint32_t gone = slab.EntryAt(records, position - slab.begin_position);
    if (gone == 0) break;
    given_up_wall_ns_ = slab.begin_wall_ns + (int64_t{slab.entries()[gone - 1].wall_delta_us} + 1) * 1000;
  }
  tail_position_ = position;
  tail_sequence_ = sequence;
  while (slabs_.size() > 1 && slabs_[1]->begin_position <= position) freed->push_back(slabs_.PopFront());
  while (marks_.size() > kMarksKept && marks_.front().position < position) DropFirstMark();
}

void ChannelLog::Discard(std::vector<SlabRef> freed, uint64_t records) {
  evicted_.fetch_add(records, std::memory_order_relaxed);
  if (freed.empty()) return;
  size_t bytes = 0;
  for (const SlabRef& slab : freed) bytes += slab->footprint_bytes();
  const size_t count = freed.size();
  freed.clear();  // Memory first, then its count: a thread that makes room looks at both.
  budget_->RemoveSlabs(this, count, bytes);
}

bool ChannelLog::EvictOldest() {
  // Publishes what is about to go, marks included, so that the tail does not pass the head.
  if (committed_position_.load(std::memory_order_relaxed) != head_position_ ||
      marks_end_.load(std::memory_order_relaxed) != marks_added_) {
    Commit();
  }
  return GiveUpOldestSlab();
}

bool ChannelLog::GiveUp() { return GiveUpOldestSlab() || GiveUpMarks(); }

bool ChannelLog::GiveUpMarks() {
  // Halves the block and leaves it half full, but drops no unpublished marks. Were it full, the next mark would double
  // it again, and every mark would cost two copies of all.
  size_t capacity = 0;
  {
    net::MutexLock lock(&mutex_);
    capacity = marks_.capacity() / 2;
  }
  if (2 * capacity * sizeof(Mark) <= LogBudget::kMarkBytesKept) return false;
  std::vector<Mark> storage(capacity);
  {
    net::MutexLock lock(&mutex_);
    if (marks_.capacity() != 2 * capacity) return false;  // The writer or another thread was faster.
    const uint64_t published = marks_end_.load(std::memory_order_acquire);
    while (marks_.size() > capacity / 2 && first_mark_ < published) DropFirstMark();
    if (marks_.size() > capacity) return false;
    MCGW_INVARIANT(first_mark_ <= published);
    marks_.MoveInto(&storage);
    budget_->SetMarkBytes(this, capacity * sizeof(Mark));
  }
  return true;
}

bool ChannelLog::GiveUpOldestSlab() {
  std::vector<SlabRef> freed;  // Freed after the lock.
  freed.reserve(2);
  uint64_t records = 0;
  {
    net::MutexLock lock(&mutex_);
    if (slabs_.size() < 2) return false;
    const uint64_t position = slabs_[1]->begin_position;
    const uint64_t committed = committed_position_.load(std::memory_order_acquire);
    if (position > committed) return false;
    // The tail would have the number behind drops that are not published yet, and with it the head.
    const uint64_t marks_end = marks_end_.load(std::memory_order_acquire);
    if (position == committed && marks_end < first_mark_ + marks_.size()) return false;
    records = RecordsBetween(tail_position_, position);
    MoveTail(position, slabs_[1]->begin_sequence, &freed);
  }
  Discard(std::move(freed), records);
  return true;
}

void ChannelLog::EvictAll() {
  const net::OneAtATime::Using writing(writing_);
  Commit();
  std::vector<SlabRef> freed;
  freed.reserve(kSlabsFreedAtOnce);
  uint64_t records = 0;
  {
    net::MutexLock lock(&mutex_);
    if (slabs_.empty()) return;
    records = RecordsBetween(tail_position_, head_position_);
    MoveTail(head_position_, next_sequence_, &freed);
    freed.push_back(slabs_.PopFront());
    current_ = nullptr;
  }
  Discard(std::move(freed), records);
}

void ChannelLog::EvictIfIdle(int64_t now_ns, int64_t idle_ns) {
  if (current_ != nullptr && now_ns - appended_ns_ >= idle_ns) EvictAll();
}

void ChannelLog::Expire(int64_t now_ns) {
  if (options_.age_limit_ns == 0 || current_ == nullptr) return;
  std::vector<SlabRef> freed;
  freed.reserve(kSlabsFreedAtOnce);
  uint64_t records = 0;
  {
    net::MutexLock lock(&mutex_);
    const Cursor oldest = NotBeforeLocked(now_ns - options_.age_limit_ns);
    if (oldest.position == committed_position_.load(std::memory_order_relaxed)) {
      records = 0;
    } else if (oldest.position <= tail_position_) {
      return;
    } else {
      records = RecordsBetween(tail_position_, oldest.position);
      MoveTail(oldest.position, oldest.sequence, &freed);
    }
  }
  records == 0 ? EvictAll() : Discard(std::move(freed), records);
}

}  // namespace mcgw::fanout
