// What each datagram of the benchmark begins with: the sender's number and the time of sending.

#ifndef MCGW_BENCH_STAMP_H_
#define MCGW_BENCH_STAMP_H_

#include <time.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace mcgw::bench {

struct Stamp {
  uint64_t number = 0;  // From 1, without holes.
  int64_t sent_ns = 0;  // CLOCK_MONOTONIC, which all processes of a host share.
};

inline constexpr size_t kStampBytes = sizeof(Stamp);

inline int64_t NowNs() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * int64_t{1'000'000'000} + now.tv_nsec;
}

inline Stamp ReadStamp(const char* payload) {
  Stamp stamp;
  std::memcpy(&stamp, payload, kStampBytes);
  return stamp;
}

inline void WriteStamp(const Stamp& stamp, char* payload) { std::memcpy(payload, &stamp, kStampBytes); }

}  // namespace mcgw::bench

#endif  // MCGW_BENCH_STAMP_H_
