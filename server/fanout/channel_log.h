// A bounded log of a channel's datagrams, encoded once and read by many.
//
// One thread writes (the channel's receive shard), any number of threads read, and any thread that needs memory may
// give up the oldest slab. The log is a list of slabs; a position in it is a number of bytes since the log began. A
// reader's place is a Cursor, a value that is cheap to keep. A full log gives up its oldest slab. A cursor in that slab
// has been overtaken: it learns exactly what it missed, and other cursors are unaffected.
//
// Publishing: the writer appends records and then commits them together. Commit stores the committed position (an
// atomic); readers read nothing beyond it. A mutex guards the list of slabs, the marks and the waiters. It is held for
// a few instructions, never during an allocation or a system call.
//
// A mark is an event between two records: a loss, or an interruption of unknown extent. A run of records never crosses
// a mark. Marks outlive the records around them for a while, so that an overtaken reader still learns which numbers the
// kernel dropped. When marks must go, missing numbers still reveal the drops, and one mark stands for all dropped
// interruptions.

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
#include "server/net/invariant.h"
#include "server/net/mutex.h"

namespace mcgw::fanout {

// A reader's place in a log. The reader has handled everything before it.
struct Cursor {
  uint64_t position = 0;  // Bytes since the log began.
  uint64_t sequence = 1;  // The next expected number.
  uint64_t mark = 0;      // The ordinal of the next mark to pass.
};

// The result of one read: whole records in one slab, with no mark between them.
struct Run {
  SlabRef slab;
  const char* data = nullptr;
  size_t size_bytes = 0;
  uint32_t first_entry = 0;  // Into slab->entries().
  uint32_t records = 0;
  Cursor next;  // The cursor behind the run.
};

// What lies between a cursor and the head, counted by the log.
struct Backlog {
  uint64_t next_sequence = 1;  // The head's.
  uint64_t datagrams = 0;      // Records, numbers dropped by the kernel, and numbers given up.
  uint64_t bytes = 0;          // Of records, including those given up.
  int64_t oldest_ns = 0;       // When the oldest record still held was received (monotonic); 0 if none.
};

class ChannelLog : public LogBudget::Holder {
 public:
  struct Options {
    uint64_t channel_id = 0;
    size_t budget_bytes = 4 << 20;  // For slabs and marks; at least one slab is kept.
    int64_t age_limit_ns = 0;       // Maximum age of a record; 0: no limit.
    size_t shard = 0;               // The shard that writes it.
  };
  enum class ReadResult {
    kEmpty,      // The cursor is at the head (or at end_position); `run->next` is the same place.
    kRun,        // `run` is filled.
    kMark,       // `gap` is filled; `run->next` is the cursor behind the mark.
    kOvertaken,  // The tail has passed the cursor: move it to Oldest() or Head() and announce the difference.
  };

  ChannelLog(const Options& options, std::shared_ptr<LogBudget> budget);
  ~ChannelLog() override;

  uint64_t channel_id() const { return options_.channel_id; }
  const Options& options() const { return options_; }
  // Random; differs between logs of the same channel.
  uint64_t epoch() const { return epoch_; }

  // ---- Writer thread only ----

  // Numbers a datagram and appends it, encoded. Invisible until Commit. `now_ns` is the monotonic clock.
  void Append(const net::ReceivedDatagram& datagram, int64_t now_ns);
  // Records that the kernel dropped `count` datagrams at this place; they use up their numbers.
  void AppendDrops(uint64_t count, int64_t from_time_unix_ns, int64_t to_time_unix_ns);
  // Records that an unknown number of datagrams may be missing at this place. `interruption` is NextInterruption's.
  void AppendUnknown(GapCause cause, int64_t from_time_unix_ns, int64_t to_time_unix_ns, uint32_t interruption = 0);
  // Publishes what was appended and wakes waiting readers.
  void Commit();
  // Gives up the oldest slab, unless it is the one being written. Returns whether it did.
  bool EvictOldest();
  // Gives up all records, including those in the slab being written. Numbering continues.
  void EvictAll();
  // Gives up records older than the age limit.
  void Expire(int64_t now_ns);
  // Gives up all records if none has come for `idle_ns`.
  void EvictIfIdle(int64_t now_ns, int64_t idle_ns);

