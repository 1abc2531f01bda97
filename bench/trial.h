// One measurement: a load, a subject, a time.

#ifndef MCGW_BENCH_TRIAL_H_
#define MCGW_BENCH_TRIAL_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "bench/subject.h"

namespace mcgw::bench {

struct Work {
  size_t payload_bytes = 200;
  int subscribers = 1;
  double datagrams_per_second = 1000;
  double seconds = 1;
};

struct Cores {
  int server = 0;
  int client = 1;  // For the sender and the readers.
};

// A delivery is one datagram that one reader got.
struct Outcome {
  double cpu_ns_per_delivery = 0;             // Of the server process; 0 where there is none.
  double switches_per_delivery = 0;           // Voluntary context switches of the server's threads.
  double p50_us = 0, p99_us = 0, max_us = 0;  // From the sender's clock before its send to the reader's after its read.
  uint64_t deliveries = 0;
  uint64_t missing = 0;    // By the sender's numbering, over all readers.
  uint64_t announced = 0;  // Of those, announced by the gateway.
  double sent_per_second = 0;
  double client_core_busy = 0;  // 0 to 1: sender, readers, the network between the hosts, and whoever else is there.
  double client_own = 0;        // 0 to 1: the sender's and the readers' part of that.
  double low_priority = 0;      // 0 to 1: time of the client core that went to work of low priority.
  double others_on_server_core = 0;  // 0 to 1: time of the server's core, of any priority, that the server did not use.
  int64_t server_resident_bytes = 0;
  bool broken_promise =
      false;  // The gateway's own numbering was wrong, or a loss that can only be its own unannounced.
  std::vector<std::string> invalid;  // Why this counts for nothing; empty if it counts.
};

// Beyond this a round is invalid, since the readers and not the server may have been measured.
inline constexpr double kMostClientBusy = 0.9;

// Blocks for somewhat longer than work.seconds. A status that is not OK if it could not be carried out at all.
absl::StatusOr<Outcome> RunTrial(const Subject& subject, const Work& work, Cores cores);

}  // namespace mcgw::bench

#endif  // MCGW_BENCH_TRIAL_H_
