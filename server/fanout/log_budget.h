// The memory of all channel logs together: counts what each log holds, and chooses which log gives up memory.
//
// A log is a Holder. It reports each slab, and the memory of its marks, when it takes and when it returns them. The log
// that takes a slab while the budget is spent makes room: the largest log, whichever shard writes it, gives up its
// oldest slab, on the thread that needs the room. No shard waits for another, and the bound holds while any is busy.
//
// What keeps logs from starving each other:
//   - The slab being written is never given up. Together these grow beyond the smallest size only up to a quarter of
//     the budget, so that most of it can be given up. While room is being made they stay small beside the largest log.
//   - Each shard has a floor, an equal part of a quarter of the budget: below it, logs of other shards give way.
//   - Giving up slabs does not free what messages pin, so logs keep half of the budget in any case.
//
// Holders are listed in size classes, eight per doubling. Every call takes the same time for one log or a million;
// "the largest" is exact to within an eighth.

#ifndef MCGW_FANOUT_LOG_BUDGET_H_
#define MCGW_FANOUT_LOG_BUDGET_H_

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "server/fanout/slab_pool.h"
#include "server/net/mutex.h"

namespace mcgw::fanout {

// Thread-safe. No other lock is taken under its mutex.
class LogBudget {
 public:
  // A log, as the budget knows it. Owned by a shared_ptr if it is to give anything up.
  class Holder : public std::enable_shared_from_this<Holder> {
   public:
    explicit Holder(size_t shard) : shard_(shard) {}
    Holder(const Holder&) = delete;
    Holder& operator=(const Holder&) = delete;
    virtual ~Holder() = default;

    // Gives up its oldest slab, but never the newest, or some of its marks, and reports it to the budget. False if it
    // cannot now. Any thread, under no lock.
    virtual bool GiveUp() = 0;
    // Slabs and marks.
    size_t footprint_bytes() const { return bytes_.load(std::memory_order_relaxed); }

   private:
    friend class LogBudget;
    const size_t shard_;
    std::atomic<size_t> bytes_{0};  // This and the following: written under the budget's mutex.
    size_t slabs_ = 0;
    size_t newest_bytes_ = 0;  // Growth of the slab being written.
    size_t mark_bytes_ = 0;
    Holder* previous_ = nullptr;
    Holder* next_ = nullptr;
    int size_class_ = -1;  // Its list; -1: it has nothing to give up.
  };

  // A log's marks up to this size need never be given up.
  static constexpr size_t kMarkBytesKept = 8 << 10;

  static std::shared_ptr<LogBudget> Create(size_t budget_bytes, size_t shards = 1);
  ~LogBudget();
  LogBudget(const LogBudget&) = delete;
  LogBudget& operator=(const LogBudget&) = delete;

  const std::shared_ptr<SlabPool>& pool() const { return pool_; }
  size_t budget_bytes() const { return budget_bytes_; }
  // Memory of logs and of messages in flight.
  size_t used_bytes() const { return pool_->used_bytes() + mark_bytes_.load(std::memory_order_relaxed); }
  bool spent() const { return used_bytes() > budget_bytes_; }
  // The part that logs hold. Unfinished messages pin the rest.
  size_t logged_bytes() const { return logged_bytes_.load(std::memory_order_relaxed); }
  size_t pinned_bytes() const {
    const size_t used = used_bytes();
    const size_t logged = logged_bytes();
    return used > logged ? used - logged : 0;
  }
  // Whether a log may replace its newest slab, of `old_bytes`, by one larger than the smallest. While room is being
  // made, a slab is at most a quarter of the largest log: a log gives up one slab at a time and would lose what it has
  // just received. Room is being made while, beside the new slab, there is none for a largest one.
  bool AllowsNewest(size_t old_bytes, size_t new_bytes) const {
    const bool making_room = used_bytes() + new_bytes + SlabPool::kSlabBytes.back() > budget_bytes_;
    if (making_room && new_bytes > share_bytes_.load(std::memory_order_relaxed) / 4) return false;
    return newest_bytes_.load(std::memory_order_relaxed) + Growth(new_bytes) <= budget_bytes_ / 4 + Growth(old_bytes);
  }

  // Makes logs give up memory until the budget is kept, as far as possible. Call under no lock.
  void MakeRoom();

  // ---- Called by holders ----

  // The new slab is now the one being written. Call before any thread can give up the previous one.
  void AddSlab(Holder* holder, size_t bytes);
  void RemoveSlabs(Holder* holder, size_t count, size_t bytes);
  void SetMarkBytes(Holder* holder, size_t bytes);
  // The holder is gone, with everything it held.
  void Forget(Holder* holder);

 private:
  // Classes range from the smallest slab to the largest log.
  static constexpr int kClassesForEachDoubling = 8;
  static constexpr int kClasses = 64 * kClassesForEachDoubling;

  struct List {
    Holder* front = nullptr;
    Holder* back = nullptr;
  };
  // The holders of one shard that have something to give up.
  struct Shard {
    size_t bytes = 0;  // Of all its holders.
    std::array<List, kClasses> lists;
    std::array<uint64_t, kClasses / 64> listed = {};  // One bit per non-empty list.
    int Largest() const;                              // -1: none.
  };

  LogBudget(size_t budget_bytes, size_t shards);
  static int ClassOf(size_t bytes);
  // What a slab being written has beyond the smallest, index included.
  static size_t Growth(size_t bytes) { return bytes - std::min<size_t>(bytes, 2 * SlabPool::kSlabBytes.front()); }
  Shard& ShardOf(const Holder& holder) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return shards_[holder.shard_ % shards_.size()];
  }
  void Resize(Holder* holder, ptrdiff_t change) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void PutOnList(Holder* holder) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void TakeOffList(Holder* holder) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // The largest holder, moved behind its equals. Null if no holder has anything to give up.
  std::shared_ptr<Holder> Largest();

  const size_t budget_bytes_;
  const std::shared_ptr<SlabPool> pool_ = SlabPool::Create();
  std::atomic<size_t> logged_bytes_{0};
  std::atomic<size_t> mark_bytes_{0};
  std::atomic<size_t> newest_bytes_{0};
  std::atomic<size_t> share_bytes_{SIZE_MAX};  // The size of the largest log when room was last made.
  net::Mutex mutex_;
  std::vector<Shard> shards_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace mcgw::fanout

#endif  // MCGW_FANOUT_LOG_BUDGET_H_
