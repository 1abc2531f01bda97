#include "bench/reference/tcp_ring.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <utility>
#include <vector>

#include "bench/sockets.h"

namespace mcgw::bench {
namespace {

constexpr size_t kBatch = 64;
constexpr size_t kLargestBytes = 65'536;
constexpr uint32_t kPrefixBytes = sizeof(uint32_t);

// Bytes by their position since the beginning of time; the last `size` of them are there, each stretch contiguous,
// since the memory is mapped twice, one behind the other.
class Ring {
 public:
  static absl::StatusOr<std::unique_ptr<Ring>> Create(size_t size) {
    const OwnedFd memory(memfd_create("ring", MFD_CLOEXEC));
    if (!memory.valid() || ftruncate(memory.get(), static_cast<off_t>(size)) != 0)
      return ErrnoError("memory of a ring");
    void* both = mmap(nullptr, 2 * size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (both == MAP_FAILED) return ErrnoError("mmap");
    char* base = static_cast<char*>(both);
    for (char* half : {base, base + size}) {
      if (mmap(half, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, memory.get(), 0) == MAP_FAILED) {
        return ErrnoError("mmap of a ring");
      }
    }
    return std::unique_ptr<Ring>(new Ring(base, size));
  }
  Ring(const Ring&) = delete;
  Ring& operator=(const Ring&) = delete;
  ~Ring() { munmap(base_, 2 * size_); }

  char* At(uint64_t position) const { return base_ + position % size_; }
  size_t size() const { return size_; }

 private:
  Ring(char* base, size_t size) : base_(base), size_(size) {}

  char* const base_;
  const size_t size_;
};

struct Connection {
  OwnedFd fd;
  uint64_t at;  // The byte that is sent next.
  bool blocked = false;
};

class TcpRing {
 public:
  TcpRing(const TcpRingOptions& options, OwnedFd listener, OwnedFd epoll, std::unique_ptr<Ring> ring)
      : options_(options), listener_(std::move(listener)), epoll_(std::move(epoll)), ring_(std::move(ring)) {
    for (size_t i = 0; i < kBatch; ++i) {
      parts_[i] = {&received_[i * kLargestBytes], kLargestBytes};
      headers_[i].msg_hdr.msg_iov = &parts_[i];
      headers_[i].msg_hdr.msg_iovlen = 1;
    }
  }

  absl::Status Watch(int operation, int fd, uint32_t events) {
    epoll_event event = {};
    event.events = events;
    event.data.fd = fd;
    if (epoll_ctl(epoll_.get(), operation, fd, &event) != 0) return ErrnoError("epoll_ctl");
    return absl::OkStatus();
  }

  int listener() const { return listener_.get(); }

