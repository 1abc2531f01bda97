// One open-loop measurement: a load at a steady rate, a subject, a time.

#ifndef MCGW_BENCH_TRIAL_H_
#define MCGW_BENCH_TRIAL_H_

#include <cstddef>
#include <vector>

#include "absl/status/statusor.h"
#include "bench/meter.h"
#include "bench/reader_loop.h"
#include "bench/result.h"
#include "bench/subject.h"

namespace mcgw::bench {

// The part of a rate that the sender must keep.
inline constexpr double kLeastOfRate = 0.98;

struct Work {
  size_t payload_bytes = 200;
  int subscribers = 1;
  double datagrams_per_second = 1000;
  double seconds = 1;
  unsigned reader_pause_us = 0;  // How long the readers rest between two looks.
  bool per_datagram = false;     // Whether cost is told for each datagram that the server received, too.
};

// What came of it, and whether the gateway broke its promise: its own numbering was wrong, or a loss that can only be
// its own unannounced.
struct Outcome {
  Round round;
  bool broken_promise = false;
};

// Opens the readers and waits until each is ready; DEADLINE_EXCEEDED after a while.
absl::StatusOr<std::unique_ptr<ReaderLoop>> OpenReaders(const Subject& subject, int count, const Subscription& request);
// The same, one reader for each request.
absl::StatusOr<std::unique_ptr<ReaderLoop>> OpenReaders(const Subject& subject,
                                                        const std::vector<Subscription>& requests);

// Blocks for somewhat longer than work.seconds. A status that is not OK if it could not be carried out at all.
absl::StatusOr<Outcome> RunTrial(const Subject& subject, const Work& work, Cores cores);

// The same with readers that are there already, for groups that the feed sends to in turn.
absl::StatusOr<Outcome> RunTrial(const Subject& subject, ReaderLoop* loop, Feed* feed, const Work& work, Cores cores);

}  // namespace mcgw::bench

#endif  // MCGW_BENCH_TRIAL_H_
