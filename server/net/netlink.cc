#include "server/net/netlink.h"

#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "server/net/status.h"

namespace mcgw::net::netlink {
namespace {

constexpr int kMaxDumpAttempts = 10;  // A dump is repeated if a change interrupts it.

int OnMessage(const nlmsghdr* message, void* handler) {
  (*static_cast<MessageHandler*>(handler))(*message);
  return MNL_CB_OK;
}

// Whether it consists of whole messages.
bool IsWhole(std::string_view messages) {
  size_t bytes = 0;
  ForEachMessage(messages, [&](const nlmsghdr& message) { bytes += NLMSG_ALIGN(size_t{message.nlmsg_len}); });
  return bytes >= messages.size();
}

}  // namespace

absl::StatusOr<MnlSocket> Open(int flags, unsigned groups) {
  MnlSocket socket(mnl_socket_open2(NETLINK_ROUTE, flags | SOCK_CLOEXEC));
  if (socket == nullptr) return ErrnoStatus(errno, "open a netlink socket");
  if (mnl_socket_bind(socket.get(), groups, MNL_SOCKET_AUTOPID) < 0) return ErrnoStatus(errno, "bind a netlink socket");
  return socket;
}

int Ask(mnl_socket* socket, nlmsghdr* request, MessageHandler handler) {
  alignas(nlmsghdr) char answer[kAnswerBytes];
  request->nlmsg_seq = 1;
  const unsigned port = mnl_socket_get_portid(socket);
  if (mnl_socket_sendto(socket, request, request->nlmsg_len) < 0) return errno;
  int result = MNL_CB_OK;
  while (result > MNL_CB_STOP) {
    const ssize_t length = mnl_socket_recvfrom(socket, answer, sizeof(answer));
    if (length < 0 && errno == EINTR) continue;
    if (length < 0) return errno;
    const std::string_view messages(answer, static_cast<size_t>(length));
    if (!IsWhole(messages)) return EBADMSG;
    result = mnl_cb_run(answer, static_cast<size_t>(length), request->nlmsg_seq, port, OnMessage, &handler);
    // The answer to a request other than a dump has no end mark.
    if ((request->nlmsg_flags & NLM_F_DUMP) == 0) break;
  }
  return result < 0 ? errno : 0;
}

int Dump(mnl_socket* socket, uint16_t type, int family, size_t header_bytes, MessageHandler handler) {
  alignas(nlmsghdr) char buffer[MNL_NLMSG_HDRLEN + 64] = {};
  nlmsghdr* const request = mnl_nlmsg_put_header(buffer);
  request->nlmsg_type = type;
  request->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
  auto* const header = static_cast<unsigned char*>(mnl_nlmsg_put_extra_header(request, header_bytes));
  header[0] = static_cast<unsigned char>(family);  // The first byte of ifinfomsg, ifaddrmsg and rtmsg.
  return Ask(socket, request, std::move(handler));
}

absl::Status Uninterrupted(std::string_view what, const std::function<int(mnl_socket*)>& ask) {
  int error = EINTR;
  for (int attempt = 0; attempt < kMaxDumpAttempts && error == EINTR; ++attempt) {
    // A new socket for each attempt discards the rest of an interrupted dump.
    absl::StatusOr<MnlSocket> socket = Open(0, 0);
    if (!socket.ok()) return socket.status();
    error = ask(socket->get());
    if (error == 0) return absl::OkStatus();
  }
  return ErrnoStatus(error, what);
}

std::string_view TextIn(const nlattr* attribute) {
  if (attribute == nullptr) return {};
  const std::string_view bytes(static_cast<const char*>(mnl_attr_get_payload(attribute)),
                               mnl_attr_get_payload_len(attribute));
  return bytes.substr(0, bytes.find('\0'));
}

std::optional<IpAddress> AddressIn(const nlattr* attribute) {
  if (attribute == nullptr) return std::nullopt;
  if (mnl_attr_get_payload_len(attribute) == sizeof(in_addr)) {
    in_addr v4;
    std::memcpy(&v4, mnl_attr_get_payload(attribute), sizeof(v4));
    return IpAddress::FromV4(v4);
  }
  if (mnl_attr_get_payload_len(attribute) == sizeof(in6_addr)) {
    in6_addr v6;
    std::memcpy(&v6, mnl_attr_get_payload(attribute), sizeof(v6));
    return IpAddress::FromV6(v6);
  }
  return std::nullopt;
}

int AddressFamily(Family family) { return family == Family::kIpv4 ? AF_INET : AF_INET6; }

}  // namespace mcgw::net::netlink
