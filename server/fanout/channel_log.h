// The bounded record of a channel's datagrams, encoded once, read by many.
//
// One thread writes (the receive shard of the channel); any number read; whoever needs memory may take the oldest slab.
// The log is a list of slabs; places in it are positions (bytes since the log began). A subscriber is a Cursor: a
// value, cheap to keep. When the log is full its oldest slab goes, and a cursor that was there has been overtaken: it
// learns exactly what it missed, and nobody else is touched.
//
// Publishing: the writer appends any number of records and then commits them at once. Commit stores the committed
// position (an atomic); a reader looks at nothing beyond it. A mutex guards the list of slabs, the marks and the
// waiters; it is held for a few instructions, never across an allocation or a system call.
//
// A mark is an event at a place between two records: a loss, or an interruption whose extent nobody knows. A run of
// records never crosses a mark. Marks outlive the records around them for a while, so that whoever was overtaken still
// learns which numbers the kernel had dropped. Where marks must go, the numbers that are missing still tell of the
// drops, and one mark stands for all interruptions that had to go.

#ifndef MCGW_FANOUT_CHANNEL_LOG_H_
#define MCGW_FANOUT_CHANNEL_LOG_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "server/fanout/event.h"
#include "server/fanout/log_budget.h"
#include "server/fanout/ring.h"
#include "server/fanout/slab_pool.h"
#include "server/fanout/waiter.h"
#include "server/net/datagram.h"
#include "server/net/mutex.h"

namespace mcgw::fanout {

// A subscriber's place in a log. Everything before it has been dealt with.
struct Cursor {
  uint64_t position = 0;  // Bytes since the log began.
  uint64_t sequence = 1;  // The next number it expects.
  uint64_t mark = 0;      // The ordinal of the next mark it has not passed.
};

// What a cursor reads at one go: whole records in one slab, with no mark between them.
struct Run {
  SlabRef slab;
  const char* data = nullptr;
  size_t size_bytes = 0;
  uint32_t first_entry = 0;  // Into slab->entries().
  uint32_t records = 0;
  Cursor next;  // The cursor after the run.
};

// What lies between a cursor and the head, as the log itself counts it.
struct Backlog {
  uint64_t next_sequence = 1;  // Of the head.
  uint64_t datagrams = 0;      // Records, numbers that the kernel dropped, and numbers that the log has given up.
  uint64_t bytes = 0;          // Of records, also of those given up.
  int64_t oldest_ns = 0;       // When the first of the records still held was received (monotonic); 0 if none is.
};

class ChannelLog : public LogBudget::Holder {
 public:
  struct Options {
    uint64_t channel_id = 0;
    size_t budget_bytes = 4 << 20;  // Of slabs and marks; at least one slab is kept.
    int64_t age_limit_ns = 0;       // How long a record is held at most; 0: no limit.
    size_t shard = 0;               // That writes it.
  };
  enum class ReadResult {
    kEmpty,      // The cursor is at the head (or at end_position); `run->next` is the same place.
    kRun,        // `run` is filled.
    kMark,       // `gap` is filled; `run->next` is the cursor behind the mark.
    kOvertaken,  // The tail has passed the cursor: move it to Oldest() or Head() and announce what lies between.
  };

  ChannelLog(const Options& options, std::shared_ptr<LogBudget> budget);
  ~ChannelLog() override;

  uint64_t channel_id() const { return options_.channel_id; }
  const Options& options() const { return options_; }
  // Random; another log of the same channel has another.
  uint64_t epoch() const { return epoch_; }

  // ---- The writer's thread ----

  // Numbers a datagram and encodes it at the end. Not visible before Commit. `now_ns` is the monotonic clock.
  void Append(const net::ReceivedDatagram& datagram, int64_t now_ns);
  // Says that `count` datagrams were dropped by the kernel just here: their numbers are used up.
  void AppendDrops(uint64_t count, int64_t from_time_unix_ns, int64_t to_time_unix_ns);
  // Says that an unknown number of datagrams may be missing just here; `interruption` as NextInterruption gave it.
  void AppendUnknown(GapCause cause, int64_t from_time_unix_ns, int64_t to_time_unix_ns, uint32_t interruption = 0);
  // Publishes what was appended and wakes those who wait.
  void Commit();
  // Gives up the oldest slab, if there is more than the one being written. False if there was not.
  bool EvictOldest();
  // Gives up all records, also those in the slab being written. Numbers go on.
  void EvictAll();
  // Gives up the records that are older than the age limit.
  void Expire(int64_t now_ns);
  // Gives up all records if none has come for so long.
  void EvictIfIdle(int64_t now_ns, int64_t idle_ns);

