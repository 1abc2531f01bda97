// The process's standard descriptors, output and exit.

#ifndef MCGW_APP_PROCESS_H_
#define MCGW_APP_PROCESS_H_

#include <string_view>

namespace mcgw::app {

// Exit codes: 0 stopped in order, 1 cannot serve, 2 bad configuration.
enum ExitCode { kStopped = 0, kCannotServe = 1, kBadConfiguration = 2 };

// Opens each of descriptors 0 to 2 that the parent closed; otherwise a socket could get the number, and printed text
// would go to it. Reading from 0 and writing to 1 and 2 then fail. Call before anything else.
void OpenStandardDescriptors();

// Makes an uncaught exception on any thread end the process with a sentence: with kCannotServe if the host ran out of
// memory or threads, otherwise as a crash.
void SayWhyAtTerminate();

// Exists while the process starts. Libraries abort if the host refuses them a thread or memory; during start, that ends
// the process with a sentence and kCannotServe.
class StartGuard {
 public:
  StartGuard();
  StartGuard(const StartGuard&) = delete;
  StartGuard& operator=(const StartGuard&) = delete;
  ~StartGuard();
};

// Writes "mcgwd: text" and a line end to stderr; gives up after a second if it has no reader. Allocates nothing.
void Complain(std::string_view text);

// Writes to stdout. Returns an exit code: a failed write is a failure.
int Print(std::string_view text);

// Makes the next SIGTERM or SIGINT end the process at once, with 128 plus the signal's number. Unblocks both signals on
// the calling thread.
void EndAtNextSignal();

}  // namespace mcgw::app

#endif  // MCGW_APP_PROCESS_H_
