// A listening socket, TCP or Unix.

#ifndef MCGW_APP_LISTEN_SOCKET_H_
#define MCGW_APP_LISTEN_SOCKET_H_

#include <sys/types.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "server/app/listener_options.h"
#include "server/http2/tls_source.h"
#include "server/net/owned_fd.h"

namespace mcgw::app {

// A bound, listening socket. Closing it removes a Unix socket's file if the file is still its own.
class ListenSocket {
 public:
  // Loads the TLS files too. Replaces a socket file if the kernel reports that no socket is bound to it; a file in use
  // by another program, with any type of socket, stays.
  static absl::StatusOr<std::unique_ptr<ListenSocket>> Open(const ListenerOptions& options);
  ~ListenSocket();

  int fd() const { return fd_.get(); }
  // As requested, with the actual port in place of 0.
  const std::string& address() const { return address_; }
  const ListenerOptions& options() const { return options_; }
  // Null: plaintext.
  const std::shared_ptr<http2::TlsSource>& tls() const { return tls_; }

 private:
  // Identifies the file independently of its path.
  struct FileId {
    dev_t device = 0;
    ino_t inode = 0;
    bool operator==(const FileId&) const = default;
  };
  static std::optional<FileId> FileAt(const std::string& path);

  ListenSocket(net::OwnedFd fd, std::string address, ListenerOptions options, std::shared_ptr<http2::TlsSource> tls)
      : fd_(std::move(fd)),
        address_(std::move(address)),
        options_(std::move(options)),
        file_(FileAt(options_.address.path)),
        tls_(std::move(tls)) {}

  const net::OwnedFd fd_;
  const std::string address_;
  const ListenerOptions options_;
  const std::optional<FileId> file_;  // Of a Unix socket.
  const std::shared_ptr<http2::TlsSource> tls_;
};

}  // namespace mcgw::app

#endif  // MCGW_APP_LISTEN_SOCKET_H_
