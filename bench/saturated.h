// Measurements in which the server is what limits: a log that is read from its beginning, and datagrams as fast as the
// readers get them.

#ifndef MCGW_BENCH_SATURATED_H_
#define MCGW_BENCH_SATURATED_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "bench/meter.h"
#include "bench/reader_loop.h"
#include "bench/subject.h"
#include "bench/trial.h"

namespace mcgw::bench {

// Sends the numbers `first` to `last`, as far ahead of the loop's slowest reader as the sockets on the way surely
// hold, and returns when the first reader has the last one. DEADLINE_EXCEEDED if it does not get it in time.
absl::Status Flood(ReaderLoop* loop, Feed* feed, size_t payload_bytes, uint64_t first, uint64_t last);

// A subject whose log holds the numbers 1 to `datagrams`, and the reader that keeps the channel joined.
struct FilledLog {
  std::unique_ptr<BackgroundReaders> holder;
  size_t payload_bytes = 0;
  uint64_t datagrams = 0;
};

absl::StatusOr<FilledLog> FillLog(const Subject& subject, size_t payload_bytes, uint64_t datagrams);

// New readers read the log from its oldest datagram to its end, and so again, `passes` times. The first of them looks
// at everything, the others only count bytes, so that the readers' core has little to do. The readers' connecting is
// within the measurement.
absl::StatusOr<Outcome> ReplayLog(const Subject& subject, const FilledLog& log, int subscribers, uint64_t passes,
                                  Cores cores);

// What logs should hold there, so that no reader is overtaken.
inline constexpr size_t kEndToEndLogBytes = 16 << 20;

struct EndToEnd {
  size_t payload_bytes = 200;
  int subscribers = 8;
  uint64_t datagrams = 100'000;
  // Called now and then, with how many datagrams the first reader has got.
  std::function<void(uint64_t)> progress = [](uint64_t) {};
};

// Datagrams as fast as the slowest reader gets them, from the network to all readers. The others only count bytes,
// where the connection is TCP.
absl::StatusOr<Outcome> RunEndToEnd(const Subject& subject, const EndToEnd& work, Cores cores);

}  // namespace mcgw::bench

#endif  // MCGW_BENCH_SATURATED_H_
