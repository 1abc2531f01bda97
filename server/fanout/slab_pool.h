// Memory for channel logs: reference-counted slabs from a shared pool, which counts them (LogBudget bounds them).
//
// One thread (the log's writer) writes a slab, front to back; any number of others read what it has published. A slab
// returns to its pool with the last reference, from any thread. gRPC may hold a slice of it long after the log and even
// the server are gone, so a slab keeps its pool alive.

#ifndef MCGW_FANOUT_SLAB_POOL_H_
#define MCGW_FANOUT_SLAB_POOL_H_

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "server/net/mutex.h"

namespace mcgw::fanout {

class SlabPool;

// The index entry of one record.
struct RecordEntry {
  uint32_t offset = 0;          // Of its first byte.
  uint32_t sequence_delta = 0;  // From Slab::begin_sequence.
  uint32_t time_delta_us = 0;   // From Slab::begin_time_ns.
  uint32_t wall_delta_us = 0;   // The greatest receive time so far, from Slab::begin_wall_ns.
};

class Slab {
 public:
  Slab(const Slab&) = delete;
  Slab& operator=(const Slab&) = delete;

  char* data() { return data_; }
  const char* data() const { return data_; }
  uint32_t capacity_bytes() const { return capacity_bytes_; }
  uint32_t max_records() const { return max_records_; }
  RecordEntry* entries() { return entries_; }
  const RecordEntry* entries() const { return entries_; }
  // The first of `records` entries that is at or behind `offset`.
  uint32_t EntryAt(uint32_t records, uint64_t offset) const {
    const auto before = [](const RecordEntry& entry, uint64_t at) { return entry.offset < at; };
    return static_cast<uint32_t>(std::lower_bound(entries_, entries_ + records, offset, before) - entries_);
  }
  // The slab's memory: data, index and header.
  size_t footprint_bytes() const { return footprint_bytes_; }

  void Ref() { references_.fetch_add(1, std::memory_order_relaxed); }
  void Unref();
  // True while there is a reference besides the caller's.
  bool shared() const { return references_.load(std::memory_order_acquire) > 1; }

  // Set by the writer before the slab is visible to readers, then constant.
  uint64_t begin_position = 0;  // In bytes since the log began.
  uint64_t begin_sequence = 1;
  int64_t begin_time_ns = 0;  // Monotonic clock.
  int64_t begin_wall_ns = 0;  // The greatest receive time up to its first record, by the kernel's wall clock.
  // How many entries readers may use. Stored with release by the writer.
  std::atomic<uint32_t> published_records{0};

 private:
  friend class SlabPool;
  Slab(std::shared_ptr<SlabPool> pool, size_t size_class, uint32_t capacity_bytes, uint32_t max_records,
       size_t footprint);
  ~Slab() = default;

  std::shared_ptr<SlabPool> pool_;  // Null while the slab is in the pool's free list.
  const size_t size_class_;
  const uint32_t capacity_bytes_;
  const uint32_t max_records_;
  const size_t footprint_bytes_;
  std::atomic<int32_t> references_{1};
  RecordEntry* entries_;
  char* data_;
};

// A counted reference to a slab.
class SlabRef {
 public:
  SlabRef() = default;
  // Takes over one reference.
  explicit SlabRef(Slab* slab) : slab_(slab) {}
  SlabRef(const SlabRef& other) : slab_(other.slab_) {
    if (slab_ != nullptr) slab_->Ref();
  }
  SlabRef(SlabRef&& other) noexcept : slab_(std::exchange(other.slab_, nullptr)) {}
  SlabRef& operator=(SlabRef other) noexcept {
    std::swap(slab_, other.slab_);
    return *this;
  }
  ~SlabRef() {
    if (slab_ != nullptr) slab_->Unref();
  }
  Slab* get() const { return slab_; }
  Slab* operator->() const { return slab_; }
  explicit operator bool() const { return slab_ != nullptr; }
  // Releases the reference: the caller calls Unref.
  Slab* Release() { return std::exchange(slab_, nullptr); }

 private:
  Slab* slab_ = nullptr;
};

// Thread-safe.
class SlabPool : public std::enable_shared_from_this<SlabPool> {
 public:
  // The sizes of slabs, in bytes of data.
  static constexpr std::array<uint32_t, 4> kSlabBytes = {4 << 10, 16 << 10, 64 << 10, 256 << 10};
  static constexpr size_t kOversize = kSlabBytes.size();

  static std::shared_ptr<SlabPool> Create();
  ~SlabPool();

  // A slab of kSlabBytes[size_class], or, for kOversize, of at least `least_bytes`. Never null.
  SlabRef Acquire(size_t size_class, size_t least_bytes = 0);

  // Used by logs and by messages in flight, without free slabs kept for reuse.
  size_t used_bytes() const { return used_bytes_.load(std::memory_order_relaxed); }

 private:
  friend class Slab;
  SlabPool() = default;
  void Return(Slab* slab);
  static Slab* Allocate(std::shared_ptr<SlabPool> pool, size_t size_class, uint32_t capacity_bytes);
  static void Free(Slab* slab);

  // How many free slabs of each size are kept.
  static constexpr size_t kFreeSlabsKept = 16;

  std::atomic<size_t> used_bytes_{0};
  net::Mutex mutex_;
  std::array<std::vector<Slab*>, kSlabBytes.size()> free_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace mcgw::fanout

#endif  // MCGW_FANOUT_SLAB_POOL_H_
