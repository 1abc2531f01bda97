// The bytes of one connection: a socket, with or without TLS; and who is at its other end.

#ifndef MCGW_HTTP2_TRANSPORT_H_
#define MCGW_HTTP2_TRANSPORT_H_

#include <sys/types.h>
#include <sys/uio.h>

#include <cstddef>
#include <memory>
#include <string>

#include "server/net/owned_fd.h"

namespace mcgw::http2 {

// Who is at the other end of a connection.
struct Peer {
  std::string address;   // For logs, such as "ipv4:192.0.2.7:40112".
  std::string identity;  // For what it may do, such as "uri:spiffe://example/reader" or "uid:1000".
};

// Not thread-safe. Never blocks.
class Transport {
 public:
  // Instead of a number of bytes.
  static constexpr ssize_t kWouldBlock = -1;
  static constexpr ssize_t kBroken = -2;

  virtual ~Transport() = default;

  // Reads at most `size` bytes; 0: the peer has ended its direction.
  virtual ssize_t Read(char* buffer, size_t size) = 0;
  // Writes what the kernel takes of `count` (at least 1) buffers, in order. Never 0.
  virtual ssize_t Write(const iovec* buffers, int count) = 0;
  // Whether there is more to read, although the descriptor does not show it.
  virtual bool has_pending() const { return false; }
  // Whether nothing that was written is still on its way to the peer.
  virtual bool drained() const = 0;
  // To watch. Stays valid as long as this object.
  virtual int fd() const = 0;
};

// A connected, non-blocking socket.
std::unique_ptr<Transport> NewPlainTransport(net::OwnedFd fd);

}  // namespace mcgw::http2

#endif  // MCGW_HTTP2_TRANSPORT_H_
