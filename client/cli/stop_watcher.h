// Detects when a command has to stop: a signal came, or the reader of its output has gone.

#ifndef MCGW_CLIENT_CLI_STOP_WATCHER_H_
#define MCGW_CLIENT_CLI_STOP_WATCHER_H_

#include <atomic>
#include <functional>
#include <thread>

#include "absl/time/time.h"

namespace mcgw::cli {

// Watches SIGINT, SIGTERM and SIGHUP on its own thread. The first signal stops the command; another one at least half a
// second later ends the process at once.
class StopWatcher {
 public:
  // Makes the signals wait for a watcher. Call it before starting any other thread.
  static void BlockSignals();

  // The watcher's thread calls `on_stop` at most once. Unless it is -1, `output_fd` is watched too: the command stops
  // when the reader of a pipe, socket or terminal has gone.
  StopWatcher(int output_fd, std::function<void()> on_stop);
  StopWatcher(const StopWatcher&) = delete;
  StopWatcher& operator=(const StopWatcher&) = delete;
  ~StopWatcher();

  // Becomes readable when the command has to stop, and stays readable. Never -1.
  int fd() const { return stop_fd_; }
  bool stopped() const { return stopped_; }
  // The signal that stopped the command; 0 if it was not stopped by a signal.
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
  absl::Time first_signal_;  // Used by the watching thread only.
  std::thread thread_;
};

}  // namespace mcgw::cli

#endif  // MCGW_CLIENT_CLI_STOP_WATCHER_H_
