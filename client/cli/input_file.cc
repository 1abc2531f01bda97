#include "client/cli/input_file.h"

#include <errno.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>

#include "mcgw/error.h"

namespace mcgw::cli {
namespace {

constexpr size_t kReadBytes = 256 * 1024;
constexpr size_t kLongestLineBytes = 1024 * 1024;

}  // namespace

InputFile::InputFile(int fd, int stop_fd, size_t chunk_bytes, bool repeat)
    : fd_(fd), stop_fd_(stop_fd), chunk_bytes_(chunk_bytes), repeat_(repeat) {}

InputFile::Result InputFile::Next(bool may_wait, absl::string_view* item) {
  while (true) {
    if (Take(item)) return Result::kItem;
    if (end_) {
      // An empty file does not repeat.
      if (!repeat_ || !any_ || lseek(fd_, 0, SEEK_SET) != 0) return Result::kEnd;
      end_ = false;
    }
    if (buffer_.size() - begin_ > kLongestLineBytes) {
      error_ = client::InvalidInput(multicast::gateway::v1::ERROR_REASON_PAYLOAD_TOO_LARGE, "payload",
                                    "a line of the input is longer than 1 MiB: use --file and --size for binary input");
      return Result::kFailed;
    }
    const Result result = Fill(may_wait);
    if (result != Result::kItem) return result;
  }
}

bool InputFile::Take(absl::string_view* item) {
  const size_t left = buffer_.size() - begin_;
  size_t length = chunk_bytes_;
  size_t skipped = 0;
  if (chunk_bytes_ == kLines) {
    const size_t line_end = buffer_.find('\n', scanned_);
    length = line_end == std::string::npos ? left + 1 : line_end - begin_;
    skipped = line_end == std::string::npos ? 0 : 1;
    scanned_ = line_end == std::string::npos ? buffer_.size() : line_end + 1;
  }
  if (left < length) {
    if (!end_ || left == 0) return false;
    length = left;
  }
  *item = absl::string_view(buffer_).substr(begin_, length);
  begin_ += length + skipped;
  return true;
}

InputFile::Result InputFile::Fill(bool may_wait) {
  pollfd waited[] = {{fd_, POLLIN, 0}, {stop_fd_, POLLIN, 0}};
  const int ready = poll(waited, 2, may_wait ? -1 : 0);
  if (ready < 0) return errno == EINTR ? Result::kItem : Result::kFailed;
  if (waited[1].revents != 0) {
    buffer_.clear();
    begin_ = scanned_ = 0;
    end_ = true;
    return Result::kEnd;
  }
  if (ready == 0) return Result::kNotYet;
  buffer_.erase(0, begin_);
  scanned_ -= std::min(scanned_, begin_);
  begin_ = 0;
  const size_t kept = buffer_.size();
  buffer_.resize(kept + kReadBytes);
  const ssize_t n = read(fd_, buffer_.data() + kept, kReadBytes);
  buffer_.resize(kept + static_cast<size_t>(std::max<ssize_t>(n, 0)));
  if (n > 0) {
    any_ = true;
  } else if (n == 0) {
    end_ = true;
  } else if (errno != EINTR && errno != EAGAIN) {
    error_ = absl::ErrnoToStatus(errno, "cannot read the input");
    return Result::kFailed;
  }
  return Result::kItem;
}

}  // namespace mcgw::cli
