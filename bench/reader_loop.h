// Drives readers from one thread.

#ifndef MCGW_BENCH_READER_LOOP_H_
#define MCGW_BENCH_READER_LOOP_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <thread>
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

  // The pause between two turns; 0, the initial value: arriving data wakes the readers.
  void SetPause(unsigned pause_us) { pause_us_ = pause_us; }

  const std::vector<std::unique_ptr<Reader>>& readers() const { return readers_; }

 private:
  ReaderLoop(std::vector<std::unique_ptr<Reader>> readers, OwnedFd epoll);

  const std::vector<std::unique_ptr<Reader>> readers_;
  const OwnedFd epoll_;
  unsigned pause_us_ = 0;
};

// Readers that only keep something there, such as a channel joined: a thread of its own takes what comes, since a
// server ends a connection that answers nothing.
class BackgroundReaders {
 public:
  explicit BackgroundReaders(std::unique_ptr<ReaderLoop> loop);
  BackgroundReaders(const BackgroundReaders&) = delete;
  BackgroundReaders& operator=(const BackgroundReaders&) = delete;
  ~BackgroundReaders();

  // Ends the thread and returns the readers as they are then.
  const std::vector<std::unique_ptr<Reader>>& Stop();

 private:
  const std::unique_ptr<ReaderLoop> loop_;
  std::atomic<bool> stopped_{false};
  std::thread thread_;
};

}  // namespace mcgw::bench

#endif  // MCGW_BENCH_READER_LOOP_H_
