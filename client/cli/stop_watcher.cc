#include "client/cli/stop_watcher.h"

#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <utility>

#include "absl/time/clock.h"
#include "client/cli/exit_code.h"

namespace mcgw::cli {
namespace {

// timeout(1) and shells signal the process and then its group, so two signals this close are one request.
constexpr absl::Duration kOneRequest = absl::Milliseconds(500);

sigset_t Signals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGHUP);
  return signals;
}

int MakeSignalFd() {
  const sigset_t signals = Signals();
  return signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
}

}  // namespace

void StopWatcher::BlockSignals() {
  const sigset_t signals = Signals();
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
}

StopWatcher::StopWatcher(int output_fd, std::function<void()> on_stop)
    : output_fd_(output_fd),
      on_stop_(std::move(on_stop)),
      stop_fd_(eventfd(0, EFD_CLOEXEC)),
      end_fd_(eventfd(0, EFD_CLOEXEC)),
      signal_fd_(MakeSignalFd()),
      thread_([this] { Watch(); }) {}

StopWatcher::~StopWatcher() {
  eventfd_write(end_fd_, 1);
  thread_.join();
  close(stop_fd_);
  close(end_fd_);
  close(signal_fd_);
}

void StopWatcher::Request() {
  stopped_ = true;
  eventfd_write(stop_fd_, 1);
}

void StopWatcher::Stop() {
  if (stopped_.exchange(true)) return;
  eventfd_write(stop_fd_, 1);
  if (on_stop_) on_stop_();
}

void StopWatcher::OnSignal() {
  signalfd_siginfo info;
  if (read(signal_fd_, &info, sizeof(info)) != sizeof(info)) return;
  const int number = static_cast<int>(info.ssi_signo);
  const absl::Time now = absl::Now();
  if (signal_ == 0) {
    signal_ = number;
    first_signal_ = now;
    Stop();
  } else if (now - first_signal_ >= kOneRequest) {
    _exit(kSignalBase + number);
  }
}

void StopWatcher::Watch() {
  // poll always reports a reader that has gone; it skips -1.
  pollfd watched[] = {{end_fd_, POLLIN, 0}, {signal_fd_, POLLIN, 0}, {output_fd_, 0, 0}};
  while (true) {
    if (poll(watched, 3, -1) < 0) continue;
    if (watched[0].revents != 0) return;
    if (watched[1].revents != 0) OnSignal();
    if (watched[2].revents != 0) {
      watched[2].fd = -1;
      Stop();
    }
  }
}

}  // namespace mcgw::cli
