#include <linux/sock_diag.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <set>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/net/linux_receive_batch.h"
#include "server/net/linux_socket.h"
#include "server/net/status.h"
#include "server/net/text.h"

#ifndef SO_BINDTOIFINDEX
#define SO_BINDTOIFINDEX 62
#endif

namespace mcgw::net {
namespace {

// Tells an ENOBUFS of a source filter from one of a group's membership.
constexpr char kSourcesField[] = "source_filter.sources";

absl::Status CheckSources(const IpAddress& group, FilterMode mode, absl::Span<const IpAddress> sources) {
  if (mode == FilterMode::kInclude && sources.empty()) {
    return Error(Reason::kInvalidSourceFilter, "source_filter", "INCLUDE needs at least one source");
  }
  for (const IpAddress& source : sources) {
    // The kernel would accept most of these and then deliver nothing.
    if (source.family() != group.family() || source.IsMulticast() || source.IsUnspecified() || source.IsBroadcast()) {
      return Error(Reason::kInvalidSource, kSourcesField,
                   absl::StrCat(source.ToString(), " cannot be a source of ", group.ToString()));
    }
  }
  return absl::OkStatus();
}

class LinuxReceiveSocket final : public ReceiveSocket {
 public:
  LinuxReceiveSocket(ReceiveSocketSpec spec, OwnedFd fd, size_t receive_buffer_bytes)
      : ReceiveSocket(spec.group),
        spec_(std::move(spec)),
        fd_(std::move(fd)),
        receive_buffer_bytes_(receive_buffer_bytes) {}

  int fd() const override { return fd_.get(); }
  absl::Status Join(const IpAddress& group, FilterMode mode, absl::Span<const IpAddress> sources) override;
  absl::Status SetFilter(const IpAddress& group, FilterMode mode, absl::Span<const IpAddress> sources) override;
  absl::Status Leave(const IpAddress& group) override;
  absl::StatusOr<size_t> Receive(ReceiveBatch* batch, bool* drained) override;
  uint32_t Drops() const override;
  uint64_t reads() const override { return reads_.load(std::memory_order_relaxed); }
  uint64_t mismatches() const override { return mismatches_.load(std::memory_order_relaxed); }
  ReceiveSocketFacts Facts() const override;

 private:
  int JoinGroup(const IpAddress& group) const;  // Returns 0 or an errno, as all of these do.
  int JoinSource(const IpAddress& group, const IpAddress& source) const;
  int LeaveGroup(const IpAddress& group) const;
  int ReplaceFilter(const IpAddress& group, FilterMode mode, absl::Span<const IpAddress> sources) const;
  bool IsOurs(const ReceivedDatagram& datagram) const;
  bool InterfaceExists() const;
  absl::Status JoinError(int error, const IpAddress& group) const;
  absl::Status FilterError(int error, const IpAddress& group, size_t source_count) const;
  std::string Channel(const IpAddress& group) const {
    return absl::StrCat(group.ToString(), " on ", spec_.interface_name);
  }

