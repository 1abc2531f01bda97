// A file descriptor with one owner.
//
// OwnedFd closes its descriptor when it is destroyed or reset. It moves but does not copy; a bare int is only borrowed
// from it. Not thread-safe: its owner confines it to one thread or guards it.

#ifndef MCGW_NET_OWNED_FD_H_
#define MCGW_NET_OWNED_FD_H_

#include <unistd.h>

#include <utility>

namespace mcgw::net {

class OwnedFd {
 public:
  OwnedFd() = default;
  explicit OwnedFd(int fd) : fd_(fd) {}
  OwnedFd(OwnedFd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  OwnedFd& operator=(OwnedFd&& other) noexcept {
    if (this != &other) {
      Reset();
      fd_ = std::exchange(other.fd_, -1);
    }
    return *this;
  }
  OwnedFd(const OwnedFd&) = delete;
  OwnedFd& operator=(const OwnedFd&) = delete;
  ~OwnedFd() { Reset(); }

  int get() const { return fd_; }
  bool valid() const { return fd_ >= 0; }
  // Releases ownership: the caller closes the descriptor.
  int Release() { return std::exchange(fd_, -1); }
  void Reset() {
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
  }

 private:
  int fd_ = -1;
};

}  // namespace mcgw::net

#endif  // MCGW_NET_OWNED_FD_H_
