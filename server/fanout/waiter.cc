#include "server/fanout/waiter.h"

namespace mcgw::fanout {

void WaiterList::PushBack(Waiter* waiter) {
  MCGW_INVARIANT(waiter->previous == nullptr && waiter->next == nullptr && waiter != head_);
  waiter->previous = tail_;
  waiter->next = nullptr;
  (tail_ == nullptr ? head_ : tail_->next) = waiter;
  tail_ = waiter;
}

void WaiterList::Remove(Waiter* waiter) {
  MCGW_INVARIANT(waiter->previous == nullptr ? head_ == waiter : waiter->previous->next == waiter);
  MCGW_INVARIANT(waiter->next == nullptr ? tail_ == waiter : waiter->next->previous == waiter);
  (waiter->previous == nullptr ? head_ : waiter->previous->next) = waiter->next;
  (waiter->next == nullptr ? tail_ : waiter->next->previous) = waiter->previous;
  waiter->previous = waiter->next = nullptr;
}

Waiter* WaiterList::PopFront() {
  Waiter* const front = head_;
  if (front != nullptr) Remove(front);
  return front;
}

bool ReadyList::Push(Waiter* waiter) {
  net::MutexLock lock(&mutex_);
  MCGW_INVARIANT(waiter->place == Waiter::Place::kNone && waiter->ready == this);
  const bool was_empty = waiters_.empty();
  waiters_.PushBack(waiter);
  waiter->place = Waiter::Place::kReady;
  return was_empty;
}

Waiter* ReadyList::Pop() {
  net::MutexLock lock(&mutex_);
  Waiter* const waiter = waiters_.PopFront();
  MCGW_INVARIANT(waiter == nullptr || waiter->place == Waiter::Place::kReady);
  if (waiter != nullptr) waiter->place = Waiter::Place::kNone;
  return waiter;
}

std::vector<Waiter*> ReadyList::Waiters() const {
  net::MutexLock lock(&mutex_);
  std::vector<Waiter*> all;
  for (Waiter* waiter = waiters_.front(); waiter != nullptr; waiter = waiter->next) all.push_back(waiter);
  return all;
}

void ReadyList::Remove(Waiter* waiter) {
  net::MutexLock lock(&mutex_);
  if (waiter->place != Waiter::Place::kReady) return;
  waiters_.Remove(waiter);
  waiter->place = Waiter::Place::kNone;
}

}  // namespace mcgw::fanout
