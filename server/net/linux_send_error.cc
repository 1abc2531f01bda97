#include "server/net/linux_send_error.h"

#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <cerrno>
#include <string>

#include "absl/strings/str_cat.h"
#include "server/net/address.h"
#include "server/net/linux_socket.h"
#include "server/net/status.h"
#include "server/net/text.h"

namespace mcgw::net {
namespace {

constexpr int kIpv4HeaderBytes = 20;
constexpr int kIpv6HeaderBytes = 40;
constexpr int kUdpHeaderBytes = 8;

// The name of an interface; empty if it is gone.
std::string NameOf(int fd, uint32_t index) {
  ifreq request = {};
  request.ifr_ifindex = static_cast<int>(index);
  return ioctl(fd, SIOCGIFNAME, &request) == 0 ? request.ifr_name : "";
}

ifreq RequestFor(const std::string& name) {
  ifreq request = {};
  name.copy(request.ifr_name, IFNAMSIZ - 1);
  return request;
}

// The largest payload that leaves an interface unfragmented; 0 if the interface is gone.
size_t UnfragmentedPayloadBytes(int fd, const std::string& name, Family family) {
  ifreq request = RequestFor(name);
  const int headers = kUdpHeaderBytes + (family == Family::kIpv4 ? kIpv4HeaderBytes : kIpv6HeaderBytes);
  if (ioctl(fd, SIOCGIFMTU, &request) != 0 || request.ifr_mtu < headers) return 0;
  return static_cast<size_t>(request.ifr_mtu - headers);
}

// Whether the host can send from the address: its own, past duplicate address detection.
bool IsOwnAddress(const IpAddress& address, uint32_t interface_index) {
  const absl::StatusOr<OwnedFd> probe = OpenUdpSocket(address.family());
  sockaddr_storage name;
  const socklen_t length = ToSockaddr(address, 0, interface_index, &name);
  return probe.ok() && bind(probe->get(), reinterpret_cast<const sockaddr*>(&name), length) == 0;
}

absl::Status TooLarge(int fd, const SendSocketSpec& spec, const OutgoingDatagram& datagram) {
  const size_t size = datagram.payload.size();
  const size_t most = MaxPayloadBytes(spec.family);
  if (spec.dont_fragment && size <= most) {
    const std::string name = NameOf(fd, datagram.interface_index);
    const size_t limit = UnfragmentedPayloadBytes(fd, name, spec.family);
    const std::string fault = absl::StrCat(size, " bytes do not fit through ", name, " in one piece: at most ", limit,
                                           " (its MTU without the headers)");
    return ErrnoError(EMSGSIZE, Reason::kPayloadTooLarge, "payload",
                      absl::StrCat(fault, size <= limit ? ", less on the route to the group" : "",
                                   "; send less per datagram, or allow fragments (dont_fragment false)"));
  }
  return ErrnoError(EMSGSIZE, Reason::kPayloadTooLarge, "payload",
                    absl::StrCat(size, " bytes are more than an ", ToAbsl(FamilyName(spec.family)),
                                 " datagram carries: at most ", most, "; send less per datagram"));
}

// ENETUNREACH means an interface that is down, a missing route or a foreign source.
absl::Status Unreachable(int fd, int error, const OutgoingDatagram& datagram) {
  const std::string name = NameOf(fd, datagram.interface_index);
  if (name.empty()) {
    return ErrnoError(error, Reason::kInterfaceNotFound, "interface",
                      absl::StrCat("there is no interface with index ", datagram.interface_index,
                                   " any more: ListInterfaces shows what there is"));
  }
  ifreq request = RequestFor(name);
  const bool flags_known = ioctl(fd, SIOCGIFFLAGS, &request) == 0;
  if (flags_known && (request.ifr_flags & IFF_UP) == 0) {
    return ErrnoError(error, Reason::kInterfaceDown, "interface",
                      absl::StrCat(name, " is down: ip link set ", name, " up"));
  }
  if (flags_known && (request.ifr_flags & IFF_RUNNING) == 0) {
    return ErrnoError(
        error, Reason::kNoCarrier, "interface",
        absl::StrCat(name, " has no carrier, so the datagram would be lost: check the cable or the peer"));
  }
  if (datagram.source.IsMulticast()) {
    return ErrnoError(error, Reason::kInvalidSource, "source_address",
                      absl::StrCat(datagram.source.ToString(),
                                   " is a multicast address and cannot be a source: name a unicast address of ", name));
  }
  const std::string family(FamilyName(datagram.group.family()));
  const std::string ip = datagram.group.is_v4() ? "ip" : "ip -6";
  if (error == EADDRNOTAVAIL) {
    return ErrnoError(
        error, Reason::kNoAddress, "interface",
        absl::StrCat(name, " has no usable ", family, " address: ", ip, " address add ADDRESS dev ", name));
  }
  if (!datagram.source.IsUnspecified() && !IsOwnAddress(datagram.source, datagram.interface_index)) {
    return ErrnoError(error, Reason::kSourceNotLocal, "source_address",
                      absl::StrCat(datagram.source.ToString(), " is not a usable address of ", name, ": see ", ip,
                                   " address show dev ", name));
  }
  return ErrnoError(
      error, Reason::kNoRoute, "",
      absl::StrCat("no route to ", datagram.group.ToString(), " by ", name, ": add one (", ip,
                   " route), or check for an unreachable or blackhole route, or ", family, " turned off there"));
}

}  // namespace

absl::Status SendError(int fd, const SendSocketSpec& spec, int error, const OutgoingDatagram& datagram) {
  const std::string what = absl::StrCat("send to ", ToString(datagram.group, datagram.port));
  switch (error) {
    case EMSGSIZE:
      return TooLarge(fd, spec, datagram);
    case EPERM:
      return ErrnoError(error, Reason::kSendBlocked, "",
                        absl::StrCat(what, " is blocked by a firewall on this host: allow it in its output rules"));
    case EACCES:
      return ErrnoError(error, Reason::kSendBlocked, "",
                        absl::StrCat(what, " is prohibited by a route of this host: remove it (ip route, ip rule)"));
    case EAGAIN:
      return ErrnoError(error, Reason::kHostLimit, "",
                        absl::StrCat(what,
                                     ": the socket's buffer stayed full for a second: send slower, or raise "
                                     "net.core.wmem_default"));
    case ENOBUFS:
      return ErrnoError(error, Reason::kHostLimit, "",
                        absl::StrCat(what,
                                     ": the interface's queue is full, or the datagram is larger than the "
                                     "socket's buffer: send slower, or raise txqueuelen or net.core.wmem_default"));
    case ENOMEM:
      return ErrnoError(error, Reason::kHostLimit, "",
                        absl::StrCat(what, ": the host is out of memory: free some, or send slower"));
    case EINVAL:
    case EADDRNOTAVAIL:
    case ENETUNREACH:
    case EHOSTUNREACH:
    case ENODEV:
    case ENXIO:
    case ENETDOWN:
      return Unreachable(fd, error, datagram);
    default:
      return ErrnoStatus(error, what);
  }
}

}  // namespace mcgw::net