  // Waits only if no connection can take anything.
  absl::Status RunOnce() {
    std::array<epoll_event, 64> events;
    const int count = epoll_wait(epoll_.get(), events.data(), events.size(), more_ ? 0 : -1);
    if (count < 0 && errno != EINTR) return ErrnoError("epoll_wait");
    for (int i = 0; i < count; ++i) {
      const int fd = events[i].data.fd;
      absl::Status status;
      if (fd == listener_.get()) {
        status = Accept();
      } else if (group_.valid() && fd == group_.get()) {
        Take();
      } else if ((events[i].events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0) {
        Drop(fd);  // A client says nothing, so that what it sends is its end.
      } else {
        status = Unblock(fd);
      }
      if (!status.ok()) return status;
    }
    return Serve();
  }

 private:
  static constexpr uint32_t kEnds = EPOLLIN | EPOLLRDHUP;

  absl::Status Accept() {
    OwnedFd fd(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!fd.valid()) return errno == EAGAIN ? absl::OkStatus() : ErrnoError("accept");
    const int on = 1;
    setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (!group_.valid()) {
      auto group = OpenReceiver(options_.group);
      if (!group.ok()) return group.status();
      group_ = *std::move(group);
      if (auto status = Watch(EPOLL_CTL_ADD, group_.get(), EPOLLIN); !status.ok()) return status;
    }
    const uint32_t greeting = 0;
    if (send(fd.get(), &greeting, kPrefixBytes, MSG_NOSIGNAL) < 0) return absl::OkStatus();  // Gone already.
    if (auto status = Watch(EPOLL_CTL_ADD, fd.get(), kEnds); !status.ok()) return status;
    connections_.push_back({.fd = std::move(fd), .at = options_.oldest ? begin_ : end_});
    return absl::OkStatus();
  }

  void Drop(int fd) {
    std::erase_if(connections_, [fd](const Connection& each) { return each.fd.get() == fd; });
    if (connections_.empty()) group_.Reset();
  }

  absl::Status Unblock(int fd) {
    for (Connection& connection : connections_) {
      if (connection.fd.get() == fd) connection.blocked = false;
    }
    return Watch(EPOLL_CTL_MOD, fd, kEnds);
  }

  void Take() {
    const int count = recvmmsg(group_.get(), headers_.data(), kBatch, MSG_DONTWAIT, nullptr);
    for (int i = 0; i < count; ++i) {
      const uint32_t size = headers_[i].msg_len;
      while (end_ + kPrefixBytes + size - begin_ > ring_->size()) begin_ += kPrefixBytes + SizeAt(begin_);
      std::memcpy(ring_->At(end_), &size, kPrefixBytes);
      std::memcpy(ring_->At(end_ + kPrefixBytes), &received_[static_cast<size_t>(i) * kLargestBytes], size);
      end_ += kPrefixBytes + size;
    }
  }

  uint32_t SizeAt(uint64_t position) const {
    uint32_t size;
    std::memcpy(&size, ring_->At(position), kPrefixBytes);
    return size;
  }

  // A send for each connection that can take one and has something to come.
  absl::Status Serve() {
    more_ = false;
    for (Connection& connection : connections_) {
      // Overtaken: not at a frame's beginning any more, if a send took part of one. The stream is then broken.
      connection.at = std::max(connection.at, begin_);
      if (connection.blocked || connection.at == end_) continue;
      const size_t size = BatchBytes(connection.at);
      const ssize_t sent = send(connection.fd.get(), ring_->At(connection.at), size, MSG_NOSIGNAL | MSG_DONTWAIT);
      if (sent > 0) connection.at += static_cast<uint64_t>(sent);
      connection.blocked = sent < static_cast<ssize_t>(size);
      if (connection.blocked) {
        if (auto status = Watch(EPOLL_CTL_MOD, connection.fd.get(), kEnds | EPOLLOUT); !status.ok()) return status;
      }
      more_ = more_ || (!connection.blocked && connection.at != end_);
    }
    return absl::OkStatus();
  }

  // As many bytes as 64 datagrams like the oldest have; a load has one size. Less where less is there.
  size_t BatchBytes(uint64_t at) const {
    const size_t frame = kPrefixBytes + SizeAt(begin_);
    return static_cast<size_t>(std::min<uint64_t>(end_ - at, kBatch * frame));
  }

  const TcpRingOptions options_;
  const OwnedFd listener_;
  const OwnedFd epoll_;
  const std::unique_ptr<Ring> ring_;
  OwnedFd group_;
  std::vector<Connection> connections_;
  uint64_t begin_ = 0;  // Of the oldest frame that is there.
  uint64_t end_ = 0;
  bool more_ = false;
  std::vector<char> received_ = std::vector<char>(kBatch * kLargestBytes);
  std::array<iovec, kBatch> parts_;
  std::array<mmsghdr, kBatch> headers_ = {};
};

}  // namespace

absl::Status RunTcpRing(const TcpRingOptions& options) {
  auto listener = ListenTcp(options.port);
  if (!listener.ok()) return listener.status();
  auto ring = Ring::Create(options.ring_bytes);
  if (!ring.ok()) return ring.status();
  OwnedFd epoll(epoll_create1(EPOLL_CLOEXEC));
  if (!epoll.valid()) return ErrnoError("epoll_create1");
  TcpRing gateway(options, *std::move(listener), std::move(epoll), *std::move(ring));
  if (auto status = gateway.Watch(EPOLL_CTL_ADD, gateway.listener(), EPOLLIN); !status.ok()) return status;
  std::fprintf(stderr, "ready\n");
  while (true) {
    if (auto status = gateway.RunOnce(); !status.ok()) return status;
  }
}

}  // namespace mcgw::bench
