// Multicast sockets on Linux.
//
// The model: one socket per channel, bound to the group (with the scope id for IPv6) and to the device,
// IP_MULTICAST_ALL and IPV6_MULTICAST_ALL off, SO_REUSEADDR, non-blocking. So no unicast and no other group comes in,
// the kernel's limit of 20 groups per socket is never met, and each channel's source filter is its own. Needs no
// capability (ip(7), ipv6(7), socket(7), RFC 3678).

#ifndef MCGW_NET_LINUX_MULTICAST_SOCKET_H_
#define MCGW_NET_LINUX_MULTICAST_SOCKET_H_

#include <memory>

#include "server/net/multicast_socket.h"

namespace mcgw::net {

// Thread-safe. Outlives the sockets it makes only by convenience: they do not refer to it.
std::unique_ptr<SocketFactory> NewLinuxSocketFactory();

}  // namespace mcgw::net

#endif  // MCGW_NET_LINUX_MULTICAST_SOCKET_H_
