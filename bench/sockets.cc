#include "bench/sockets.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace mcgw::bench {
namespace {

constexpr int kBufferBytes = 32 << 20;

sockaddr_in Ip4(const std::string& address, uint16_t port) {
  sockaddr_in result = {};
  result.sin_family = AF_INET;
  result.sin_port = htons(port);
  inet_pton(AF_INET, address.c_str(), &result.sin_addr);
  return result;
}

template <typename Value>
absl::Status SetOption(const OwnedFd& fd, int level, int name, const Value& value, absl::string_view what) {
  if (setsockopt(fd.get(), level, name, &value, sizeof(value)) != 0) return ErrnoError(what);
  return absl::OkStatus();
}

ip_mreqn Request(const Group& group) {
  ip_mreqn request = {};
  inet_pton(AF_INET, group.address.c_str(), &request.imr_multiaddr);
  request.imr_ifindex = static_cast<int>(if_nametoindex(group.interface.c_str()));
  return request;
}

absl::Status ConnectTo(const OwnedFd& fd, const void* address, socklen_t length) {
  if (connect(fd.get(), static_cast<const sockaddr*>(address), length) != 0) return ErrnoError("connect");
  if (fcntl(fd.get(), F_SETFL, O_NONBLOCK) != 0) return ErrnoError("O_NONBLOCK");
  return absl::OkStatus();
}

}  // namespace

absl::Status ErrnoError(absl::string_view what) {
  return absl::InternalError(absl::StrCat(what, ": ", std::strerror(errno)));
}

absl::StatusOr<OwnedFd> OpenReceiver(const Group& group) {
  OwnedFd fd(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd.valid()) return ErrnoError("socket");
  if (auto status = SetOption(fd, SOL_SOCKET, SO_REUSEADDR, 1, "SO_REUSEADDR"); !status.ok()) return status;
  if (!SetOption(fd, SOL_SOCKET, SO_RCVBUFFORCE, kBufferBytes, "SO_RCVBUFFORCE").ok()) {
    if (auto status = SetOption(fd, SOL_SOCKET, SO_RCVBUF, kBufferBytes, "SO_RCVBUF"); !status.ok()) {
      return status;
    }
  }
  const sockaddr_in address = Ip4(group.address, group.port);
  if (bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) return ErrnoError("bind");
  if (auto status = SetOption(fd, IPPROTO_IP, IP_MULTICAST_ALL, 0, "IP_MULTICAST_ALL"); !status.ok()) return status;
  if (auto status = SetOption(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, Request(group), "join"); !status.ok()) return status;
  return fd;
}

absl::StatusOr<OwnedFd> OpenSender(const Group& group) {
  const bool ip6 = group.address.find(':') != std::string::npos;
  OwnedFd fd(socket(ip6 ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return ErrnoError("socket");
  if (auto status = SetOption(fd, SOL_SOCKET, SO_SNDBUF, kBufferBytes, "SO_SNDBUF"); !status.ok()) return status;
  const int index = static_cast<int>(if_nametoindex(group.interface.c_str()));
  const auto through = ip6 ? SetOption(fd, IPPROTO_IPV6, IPV6_MULTICAST_IF, index, "IPV6_MULTICAST_IF")
                           : SetOption(fd, IPPROTO_IP, IP_MULTICAST_IF, Request(group), "IP_MULTICAST_IF");
  if (!through.ok()) return through;
  const sockaddr_in address4 = Ip4(group.address, group.port);
  sockaddr_in6 address6 = {};
  address6.sin6_family = AF_INET6;
  address6.sin6_port = htons(group.port);
  if (ip6) inet_pton(AF_INET6, group.address.c_str(), &address6.sin6_addr);
  const auto* address =
      ip6 ? reinterpret_cast<const sockaddr*>(&address6) : reinterpret_cast<const sockaddr*>(&address4);
  if (connect(fd.get(), address, ip6 ? sizeof(address6) : sizeof(address4)) != 0) {
    return ErrnoError("connect to the group");
  }
  return fd;
}

absl::StatusOr<OwnedFd> ConnectBlocking(const std::string& target) {
  auto fd = Connect(target);
  if (fd.ok() && fcntl(fd->get(), F_SETFL, 0) != 0) return ErrnoError("O_NONBLOCK");
  return fd;
}

absl::StatusOr<OwnedFd> Connect(const std::string& target) {
  absl::string_view rest = target;
  if (absl::ConsumePrefix(&rest, "unix:")) {
    OwnedFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (!fd.valid()) return ErrnoError("socket");
    sockaddr_un address = {};
    address.sun_family = AF_UNIX;
    if (rest.size() >= sizeof(address.sun_path)) return absl::InvalidArgumentError("the path is too long");
    std::memcpy(address.sun_path, rest.data(), rest.size());
    if (auto status = ConnectTo(fd, &address, sizeof(address)); !status.ok()) return status;
    return fd;
  }
  const size_t colon = rest.rfind(':');
  int port = 0;
  if (colon == absl::string_view::npos || !absl::SimpleAtoi(rest.substr(colon + 1), &port)) {
    return absl::InvalidArgumentError(absl::StrCat("no port in ", target));
  }
  OwnedFd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return ErrnoError("socket");
  const sockaddr_in address = Ip4(std::string(rest.substr(0, colon)), static_cast<uint16_t>(port));
  if (auto status = ConnectTo(fd, &address, sizeof(address)); !status.ok()) return status;
  if (auto status = SetOption(fd, IPPROTO_TCP, TCP_NODELAY, 1, "TCP_NODELAY"); !status.ok()) return status;
  return fd;
}

absl::StatusOr<OwnedFd> ListenTcp(uint16_t port) {
  OwnedFd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd.valid()) return ErrnoError("socket");
  if (auto status = SetOption(fd, SOL_SOCKET, SO_REUSEADDR, 1, "SO_REUSEADDR"); !status.ok()) return status;
  const sockaddr_in address = Ip4("127.0.0.1", port);
  if (bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) return ErrnoError("bind");
  if (listen(fd.get(), SOMAXCONN) != 0) return ErrnoError("listen");
  return fd;
}

}  // namespace mcgw::bench
