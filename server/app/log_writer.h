// Writes log lines to a descriptor on its own thread. A caller only queues its line, even while the descriptor has no
// reader.
//
// The queue is bounded in bytes. A line that does not fit is dropped, and a line in its place says how many are
// missing. So does one after lines that could not be written, as on a full disk. The last quarter of the queue is
// reserved for warnings and errors.

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

  // Borrows `fd` until the process ends, since a write to it may never return.
  LogWriter(int fd, LogFormat format);
  LogWriter(const LogWriter&) = delete;
  LogWriter& operator=(const LogWriter&) = delete;
  ~LogWriter();  // Does not wait. Queued lines are written if the descriptor accepts them in time.

  void Write(spdlog::level::level_enum level, std::string_view text);
  // Writes the summaries of held-back lines, then waits until everything is written or `patience` is over. Returns
  // whether everything was written.
  bool Flush(absl::Duration patience);

 private:
  struct State;
  static void Run(const std::shared_ptr<State>& state);

  // Shared with the thread, which may outlive this object in a blocked write.
  const std::shared_ptr<State> state_;
};

}  // namespace mcgw::app

#endif  // MCGW_APP_LOG_WRITER_H_
