// Limits the connections of each peer, so that no peer takes them all.

#ifndef MCGW_APP_CONNECTION_SHARES_H_
#define MCGW_APP_CONNECTION_SHARES_H_

#include <sys/socket.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

namespace mcgw::app {

// The peer that a connection counts against.
struct ConnectionPeer {
  std::string name;  // "address 192.0.2.1", "user 1000"; all loopback addresses are one peer.
  bool unix_socket = false;
  bool is_operator = false;  // root, or the gateway's own user, on a Unix socket.
  std::string address;       // For logs: "ipv4:192.0.2.1:40112", "unix:pid=4711,uid=1000".
  // Of a Unix socket, if the kernel tells.
  std::optional<uint32_t> uid;
  std::vector<uint32_t> gids;  // The process's own and its supplementary groups.

  // The peer of an accepted connection.
  static ConnectionPeer Of(int fd, const sockaddr_storage& address);
};

// Not thread-safe.
class ConnectionShares {
 public:
  // At most `most` connections in total. A peer may have `for_each` of them; 0 means three quarters. A tenth is
  // reserved for Unix sockets, half of that for operators. Operators have no share, so they can always connect to look.
  ConnectionShares(size_t most, size_t for_each);

  // Counts a connection, or returns the reason for refusing it.
  std::optional<std::string> Take(const ConnectionPeer& peer);
  void GiveBack(const ConnectionPeer& peer);

  size_t most() const { return most_; }
  size_t for_each() const { return for_each_; }

 private:
  const size_t most_;
  const size_t for_each_;
  const size_t kept_for_unix_;
  const size_t kept_for_operators_;
  size_t taken_ = 0;
  std::unordered_map<std::string, size_t> taken_by_;  // Peers that have any.
};

}  // namespace mcgw::app

#endif  // MCGW_APP_CONNECTION_SHARES_H_
