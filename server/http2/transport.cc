#include "server/http2/transport.h"

#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <cerrno>
#include <utility>

namespace mcgw::http2 {
namespace {

ssize_t Failed() {
  return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR ? Transport::kWouldBlock : Transport::kBroken;
}

class PlainTransport final : public Transport {
 public:
  explicit PlainTransport(net::OwnedFd fd) : fd_(std::move(fd)) {}
  // Others may watch the connection by descriptors of their own, which keep it open.
  ~PlainTransport() override { shutdown(fd_.get(), SHUT_RDWR); }

  ssize_t Read(char* buffer, size_t size) override {
    const ssize_t got = recv(fd_.get(), buffer, size, 0);
    return got >= 0 ? got : Failed();
  }
  ssize_t Write(const iovec* buffers, int count) override {
    if (count == 1) {
      const ssize_t taken = send(fd_.get(), buffers->iov_base, buffers->iov_len, MSG_NOSIGNAL);
      return taken >= 0 ? taken : Failed();
    }
    msghdr message = {};
    message.msg_iov = const_cast<iovec*>(buffers);
    message.msg_iovlen = static_cast<size_t>(count);
    const ssize_t sent = sendmsg(fd_.get(), &message, MSG_NOSIGNAL);
    return sent >= 0 ? sent : Failed();
  }
  bool drained() const override {
    int queued_bytes = 0;
    return ioctl(fd_.get(), SIOCOUTQ, &queued_bytes) != 0 || queued_bytes == 0;
  }
  int fd() const override { return fd_.get(); }

 private:
  const net::OwnedFd fd_;
};

}  // namespace

std::unique_ptr<Transport> NewPlainTransport(net::OwnedFd fd) {
  return std::make_unique<PlainTransport>(std::move(fd));
}

}  // namespace mcgw::http2