  // ---- Any thread ----

  // Like EvictOldest, for published slabs; or gives up marks if they hold the memory.
  bool GiveUp() override;

  // Announces and numbers an interruption that the writer will mark. Readers that start at the head from now on do not
  // hear of it, however late the writer marks it.
  uint32_t NextInterruption() { return interruptions_.fetch_add(1, std::memory_order_seq_cst) + 1; }
  uint32_t interruptions() const { return interruptions_.load(std::memory_order_seq_cst); }

  // Head: behind all committed records. Oldest: the oldest record held. AtSequence: the number, else the oldest record
  // if it is gone, or the head if it is yet to come. BytesBeforeHead: about `bytes` before the head.
  Cursor Head() const;
  Cursor Oldest() const;
  Cursor AtSequence(uint64_t sequence) const;
  Cursor BytesBeforeHead(uint64_t bytes) const;
  // The first record received at `time_ns` (monotonic) or later; the head if none.
  Cursor NotBefore(int64_t time_ns) const;
  // Cursor for a reader that has handled every number below `sequence` (at most the head's). It stands before any mark
  // at that number. If the log no longer holds the number, the cursor has been overtaken.
  Cursor Resume(uint64_t sequence) const;
  // The first record with a kernel timestamp (wall clock) of `unix_ns` or later; the head if none. `lost` tells whether
  // the log may have given up such records, and at most how many; no value: unknown.
  struct AtTime {
    Cursor cursor;
    bool lost = false;
    std::optional<uint64_t> at_most;
  };
  AtTime NotBeforeWallTime(int64_t unix_ns) const;

  // Reads from `cursor` at most `max_bytes`, but at least one record, and not beyond `end_position`.
  ReadResult Read(const Cursor& cursor, size_t max_bytes, uint64_t end_position, Run* run, Gap* gap) const;

  // Moves a cursor towards `end`, a later place of this log, without reading: over the numbers before the next mark, or
  // over that mark. `gap` describes what was passed: the mark, or numbers given up for `cause`. Returns false, with the
  // cursor at `end`, if nothing was left to pass.
  bool PassOver(Cursor* cursor, const Cursor& end, GapCause cause, Gap* gap) const;

  // Counts the records and marks ahead of a cursor, in time proportional to their number.
  Backlog Ahead(const Cursor& cursor) const;

  uint64_t committed_position() const { return committed_position_.load(std::memory_order_seq_cst); }
  uint64_t next_sequence() const { return Head().sequence; }

  // Makes the next Commit wake `waiter`. Returns false and does not wait if something is already behind `cursor`. A
  // waiter that already waits keeps waiting.
  bool Wait(const Cursor& cursor, Waiter* waiter);
  // Makes this log drop `waiter`.
  void Forget(Waiter* waiter);

  // Counters of datagrams and payload bytes. Any thread.
  uint64_t logged() const { return logged_.load(std::memory_order_relaxed); }
  uint64_t logged_payload_bytes() const { return logged_payload_bytes_.load(std::memory_order_relaxed); }
  uint64_t kernel_drops() const { return kernel_drops_.load(std::memory_order_relaxed); }
  uint64_t evicted() const { return evicted_.load(std::memory_order_relaxed); }
  uint64_t unknown_gaps() const { return unknown_gaps_.load(std::memory_order_relaxed); }

 private:
  struct Mark {
    uint64_t position = 0;
    Gap gap;  // With count 0, first_sequence is the next number.
    uint64_t next_sequence() const { return gap.first_sequence + gap.count; }
    // Whether a reader whose next number is `sequence` started behind the mark.
    bool IsBefore(uint64_t sequence) const {
      return gap.count > 0 ? next_sequence() <= sequence : gap.first_sequence < sequence;
    }
  };

