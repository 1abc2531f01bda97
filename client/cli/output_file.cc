#include "client/cli/output_file.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "absl/strings/str_cat.h"

namespace mcgw::cli {
namespace {

constexpr size_t kLargeBytes = 256 * 1024;
constexpr int kGiveUpMs = 1000;

int OpenWithoutBlocking(int fd) {
  struct stat info;
  if (fstat(fd, &info) != 0 || !S_ISFIFO(info.st_mode)) return fd;
  const int own = open(absl::StrCat("/proc/self/fd/", fd).c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC);
  return own < 0 ? fd : own;
}

}  // namespace

OutputFile::OutputFile(int fd, int stop_fd) : given_fd_(fd), stop_fd_(stop_fd), fd_(OpenWithoutBlocking(fd)) {}

OutputFile::~OutputFile() {
  if (fd_ != given_fd_) close(fd_);
}

OutputFile::Result OutputFile::FlushIfLarge() { return buffer_.size() < kLargeBytes ? Result::kWritten : Flush(); }

OutputFile::Result OutputFile::Flush() {
  size_t written = 0;
  while (written < buffer_.size()) {
    const ssize_t n = write(fd_, buffer_.data() + written, buffer_.size() - written);
    if (n >= 0) {
      written += static_cast<size_t>(n);
    } else if (errno == EAGAIN) {
      if (!WaitUntilWritable()) return Result::kReaderGone;
    } else if (errno == EPIPE) {
      return Result::kReaderGone;
    } else if (errno != EINTR) {
      error_ = absl::ErrnoToStatus(errno, "cannot write to standard output");
      return Result::kFailed;
    }
  }
  buffer_.clear();
  return Result::kWritten;
}

bool OutputFile::WaitUntilWritable() {
  pollfd waited[] = {{fd_, POLLOUT, 0}, {stop_fd_, POLLIN, 0}};
  if (poll(waited, 2, -1) < 0 || waited[0].revents != 0) return true;
  return poll(waited, 1, kGiveUpMs) != 0;
}

}  // namespace mcgw::cli
