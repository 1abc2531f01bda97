// Requests to rtnetlink. For this floor only.

#ifndef MCGW_NET_NETLINK_H_
#define MCGW_NET_NETLINK_H_

#include <libmnl/libmnl.h>
#include <linux/rtnetlink.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <optional>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/net/address.h"

namespace mcgw::net::netlink {

inline constexpr size_t kAnswerBytes = 32 * 1024;  // The kernel's maximum for one part of a dump.

using MessageHandler = std::function<void(const nlmsghdr&)>;

struct CloseMnlSocket {
  void operator()(mnl_socket* socket) const { mnl_socket_close(socket); }
};
using MnlSocket = std::unique_ptr<mnl_socket, CloseMnlSocket>;

// Opens a socket subscribed to rtnetlink's multicast `groups` (RTMGRP_*); 0 for requests only.
absl::StatusOr<MnlSocket> Open(int flags, unsigned groups);

// Sends a request and passes each message of the answer to `handler`. Returns 0 or an errno. EINTR: a change
// interrupted a dump, whose answer must be discarded.
int Ask(mnl_socket* socket, nlmsghdr* request, MessageHandler handler);

// Requests everything of one type; EINTR as for Ask. `header_bytes`: the size of ifinfomsg, ifaddrmsg or rtmsg.
int Dump(mnl_socket* socket, uint16_t type, int family, size_t header_bytes, MessageHandler handler);

// Runs `ask`, which dumps, on a new socket each time until no change interrupts it. Blocks only for the kernel's
// answer. `what` names the attempt in the error message.
absl::Status Uninterrupted(std::string_view what, const std::function<int(mnl_socket*)>& ask);

// The attributes of a message by type; null where absent.
template <size_t kMaxType>
using Attributes = std::array<const nlattr*, kMaxType + 1>;

template <size_t kMaxType>
int KeepAttribute(const nlattr* attribute, void* into) {
  Attributes<kMaxType>& attributes = *static_cast<Attributes<kMaxType>*>(into);
  const uint16_t type = mnl_attr_get_type(attribute);
  if (type < attributes.size()) attributes[type] = attribute;
  return MNL_CB_OK;
}

template <size_t kMaxType>
Attributes<kMaxType> AttributesOf(const nlmsghdr& message, size_t header_bytes) {
  Attributes<kMaxType> attributes = {};
  mnl_attr_parse(&message, static_cast<unsigned>(header_bytes), KeepAttribute<kMaxType>, &attributes);
  return attributes;
}

// The attributes nested in an attribute; all null if it is null.
template <size_t kMaxType>
Attributes<kMaxType> AttributesIn(const nlattr* nest) {
  Attributes<kMaxType> attributes = {};
  if (nest != nullptr) mnl_attr_parse_nested(nest, KeepAttribute<kMaxType>, &attributes);
  return attributes;
}

// Calls `handler` with each message. Ends at one whose length cannot be true; libmnl's walk takes lengths from 2^31 on.
// `messages` must be aligned as an nlmsghdr.
template <typename Handler>
void ForEachMessage(std::string_view messages, Handler handler) {
  while (messages.size() >= sizeof(nlmsghdr)) {
    const auto* const message = reinterpret_cast<const nlmsghdr*>(messages.data());
    if (message->nlmsg_len < sizeof(nlmsghdr) || message->nlmsg_len > messages.size()) return;
    handler(*message);
    messages.remove_prefix(std::min<size_t>(messages.size(), NLMSG_ALIGN(size_t{message->nlmsg_len})));
  }
}

// The header of a message, such as an ifinfomsg; null if the message is too short for it.
template <typename Header>
const Header* HeaderOf(const nlmsghdr& message) {
  if (mnl_nlmsg_get_payload_len(&message) < sizeof(Header)) return nullptr;
  return static_cast<const Header*>(mnl_nlmsg_get_payload(&message));
}

// Nothing if the attribute is absent or too short.
template <typename Number>
std::optional<Number> NumberIn(const nlattr* attribute) {
  if (attribute == nullptr || mnl_attr_get_payload_len(attribute) < sizeof(Number)) return std::nullopt;
  Number number;
  std::memcpy(&number, mnl_attr_get_payload(attribute), sizeof(number));
  return number;
}

// The text of an attribute up to its end or its first NUL; empty if it is absent.
std::string_view TextIn(const nlattr* attribute);

// Nothing if the attribute is absent or is not an address.
std::optional<IpAddress> AddressIn(const nlattr* attribute);

int AddressFamily(Family family);  // AF_INET, AF_INET6

}  // namespace mcgw::net::netlink

#endif  // MCGW_NET_NETLINK_H_
