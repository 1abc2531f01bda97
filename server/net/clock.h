// The monotonic clock for durations and leases, and the wall clock for timestamps that people read.

#ifndef MCGW_NET_CLOCK_H_
#define MCGW_NET_CLOCK_H_

#include <time.h>

#include <cstdint>

namespace mcgw::net {

inline int64_t ReadClockNs(clockid_t clock) {
  timespec now;
  clock_gettime(clock, &now);
  return int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

// Never jumps. For ages, leases and intervals.
inline int64_t MonotonicNs() { return ReadClockNs(CLOCK_MONOTONIC); }

// The wall clock, nanoseconds since 1970 UTC, as in the kernel's receive timestamps.
inline int64_t UnixNs() { return ReadClockNs(CLOCK_REALTIME); }

}  // namespace mcgw::net

#endif  // MCGW_NET_CLOCK_H_
