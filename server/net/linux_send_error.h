// Explains why the kernel refused a datagram.

#ifndef MCGW_NET_LINUX_SEND_ERROR_H_
#define MCGW_NET_LINUX_SEND_ERROR_H_

#include "absl/status/status.h"
#include "server/net/datagram.h"
#include "server/net/multicast_socket.h"

namespace mcgw::net {

// The error for a datagram that a socket with `spec` failed to send with errno `error`: reason, field and remedy. Since
// the errno alone is often ambiguous, asks the kernel about the interface; `fd` is any socket in its namespace.
absl::Status SendError(int fd, const SendSocketSpec& spec, int error, const OutgoingDatagram& datagram);

}  // namespace mcgw::net

#endif  // MCGW_NET_LINUX_SEND_ERROR_H_
