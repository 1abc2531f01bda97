#include "server/fanout/waiter.h"

namespace mcgw::fanout {

void WaiterList::PushBack(Waiter* waiter) {
  waiter->previous = tail_;
  waiter->next = nullptr;
  (tail_ == nullptr ? head_ : tail_->next) = waiter;
  tail_ = waiter;
}

void WaiterList::Remove(Waiter* waiter) {
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
  const bool was_empty = waiters_.empty();
  waiters_.PushBack(waiter);
  waiter->place = Waiter::Place::kReady;
  return was_empty;
}

Waiter* ReadyList::Pop() {
  net::MutexLock lock(&mutex_);
  Waiter* const waiter = waiters_.PopFront();
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
