// Listening sockets, on loopback and Unix sockets, and their accept loop.
//
// gRPC's own accept loop never accepts again once descriptors have run out (CVE-2023-4785 in the packaged version);
// this one recovers. It also bounds the number of connections and cuts stalled ones: gRPC cannot end a stream whose
// peer reads nothing until the transport gives up.

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
  // Takes ownership of an accepted, non-blocking descriptor.
  using Handler = std::function<void(int listener_fd, net::OwnedFd connection)>;

  // Ends a connection whose peer reads nothing for `stall_timeout`.
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
  // Shuts down Unix connections whose peer has read nothing for kStalledChecks checks, which take the stall timeout.
  // gRPC's keepalive would wait behind unwritten data. TCP has TCP_USER_TIMEOUT; Unix sockets have no equivalent.
  void CutStalled();
  int NextCheckMs() const;
  // Logs that clients wait or are refused, at most once in ten seconds.
  void Exhausted(int error, const std::string& what);
  void Warn(const std::string& what);

  std::vector<std::unique_ptr<ListenSocket>> sockets_;
  const absl::Duration stall_timeout_;
  const Handler handler_;
  net::OwnedFd epoll_;
  net::OwnedFd wake_;
  std::thread thread_;
  struct Connection {
    net::OwnedFd fd;  // A duplicate, closed when both directions of the connection are.
    ConnectionPeer peer;
    // Of Unix sockets. Checks are counted, not time: a gateway that was frozen has not given its peers a chance.
    bool writable = true;  // Since the last check.
    int queued_bytes = 0;  // Not read by the peer, at the last check.
    int stalled_checks = 0;
  };
  net::Duty duty_;
  // Of the thread; after its end, of the owner.
  ConnectionShares shares_;
  std::unordered_map<int, Connection> connections_;
  int64_t last_warning_ns_ = 0;
  int64_t next_check_ns_ = 0;
  std::minstd_rand random_;
};

}  // namespace mcgw::app

#endif  // MCGW_APP_LISTENER_H_
