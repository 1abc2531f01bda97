// Makes the multicast sockets of Linux.
//
// A receive socket serves one channel. It is bound to the group (for IPv6 with the scope id) and to the device, with
// IP_MULTICAST_ALL and IPV6_MULTICAST_ALL off and SO_REUSEADDR on, and does not block. So it receives no unicast and no
// other group, never meets the kernel's limit of 20 groups per socket, and has a source filter of its own. It needs no
// capability (ip(7), ipv6(7), socket(7), RFC 3678).

#ifndef MCGW_NET_LINUX_SOCKET_FACTORY_H_
#define MCGW_NET_LINUX_SOCKET_FACTORY_H_

#include <memory>

#include "server/net/multicast_socket.h"

namespace mcgw::net {

// Thread-safe. The sockets do not refer to their factory and may outlive it.
std::unique_ptr<SocketFactory> NewLinuxSocketFactory();

}  // namespace mcgw::net

#endif  // MCGW_NET_LINUX_SOCKET_FACTORY_H_
