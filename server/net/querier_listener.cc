#include "server/net/querier_listener.h"

#include <netinet/icmp6.h>
#include <netinet/igmp.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

#include "server/net/clock.h"
#include "server/net/status.h"

namespace mcgw::net {
namespace {

constexpr int kMostPacketsPerDrain = 1024;  // So that a flood cannot hold the caller.
constexpr size_t kIgmpQueryBytes = 8;       // Of versions 1 and 2; version 3 is longer.
constexpr size_t kIgmp3QueryBytes = 12;
constexpr size_t kMldQueryBytes = 24;  // Of version 1.
constexpr size_t kMld2QueryBytes = 28;

absl::Status Enable(int fd, int level, int option) {
  const int on = 1;
  if (setsockopt(fd, level, option, &on, sizeof(on)) == 0) return absl::OkStatus();
  return ErrnoStatus(errno, "prepare a raw socket");
}

absl::StatusOr<OwnedFd> OpenIgmp() {
  OwnedFd fd(socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_IGMP));
  if (!fd.valid()) return ErrnoStatus(errno, "open a raw socket for IGMP");
  if (absl::Status status = Enable(fd.get(), IPPROTO_IP, IP_PKTINFO); !status.ok()) return status;
  return fd;
}

absl::StatusOr<OwnedFd> OpenMld() {
  OwnedFd fd(socket(AF_INET6, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_ICMPV6));
  if (!fd.valid()) return ErrnoStatus(errno, "open a raw socket for MLD");
  icmp6_filter filter;
  ICMP6_FILTER_SETBLOCKALL(&filter);
  ICMP6_FILTER_SETPASS(MLD_LISTENER_QUERY, &filter);
  if (setsockopt(fd.get(), IPPROTO_ICMPV6, ICMP6_FILTER, &filter, sizeof(filter)) != 0) {
    return ErrnoStatus(errno, "prepare a raw socket for MLD");
  }
  if (absl::Status status = Enable(fd.get(), IPPROTO_IPV6, IPV6_RECVPKTINFO); !status.ok()) return status;
  return fd;
}

// The interface that a packet came by; 0 if the kernel does not say.
uint32_t InterfaceOf(msghdr* message) {
  for (cmsghdr* control = CMSG_FIRSTHDR(message); control != nullptr; control = CMSG_NXTHDR(message, control)) {
    if (control->cmsg_level == IPPROTO_IP && control->cmsg_type == IP_PKTINFO) {
      in_pktinfo info;
      std::memcpy(&info, CMSG_DATA(control), sizeof(info));
      return static_cast<uint32_t>(info.ipi_ifindex);
    }
    if (control->cmsg_level == IPPROTO_IPV6 && control->cmsg_type == IPV6_PKTINFO) {
      in6_pktinfo info;
      std::memcpy(&info, CMSG_DATA(control), sizeof(info));
      return info.ipi6_ifindex;
    }
  }
  return 0;
}

uint8_t ByteAt(std::string_view bytes, size_t at) { return static_cast<uint8_t>(bytes[at]); }

}  // namespace

uint32_t IgmpQueryVersion(std::string_view packet) {
  if (packet.size() < sizeof(ip)) return 0;
  const size_t header_bytes = 4u * (ByteAt(packet, 0) & 0xf);
  if (header_bytes < sizeof(ip) || packet.size() < header_bytes + kIgmpQueryBytes) return 0;
  const std::string_view igmp = packet.substr(header_bytes);
  if (ByteAt(igmp, 0) != IGMP_MEMBERSHIP_QUERY) return 0;
  if (igmp.size() >= kIgmp3QueryBytes) return 3;
  return ByteAt(igmp, 1) == 0 ? 1 : 2;  // Version 1 knows no response time (RFC 9776, 7.1).
}

uint32_t MldQueryVersion(std::string_view message) {
  if (message.size() < kMldQueryBytes || ByteAt(message, 0) != MLD_LISTENER_QUERY) return 0;
  return message.size() >= kMld2QueryBytes ? 2 : 1;
}

QuerierListener::QuerierListener(OwnedFd igmp, OwnedFd mld)
    : igmp_(std::move(igmp)), mld_(std::move(mld)), since_ns_(MonotonicNs()) {}

absl::StatusOr<std::unique_ptr<QuerierListener>> QuerierListener::Create() {
  absl::StatusOr<OwnedFd> igmp = OpenIgmp();
  if (!igmp.ok()) return igmp.status();
  absl::StatusOr<OwnedFd> mld = OpenMld();
  return std::unique_ptr<QuerierListener>(
      new QuerierListener(*std::move(igmp), mld.ok() ? *std::move(mld) : OwnedFd()));
}

void QuerierListener::Drain() {
  DrainSocket(igmp_.get(), Family::kIpv4);
  if (mld_.valid()) DrainSocket(mld_.get(), Family::kIpv6);
}

void QuerierListener::DrainSocket(int fd, Family family) {
  for (int i = 0; i < kMostPacketsPerDrain; ++i) {
    char packet[2048];
    alignas(cmsghdr) char control[256];
    sockaddr_storage from = {};
    iovec io = {packet, sizeof(packet)};
    msghdr message = {};
    message.msg_name = &from;
    message.msg_namelen = sizeof(from);
    message.msg_iov = &io;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof(control);
    const ssize_t length = recvmsg(fd, &message, 0);
    if (length < 0 && errno == EINTR) continue;
    if (length < 0) return;
    const std::string_view bytes(packet, static_cast<size_t>(length));
    const uint32_t version = family == Family::kIpv4 ? IgmpQueryVersion(bytes) : MldQueryVersion(bytes);
    const uint32_t index = InterfaceOf(&message);
    if (version == 0 || index == 0) continue;
    MutexLock lock(&mutex_);
    last_[{index, family, version}] = {IpAddress::FromSockaddr(from), version, MonotonicNs()};
  }
}

std::optional<Query> QuerierListener::Last(uint32_t interface_index, Family family, uint32_t version) const {
  MutexLock lock(&mutex_);
  std::optional<Query> newest;
  for (const uint32_t candidate : {1u, 2u, 3u}) {
    if (version != 0 && candidate != version) continue;
    const auto at = last_.find({interface_index, family, candidate});
    if (at == last_.end()) continue;
    if (!newest.has_value() || at->second.heard_ns > newest->heard_ns) newest = at->second;
  }
  return newest;
}

}  // namespace mcgw::net
