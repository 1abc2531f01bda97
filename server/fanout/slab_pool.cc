#include "server/fanout/slab_pool.h"

#include <new>

#include "server/net/invariant.h"

namespace mcgw::fanout {
namespace {

// One index entry per this many data bytes. A record of an empty datagram takes about 30 bytes, so a slab of tiny
// datagrams may run out of entries before data; it is then full too.
constexpr uint32_t kDataBytesPerEntry = 48;

constexpr size_t kHeaderBytes = (sizeof(Slab) + 15) / 16 * 16;

}  // namespace

Slab::Slab(std::shared_ptr<SlabPool> pool, size_t size_class, uint32_t capacity_bytes, uint32_t max_records,
           size_t footprint)
    : pool_(std::move(pool)),
      size_class_(size_class),
      capacity_bytes_(capacity_bytes),
      max_records_(max_records),
      footprint_bytes_(footprint),
      entries_(reinterpret_cast<RecordEntry*>(reinterpret_cast<char*>(this) + kHeaderBytes)),
      data_(reinterpret_cast<char*>(entries_ + max_records)) {}

void Slab::Unref() {
  const int32_t before = references_.fetch_sub(1, std::memory_order_acq_rel);
  MCGW_INVARIANT(before >= 1);
  if (before != 1) return;
  const std::shared_ptr<SlabPool> pool = std::move(pool_);
  pool->Return(this);
}

std::shared_ptr<SlabPool> SlabPool::Create() { return std::shared_ptr<SlabPool>(new SlabPool()); }

SlabPool::~SlabPool() {
  MCGW_INVARIANT(used_bytes() == 0);  // A slab in use keeps its pool.
  for (const std::vector<Slab*>& slabs : free_) {
    for (Slab* slab : slabs) Free(slab);
  }
}

Slab* SlabPool::Allocate(std::shared_ptr<SlabPool> pool, size_t size_class, uint32_t capacity_bytes) {
  const uint32_t max_records = size_class == kOversize ? 1 : capacity_bytes / kDataBytesPerEntry;
  const size_t footprint = kHeaderBytes + max_records * sizeof(RecordEntry) + capacity_bytes;
  return new (::operator new(footprint)) Slab(std::move(pool), size_class, capacity_bytes, max_records, footprint);
}

void SlabPool::Free(Slab* slab) {
  slab->~Slab();
  ::operator delete(slab);
}

SlabRef SlabPool::Acquire(size_t size_class, size_t least_bytes) {
  Slab* slab = nullptr;
  if (size_class != kOversize) {
    net::MutexLock lock(&mutex_);
    std::vector<Slab*>& slabs = free_[size_class];
    if (!slabs.empty()) {
      slab = slabs.back();
      slabs.pop_back();
    }
  }
  if (slab == nullptr) {
    const size_t capacity = size_class == kOversize ? least_bytes : kSlabBytes[size_class];
    slab = Allocate(shared_from_this(), size_class, static_cast<uint32_t>(capacity));
  } else {
    MCGW_INVARIANT(slab->references_.load(std::memory_order_relaxed) == 0 && slab->pool_ == nullptr);
    slab->pool_ = shared_from_this();
    slab->references_.store(1, std::memory_order_relaxed);
    slab->published_records.store(0, std::memory_order_relaxed);
  }
  used_bytes_.fetch_add(slab->footprint_bytes(), std::memory_order_relaxed);
  MCGW_INVARIANT(slab->capacity_bytes() >= least_bytes);
  return SlabRef(slab);
}

void SlabPool::Return(Slab* slab) {
  const size_t used_before = used_bytes_.fetch_sub(slab->footprint_bytes(), std::memory_order_relaxed);
  MCGW_INVARIANT(used_before >= slab->footprint_bytes());
  if (slab->size_class_ != kOversize) {
    net::MutexLock lock(&mutex_);
    std::vector<Slab*>& slabs = free_[slab->size_class_];
    if (slabs.size() < kFreeSlabsKept) {
      slabs.push_back(slab);
      return;
    }
  }
  Free(slab);
}

}  // namespace mcgw::fanout
