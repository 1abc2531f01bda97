// Drives readers from one thread.

#ifndef MCGW_BENCH_READER_LOOP_H_
#define MCGW_BENCH_READER_LOOP_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "bench/reader.h"
#include "bench/sockets.h"

namespace mcgw::bench {

// Not thread-safe.
class ReaderLoop {
 public:
  static absl::StatusOr<std::unique_ptr<ReaderLoop>> Create(std::vector<std::unique_ptr<Reader>> readers);

  // Reads until `done` holds, looked at after each turn (at least every 10 ms), or the time is over. True if it holds.
  // A status that is not OK if a reader failed.
  absl::StatusOr<bool> RunUntil(const std::function<bool()>& done, int64_t deadline_ns);

  const std::vector<std::unique_ptr<Reader>>& readers() const { return readers_; }

 private:
  ReaderLoop(std::vector<std::unique_ptr<Reader>> readers, OwnedFd epoll);

  const std::vector<std::unique_ptr<Reader>> readers_;
  const OwnedFd epoll_;
};

}  // namespace mcgw::bench

#endif  // MCGW_BENCH_READER_LOOP_H_
