// Shared by the Linux receive, send and membership sockets.

#ifndef MCGW_NET_LINUX_SOCKET_H_
#define MCGW_NET_LINUX_SOCKET_H_

#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstdint>
#include <memory>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "server/net/address.h"
#include "server/net/multicast_socket.h"
#include "server/net/owned_fd.h"
#include "server/net/port_holder.h"
#include "server/net/status.h"
#include "server/net/text.h"

#ifndef IP_MULTICAST_ALL
#define IP_MULTICAST_ALL 49
#endif
#ifndef IPV6_MULTICAST_ALL
#define IPV6_MULTICAST_ALL 29
#endif

namespace mcgw::net {

// For the factory: each is implemented in the .cc of its name.
absl::StatusOr<std::unique_ptr<ReceiveSocket>> NewLinuxReceiveSocket(const ReceiveSocketSpec& spec);
absl::StatusOr<std::unique_ptr<SendSocket>> NewLinuxSendSocket(const SendSocketSpec& spec);
absl::StatusOr<std::unique_ptr<MembershipSocket>> NewLinuxMembershipSocket(Family family);

inline int ProtocolLevel(Family family) { return family == Family::kIpv4 ? IPPROTO_IP : IPPROTO_IPV6; }

inline absl::Status SetOption(int fd, int level, int option, int value, std::string_view what) {
  if (setsockopt(fd, level, option, &value, sizeof(value)) == 0) return absl::OkStatus();
  return ErrnoStatus(errno, what);
}

// A UDP socket that receives only groups it joined (IP_MULTICAST_ALL off) and, for IPv6, no mapped IPv4.
inline absl::StatusOr<OwnedFd> OpenUdpSocket(Family family) {
  const bool v4 = family == Family::kIpv4;
  OwnedFd fd(socket(v4 ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd.valid()) {
    switch (errno) {
      case EAFNOSUPPORT:
        return ErrnoError(errno, Reason::kNoAddress, "",
                          absl::StrCat(ToAbsl(FamilyName(family)), " is not available on this host"));
      case EMFILE:
        return ErrnoError(errno, Reason::kHostLimit, "",
                          "the gateway is out of file descriptors: raise its limit (LimitNOFILE, ulimit -n)");
      case ENFILE:
        return ErrnoError(errno, Reason::kHostLimit, "", "the host is out of open files: raise fs.file-max");
      default:
        return ErrnoStatus(errno, "open a UDP socket");
    }
  }
  if (v4) {
    absl::Status status = SetOption(fd.get(), IPPROTO_IP, IP_MULTICAST_ALL, 0, "set IP_MULTICAST_ALL");
    if (!status.ok()) return status;
    return fd;
  }
  absl::Status status = SetOption(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, 1, "set IPV6_V6ONLY");
  if (!status.ok()) return status;
  status = SetOption(fd.get(), IPPROTO_IPV6, IPV6_MULTICAST_ALL, 0, "set IPV6_MULTICAST_ALL");
  if (!status.ok()) return status;
  return fd;
}

inline absl::Status BindSocket(int fd, const IpAddress& address, uint16_t port, uint32_t scope_id) {
  sockaddr_storage name;
  const socklen_t length = ToSockaddr(address, port, scope_id, &name);
  if (bind(fd, reinterpret_cast<const sockaddr*>(&name), length) == 0) return absl::OkStatus();
  const int error = errno;
  const std::string what = ToString(address, port);
  switch (error) {
    case EADDRINUSE:
      return ErrnoError(
          error, Reason::kPortInUse, "",
          absl::StrCat("UDP port ", port, " is held without sharing by ", DescribePortHolder(address, port),
                       ": stop it, let it set SO_REUSEADDR, or choose another port"));
    case EACCES:
      return ErrnoStatus(error, absl::StrCat("bind ", what, " (a port below net.ipv4.ip_unprivileged_port_start)"));
    default:
      return ErrnoStatus(error, absl::StrCat("bind ", what));
  }
}

}  // namespace mcgw::net

#endif  // MCGW_NET_LINUX_SOCKET_H_
