// The monotonic clock, which never jumps. For timeouts and intervals.

#ifndef MCGW_CLIENT_CLI_CLOCK_H_
#define MCGW_CLIENT_CLI_CLOCK_H_

#include <time.h>

#include <cstdint>

namespace mcgw::cli {

inline int64_t MonotonicNs() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * int64_t{1'000'000'000} + now.tv_nsec;
}

}  // namespace mcgw::cli

#endif  // MCGW_CLIENT_CLI_CLOCK_H_
