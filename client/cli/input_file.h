// The input of pub: the lines of a file, or chunks of it.

#ifndef MCGW_CLIENT_CLI_INPUT_FILE_H_
#define MCGW_CLIENT_CLI_INPUT_FILE_H_

#include <cstddef>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace mcgw::cli {

// Cuts a file into items. Not thread-safe.
class InputFile {
 public:
  enum class Result {
    kItem,
    kNotYet,  // No whole item is available, and the caller did not want to wait.
    kEnd,     // The file has ended, or stop_fd is readable.
    kFailed,  // error() says why.
  };

  // Lines, without their line ends; the last one may lack its line end.
  static constexpr size_t kLines = 0;

  // Items are lines, or chunks of `chunk_bytes` of which the last may be shorter. Neither descriptor is owned.
  // `stop_fd`: -1 for none. With `repeat`, the file starts again at its end; it must be seekable.
  InputFile(int fd, int stop_fd, size_t chunk_bytes, bool repeat);
  InputFile(const InputFile&) = delete;
  InputFile& operator=(const InputFile&) = delete;

  // The next item; valid until the next call.
  Result Next(bool may_wait, absl::string_view* item);

  const absl::Status& error() const { return error_; }

 private:
  bool Take(absl::string_view* item);
  Result Fill(bool may_wait);

  const int fd_;
  const int stop_fd_;
  const size_t chunk_bytes_;
  const bool repeat_;
  std::string buffer_;
  size_t begin_ = 0;    // Start of the bytes not taken yet.
  size_t scanned_ = 0;  // There is no line end before this.
  bool end_ = false;
  bool any_ = false;
  absl::Status error_;
};

}  // namespace mcgw::cli

#endif  // MCGW_CLIENT_CLI_INPUT_FILE_H_
