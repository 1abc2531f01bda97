// Knows when a command has to stop: a signal, or the reader of its output has gone.

#ifndef MCGW_CLIENT_CLI_STOP_WATCHER_H_
#define MCGW_CLIENT_CLI_STOP_WATCHER_H_

#include <atomic>
#include <functional>
#include <thread>

#include "absl/time/time.h"

namespace mcgw::cli {

// Watches SIGINT, SIGTERM and SIGHUP with a thread of its own. The first one stops the command; one that comes half a
// second later or more ends the process at once.
class StopWatcher {
 public:
  // Makes the signals wait for a watcher. To be called before any other thread is started.
  static void BlockSignals();

  // `on_stop` is called at most once, by the watcher's thread. `output_fd`, unless -1, is watched for a reader that has
  // gone (of a pipe, socket or terminal), which stops the command too.
  StopWatcher(int output_fd, std::function<void()> on_stop);
  StopWatcher(const StopWatcher&) = delete;
  StopWatcher& operator=(const StopWatcher&) = delete;
  ~StopWatcher();

  // Becomes readable when the command has to stop, and stays so. -1 never occurs.
  int fd() const { return stop_fd_; }
  bool stopped() const { return stopped_; }
  // The signal that stopped it; 0 if something else did, or nothing.
  int signal() const { return signal_; }

  // Stops the command from any thread, without calling on_stop.
  void Request();

 private:
  void Watch();
  void OnSignal();
  void Stop();

  const int output_fd_;
  const std::function<void()> on_stop_;
  const int stop_fd_;
  const int end_fd_;
  const int signal_fd_;
  std::atomic<bool> stopped_{false};
  std::atomic<int> signal_{0};
  absl::Time first_signal_;  // The watching thread's own.
  std::thread thread_;
};

}  // namespace mcgw::cli

#endif  // MCGW_CLIENT_CLI_STOP_WATCHER_H_
