// The monotonic clock for durations and leases, and the wall clock for timestamps that people read.

#ifndef MCGW_NET_CLOCK_H_
#define MCGW_NET_CLOCK_H_

#include <time.h>

#include <cstdint>

namespace mcgw::net {

// The time of a simulation. While there is one, it is what the clocks say.
struct SimulatedTime {
  int64_t monotonic_ns = 0;
  int64_t unix_ns = 0;
};
// Set only while the process has one thread. Null: the kernel's clocks.
inline const SimulatedTime* simulated_time = nullptr;

inline int64_t ReadClockNs(clockid_t clock) {
  timespec now;
  clock_gettime(clock, &now);
  return int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

// Never jumps. For ages, leases and intervals.
inline int64_t MonotonicNs() {
  return simulated_time != nullptr ? simulated_time->monotonic_ns : ReadClockNs(CLOCK_MONOTONIC);
}

// The wall clock, nanoseconds since 1970 UTC, as in the kernel's receive timestamps.
inline int64_t UnixNs() { return simulated_time != nullptr ? simulated_time->unix_ns : ReadClockNs(CLOCK_REALTIME); }

}  // namespace mcgw::net

#endif  // MCGW_NET_CLOCK_H_
