#include "server/app/process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <new>
#include <string>
#include <system_error>

namespace mcgw::app {
namespace {

constexpr int kPatienceMs = 1000;

[[noreturn]] void OnTerminate() {
  try {
    if (const std::exception_ptr exception = std::current_exception()) std::rethrow_exception(exception);
  } catch (const std::bad_alloc&) {
    Complain("out of memory: give the gateway more, or lower total_log_bytes and the limits (max_...)");
    _exit(kCannotServe);
  } catch (const std::system_error& error) {
    if (error.code() == std::errc::resource_unavailable_try_again) {
      Complain("cannot start a thread: raise the limit of processes (ulimit -u, TasksMax, pids.max) or of memory");
      _exit(kCannotServe);
    }
    Complain(error.what());
  } catch (const std::exception& error) {
    Complain(error.what());
  } catch (...) {
    Complain("ended by an exception");
  }
  std::abort();
}

}  // namespace

void OpenStandardDescriptors() {
  for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; ++fd) {
    if (fcntl(fd, F_GETFD) >= 0 || errno != EBADF) continue;
    // open returns the lowest free number, which is `fd`.
    if (open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) != fd) _exit(kCannotServe);
  }
}

void SayWhyAtTerminate() { std::set_terminate(OnTerminate); }

StartGuard::StartGuard() {
  signal(SIGABRT, [](int) {
    Complain("aborted during start, as libraries do without enough memory or threads: raise the limits for both");
    _exit(kCannotServe);
  });
}

StartGuard::~StartGuard() { signal(SIGABRT, SIG_DFL); }

void Complain(std::string_view text) {
  pollfd writable{STDERR_FILENO, POLLOUT, 0};
  if (poll(&writable, 1, kPatienceMs) <= 0) return;
  constexpr std::string_view kName = "mcgwd: ";
  iovec parts[] = {{const_cast<char*>(kName.data()), kName.size()},
                   {const_cast<char*>(text.data()), text.size()},
                   {const_cast<char*>("\n"), 1}};
  if (writev(STDERR_FILENO, parts, std::size(parts)) < 0) return;  // There is nowhere else to report it.
}

int Print(std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = write(STDOUT_FILENO, text.data(), text.size());
    if (written >= 0) {
      text.remove_prefix(static_cast<size_t>(written));
    } else if (errno != EINTR) {
      Complain(std::string("cannot write to standard output: ") + std::strerror(errno));
      return kCannotServe;
    }
  }
  return kStopped;
}

void EndAtNextSignal() {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int number : {SIGTERM, SIGINT}) {
    // A handler, since the default action does nothing in the first process of a container.
    struct sigaction action {};
    action.sa_handler = [](int received) { _exit(128 + received); };
    sigaction(number, &action, nullptr);
    sigaddset(&signals, number);
  }
  pthread_sigmask(SIG_UNBLOCK, &signals, nullptr);
}

}  // namespace mcgw::app
