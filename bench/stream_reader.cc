#include "bench/stream_reader.h"

#include <sys/socket.h>

#include <cerrno>
#include <cstring>

#include "bench/stamp.h"

namespace mcgw::bench {
namespace {

constexpr size_t kDiscardBytes = 4 << 20;

}  // namespace

absl::Status StreamReader::Receive() {
  const ssize_t got = looking_ ? recv(fd_.get(), &buffer_[filled_], buffer_.size() - filled_, MSG_DONTWAIT)
                               : recv(fd_.get(), nullptr, kDiscardBytes, MSG_DONTWAIT | MSG_TRUNC);
  if (got == 0) return absl::UnavailableError("the server ended the connection");
  if (got < 0) return errno == EAGAIN || errno == EINTR ? absl::OkStatus() : ErrnoError("recv");
  const int64_t now_ns = NowNs();
  received_bytes_ += static_cast<uint64_t>(got);
  if (!looking_) return absl::OkStatus();
  filled_ += static_cast<size_t>(got);
  const auto taken = TakeFrames({buffer_.data(), filled_}, now_ns);
  if (!taken.ok()) return taken.status();
  filled_ -= *taken;
  if (filled_ == buffer_.size()) return absl::InternalError("a frame larger than was expected");
  std::memmove(buffer_.data(), &buffer_[*taken], filled_);
  return absl::OkStatus();
}

bool StreamReader::StopLooking() {
  looking_ = false;
  return true;
}

absl::Status StreamReader::Send(absl::string_view bytes) {
  if (send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(bytes.size())) {
    return ErrnoError("send to the server");
  }
  return absl::OkStatus();
}

}  // namespace mcgw::bench
