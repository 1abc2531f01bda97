#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/net/linux_socket.h"
#include "server/net/multicast_socket.h"
#include "server/net/status.h"

namespace mcgw::net {
namespace {

// Never bound, so it receives nothing.
class LinuxMembershipSocket final : public MembershipSocket {
 public:
  explicit LinuxMembershipSocket(OwnedFd fd) : fd_(std::move(fd)) {}

  absl::Status Join(const HostMembership& membership) override {
    const int error = membership.group.IsSourceSpecific() ? SetSource(MCAST_JOIN_SOURCE_GROUP, membership)
                                                          : SetGroup(MCAST_JOIN_GROUP, membership);
    return error == 0 ? absl::OkStatus() : JoinError(error, membership);
  }

  void Leave(const HostMembership& membership) override { SetGroup(MCAST_LEAVE_GROUP, membership); }

 private:
  int SetGroup(int option, const HostMembership& membership) const {
    group_req request = {};
    request.gr_interface = membership.interface_index;
    ToSockaddr(membership.group, 0, 0, &request.gr_group);
    const int level = ProtocolLevel(membership.group.family());
    return setsockopt(fd_.get(), level, option, &request, sizeof(request)) == 0 ? 0 : errno;
  }

  int SetSource(int option, const HostMembership& membership) const {
    group_source_req request = {};
    request.gsr_interface = membership.interface_index;
    ToSockaddr(membership.group, 0, 0, &request.gsr_group);
    ToSockaddr(membership.source, 0, 0, &request.gsr_source);
    const int level = ProtocolLevel(membership.group.family());
    return setsockopt(fd_.get(), level, option, &request, sizeof(request)) == 0 ? 0 : errno;
  }

  static absl::Status JoinError(int error, const HostMembership& membership) {
    const std::string what = absl::StrCat("join ", membership.group.ToString(), " on ", membership.interface_name,
                                          " (required to send with hop limit 0)");
    switch (error) {
      case ENODEV:
        return ErrnoError(error, Reason::kInterfaceNotFound, "interface",
                          absl::StrCat("there is no interface ", membership.interface_name, " any more"));
      case EINVAL:
        return ErrnoError(error, Reason::kNoAddress, "interface",
                          absl::StrCat(what, ": the address family is off there"));
      case ENOBUFS:
        return ErrnoError(error, Reason::kHostLimit, "", absl::StrCat(what, ": raise net.ipv4.igmp_max_memberships"));
      case ENOMEM:
        return ErrnoError(error, Reason::kHostLimit, "", absl::StrCat(what, ": raise net.core.optmem_max"));
      default:
        return ErrnoStatus(error, what);
    }
  }

  const OwnedFd fd_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<MembershipSocket>> NewLinuxMembershipSocket(Family family) {
  absl::StatusOr<OwnedFd> fd = OpenUdpSocket(family);
  if (!fd.ok()) return fd.status();
  return std::make_unique<LinuxMembershipSocket>(*std::move(fd));
}

}  // namespace mcgw::net
