#include "bench/reference/tcp_gateway.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>
#include <vector>

#include "bench/sockets.h"

namespace mcgw::bench {
namespace {

constexpr size_t kBatch = 64;
constexpr size_t kLargestBytes = 65'536;
constexpr uint32_t kPrefixBytes = sizeof(uint32_t);

class TcpGateway {
 public:
  TcpGateway(const TcpGatewayOptions& options, OwnedFd listener, OwnedFd epoll)
      : options_(options), listener_(std::move(listener)), epoll_(std::move(epoll)) {
    for (size_t i = 0; i < kBatch; ++i) {
      parts_[i] = {&received_[i * kLargestBytes], kLargestBytes};
      headers_[i].msg_hdr.msg_iov = &parts_[i];
      headers_[i].msg_hdr.msg_iovlen = 1;
    }
  }

  absl::Status Watch(int fd) {
    epoll_event event = {};
    event.events = EPOLLIN | EPOLLRDHUP;
    event.data.fd = fd;
    if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0) return ErrnoError("epoll_ctl");
    return absl::OkStatus();
  }

  absl::Status RunOnce() {
    std::array<epoll_event, 16> events;
    const int count = epoll_wait(epoll_.get(), events.data(), events.size(), -1);
    if (count < 0 && errno != EINTR) return ErrnoError("epoll_wait");
    for (int i = 0; i < count; ++i) {
      const int fd = events[i].data.fd;
      absl::Status status;
      if (fd == listener_.get()) {
        status = Accept();
      } else if (group_.valid() && fd == group_.get()) {
        Forward();
      } else {
        Drop(fd);
      }
      if (!status.ok()) return status;
    }
    return absl::OkStatus();
  }

  int listener() const { return listener_.get(); }

 private:
  absl::Status Accept() {
    OwnedFd connection(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (!connection.valid()) return errno == EAGAIN ? absl::OkStatus() : ErrnoError("accept");
    const int on = 1;
    setsockopt(connection.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (!group_.valid()) {
      auto group = OpenReceiver(options_.group);
      if (!group.ok()) return group.status();
      group_ = *std::move(group);
      if (auto status = Watch(group_.get()); !status.ok()) return status;
    }
    const uint32_t greeting = 0;
    Write(connection.get(), reinterpret_cast<const char*>(&greeting), kPrefixBytes);
    if (auto status = Watch(connection.get()); !status.ok()) return status;
    connections_.push_back(std::move(connection));
    return absl::OkStatus();
  }

  // A client says nothing, so that what it sends is its end.
  void Drop(int fd) {
    std::erase_if(connections_, [fd](const OwnedFd& connection) { return connection.get() == fd; });
    if (connections_.empty()) group_.Reset();
  }

  void Forward() {
    const int count = recvmmsg(group_.get(), headers_.data(), kBatch, MSG_DONTWAIT, nullptr);
    size_t filled = 0;
    for (int i = 0; i < count; ++i) {
      const uint32_t size = headers_[i].msg_len;
      std::memcpy(&encoded_[filled], &size, kPrefixBytes);
      std::memcpy(&encoded_[filled + kPrefixBytes], &received_[i * kLargestBytes], size);
      filled += kPrefixBytes + size;
      if (!options_.batch) WriteAll(&filled);
    }
    if (filled != 0) WriteAll(&filled);
  }

  void WriteAll(size_t* filled) {
    for (const OwnedFd& connection : connections_) Write(connection.get(), encoded_.data(), *filled);
    *filled = 0;
  }

  // A connection that broke is dropped when epoll tells.
  static void Write(int fd, const char* data, size_t size) {
    while (size != 0) {
      const ssize_t written = send(fd, data, size, MSG_NOSIGNAL);
      if (written < 0 && errno != EINTR) return;
      if (written < 0) continue;
      data += written;
      size -= static_cast<size_t>(written);
    }
  }

  const TcpGatewayOptions options_;
  const OwnedFd listener_;
  const OwnedFd epoll_;
  OwnedFd group_;
  std::vector<OwnedFd> connections_;
  std::vector<char> received_ = std::vector<char>(kBatch * kLargestBytes);
  std::vector<char> encoded_ = std::vector<char>(kBatch * (kPrefixBytes + kLargestBytes));
  std::array<iovec, kBatch> parts_;
  std::array<mmsghdr, kBatch> headers_ = {};
};

}  // namespace

absl::Status RunTcpGateway(const TcpGatewayOptions& options) {
  auto listener = ListenTcp(options.port);
  if (!listener.ok()) return listener.status();
  OwnedFd epoll(epoll_create1(EPOLL_CLOEXEC));
  if (!epoll.valid()) return ErrnoError("epoll_create1");
  TcpGateway gateway(options, *std::move(listener), std::move(epoll));
  if (auto status = gateway.Watch(gateway.listener()); !status.ok()) return status;
  std::fprintf(stderr, "ready\n");
  while (true) {
    if (auto status = gateway.RunOnce(); !status.ok()) return status;
  }
}

}  // namespace mcgw::bench