  // ---- Any thread ----

  // As EvictOldest, of what is published; or marks, if they are what it holds.
  bool GiveUp() override;

  // Announces an interruption that the writer is going to mark, and numbers it. Who begins to read at the head from now
  // on does not hear of it: to him it is past, however late the writer comes to mark it.
  uint32_t NextInterruption() { return interruptions_.fetch_add(1, std::memory_order_seq_cst) + 1; }
  uint32_t interruptions() const { return interruptions_.load(std::memory_order_seq_cst); }

  // Behind all that is committed; at the oldest record still held; at a number still held (the oldest if it has gone,
  // the head if it has not come); about `bytes` before the head.
  Cursor Head() const;
  Cursor Oldest() const;
  Cursor AtSequence(uint64_t sequence) const;
  Cursor BytesBeforeHead(uint64_t bytes) const;
  // At the first record received at `time_ns` (monotonic) or later; the head if there is none.
  Cursor NotBefore(int64_t time_ns) const;
  // Where one goes on that has dealt with all numbers below `sequence`, which is at most the head's: at that number,
  // before the marks that stand there. If the log no longer holds it, the cursor is one that has been overtaken.
  Cursor Resume(uint64_t sequence) const;
  // At the first record that the kernel's wall clock stamped `unix_ns` or later; the head if there is none. `lost` says
  // whether such records may have been before the oldest one, and at most how many; no value: not known.
  struct AtTime {
    Cursor cursor;
    bool lost = false;
    std::optional<uint64_t> at_most;
  };
  AtTime NotBeforeWallTime(int64_t unix_ns) const;

  // Reads on from `cursor`, at most `max_bytes` but at least one record, and not beyond `end_position`.
  ReadResult Read(const Cursor& cursor, size_t max_bytes, uint64_t end_position, Run* run, Gap* gap) const;

  // Moves a cursor towards `end`, a later place of this log, without reading: over the numbers before the next mark, or
  // over that mark. `gap` says what was passed: what a mark says, or numbers given up for `cause`. False, with the
  // cursor at `end`, if nothing was left to pass.
  bool PassOver(Cursor* cursor, const Cursor& end, GapCause cause, Gap* gap) const;

  // Counts what is ahead of a cursor, by the records and marks there. Takes time with their number.
  Backlog Ahead(const Cursor& cursor) const;

  uint64_t committed_position() const { return committed_position_.load(std::memory_order_seq_cst); }
  uint64_t next_sequence() const { return Head().sequence; }

  // Has `waiter` woken by the next Commit. False, and it does not wait, if there is already something behind `cursor`.
  // A waiter that waits already goes on waiting.
  bool Wait(const Cursor& cursor, Waiter* waiter);
  // Makes sure that this log no longer knows `waiter`.
  void Forget(Waiter* waiter);

  // Counters, in datagrams and bytes of payload. Any thread.
  uint64_t logged() const { return logged_.load(std::memory_order_relaxed); }
  uint64_t logged_payload_bytes() const { return logged_payload_bytes_.load(std::memory_order_relaxed); }
  uint64_t kernel_drops() const { return kernel_drops_.load(std::memory_order_relaxed); }
  uint64_t evicted() const { return evicted_.load(std::memory_order_relaxed); }
  uint64_t unknown_gaps() const { return unknown_gaps_.load(std::memory_order_relaxed); }

 private:
  struct Mark {
    uint64_t position = 0;
    Gap gap;  // With count 0, first_sequence is the number that came next.
    uint64_t next_sequence() const { return gap.first_sequence + gap.count; }
    // Whether a reader whose next number is `sequence` began behind it.
    bool IsBefore(uint64_t sequence) const {
      return gap.count > 0 ? next_sequence() <= sequence : gap.first_sequence < sequence;
    }
  };

