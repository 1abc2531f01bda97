#include <sys/socket.h>
#include <time.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <utility>
#include <vector>

#include "bench/reader.h"
#include "bench/sockets.h"
#include "bench/stream_reader.h"

namespace mcgw::bench {
namespace {

class DirectReader : public Reader {
 public:
  explicit DirectReader(OwnedFd fd) : fd_(std::move(fd)) {
    for (size_t i = 0; i < kBatch; ++i) {
      parts_[i] = {&buffer_[i * kLargestBytes], kLargestBytes};
      headers_[i].msg_hdr.msg_iov = &parts_[i];
      headers_[i].msg_hdr.msg_iovlen = 1;
      headers_[i].msg_hdr.msg_control = controls_[i].data();
    }
  }

  int fd() const override { return fd_.get(); }
  bool ready() const override { return true; }

  absl::Status Receive() override {
    for (mmsghdr& header : headers_) header.msg_hdr.msg_controllen = kControlBytes;
    const int count = recvmmsg(fd_.get(), headers_.data(), kBatch, MSG_DONTWAIT, nullptr);
    if (count < 0) return errno == EAGAIN ? absl::OkStatus() : ErrnoError("recvmmsg");
    const int64_t now_ns = NowNs();
    timespec wall;
    clock_gettime(CLOCK_REALTIME, &wall);
    for (int i = 0; i < count; ++i) {
      account().Take(&buffer_[i * kLargestBytes], headers_[i].msg_len, now_ns);
      TakeTimestamp(&headers_[i].msg_hdr, wall);
    }
    return absl::OkStatus();
  }

 private:
  static constexpr size_t kBatch = 64;
  static constexpr size_t kLargestBytes = 16 << 10;
  static constexpr size_t kControlBytes = CMSG_SPACE(sizeof(timespec));

  void TakeTimestamp(msghdr* header, const timespec& wall) {
    const cmsghdr* control = CMSG_FIRSTHDR(header);
    if (control == nullptr || control->cmsg_level != SOL_SOCKET || control->cmsg_type != SCM_TIMESTAMPNS) return;
    timespec received;
    std::memcpy(&received, CMSG_DATA(control), sizeof(received));
    account().TakeAge((wall.tv_sec - received.tv_sec) * int64_t{1'000'000'000} + wall.tv_nsec - received.tv_nsec);
  }

  const OwnedFd fd_;
  std::vector<char> buffer_ = std::vector<char>(kBatch * kLargestBytes);
  std::array<iovec, kBatch> parts_;
  alignas(cmsghdr) std::array<std::array<char, kControlBytes>, kBatch> controls_;
  std::array<mmsghdr, kBatch> headers_ = {};
};

class TcpReader : public StreamReader {
 public:
  using StreamReader::StreamReader;

  bool ready() const override { return ready_; }

 private:
  absl::StatusOr<size_t> TakeFrames(absl::string_view data, int64_t now_ns) override {
    size_t at = 0;
    uint32_t size;
    while (data.size() - at >= sizeof(size)) {
      std::memcpy(&size, &data[at], sizeof(size));
      if (data.size() - at - sizeof(size) < size) break;
      // The gateway greets with an empty frame.
      if (size == 0) {
        ready_ = true;
      } else {
        TakeDatagram(data.substr(at + sizeof(size), size), sizeof(size) + size, now_ns);
      }
      at += sizeof(size) + size;
    }
    return at;
  }

  bool ready_ = false;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Reader>> MakeDirectReader(const Group& group) {
  auto fd = OpenReceiver(group);
  if (!fd.ok()) return fd.status();
  const int on = 1;
  if (setsockopt(fd->get(), SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof(on)) != 0) return ErrnoError("SO_TIMESTAMPNS");
  return std::make_unique<DirectReader>(*std::move(fd));
}

absl::StatusOr<std::unique_ptr<Reader>> MakeTcpReader(uint16_t server_port) {
  auto fd = Connect("127.0.0.1:" + std::to_string(server_port));
  if (!fd.ok()) return fd.status();
  return std::make_unique<TcpReader>(*std::move(fd));
}

}  // namespace mcgw::bench