  void EnterSlab(size_t record_bytes, int64_t now_ns, int64_t wall_ns);
  // Whether the newest slab's index can hold these times.
  bool FitsTimes(int64_t now_ns, int64_t wall_ns) const;
  // Moves the tail here. Slabs before it, except the last, go to `freed`; marks far behind it go too.
  void MoveTail(uint64_t position, uint64_t sequence, std::vector<SlabRef>* freed)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Discard(std::vector<SlabRef> freed, uint64_t records);
  bool GiveUpOldestSlab();
  bool GiveUpMarks();
  void DropFirstMark() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Whether a cursor must still be told of interruptions whose marks are gone.
  bool MissesGivenUp(const Cursor& cursor) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return cursor.mark < given_up_end_ && !given_up_.IsBefore(cursor.sequence);
  }
  size_t ChooseSlabClass(size_t record_bytes, int64_t now_ns);
  void AddMark(const Gap& gap);
  void WakeWaiters();
  bool AnythingBehind(const Cursor& cursor) const;
  // The number of records that begin in [from, to).
  uint64_t RecordsBetween(uint64_t from, uint64_t to) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  uint64_t NumbersAhead(const Cursor& cursor, const Cursor& head) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Cursor NotBeforeLocked(int64_t time_ns) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // The index in slabs_ of the last slab that begins at or before `position`. slabs_ must not be empty.
  size_t SlabIndexAt(uint64_t position) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // The ordinal of the first mark that a cursor at this place has yet to pass.
  uint64_t MarkFrom(uint64_t position, uint64_t sequence) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Cursor CursorAt(uint64_t position, uint64_t sequence) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // The cursor of a number that the log holds; `head` is the head.
  Cursor RecordAt(uint64_t sequence, const Cursor& head) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // The cursor of the record at an index entry; behind the slab's last, the first record of the next slab.
  Cursor RecordOr(size_t slab_index, uint32_t entry, const Cursor& head) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Cursor OldestLocked() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Cursor HeadLocked() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const Options options_;
  const uint64_t epoch_;
  const int64_t begin_unix_ns_;
  const std::shared_ptr<LogBudget> budget_;
  const size_t most_marks_;

  // Writer only.
  net::OneAtATime writing_;
  Slab* current_ = nullptr;  // The last of slabs_.
  uint32_t current_used_bytes_ = 0;
  uint32_t current_records_ = 0;
  uint64_t head_position_ = 0;
  uint64_t next_sequence_ = 1;
  uint64_t marks_added_ = 0;
  int64_t greatest_wall_ns_ = 0;
  size_t slab_class_ = 0;
  int64_t appended_ns_ = 0;                         // When the last record was appended; monotonic.
  std::vector<std::shared_ptr<Doorbell>> to_ring_;  // Kept for its capacity.

  std::atomic<uint64_t> committed_position_{0};
  std::atomic<uint64_t> marks_end_{0};  // The ordinal of the next mark.
  std::atomic<uint32_t> waiting_{0};    // The size of waiters_.
  std::atomic<uint32_t> interruptions_{0};
  std::atomic<uint64_t> logged_{0};
  std::atomic<uint64_t> logged_payload_bytes_{0};
  std::atomic<uint64_t> kernel_drops_{0};
  std::atomic<uint64_t> evicted_{0};
  std::atomic<uint64_t> unknown_gaps_{0};

  mutable net::Mutex mutex_;
  Ring<SlabRef> slabs_ ABSL_GUARDED_BY(mutex_);
  // Where the log begins: at a record of the first slab, or at the head. Nothing before it is read.
  uint64_t tail_position_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t tail_sequence_ ABSL_GUARDED_BY(mutex_) = 1;
  int64_t given_up_wall_ns_ ABSL_GUARDED_BY(mutex_) = 0;  // At least the greatest receive time before the tail.
  Ring<Mark> marks_ ABSL_GUARDED_BY(mutex_);
  uint64_t first_mark_ ABSL_GUARDED_BY(mutex_) = 0;  // The ordinal of marks_[0].
  // Stands for all interruptions whose marks had to go, over their whole time, and the ordinal behind; 0: none.
  Mark given_up_ ABSL_GUARDED_BY(mutex_);
  uint64_t given_up_end_ ABSL_GUARDED_BY(mutex_) = 0;
  WaiterList waiters_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace mcgw::fanout

#endif  // MCGW_FANOUT_CHANNEL_LOG_H_
