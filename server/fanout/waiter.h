// Wakes idle cursors.
//
// A cursor at the head of its log leaves its Waiter with the log. The log's next Commit moves the waiter to its
// subscriber's ready list and rings the subscriber's doorbell if that list was empty. The subscriber then drains its
// ready list; it never scans its cursors. A waiter is in at most one list at a time.

#ifndef MCGW_FANOUT_WAITER_H_
#define MCGW_FANOUT_WAITER_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "server/net/invariant.h"
#include "server/net/mutex.h"

namespace mcgw::fanout {

// The data path's only call upwards: "your subscriber has something to do". Implemented by the drivers of subscribers.
// Receive shards and control threads call Ring. It must not block, and it may be called when there is nothing to do. A
// doorbell is shared and outlives its stream.
class Doorbell {
 public:
  virtual ~Doorbell() = default;
  virtual void Ring() = 0;
};

struct Waiter;

// A doubly linked list of waiters through their own links. Not thread-safe.
class WaiterList {
 public:
  bool empty() const { return head_ == nullptr; }
  void PushBack(Waiter* waiter);
  void Remove(Waiter* waiter);
  Waiter* PopFront();  // Null when empty.
  Waiter* front() const { return head_; }

 private:
  Waiter* head_ = nullptr;
  Waiter* tail_ = nullptr;
};

// The cursors of one subscriber that may have something to read. Thread-safe.
class ReadyList {
 public:
  explicit ReadyList(std::shared_ptr<Doorbell> doorbell) : doorbell_(std::move(doorbell)) {}

  // Adds a waiter that is in no list. True if the caller must ring the doorbell, under no lock.
  bool Push(Waiter* waiter);
  // Takes the oldest. Null if empty.
  Waiter* Pop();
  void Remove(Waiter* waiter);
  // All waiters now in the list.
  std::vector<Waiter*> Waiters() const;

  const std::shared_ptr<Doorbell>& doorbell() const { return doorbell_; }

 private:
  const std::shared_ptr<Doorbell> doorbell_;
  mutable net::Mutex mutex_;
  WaiterList waiters_ ABSL_GUARDED_BY(mutex_);
};

// The base of the subscriber's cursor.
struct Waiter {
  explicit Waiter(ReadyList* list) : ready(list) {}
  ~Waiter() { MCGW_INVARIANT(place == Place::kNone); }
  Waiter(const Waiter&) = delete;
  Waiter& operator=(const Waiter&) = delete;

  ReadyList* const ready;

  enum class Place : uint8_t { kNone, kLog, kReady };
  // Guarded by the lock of the list that the waiter is in; outside a list it belongs to its subscriber.
  Waiter* previous = nullptr;
  Waiter* next = nullptr;
  Place place = Place::kNone;  // Last, so that derived classes may use the room behind it.
};

}  // namespace mcgw::fanout

#endif  // MCGW_FANOUT_WAITER_H_
