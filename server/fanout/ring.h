// A queue in one block of memory, indexed from its front, that allocates only on request.
//
// Its owner calls Reserve where allocation is allowed (under no lock), then PushBack and PopFront under its lock.

#ifndef MCGW_FANOUT_RING_H_
#define MCGW_FANOUT_RING_H_

#include <cstddef>
#include <utility>
#include <vector>

#include "server/net/invariant.h"

namespace mcgw::fanout {

template <typename T>
class Ring {
 public:
  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  bool full() const { return size_ == items_.size(); }
  size_t capacity() const { return items_.size(); }
  T& operator[](size_t i) { return items_[(front_ + i) % items_.size()]; }
  const T& operator[](size_t i) const { return items_[(front_ + i) % items_.size()]; }
  const T& front() const { return (*this)[0]; }
  const T& back() const { return (*this)[size_ - 1]; }

  void PushBack(T item) {  // Requires a ring that is not full.
    MCGW_INVARIANT(!full());
    items_[(front_ + size_) % items_.size()] = std::move(item);
    ++size_;
  }
  T PopFront() {  // Not when empty.
    MCGW_INVARIANT(!empty());
    T item = std::exchange(items_[front_], T{});
    front_ = (front_ + 1) % items_.size();
    --size_;
    return item;
  }

  // Moves into `storage`, which must have room for this ring, and leaves the old block there. To grow: make the new
  // block under no lock, call this under the lock, and release the old block after it.
  void MoveInto(std::vector<T>* storage) {
    MCGW_INVARIANT(storage->size() >= size_);
    for (size_t i = 0; i < size_; ++i) (*storage)[i] = std::move((*this)[i]);
    items_.swap(*storage);
    front_ = 0;
  }

 private:
  std::vector<T> items_;
  size_t front_ = 0;
  size_t size_ = 0;
};

}  // namespace mcgw::fanout

#endif  // MCGW_FANOUT_RING_H_
