// Writes log lines to a descriptor, on a thread of its own: whoever logs puts a line into a queue and goes on, also
// while nobody reads the descriptor.
//
// The queue is bounded in bytes. A line for which there is no room is dropped, and where it would have stood a line
// says how many are missing. Warnings and errors may use the last quarter of the room, which other lines leave to them.

#ifndef MCGW_APP_LOG_WRITER_H_
#define MCGW_APP_LOG_WRITER_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

#include "absl/time/time.h"
#include "server/app/log_text.h"

namespace mcgw::app {

// Thread-safe.
class LogWriter {
 public:
  static constexpr size_t kMostQueuedBytes = 1 << 20;

  // `fd` is borrowed for as long as the process lives: a write to it may not return before.
  LogWriter(int fd, LogFormat format);
  LogWriter(const LogWriter&) = delete;
  LogWriter& operator=(const LogWriter&) = delete;
  ~LogWriter();  // Does not wait. What is queued then is written if the descriptor takes it in time.

  void Write(spdlog::level::level_enum level, std::string_view text);
  // Says what is held back, and waits until everything is written; at most for `patience`. Whether it is.
  bool Flush(absl::Duration patience);

 private:
  struct State;
  static void Run(const std::shared_ptr<State>& state);

  // Shared with the thread, which may outlive this object in a write that blocks.
  const std::shared_ptr<State> state_;
};

}  // namespace mcgw::app

#endif  // MCGW_APP_LOG_WRITER_H_
