#include "server/app/log_writer.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <deque>
#include <string>
#include <system_error>
#include <thread>
#include <utility>

#include "server/app/log_folder.h"
#include "server/net/clock.h"
#include "server/net/mutex.h"
#include "server/net/text.h"

namespace mcgw::app {
namespace {

// absl::Now is late to notice that the clock was set back.
absl::Time Now() { return absl::FromUnixNanos(net::UnixNs()); }

// The cost of a queued line besides its text.
constexpr size_t kLineOverheadBytes = 96;

size_t Cost(const LogLine& line) { return line.text.size() + kLineOverheadBytes; }

// Signals are for the program's other threads. A closed pipe must be an error of write(2), not a fatal SIGPIPE.
void BlockSignals() {
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, nullptr);
}

// Blocks while the descriptor has no reader. Returns 0, or the errno of a write that failed, as on a full disk or a
// closed pipe: the rest of the text is lost.
int WriteAll(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = write(fd, text.data(), text.size());
    if (written >= 0) {
      text.remove_prefix(static_cast<size_t>(written));
    } else if (errno == EAGAIN) {
      pollfd writable{fd, POLLOUT, 0};
      poll(&writable, 1, -1);
    } else if (errno != EINTR) {
      return errno;
    }
  }
  return 0;
}

// The line, behind one about those that could not be written before it. Begins with a line break then, as the last of
// them may have been written in part.
std::string TextOf(const LogLine& line, uint64_t failed, int failure, LogFormat format, absl::TimeZone zone) {
  std::string text = FormatLogLine(line, format, zone);
  if (failed == 0) return text;
  const LogLine missing{line.time, spdlog::level::warn,
                        net::StrCat(failed, " log lines are missing here: they could not be written: ",
                                    std::system_category().message(failure))};
  return net::StrCat("\n", FormatLogLine(missing, format, zone), text);
}

}  // namespace

struct LogWriter::State {
  State(int to_fd, LogFormat line_format) : fd(to_fd), format(line_format) {}

  const int fd;
  const LogFormat format;
  const absl::TimeZone zone = absl::LocalTimeZone();

  net::Mutex mutex;
  net::CondVar changed;
  std::deque<LogLine> lines ABSL_GUARDED_BY(mutex);
  size_t bytes ABSL_GUARDED_BY(mutex) = 0;      // The cost of `lines`.
  uint64_t dropped ABSL_GUARDED_BY(mutex) = 0;  // Since the last line was taken.
  LogFolder folder ABSL_GUARDED_BY(mutex);
  bool writing ABSL_GUARDED_BY(mutex) = false;
  bool ending ABSL_GUARDED_BY(mutex) = false;

  void Push(LogLine line) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    bytes += Cost(line);
    lines.push_back(std::move(line));
  }

  void SayDropped() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    if (dropped == 0) return;
    Push({Now(), spdlog::level::warn,
          net::StrCat(dropped, " log lines are missing here: they came faster than they were read")});
    dropped = 0;
  }

  void Take(LogLine line) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    const size_t room = line.level >= spdlog::level::warn ? kMostQueuedBytes : kMostQueuedBytes / 4 * 3;
    if (bytes + Cost(line) > room) {
      ++dropped;
      return;
    }
    SayDropped();
    Push(std::move(line));
  }

  void TakeSummaries(std::vector<LogFolder::Summary> summaries) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    for (LogFolder::Summary& summary : summaries) Take({Now(), summary.level, std::move(summary.text)});
  }

  // Waits for the next line; false when the writer is to end.
  bool Next(LogLine* line) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    while (true) {
      TakeSummaries(folder.Due(net::MonotonicNs()));
      if (lines.empty()) SayDropped();
      if (!lines.empty()) break;
      if (ending) return false;
      if (const std::optional<int64_t> due_ns = folder.due_ns(); due_ns.has_value()) {
        changed.WaitUntil(&mutex,
                          std::chrono::steady_clock::now() + std::chrono::nanoseconds(*due_ns - net::MonotonicNs()));
      } else {
        changed.Wait(&mutex);
      }
    }
    *line = std::move(lines.front());
    lines.pop_front();
    bytes -= line->text.size() + kLineOverheadBytes;
    return true;
  }
};

LogWriter::LogWriter(int fd, LogFormat format) : state_(std::make_shared<State>(fd, format)) {
  std::thread([state = state_] {
    pthread_setname_np(pthread_self(), "mcgw-log");
    BlockSignals();
    Run(state);
  }).detach();
}

LogWriter::~LogWriter() {
  net::MutexLock lock(&state_->mutex);
  state_->ending = true;
  state_->changed.NotifyAll();
}

void LogWriter::Write(spdlog::level::level_enum level, std::string_view text) {
  LogLine line{Now(), level, ShortenLogText(text)};
  const int64_t now_ns = net::MonotonicNs();
  net::MutexLock lock(&state_->mutex);
  if (state_->folder.Admits(level, line.text, now_ns)) state_->Take(std::move(line));
  state_->changed.NotifyAll();
}

bool LogWriter::Flush(absl::Duration patience) {
  const auto deadline = std::chrono::steady_clock::now() + absl::ToChronoNanoseconds(patience);
  net::MutexLock lock(&state_->mutex);
  state_->TakeSummaries(state_->folder.End());
  state_->changed.NotifyAll();
  while (!state_->lines.empty() || state_->dropped > 0 || state_->writing) {
    if (!state_->changed.WaitUntil(&state_->mutex, deadline)) return false;
  }
  return true;
}

void LogWriter::Run(const std::shared_ptr<State>& state) {
  LogLine line;
  uint64_t failed = 0;
  int failure = 0;
  while (true) {
    {
      net::MutexLock lock(&state->mutex);
      state->writing = false;
      state->changed.NotifyAll();
      if (!state->Next(&line)) return;
      state->writing = true;
    }
    const int error = WriteAll(state->fd, TextOf(line, failed, failure, state->format, state->zone));
    failed = error == 0 ? 0 : failed + 1;
    failure = error;
  }
}

}  // namespace mcgw::app