  void EnterSlab(size_t record_bytes, int64_t now_ns, int64_t wall_ns);
  // Whether the newest slab's index can hold these times.
  bool FitsTimes(int64_t now_ns, int64_t wall_ns) const;
  // The tail is now here. Slabs before it go, to `freed`, but for the last; marks far behind it go too.
  void MoveTail(uint64_t position, uint64_t sequence, std::vector<SlabRef>* freed)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Discard(std::vector<SlabRef> freed, uint64_t records);
  bool GiveUpOldestSlab();
  bool GiveUpMarks();
  void DropFirstMark() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Whether a cursor has still to hear of interruptions whose marks are gone.
  bool MissesGivenUp(const Cursor& cursor) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return cursor.mark < given_up_end_ && !given_up_.IsBefore(cursor.sequence);
  }
  size_t ChooseSlabClass(size_t record_bytes, int64_t now_ns);
  void AddMark(const Gap& gap);
  void WakeWaiters();
  bool AnythingBehind(const Cursor& cursor) const;
  // Records that begin at `from` or behind it, and before `to`.
  uint64_t RecordsBetween(uint64_t from, uint64_t to) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  uint64_t NumbersAhead(const Cursor& cursor, const Cursor& head) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Cursor NotBeforeLocked(int64_t time_ns) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Index into slabs_ of the slab that holds `position`: the last that begins at or before it. There is at least one.
  size_t SlabIndexAt(uint64_t position) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // The ordinal of the first mark that a cursor at this place has still to pass.
  uint64_t MarkFrom(uint64_t position, uint64_t sequence) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Cursor CursorAt(uint64_t position, uint64_t sequence) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // At a number that is held; `head` is the head.
  Cursor RecordAt(uint64_t sequence, const Cursor& head) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // At a record by its place in the index, or at the first of the next slab if it is behind the last.
  Cursor RecordOr(size_t slab_index, uint32_t entry, const Cursor& head) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Cursor OldestLocked() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Cursor HeadLocked() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const Options options_;
  const uint64_t epoch_;
  const int64_t begin_unix_ns_;
  const std::shared_ptr<LogBudget> budget_;
  const size_t most_marks_;

  // Of the writer.
  Slab* current_ = nullptr;  // The last of slabs_.
  uint32_t current_used_bytes_ = 0;
  uint32_t current_records_ = 0;
  uint64_t head_position_ = 0;
  uint64_t next_sequence_ = 1;
  uint64_t marks_added_ = 0;
  int64_t greatest_wall_ns_ = 0;
  size_t slab_class_ = 0;
  int64_t appended_ns_ = 0;                         // When the last record was; monotonic.
  std::vector<std::shared_ptr<Doorbell>> to_ring_;  // Kept for its capacity.

  std::atomic<uint64_t> committed_position_{0};
  std::atomic<uint64_t> marks_end_{0};  // The ordinal of the mark that will come next.
  std::atomic<uint32_t> waiting_{0};    // How many are in waiters_.
  std::atomic<uint32_t> interruptions_{0};
  std::atomic<uint64_t> logged_{0};
  std::atomic<uint64_t> logged_payload_bytes_{0};
  std::atomic<uint64_t> kernel_drops_{0};
  std::atomic<uint64_t> evicted_{0};
  std::atomic<uint64_t> unknown_gaps_{0};

  mutable net::Mutex mutex_;
  Ring<SlabRef> slabs_ ABSL_GUARDED_BY(mutex_);
  // Where the log begins: at a record of the first slab, or at the head. What lies before it is no longer read.
  uint64_t tail_position_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t tail_sequence_ ABSL_GUARDED_BY(mutex_) = 1;
  int64_t given_up_wall_ns_ ABSL_GUARDED_BY(mutex_) =
      0;  // The greatest receive time before the tail, or a little more.
  Ring<Mark> marks_ ABSL_GUARDED_BY(mutex_);
  uint64_t first_mark_ ABSL_GUARDED_BY(mutex_) = 0;  // The ordinal of marks_[0].
  // The last interruption whose mark had to go, over the time of all of them, and the ordinal behind it; 0: none.
  Mark given_up_ ABSL_GUARDED_BY(mutex_);
  uint64_t given_up_end_ ABSL_GUARDED_BY(mutex_) = 0;
  WaiterList waiters_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace mcgw::fanout

#endif  // MCGW_FANOUT_CHANNEL_LOG_H_
