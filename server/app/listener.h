// Where clients connect: loopback and Unix sockets, with an accept loop of our own.
//
// gRPC's own accept loop never accepts again once descriptors ran out (CVE-2023-4785 in the packaged version); this one
// recovers. It also bounds the number of connections, and can cut those that do not end by themselves: gRPC cannot end
// a stream whose peer reads nothing before the transport gives up.

#ifndef MCGW_APP_LISTENER_H_
#define MCGW_APP_LISTENER_H_

#include <sys/types.h>

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/app/connection_shares.h"
#include "server/net/owned_fd.h"

namespace mcgw::app {

// A bound and listening socket. Closing it removes the file of a Unix socket, if the file is still its own.
class ListenSocket {
 public:
  // `address` is "127.0.0.1:50051", "[::1]:50051" or "unix:/path". An address off the loopback is refused. A socket
  // file is replaced if the kernel says that no socket is bound to it any more; what another program uses, of whatever
  // type of socket, stays.
  static absl::StatusOr<std::unique_ptr<ListenSocket>> Open(const std::string& address);
  // The address in a form that is the same for all its spellings, if Open could understand and would allow it. Takes
  // nothing.
  static absl::StatusOr<std::string> PlaceOf(const std::string& address);
  ~ListenSocket();

  int fd() const { return fd_.get(); }
  // As asked for, with the port that was taken in place of 0.
  const std::string& address() const { return address_; }

 private:
  // Which file it is, whatever its path.
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
  const std::string path_;  // Of a Unix socket.
  const std::optional<FileId> file_;
};

// Accepts on all sockets, on a thread of its own.
class Acceptor {
 public:
  // Takes an accepted, non-blocking descriptor over.
  using Handler = std::function<void(int listener_fd, net::OwnedFd connection)>;

  // A connection whose peer takes nothing of what is sent to it for `stall_timeout` ends.
  Acceptor(std::vector<std::unique_ptr<ListenSocket>> sockets, ConnectionShares shares, absl::Duration stall_timeout,
           Handler handler);
  ~Acceptor();
  const std::vector<std::unique_ptr<ListenSocket>>& sockets() const { return sockets_; }

  absl::Status Start();
  // Accepts no more: closes the listening sockets, so that who connects now is refused at once and can go elsewhere.
  // Connections that are open stay so.
  void Stop();
  // Shuts down every connection that is still open. After Stop.
  void CutConnections();

 private:
  void Run();
  void Accept(int listener_fd);
  void OnConnection(int fd, uint32_t events);
  // Shuts down those that have not been writable for the stall timeout. gRPC's keepalive waits for its turn behind what
  // cannot be written; TCP_USER_TIMEOUT sees to TCP, and there is nothing alike for Unix sockets.
  void CutStalled();
  // A client waits or is refused; at most once in ten seconds.
  void Warn(const std::string& what);

  std::vector<std::unique_ptr<ListenSocket>> sockets_;
  const absl::Duration stall_timeout_;
  const Handler handler_;
  net::OwnedFd epoll_;
  net::OwnedFd wake_;
  std::thread thread_;
  struct Connection {
    net::OwnedFd fd;  // A second descriptor, closed when both directions of the connection are.
    ConnectionPeer peer;
    int64_t writable_ns;  // When it last was; of Unix sockets.
  };
  // Of the thread, and after it has ended of its owner.
  ConnectionShares shares_;
  std::unordered_map<int, Connection> connections_;
  int64_t last_warning_ns_ = 0;
  int64_t last_check_ns_ = 0;
};

}  // namespace mcgw::app

#endif  // MCGW_APP_LISTENER_H_
