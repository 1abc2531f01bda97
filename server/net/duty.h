// How busy a loop's thread is.
//
// A loop takes turns: it waits, then handles what has come. Everything else of its thread waits while a turn lasts, so
// one long turn delays all its channels and streams.

#ifndef MCGW_NET_DUTY_H_
#define MCGW_NET_DUTY_H_

#include <atomic>
#include <cstdint>

namespace mcgw::net {

// Begin and End belong to the loop's thread. Any thread may call Read.
class Duty {
 public:
  // A turn as long as this is counted as long.
  static constexpr int64_t kLongTurnNs = 100'000'000;

  // Since the start, over the turns that have ended.
  struct Counts {
    uint64_t turns = 0;
    int64_t busy_ns = 0;
    int64_t longest_ns = 0;
    uint64_t long_turns = 0;
    int64_t last_long_ns = 0;  // Duration of the last long turn.
  };

  // The loop has waited: a turn begins. `now_ns` is the monotonic clock.
  void Begin(int64_t now_ns) { begin_ns_ = now_ns; }
  // The loop is about to wait. Does nothing if no turn has begun.
  void End(int64_t now_ns) {
    if (begin_ns_ == 0) return;
    const int64_t turn_ns = now_ns - begin_ns_;
    begin_ns_ = 0;
    // One writer: no read-modify-write is needed.
    Set(&turns_, Get(turns_) + 1);
    Set(&busy_ns_, Get(busy_ns_) + turn_ns);
    if (turn_ns > Get(longest_ns_)) Set(&longest_ns_, turn_ns);
    if (turn_ns < kLongTurnNs) return;
    Set(&last_long_ns_, turn_ns);
    long_turns_.store(Get(long_turns_) + 1, std::memory_order_release);
  }

  Counts Read() const {
    Counts counts;
    counts.long_turns = long_turns_.load(std::memory_order_acquire);
    counts.last_long_ns = Get(last_long_ns_);
    counts.turns = Get(turns_);
    counts.busy_ns = Get(busy_ns_);
    counts.longest_ns = Get(longest_ns_);
    return counts;
  }

 private:
  template <typename T>
  static T Get(const std::atomic<T>& counter) {
    return counter.load(std::memory_order_relaxed);
  }
  template <typename T>
  static void Set(std::atomic<T>* counter, T value) {
    counter->store(value, std::memory_order_relaxed);
  }

  int64_t begin_ns_ = 0;  // Loop thread only. 0: no turn.
  std::atomic<uint64_t> turns_{0};
  std::atomic<int64_t> busy_ns_{0};
  std::atomic<int64_t> longest_ns_{0};
  std::atomic<uint64_t> long_turns_{0};
  std::atomic<int64_t> last_long_ns_{0};
};

}  // namespace mcgw::net

#endif  // MCGW_NET_DUTY_H_
