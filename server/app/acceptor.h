// Accepts connections.
//
// It bounds the number of connections, waits when descriptors have run out, and cuts connections whose peer has
// vanished or reads nothing.

#ifndef MCGW_APP_ACCEPTOR_H_
#define MCGW_APP_ACCEPTOR_H_

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "server/app/connection_shares.h"
#include "server/app/listen_socket.h"
#include "server/app/peer_watch.h"
#include "server/net/duty.h"
#include "server/net/owned_fd.h"

namespace mcgw::app {

// Accepts on all sockets, on its own thread.
class Acceptor {
 public:
  // An accepted connection: a non-blocking descriptor, which `serve` takes, and who is at its other end.
  struct Accepted {
    net::OwnedFd fd;
    ConnectionPeer peer;
    const ListenSocket* socket;  // Where it came in; valid until Stop.
  };
  using Serve = std::function<void(Accepted accepted)>;

  // Ends a connection whose peer reads nothing for `stall_timeout` (over TCP twice that), or whose host does not answer
  // for 20 s.
  Acceptor(std::vector<std::unique_ptr<ListenSocket>> sockets, ConnectionShares shares, absl::Duration stall_timeout,
           Serve serve);
  ~Acceptor();
  const std::vector<std::unique_ptr<ListenSocket>>& sockets() const { return sockets_; }

  absl::Status Start();
  // Closes the listening sockets, so that new clients are refused at once and can go elsewhere. Open connections
  // remain.
  void Stop();
  // Shuts down all open connections. Call after Stop.
  void CutConnections();

  const net::Duty& duty() const { return duty_; }

 private:
  void Run();
  void Accept(const ListenSocket& socket);
  const ListenSocket* Find(int listener_fd) const;
  void OnConnection(int fd, uint32_t events);
  // Cuts the connections whose peer has vanished, or has read nothing for the stall timeout.
  void CheckPeers();
  void Cut(int fd, const ConnectionPeer& peer, PeerWatch::Finding finding);
  int NextCheckMs() const;
  // Logs that clients wait or are refused, at most once in ten seconds.
  void Exhausted(int error, const std::string& what);
  void Warn(const std::string& what);

  std::vector<std::unique_ptr<ListenSocket>> sockets_;
  const absl::Duration stall_timeout_;
  const PeerChecks checks_;
  const Serve serve_;
  net::OwnedFd epoll_;
  net::OwnedFd wake_;
  std::thread thread_;
  struct Connection {
    net::OwnedFd fd;  // A duplicate, closed when both directions of the connection are.
    ConnectionPeer peer;
    PeerWatch watch;
    bool writable = true;  // Since the last check. Of Unix sockets.
  };
  net::Duty duty_;
  // Of the thread; after its end, of the owner.
  ConnectionShares shares_;
  std::unordered_map<int, Connection> connections_;
  int64_t last_warning_ns_ = 0;
  int64_t last_check_ns_ = 0;
  int64_t next_check_ns_ = 0;
  std::minstd_rand random_;
};

}  // namespace mcgw::app

#endif  // MCGW_APP_ACCEPTOR_H_
