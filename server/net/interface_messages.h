// Reads the kernel's messages about links, addresses and routes (rtnetlink). For this floor only.
//
// Any bytes may be in a message: a message shorter than its header says nothing, and an attribute shorter than its
// value is as good as absent.

#ifndef MCGW_NET_INTERFACE_MESSAGES_H_
#define MCGW_NET_INTERFACE_MESSAGES_H_

#include <linux/rtnetlink.h>

#include <cstdint>
#include <limits>
#include <optional>
#include <string_view>
#include <vector>

#include "server/net/interface.h"
#include "server/net/interface_table.h"

namespace mcgw::net::netlink {

// The link of an RTM_NEWLINK message.
std::optional<Interface> ReadLink(const nlmsghdr& message);

// Gives the address of an RTM_NEWADDR message to its interface, if it is one to send from.
void ReadAddress(const nlmsghdr& message, std::vector<Interface>* interfaces);

// The default route of a dump with the lowest metric, in the main table.
struct BestRoute {
  uint32_t index = 0;  // Of the interface; 0 if there is none.
  uint32_t metric = std::numeric_limits<uint32_t>::max();
};
void ConsiderDefaultRoute(const nlmsghdr& message, BestRoute* best);

// Adds what the messages that a watch has received announce. `messages` must be aligned as an nlmsghdr.
void NoteChanges(std::string_view messages, InterfaceChanges* changes);

}  // namespace mcgw::net::netlink

#endif  // MCGW_NET_INTERFACE_MESSAGES_H_
