// The sender: numbered datagrams at a steady rate, open loop.

#ifndef MCGW_BENCH_GENERATOR_H_
#define MCGW_BENCH_GENERATOR_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "bench/feed.h"

namespace mcgw::bench {

struct Load {
  size_t payload_bytes = 200;
  double datagrams_per_second = 1000;
  uint64_t datagrams = 1000;
};

struct SendRecord {
  uint64_t sent = 0;  // Datagrams that the kernel took.
  int64_t elapsed_ns = 0;
  int64_t latest_ns = 0;  // How late the latest datagram was against the schedule.
  absl::Status status;    // The first failure of the kernel to take a datagram.
};

// Above this rate datagrams go in runs, since one send each would fill the sender's core.
inline constexpr double kMostSingleRate = 250'000;
inline constexpr uint64_t kRunAboveThat = 8;

// Sends the load, numbered from `first` in each channel in turn (`first` is a multiple of the channels, plus 1: what
// came before took all turns). The schedule is absolute: a late datagram delays no later one. Blocks until all is
// sent. More than a second behind, it gives up with RESOURCE_EXHAUSTED.
SendRecord Generate(Feed* feed, const Load& load, uint64_t first);

// Sends `count` datagrams of `payload_bytes` to the first channel at once, numbered from `first`. At most MostInRun.
// `scratch` is reused.
absl::Status SendRun(Feed* feed, size_t payload_bytes, uint64_t first, size_t count, std::vector<char>* scratch);

}  // namespace mcgw::bench

#endif  // MCGW_BENCH_GENERATOR_H_
