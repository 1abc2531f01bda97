// Standard output for a command with much output: large writes that never block forever.

#ifndef MCGW_CLIENT_CLI_OUTPUT_FILE_H_
#define MCGW_CLIENT_CLI_OUTPUT_FILE_H_

#include <cstddef>
#include <string>

#include "absl/status/status.h"

namespace mcgw::cli {

// Not thread-safe. Blocks while the reader is slow. Once `stop_fd` is readable, gives up a reader that takes nothing
// for a second.
class OutputFile {
 public:
  enum class Result {
    kWritten,
    kReaderGone,  // The reader has closed its end, or was given up: the command ends silently.
    kFailed,      // error() says why.
  };

  // Neither descriptor is owned. stop_fd: -1 for none.
  OutputFile(int fd, int stop_fd);
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;
  ~OutputFile();  // Does not flush.

  // What will be written; append to it.
  std::string* buffer() { return &buffer_; }

  // Writes the buffer out if it has grown large.
  Result FlushIfLarge();
  Result Flush();

  const absl::Status& error() const { return error_; }

 private:
  // Waits until the descriptor takes more. False if the reader is given up.
  bool WaitUntilWritable();

  const int given_fd_;
  const int stop_fd_;
  // For a pipe, a separate non-blocking descriptor, because changing the given one would change it for every process
  // that shares it. Otherwise the given one.
  const int fd_;
  std::string buffer_;
  absl::Status error_;
};

}  // namespace mcgw::cli

#endif  // MCGW_CLIENT_CLI_OUTPUT_FILE_H_
