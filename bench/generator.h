// The sender: numbered datagrams at a steady rate, open loop.

#ifndef MCGW_BENCH_GENERATOR_H_
#define MCGW_BENCH_GENERATOR_H_

#include <cstddef>
#include <cstdint>

#include "absl/status/status.h"

namespace mcgw::bench {

struct Load {
  size_t payload_bytes = 200;
  double datagrams_per_second = 1000;
  uint64_t datagrams = 1000;
};

struct SendRecord {
  int64_t elapsed_ns = 0;
  int64_t latest_ns = 0;  // How late the latest datagram was against the schedule.
  absl::Status status;    // The first failure of the kernel to take a datagram.
};

// Sends the load, numbered from `first`, to a connected socket. The schedule is absolute: a late datagram delays no
// later one. Blocks until all is sent. More than a second behind, it gives up with RESOURCE_EXHAUSTED.
SendRecord Generate(int fd, const Load& load, uint64_t first);

}  // namespace mcgw::bench

#endif  // MCGW_BENCH_GENERATOR_H_
