// How many connections each peer may have, so that one does not take them all.

#ifndef MCGW_APP_CONNECTION_SHARES_H_
#define MCGW_APP_CONNECTION_SHARES_H_

#include <sys/socket.h>

#include <cstddef>
#include <optional>
#include <string>
#include <unordered_map>

namespace mcgw::app {

// Who a connection counts for.
struct ConnectionPeer {
  std::string name;  // "address 192.0.2.1", "user 1000"; all of the loopback is one address.
  bool unix_socket = false;
  bool is_operator = false;  // root, or the gateway's own user, on a Unix socket.

  // The peer of an accepted connection.
  static ConnectionPeer Of(int fd, const sockaddr_storage& address);
};

// Not thread-safe.
class ConnectionShares {
 public:
  // At most `most` connections. A peer may have `for_each`, or with 0 three quarters of them. A tenth is kept for Unix
  // sockets, half of that for operators, who have no share to keep to: they can always look.
  ConnectionShares(size_t most, size_t for_each);

  // Counts a connection, or says why there may be no more.
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
  std::unordered_map<std::string, size_t> taken_by_;  // Peers that have some.
};

}  // namespace mcgw::app

#endif  // MCGW_APP_CONNECTION_SHARES_H_
