// Listening sockets, on loopback and Unix sockets, and their accept loop.
//
// The loop bounds the number of connections, waits when descriptors have run out, and cuts connections whose peer has
// vanished or reads nothing.

#ifndef MCGW_APP_LISTENER_H_
#define MCGW_APP_LISTENER_H_

#include <sys/types.h>

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/app/connection_shares.h"
#include "server/app/peer_watch.h"
#include "server/net/duty.h"
#include "server/net/owned_fd.h"

namespace mcgw::app {

// A bound, listening socket. Closing it removes a Unix socket's file if the file is still its own.
class ListenSocket {
 public:
  // `address` is "127.0.0.1:50051", "[::1]:50051" or "unix:/path". Refuses an address that is not loopback. Replaces a
  // socket file if the kernel reports that no socket is bound to it; a file in use by another program, with any type of
  // socket, stays.
  static absl::StatusOr<std::unique_ptr<ListenSocket>> Open(const std::string& address);
  // The address in a canonical form, if Open would accept its syntax. Opens nothing.
  static absl::StatusOr<std::string> PlaceOf(const std::string& address);
  ~ListenSocket();

  int fd() const { return fd_.get(); }
  // As requested, with the actual port in place of 0.
  const std::string& address() const { return address_; }

 private:
  // Identifies the file independently of its path.
  struct FileId {
    dev_t device = 0;
    ino_t inode = 0;
    bool operator==(const FileId&) const = default;
  };
  static std::optional<FileId> FileAt(const std::string& path);

  ListenSocket(net::OwnedFd fd, std::string address, std::string path, std::optional<FileId> file)
      : fd_(std::move(fd)), address_(std::move(address)), path_(std::move(path)), file_(file) {}
  const net::OwnedFd fd_;
  const std::string address_;
  const std::string path_;  // Unix sockets only.
  const std::optional<FileId> file_;
};

// Accepts on all sockets, on its own thread.
class Acceptor {
 public:
  // Takes ownership of an accepted, non-blocking descriptor. `peer`: who is at its other end, for logs and turns.
  using Handler = std::function<void(net::OwnedFd connection, std::string peer)>;

  // Ends a connection whose peer reads nothing for `stall_timeout` (over TCP twice that), or whose host does not answer
  // for 20 s.
  Acceptor(std::vector<std::unique_ptr<ListenSocket>> sockets, ConnectionShares shares, absl::Duration stall_timeout,
           Handler handler);
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
  void Accept(int listener_fd);
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
  const Handler handler_;
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

#endif  // MCGW_APP_LISTENER_H_
