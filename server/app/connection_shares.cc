#include "server/app/connection_shares.h"

#include <netinet/in.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "server/net/address.h"
#include "server/net/invariant.h"
#include "server/net/text.h"

namespace mcgw::app {

namespace {

// As gRPC names it.
std::string TextOf(const sockaddr_storage& address, const net::IpAddress& ip) {
  const uint16_t port = address.ss_family == AF_INET ? reinterpret_cast<const sockaddr_in&>(address).sin_port
                                                     : reinterpret_cast<const sockaddr_in6&>(address).sin6_port;
  return net::StrCat(ip.is_v4() ? "ipv4:" : "ipv6:", net::ToString(ip, ntohs(port)));
}

std::vector<uint32_t> GroupsOf(int fd, gid_t gid) {
  constexpr size_t kUsual = 32;
  std::vector<gid_t> groups(kUsual);
  socklen_t length = static_cast<socklen_t>(groups.size() * sizeof(gid_t));
  int result = getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups.data(), &length);
  if (result != 0 && errno == ERANGE) {  // The length that it needs is told (socket(7)).
    groups.resize(length / sizeof(gid_t));
    result = getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups.data(), &length);
  }
  groups.resize(result == 0 ? length / sizeof(gid_t) : 0);
  groups.push_back(gid);
  return groups;
}

}  // namespace

ConnectionPeer ConnectionPeer::Of(int fd, const sockaddr_storage& address) {
  if (address.ss_family != AF_UNIX) {
    const net::IpAddress ip = net::IpAddress::FromSockaddr(address);
    // A local program can connect from any address in 127.0.0.0/8.
    return {.name = ip.IsLoopback() ? "the loopback" : net::StrCat("address ", ip.ToString()),
            .address = TextOf(address, ip)};
  }
  ucred credentials = {};
  socklen_t length = sizeof(credentials);
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &length) != 0) {
    return {.name = "a user of a Unix socket", .unix_socket = true, .address = "unix:"};
  }
  return {.name = net::StrCat("user ", credentials.uid),
          .unix_socket = true,
          .is_operator = credentials.uid == 0 || credentials.uid == geteuid(),
          .address = net::StrCat("unix:pid=", credentials.pid, ",uid=", credentials.uid),
          .uid = credentials.uid,
          .gids = GroupsOf(fd, credentials.gid)};
}

ConnectionShares::ConnectionShares(size_t most, size_t for_each)
    : most_(most),
      for_each_(std::min(most, for_each > 0 ? for_each : std::max<size_t>(most - most / 4, 1))),
      kept_for_unix_(most / 10),
      kept_for_operators_(most / 20) {}

std::optional<std::string> ConnectionShares::Take(const ConnectionPeer& peer) {
  const auto at = taken_by_.find(peer.name);
  const size_t has = at == taken_by_.end() ? 0 : at->second;
  if (!peer.is_operator && has >= for_each_) {
    return net::StrCat(peer.name, " has ", has, ", its share (max_connections_per_peer)");
  }
  const size_t kept = peer.is_operator ? 0 : peer.unix_socket ? kept_for_operators_ : kept_for_unix_;
  if (taken_ >= most_ - kept) {
    std::string why = net::StrCat("there are already ", taken_, " (max_connections, or the limit of open files)");
    if (kept > 0)
      why += net::StrCat(", and ", kept, " more are reserved for ", peer.unix_socket ? "operators" : "Unix sockets");
    return why;
  }
  MCGW_INVARIANT(taken_ < most_);
  ++taken_;
  ++taken_by_[peer.name];
  return std::nullopt;
}

void ConnectionShares::GiveBack(const ConnectionPeer& peer) {
  const auto at = taken_by_.find(peer.name);
  MCGW_INVARIANT(taken_ > 0 && at != taken_by_.end());
  --taken_;
  if (--at->second == 0) taken_by_.erase(at);
}

}  // namespace mcgw::app
