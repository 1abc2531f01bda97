// What a process owes to its surroundings before and after all else: descriptors, output, and an end that says why.

#ifndef MCGW_APP_PROCESS_H_
#define MCGW_APP_PROCESS_H_

#include <string_view>

namespace mcgw::app {

// Exit codes: 0 stopped in order, 1 could not serve, 2 bad configuration.
enum ExitCode { kStopped = 0, kCannotServe = 1, kBadConfiguration = 2 };

// Opens descriptors 0 to 2 where the parent closed them: a socket that got one of these numbers would be written to by
// whoever prints. They are opened so that reading from 0 and writing to 1 and 2 fail. First of all.
void OpenStandardDescriptors();

// Has an exception that stays uncaught, on any thread, end the process with a sentence: with kCannotServe where the
// host ran out of memory or threads, otherwise as a crash.
void SayWhyAtTerminate();

// While one exists, the process starts: libraries beneath abort then if the host refuses them a thread or memory, which
// ends the process with a sentence and kCannotServe.
class StartGuard {
 public:
  StartGuard();
  StartGuard(const StartGuard&) = delete;
  StartGuard& operator=(const StartGuard&) = delete;
  ~StartGuard();
};

// Writes "mcgwd: text" and a line end to stderr; gives up after a second if nobody reads. Takes no memory.
void Complain(std::string_view text);

// Writes to stdout. An exit code: a failed write is a failure.
int Print(std::string_view text);

// From now on the next SIGTERM or SIGINT ends the process at once, with 128 and the signal's number. On the thread that
// calls it the signals are unblocked.
void EndAtNextSignal();

}  // namespace mcgw::app

#endif  // MCGW_APP_PROCESS_H_
