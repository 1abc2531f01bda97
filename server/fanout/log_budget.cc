#include "server/fanout/log_budget.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "server/net/invariant.h"

namespace mcgw::fanout {
namespace {

// How many logs may have nothing to give up just now, because their writers have not published it yet.
constexpr size_t kMostRefusals = 8;

}  // namespace

std::shared_ptr<LogBudget> LogBudget::Create(size_t budget_bytes, size_t shards) {
  return std::shared_ptr<LogBudget>(new LogBudget(budget_bytes, shards));
}

LogBudget::LogBudget(size_t budget_bytes, size_t shards)
    : budget_bytes_(budget_bytes), shards_(std::max<size_t>(shards, 1)) {}

LogBudget::~LogBudget() {
  MCGW_INVARIANT(logged_bytes_.load() == 0 && mark_bytes_.load() == 0 && newest_bytes_.load() == 0);
}

int LogBudget::ClassOf(size_t bytes) {
  // The position of the highest bit and the three bits behind it.
  const int exponent = std::max(static_cast<int>(std::bit_width(bytes)) - 1, 3);
  return exponent * kClassesForEachDoubling + static_cast<int>((bytes >> (exponent - 3)) & 7);
}

int LogBudget::Shard::Largest() const {
  for (size_t word = listed.size(); word-- > 0;) {
    if (listed[word] != 0) return static_cast<int>(word * 64 + std::bit_width(listed[word]) - 1);
  }
  return -1;
}

void LogBudget::PutOnList(Holder* holder) {
  MCGW_INVARIANT(holder->size_class_ < 0);
  if (holder->slabs_ < 2 && holder->mark_bytes_ <= kMarkBytesKept) return;
  Shard& shard = ShardOf(*holder);
  holder->size_class_ = ClassOf(holder->footprint_bytes());
  List& list = shard.lists[holder->size_class_];
  holder->previous_ = list.back;
  holder->next_ = nullptr;
  (list.back == nullptr ? list.front : list.back->next_) = holder;
  list.back = holder;
  shard.listed[holder->size_class_ / 64] |= uint64_t{1} << (holder->size_class_ % 64);
}

void LogBudget::TakeOffList(Holder* holder) {
  if (holder->size_class_ < 0) return;
  Shard& shard = ShardOf(*holder);
  List& list = shard.lists[holder->size_class_];
  MCGW_INVARIANT(holder->previous_ == nullptr ? list.front == holder : holder->previous_->next_ == holder);
  MCGW_INVARIANT(holder->next_ == nullptr ? list.back == holder : holder->next_->previous_ == holder);
  (holder->previous_ == nullptr ? list.front : holder->previous_->next_) = holder->next_;
  (holder->next_ == nullptr ? list.back : holder->next_->previous_) = holder->previous_;
  if (list.front == nullptr) shard.listed[holder->size_class_ / 64] &= ~(uint64_t{1} << (holder->size_class_ % 64));
  holder->size_class_ = -1;
}

void LogBudget::Resize(Holder* holder, ptrdiff_t change) {
  MCGW_INVARIANT(change >= 0 || holder->footprint_bytes() >= static_cast<size_t>(-change));
  MCGW_INVARIANT(ShardOf(*holder).bytes >= holder->footprint_bytes() && logged_bytes() >= ShardOf(*holder).bytes);
  holder->bytes_.store(holder->footprint_bytes() + change, std::memory_order_relaxed);
  ShardOf(*holder).bytes += change;
  logged_bytes_.fetch_add(change, std::memory_order_relaxed);
  TakeOffList(holder);
  PutOnList(holder);
}

void LogBudget::AddSlab(Holder* holder, size_t bytes) {
  net::MutexLock lock(&mutex_);
  ++holder->slabs_;
  const size_t growth = Growth(bytes);
  newest_bytes_.fetch_add(growth - std::exchange(holder->newest_bytes_, growth), std::memory_order_relaxed);
  Resize(holder, static_cast<ptrdiff_t>(bytes));
}

void LogBudget::RemoveSlabs(Holder* holder, size_t count, size_t bytes) {
  net::MutexLock lock(&mutex_);
  MCGW_INVARIANT(holder->slabs_ >= count);
  holder->slabs_ -= count;
  if (holder->slabs_ == 0) {
    newest_bytes_.fetch_sub(std::exchange(holder->newest_bytes_, 0), std::memory_order_relaxed);
  }
  Resize(holder, -static_cast<ptrdiff_t>(bytes));
}

void LogBudget::SetMarkBytes(Holder* holder, size_t bytes) {
  net::MutexLock lock(&mutex_);
  const auto change = static_cast<ptrdiff_t>(bytes - std::exchange(holder->mark_bytes_, bytes));
  mark_bytes_.fetch_add(change, std::memory_order_relaxed);
  Resize(holder, change);
}

void LogBudget::Forget(Holder* holder) {
  net::MutexLock lock(&mutex_);
  mark_bytes_.fetch_sub(std::exchange(holder->mark_bytes_, 0), std::memory_order_relaxed);
  newest_bytes_.fetch_sub(std::exchange(holder->newest_bytes_, 0), std::memory_order_relaxed);
  holder->slabs_ = 0;
  Resize(holder, -static_cast<ptrdiff_t>(holder->footprint_bytes()));
  MCGW_INVARIANT(holder->size_class_ < 0);
}

std::shared_ptr<LogBudget::Holder> LogBudget::Largest() {
  net::MutexLock lock(&mutex_);
  const size_t floor_bytes = budget_bytes_ / 4 / shards_.size();
  while (true) {
    Holder* largest = nullptr;
    for (const Shard& shard : shards_) {
      const int size_class = shard.bytes > floor_bytes ? shard.Largest() : -1;
      if (size_class >= 0 && (largest == nullptr || size_class > largest->size_class_)) {
        largest = shard.lists[size_class].front;
        MCGW_INVARIANT(largest != nullptr && largest->size_class_ == size_class);
      }
    }
    if (largest == nullptr) return nullptr;
    TakeOffList(largest);
    // A holder whose last reference is gone stays off its list: it is about to be forgotten.
    if (std::shared_ptr<Holder> holder = largest->weak_from_this().lock(); holder != nullptr) {
      PutOnList(largest);
      return holder;
    }
  }
}

void LogBudget::MakeRoom() {
  std::vector<std::shared_ptr<Holder>> refused;  // Taken off their lists meanwhile.
  while (spent() && logged_bytes() > budget_bytes_ / 2 && refused.size() < kMostRefusals) {
    std::shared_ptr<Holder> largest = Largest();
    if (largest == nullptr) break;
    share_bytes_.store(largest->footprint_bytes(), std::memory_order_relaxed);
    if (largest->GiveUp()) continue;
    net::MutexLock lock(&mutex_);
    TakeOffList(largest.get());
    refused.push_back(std::move(largest));
  }
  if (refused.empty()) return;
  net::MutexLock lock(&mutex_);
  for (const std::shared_ptr<Holder>& holder : refused) {
    TakeOffList(holder.get());
    PutOnList(holder.get());
  }
}

}  // namespace mcgw::fanout
