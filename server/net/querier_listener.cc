#include "server/net/querier_listener.h"

#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>
#include <string_view>
#include <utility>

#include "server/net/clock.h"
#include "server/net/control_message.h"
#include "server/net/status.h"

namespace mcgw::net {
namespace {

constexpr int kMostPacketsPerDrain = 1024;      // Keeps a flood from holding the caller.
constexpr size_t kQueryPacketBytes = 16 << 10;  // More than a jumbo frame.
constexpr size_t kQueryControlBytes = 3072;     // The longest hop-by-hop header (2048 bytes) and the rest.

absl::Status Set(int fd, int level, int option, int value) {
  if (setsockopt(fd, level, option, &value, sizeof(value)) == 0) return absl::OkStatus();
  return ErrnoStatus(errno, "prepare a raw socket");
}

absl::Status Enable(int fd, int level, int option) { return Set(fd, level, option, 1); }

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
  for (const int option : {IPV6_RECVPKTINFO, IPV6_RECVHOPLIMIT, IPV6_RECVHOPOPTS}) {
    if (absl::Status status = Enable(fd.get(), IPPROTO_IPV6, option); !status.ok()) return status;
  }
  // Otherwise the kernel withholds queries with a wrong checksum, and their sender would remain unknown.
  if (absl::Status status = Set(fd.get(), SOL_RAW, IPV6_CHECKSUM, -1); !status.ok()) return status;
  return fd;
}

// Ancillary data of a packet.
struct Ancillary {
  uint32_t interface_index = 0;                                   // 0 if absent.
  IpAddress destination = IpAddress::Unspecified(Family::kIpv6);  // This and the following: IPv6 only.
  int hop_limit = 0;
  std::string_view hop_by_hop;
};

Ancillary AncillaryOf(msghdr* message) {
  Ancillary result;
  for (cmsghdr* control = CMSG_FIRSTHDR(message); control != nullptr; control = CMSG_NXTHDR(message, control)) {
    const std::string_view bytes = ControlBytes(*message, control);
    const auto is = [&](int level, int type) { return control->cmsg_level == level && control->cmsg_type == type; };
    in_pktinfo v4;
    in6_pktinfo v6;
    if (is(IPPROTO_IP, IP_PKTINFO) && ReadControl(bytes, &v4)) {
      result.interface_index = static_cast<uint32_t>(v4.ipi_ifindex);
    } else if (is(IPPROTO_IPV6, IPV6_PKTINFO) && ReadControl(bytes, &v6)) {
      result.interface_index = v6.ipi6_ifindex;
      result.destination = IpAddress::FromV6(v6.ipi6_addr);
    } else if (is(IPPROTO_IPV6, IPV6_HOPLIMIT)) {
      ReadControl(bytes, &result.hop_limit);
    } else if (is(IPPROTO_IPV6, IPV6_HOPOPTS)) {
      result.hop_by_hop = bytes;
    }
  }
  return result;
}

}  // namespace

std::optional<HeardPacket> JudgePacket(msghdr message, size_t bytes) {
  // A query is never longer than a frame.
  if ((message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0) return std::nullopt;
  const Ancillary beside = AncillaryOf(&message);
  if (beside.interface_index == 0) return std::nullopt;
  const std::string_view packet(static_cast<const char*>(message.msg_iov->iov_base), bytes);
  const IpAddress source = IpAddress::FromSockaddr(*static_cast<const sockaddr_storage*>(message.msg_name));
  return HeardPacket{.interface_index = beside.interface_index,
                     .source = source,
                     .verdict = source.is_v4() ? JudgeIgmpQuery(packet)
                                               : JudgeMldQuery({.message = packet,
                                                                .source = source,
                                                                .destination = beside.destination,
                                                                .hop_limit = beside.hop_limit,
                                                                .hop_by_hop = beside.hop_by_hop})};
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
  DrainSocket(igmp_.get());
  if (mld_.valid()) DrainSocket(mld_.get());
}

void QuerierListener::DrainSocket(int fd) {
  for (int i = 0; i < kMostPacketsPerDrain; ++i) {
    char packet[kQueryPacketBytes];
    alignas(cmsghdr) char control[kQueryControlBytes];
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
    std::optional<HeardPacket> heard = JudgePacket(message, static_cast<size_t>(length));
    if (heard.has_value()) Keep(*std::move(heard));
  }
}

void QuerierListener::Keep(HeardPacket heard) {
  const IpAddress& source = heard.source;
  MutexLock lock(&mutex_);
  if (heard.verdict.version != 0) {
    last_[{heard.interface_index, source.family(), heard.verdict.version}] = {source, heard.verdict.version,
                                                                              MonotonicNs()};
  } else if (!heard.verdict.fault.empty()) {
    InvalidQuery& last = invalid_[{heard.interface_index, source.family()}];
    last = {source, std::move(heard.verdict.fault), MonotonicNs(), last.count + 1};
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

std::optional<InvalidQuery> QuerierListener::LastInvalid(uint32_t interface_index, Family family) const {
  MutexLock lock(&mutex_);
  const auto at = invalid_.find({interface_index, family});
  return at == invalid_.end() ? std::nullopt : std::optional(at->second);
}

}  // namespace mcgw::net
