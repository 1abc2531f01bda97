// Claims that are checked while the program runs.
//
//   MCGW_INVARIANT(used_bytes >= freed_bytes);
//
// A claim that does not hold is a fault of the gateway, never of its input: the program says where and stops. The CMake
// option MCGW_INVARIANTS decides whether claims are checked; it is on wherever tests are built. Otherwise the condition
// is compiled and never evaluated, so it has no side effects. A check costs a comparison: it stands where a batch, a
// slab, a message or a control call begins or ends, not on the path of each datagram.

#ifndef MCGW_NET_INVARIANT_H_
#define MCGW_NET_INVARIANT_H_

#include <pthread.h>

#include <atomic>

namespace mcgw::net {

// Prints the failed claim to stderr and aborts.
[[noreturn]] void InvariantFailed(const char* file, int line, const char* condition);

#if MCGW_INVARIANTS

#define MCGW_INVARIANT(condition) \
  (static_cast<bool>(condition) ? static_cast<void>(0) : ::mcgw::net::InvariantFailed(__FILE__, __LINE__, #condition))

// For what belongs to one thread at a time, and may pass from one to the next. Using keeps others out by claim only.
class OneAtATime {
 public:
  class Using {
   public:
    explicit Using(OneAtATime& owner) : owner_(owner) {
      const pthread_t self = pthread_self();
      pthread_t nobody{};
      outermost_ = owner_.thread_.load(std::memory_order_relaxed) != self;
      if (!outermost_) return;
      const bool alone = owner_.thread_.compare_exchange_strong(nobody, self, std::memory_order_relaxed);
      MCGW_INVARIANT(alone && "one thread at a time");
    }
    ~Using() {
      if (outermost_) owner_.thread_.store(pthread_t{}, std::memory_order_relaxed);
    }
    Using(const Using&) = delete;
    Using& operator=(const Using&) = delete;

   private:
    OneAtATime& owner_;
    bool outermost_;  // Not within another use by the same thread.
  };

 private:
  std::atomic<pthread_t> thread_{};
};

#else

#define MCGW_INVARIANT(condition) static_cast<void>(false && (condition))

class OneAtATime {
 public:
  class Using {
   public:
    explicit Using(OneAtATime&) {}
    ~Using() {}  // Not trivial, so that a guard is not an unused variable.
  };
};

#endif

}  // namespace mcgw::net

#endif  // MCGW_NET_INVARIANT_H_
