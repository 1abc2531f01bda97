// A connection to a server, with or without TLS.

#ifndef MCGW_BENCH_WIRE_H_
#define MCGW_BENCH_WIRE_H_

#include <openssl/types.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "bench/sockets.h"

namespace mcgw::bench {

// Not thread-safe. Never waits.
class Wire {
 public:
  // To "HOST:PORT", "unix:PATH" or "tls:HOST:PORT". Any certificate will do.
  static absl::StatusOr<Wire> Open(const std::string& target);

  int fd() const { return fd_.get(); }
  // As send(2) and recv(2), with errno.
  ssize_t Send(const char* bytes, size_t size);
  ssize_t Receive(char* buffer, size_t size);
  // Takes away at most `most` bytes; over TCP without looking at them.
  ssize_t Discard(size_t most);
  // Whether there is more to receive, although the descriptor does not show it.
  bool has_pending() const;

 private:
  struct FreeSsl {
    void operator()(SSL* ssl) const;
  };

  explicit Wire(OwnedFd fd) : fd_(std::move(fd)) {}

  OwnedFd fd_;
  std::unique_ptr<SSL, FreeSsl> ssl_;  // Null: none.
};

// Makes a certificate with its key (ECDSA, P-256) in files in `directory`, server.crt and server.key.
absl::Status MakeCertificate(const std::string& directory);

}  // namespace mcgw::bench

#endif  // MCGW_BENCH_WIRE_H_
