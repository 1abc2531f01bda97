// What it means that the kernel did not take a datagram.

#ifndef MCGW_NET_LINUX_SEND_ERROR_H_
#define MCGW_NET_LINUX_SEND_ERROR_H_

#include "absl/status/status.h"
#include "server/net/datagram.h"
#include "server/net/multicast_socket.h"

namespace mcgw::net {

// The failure of a datagram that a socket made as `spec` says was refused for, with reason, field and remedy. The errno
// alone often does not tell, so the kernel is asked about the interface; `fd` is any socket of its namespace.
absl::Status SendError(int fd, const SendSocketSpec& spec, int error, const OutgoingDatagram& datagram);

}  // namespace mcgw::net

#endif  // MCGW_NET_LINUX_SEND_ERROR_H_
