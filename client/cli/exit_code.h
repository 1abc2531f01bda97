// The exit codes of mcgw. `mcgw --help` documents them; scripts rely on them.

#ifndef MCGW_CLIENT_CLI_EXIT_CODE_H_
#define MCGW_CLIENT_CLI_EXIT_CODE_H_

namespace mcgw::cli {

enum ExitCode {
  kDone = 0,             // Also if the reader of standard output has gone.
  kFailed = 1,           // The gateway refused or failed, or a file could not be read or written.
  kBadInput = 2,         // Wrong usage, or input that mcgw or the gateway considers invalid.
  kNoGateway = 3,        // No gateway answers, or the connection to it broke.
  kCountNotReached = 4,  // sub ended before --count datagrams came.
  kSomeNotSent = 5,      // pub sent some datagrams and others failed.
  kNoAnswer = 6,         // ping tried all its rings and got no answer.
  kFaultFound = 7,       // doctor found an error.
  kSignalBase = 128,     // A signal stopped the command before it was done: 130 for SIGINT, 143 for SIGTERM.
};

}  // namespace mcgw::cli

#endif  // MCGW_CLIENT_CLI_EXIT_CODE_H_
