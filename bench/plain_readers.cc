#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <utility>
#include <vector>

#include "bench/reader.h"
#include "bench/sockets.h"

namespace mcgw::bench {
namespace {

class DirectReader : public Reader {
 public:
  explicit DirectReader(OwnedFd fd) : fd_(std::move(fd)) {
    for (size_t i = 0; i < kBatch; ++i) {
      parts_[i] = {&buffer_[i * kLargestBytes], kLargestBytes};
      headers_[i].msg_hdr.msg_iov = &parts_[i];
      headers_[i].msg_hdr.msg_iovlen = 1;
    }
  }

  int fd() const override { return fd_.get(); }
  bool ready() const override { return true; }

  absl::Status Receive() override {
    const int count = recvmmsg(fd_.get(), headers_.data(), kBatch, MSG_DONTWAIT, nullptr);
    if (count < 0) return errno == EAGAIN ? absl::OkStatus() : ErrnoError("recvmmsg");
    const int64_t now_ns = NowNs();
    for (int i = 0; i < count; ++i) account().Take(&buffer_[i * kLargestBytes], headers_[i].msg_len, now_ns);
    return absl::OkStatus();
  }

 private:
  static constexpr size_t kBatch = 64;
  static constexpr size_t kLargestBytes = 2048;

  const OwnedFd fd_;
  std::vector<char> buffer_ = std::vector<char>(kBatch * kLargestBytes);
  std::array<iovec, kBatch> parts_;
  std::array<mmsghdr, kBatch> headers_ = {};
};

class TcpReader : public Reader {
 public:
  explicit TcpReader(OwnedFd fd) : fd_(std::move(fd)) {}

  int fd() const override { return fd_.get(); }
  bool ready() const override { return ready_; }

  absl::Status Receive() override {
    const ssize_t got = recv(fd_.get(), &buffer_[filled_], buffer_.size() - filled_, MSG_DONTWAIT);
    if (got == 0) return absl::UnavailableError("the TCP gateway ended the connection");
    if (got < 0) return errno == EAGAIN ? absl::OkStatus() : ErrnoError("recv");
    filled_ += static_cast<size_t>(got);
    const int64_t now_ns = NowNs();
    size_t at = 0;
    uint32_t size;
    while (filled_ - at >= sizeof(size)) {
      std::memcpy(&size, &buffer_[at], sizeof(size));
      if (filled_ - at - sizeof(size) < size) break;
      // The gateway greets with an empty frame.
      if (size == 0) {
        ready_ = true;
      } else {
        account().Take(&buffer_[at + sizeof(size)], size, now_ns);
      }
      at += sizeof(size) + size;
    }
    filled_ -= at;
    std::memmove(buffer_.data(), &buffer_[at], filled_);
    return absl::OkStatus();
  }

 private:
  const OwnedFd fd_;
  std::vector<char> buffer_ = std::vector<char>(256 << 10);
  size_t filled_ = 0;
  bool ready_ = false;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Reader>> MakeDirectReader(const Group& group) {
  auto fd = OpenReceiver(group);
  if (!fd.ok()) return fd.status();
  return std::make_unique<DirectReader>(*std::move(fd));
}

absl::StatusOr<std::unique_ptr<Reader>> MakeTcpReader(uint16_t server_port) {
  auto fd = Connect("127.0.0.1:" + std::to_string(server_port));
  if (!fd.ok()) return fd.status();
  return std::make_unique<TcpReader>(*std::move(fd));
}

}  // namespace mcgw::bench
