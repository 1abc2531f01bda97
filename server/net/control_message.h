// Reads ancillary data of received messages (cmsg(3)).

#ifndef MCGW_NET_CONTROL_MESSAGE_H_
#define MCGW_NET_CONTROL_MESSAGE_H_

#include <sys/socket.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <string_view>

namespace mcgw::net {

// The bytes of one control message of `message`: never any beyond its buffer, whatever lengths it claims.
inline std::string_view ControlBytes(const msghdr& message, const cmsghdr* control) {
  const auto* const data = reinterpret_cast<const char*>(CMSG_DATA(control));
  const char* const end = static_cast<const char*>(message.msg_control) + message.msg_controllen;
  if (data > end || control->cmsg_len < CMSG_LEN(0)) return {};
  return {data, std::min<size_t>(control->cmsg_len - CMSG_LEN(0), static_cast<size_t>(end - data))};
}

// Takes the value of a control message. False, without a change, if it is too short to be one.
template <typename T>
bool ReadControl(std::string_view bytes, T* value) {
  if (bytes.size() < sizeof(*value)) return false;
  std::memcpy(value, bytes.data(), sizeof(*value));
  return true;
}

}  // namespace mcgw::net

#endif  // MCGW_NET_CONTROL_MESSAGE_H_