  const ReceiveSocketSpec spec_;
  const OwnedFd fd_;
  const size_t receive_buffer_bytes_;
  std::set<IpAddress> joined_;  // Control thread only.
  std::atomic<uint64_t> reads_{0};
  std::atomic<uint64_t> mismatches_{0};
};

int LinuxReceiveSocket::JoinGroup(const IpAddress& group) const {
  group_req request = {};
  request.gr_interface = spec_.interface_index;
  ToSockaddr(group, 0, 0, &request.gr_group);
  const int level = ProtocolLevel(group.family());
  return setsockopt(fd_.get(), level, MCAST_JOIN_GROUP, &request, sizeof(request)) == 0 ? 0 : errno;
}

int LinuxReceiveSocket::JoinSource(const IpAddress& group, const IpAddress& source) const {
  group_source_req request = {};
  request.gsr_interface = spec_.interface_index;
  ToSockaddr(group, 0, 0, &request.gsr_group);
  ToSockaddr(source, 0, 0, &request.gsr_source);
  const int level = ProtocolLevel(group.family());
  return setsockopt(fd_.get(), level, MCAST_JOIN_SOURCE_GROUP, &request, sizeof(request)) == 0 ? 0 : errno;
}

int LinuxReceiveSocket::LeaveGroup(const IpAddress& group) const {
  group_req request = {};
  request.gr_interface = spec_.interface_index;
  ToSockaddr(group, 0, 0, &request.gr_group);
  const int level = ProtocolLevel(group.family());
  return setsockopt(fd_.get(), level, MCAST_LEAVE_GROUP, &request, sizeof(request)) == 0 ? 0 : errno;
}

int LinuxReceiveSocket::ReplaceFilter(const IpAddress& group, FilterMode mode,
                                      absl::Span<const IpAddress> sources) const {
  const size_t size = GROUP_FILTER_SIZE(std::max<size_t>(sources.size(), 1));
  const std::unique_ptr<void, decltype(&std::free)> memory(std::calloc(1, size), &std::free);
  if (memory == nullptr) return ENOMEM;
  auto* const filter = static_cast<group_filter*>(memory.get());
  filter->gf_interface = spec_.interface_index;
  ToSockaddr(group, 0, 0, &filter->gf_group);
  filter->gf_fmode = mode == FilterMode::kInclude ? MCAST_INCLUDE : MCAST_EXCLUDE;
  filter->gf_numsrc = static_cast<uint32_t>(sources.size());
  sockaddr_storage* const list = filter->gf_slist;
  for (size_t i = 0; i < sources.size(); ++i) ToSockaddr(sources[i], 0, 0, list + i);
  const int level = ProtocolLevel(group.family());
  const auto length = static_cast<socklen_t>(GROUP_FILTER_SIZE(sources.size()));
  return setsockopt(fd_.get(), level, MCAST_MSFILTER, filter, length) == 0 ? 0 : errno;
}

absl::Status LinuxReceiveSocket::Join(const IpAddress& group, FilterMode mode, absl::Span<const IpAddress> sources) {
  if (joined_.contains(group)) return absl::FailedPreconditionError("the socket has already joined this group");
  absl::Status status = CheckSources(group, mode, sources);
  if (!status.ok()) return status;

  const auto join = [&] { return mode == FilterMode::kInclude ? JoinSource(group, sources[0]) : JoinGroup(group); };
  int error = join();
  if (error == EADDRINUSE) {
    // The interface lost the membership, but the socket still lists it (the MTU was below 1280 for a while, or the
    // interface's index was reused).
    LeaveGroup(group);
    error = join();
  }
  if (error != 0) return JoinError(error, group);
  const bool complete = sources.size() == (mode == FilterMode::kInclude ? 1 : 0);
  if (!complete) error = ReplaceFilter(group, mode, sources);
  if (error != 0) {
    LeaveGroup(group);
    return FilterError(error, group, sources.size());
  }
  joined_.insert(group);
  return absl::OkStatus();
}

absl::Status LinuxReceiveSocket::SetFilter(const IpAddress& group, FilterMode mode,
                                           absl::Span<const IpAddress> sources) {
  if (!joined_.contains(group)) return Error(Reason::kNotJoined, "", absl::StrCat("not joined: ", Channel(group)));
  absl::Status status = CheckSources(group, mode, sources);
  if (!status.ok()) return status;
  const int error = ReplaceFilter(group, mode, sources);
  return error == 0 ? absl::OkStatus() : FilterError(error, group, sources.size());
}

absl::Status LinuxReceiveSocket::Leave(const IpAddress& group) {
  if (!joined_.contains(group)) return Error(Reason::kNotJoined, "", absl::StrCat("not joined: ", Channel(group)));
  const int error = LeaveGroup(group);
  // A deleted interface took its memberships with it.
  if (error != 0 && error != ENODEV && error != EADDRNOTAVAIL) {
    return ErrnoStatus(error, absl::StrCat("leave ", Channel(group)));
  }
  joined_.erase(group);
  return absl::OkStatus();
}

bool LinuxReceiveSocket::InterfaceExists() const {
  ifreq request = {};
  request.ifr_ifindex = static_cast<int>(spec_.interface_index);
  return ioctl(fd_.get(), SIOCGIFNAME, &request) == 0;
}

absl::Status LinuxReceiveSocket::JoinError(int error, const IpAddress& group) const {
  const bool v4 = group.is_v4();
  switch (error) {
    case ENODEV:
      if (v4 && InterfaceExists()) {
        return ErrnoError(error, Reason::kNoAddress, "", absl::StrCat("IPv4 is off on ", spec_.interface_name));
      }
      return ErrnoError(error, Reason::kInterfaceNotFound, "interface",
                        absl::StrCat("there is no interface ", spec_.interface_name));
    case EINVAL:
      if (v4 || !group.IsMulticast()) {
        return ErrnoError(error, Reason::kNotAMulticastGroup, "group",
                          absl::StrCat("the kernel refuses to join ", Channel(group)));
      }
      return ErrnoError(error, Reason::kNoAddress, "",
                        absl::StrCat("IPv6 is off on ", spec_.interface_name,
                                     ": the kernel lacks it, the MTU is below 1280, or disable_ipv6 is set"));
    case ENOBUFS:
      return ErrnoError(error, Reason::kHostLimit, "",
                        absl::StrCat("join ", Channel(group), ": raise net.ipv4.igmp_max_memberships"));
    case ENOMEM:
      return ErrnoError(error, Reason::kHostLimit, "",
                        absl::StrCat("join ", Channel(group), ": raise net.core.optmem_max"));
    default:
      return ErrnoStatus(error, absl::StrCat("join ", Channel(group)));
  }
}

absl::Status LinuxReceiveSocket::FilterError(int error, const IpAddress& group, size_t source_count) const {
  const std::string what = absl::StrCat("filter ", Channel(group), " by ", source_count, " sources");
  if (error != ENOBUFS && error != ENOMEM) return ErrnoStatus(error, what);
  const char* const limit = group.is_v4() ? "net.ipv4.igmp_max_msf" : "net.ipv6.mld_max_msf";
  return ErrnoError(error, Reason::kHostLimit, kSourcesField,
                    absl::StrCat(what, ": raise ", limit, " or net.core.optmem_max"));
}

bool LinuxReceiveSocket::IsOurs(const ReceivedDatagram& datagram) const {
  if (datagram.interface_index != spec_.interface_index) return false;
  return shared() ? datagram.destination.IsMulticast() : datagram.destination == spec_.group;
}

absl::StatusOr<size_t> LinuxReceiveSocket::Receive(ReceiveBatch* batch, bool* drained) {
  auto& target = static_cast<LinuxReceiveBatch&>(*batch);
  int count = target.Read(fd_.get());
  while (count < 0 && errno == EINTR) count = target.Read(fd_.get());
  *drained = count < static_cast<int>(ReceiveBatch::kMaxDatagrams);
  if (count < 0) {
    if (errno == EAGAIN || errno == EWOULDBLOCK) return size_t{0};
    return ErrnoStatus(errno, absl::StrCat("receive ", Channel(spec_.group)));
  }
  reads_.fetch_add(static_cast<uint64_t>(count), std::memory_order_relaxed);
  uint64_t mismatches = 0;
  for (int i = 0; i < count; ++i) {
    const mmsghdr& message = target.header(static_cast<size_t>(i));
    const bool whole = (message.msg_hdr.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) == 0;
    const ReceivedDatagram datagram = ReadDatagram(message);
    if (whole && IsOurs(datagram)) {
      target.Append(datagram);
    } else {
      ++mismatches;
    }
  }
  if (mismatches > 0) mismatches_.fetch_add(mismatches, std::memory_order_relaxed);
  return target.datagrams().size();
}

uint32_t LinuxReceiveSocket::Drops() const {
  std::array<uint32_t, SK_MEMINFO_VARS> info{};
  socklen_t length = sizeof(info);
  if (getsockopt(fd_.get(), SOL_SOCKET, SO_MEMINFO, info.data(), &length) != 0) return 0;
  return info[SK_MEMINFO_DROPS];
}

ReceiveSocketFacts LinuxReceiveSocket::Facts() const {
  ReceiveSocketFacts facts{.receive_buffer_bytes = receive_buffer_bytes_, .reads = reads()};
  struct stat status {};
  if (fstat(fd_.get(), &status) == 0) facts.inode = status.st_ino;
  std::array<uint32_t, SK_MEMINFO_VARS> info{};
  socklen_t length = sizeof(info);
  if (getsockopt(fd_.get(), SOL_SOCKET, SO_MEMINFO, info.data(), &length) == 0) {
    facts.queued_bytes = info[SK_MEMINFO_RMEM_ALLOC];
    facts.kernel_drops = info[SK_MEMINFO_DROPS];
  }
  return facts;
}

absl::Status BindToInterface(int fd, const ReceiveSocketSpec& spec) {
  const auto length = static_cast<socklen_t>(spec.interface_name.size());
  if (setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, spec.interface_name.data(), length) != 0) {
    switch (errno) {
      case ENODEV:
        return ErrnoError(errno, Reason::kInterfaceNotFound, "interface",
                          absl::StrCat("there is no interface ", spec.interface_name));
      case EPERM:
        return ErrnoStatus(errno, absl::StrCat("bind a socket to ", spec.interface_name,
                                               " (before Linux 5.7 this needs CAP_NET_RAW)"));
      default:
        return ErrnoStatus(errno, absl::StrCat("bind a socket to ", spec.interface_name));
    }
  }
  int bound = 0;
  socklen_t bound_length = sizeof(bound);
  const bool known = getsockopt(fd, SOL_SOCKET, SO_BINDTOIFINDEX, &bound, &bound_length) == 0;
  if (known && static_cast<uint32_t>(bound) != spec.interface_index) {
    return Error(Reason::kInterfaceNotFound, "interface",
                 absl::StrCat(spec.interface_name, " is no longer the interface with index ", spec.interface_index));
  }
  return absl::OkStatus();
}

// Shares the port with sockets that set SO_REUSEADDR, and with this process's send sockets. Those do not set it, since
// they would then share with any process. SO_REUSEPORT shares with them, as it works among sockets of one user. It
// costs a kilobyte of kernel memory per socket, so it is set only where needed.
absl::Status BindSharing(int fd, const ReceiveSocketSpec& spec) {
  sockaddr_storage name;
  const socklen_t length = ToSockaddr(spec.group, spec.port, spec.interface_index, &name);
  if (bind(fd, reinterpret_cast<const sockaddr*>(&name), length) == 0) return absl::OkStatus();
  if (errno == EADDRINUSE) {
    absl::Status status = SetOption(fd, SOL_SOCKET, SO_REUSEPORT, 1, "set SO_REUSEPORT");
    if (!status.ok()) return status;
  }
  return BindSocket(fd, spec.group, spec.port, spec.interface_index);
}

absl::Status RequestMetadata(int fd, Family family) {
  struct Option {
    int level;
    int option;
    const char* what;
  };
  static constexpr Option kSocket[] = {{SOL_SOCKET, SO_TIMESTAMPNS, "set SO_TIMESTAMPNS"},
                                       {SOL_SOCKET, SO_RXQ_OVFL, "set SO_RXQ_OVFL"}};
  static constexpr Option kIpv4[] = {{IPPROTO_IP, IP_PKTINFO, "set IP_PKTINFO"},
                                     {IPPROTO_IP, IP_RECVTTL, "set IP_RECVTTL"},
                                     {IPPROTO_IP, IP_RECVTOS, "set IP_RECVTOS"}};
  static constexpr Option kIpv6[] = {{IPPROTO_IPV6, IPV6_RECVPKTINFO, "set IPV6_RECVPKTINFO"},
                                     {IPPROTO_IPV6, IPV6_RECVHOPLIMIT, "set IPV6_RECVHOPLIMIT"},
                                     {IPPROTO_IPV6, IPV6_RECVTCLASS, "set IPV6_RECVTCLASS"}};
  const auto of_family = family == Family::kIpv4 ? absl::MakeConstSpan(kIpv4) : absl::MakeConstSpan(kIpv6);
  for (const absl::Span<const Option> options : {absl::MakeConstSpan(kSocket), of_family}) {
    for (const Option& each : options) {
      absl::Status status = SetOption(fd, each.level, each.option, 1, each.what);
      if (!status.ok()) return status;
    }
  }
  return absl::OkStatus();
}

size_t SetReceiveBuffer(int fd, size_t wanted_bytes) {
  if (wanted_bytes > 0) {
    const int bytes = static_cast<int>(std::min<size_t>(wanted_bytes, INT_MAX / 2));
    // SO_RCVBUFFORCE exceeds net.core.rmem_max with CAP_NET_ADMIN; SO_RCVBUF is silently capped there.
    if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes)) != 0) {
      setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
    }
  }
  int granted = 0;
  socklen_t length = sizeof(granted);
  getsockopt(fd, SOL_SOCKET, SO_RCVBUF, &granted, &length);
  return static_cast<size_t>(granted);
}

}  // namespace

absl::StatusOr<std::unique_ptr<ReceiveSocket>> NewLinuxReceiveSocket(const ReceiveSocketSpec& spec) {
  absl::StatusOr<OwnedFd> fd = OpenUdpSocket(spec.group.family());
  if (!fd.ok()) return fd.status();
  absl::Status status = SetOption(fd->get(), SOL_SOCKET, SO_REUSEADDR, 1, "set SO_REUSEADDR");
  if (status.ok()) status = BindToInterface(fd->get(), spec);
  if (status.ok()) status = RequestMetadata(fd->get(), spec.group.family());
  if (status.ok()) status = BindSharing(fd->get(), spec);
  if (!status.ok()) return status;
  const size_t buffer_bytes = SetReceiveBuffer(fd->get(), spec.receive_buffer_bytes);
  return std::make_unique<LinuxReceiveSocket>(spec, *std::move(fd), buffer_bytes);
}

bool IsTooManySources(const absl::Status& status) {
  const int error = ErrnoOf(status);
  return (error == ENOBUFS || error == ENOMEM) && FieldOf(status) == kSourcesField;
}

}  // namespace mcgw::net
