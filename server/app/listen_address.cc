#include "server/app/listen_address.h"

#include <netinet/in.h>
#include <sys/un.h>

#include <charconv>
#include <cstddef>
#include <cstring>
#include <filesystem>
#include <optional>
#include <system_error>

#include "server/net/address.h"
#include "server/net/text.h"

namespace mcgw::app {
namespace {

constexpr std::string_view kUnixPrefix = "unix:";

struct HostPort {
  net::IpAddress host;
  uint16_t port;
};

std::optional<HostPort> ParseHostPort(std::string_view text) {
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return std::nullopt;
  std::string_view host = text.substr(0, colon);
  const std::string_view port_text = text.substr(colon + 1);
  const bool bracketed = host.size() > 2 && host.front() == '[' && host.back() == ']';
  if (bracketed) host = host.substr(1, host.size() - 2);
  if (host == "localhost") host = "127.0.0.1";
  const absl::StatusOr<net::IpAddress> address = net::IpAddress::Parse(host);
  unsigned int port = 0;
  const auto [end, error] = std::from_chars(port_text.data(), port_text.data() + port_text.size(), port);
  if (!address.ok() || bracketed == address->is_v4() || error != std::errc() ||
      end != port_text.data() + port_text.size() || port > 65535 || port_text.empty()) {
    return std::nullopt;
  }
  return HostPort{*address, static_cast<uint16_t>(port)};
}

absl::StatusOr<ListenAddress> ParseUnix(std::string_view text) {
  ListenAddress address;
  address.path = std::string(text.substr(kUnixPrefix.size()));
  auto* const un = reinterpret_cast<sockaddr_un*>(&address.storage);
  if (address.path.empty() || address.path[0] != '/') {
    return BadListener(text, "the path of a Unix socket must begin with '/', as in unix:/run/mcgw/mcgw.sock");
  }
  if (address.path.find('\0') != std::string::npos) {
    return BadListener(text, "the path of a Unix socket must not contain a NUL byte");
  }
  if (address.path.size() >= sizeof(un->sun_path)) {
    return BadListener(text,
                       net::StrCat("the path of a Unix socket must have at most ", sizeof(un->sun_path) - 1, " bytes"));
  }
  un->sun_family = AF_UNIX;
  std::memcpy(un->sun_path, address.path.c_str(), address.path.size() + 1);
  address.length = offsetof(sockaddr_un, sun_path) + address.path.size() + 1;
  return address;
}

}  // namespace

absl::Status BadListener(std::string_view address, std::string_view why) {
  return absl::InvalidArgumentError(net::StrCat("listen address '", address, "': ", why));
}

absl::StatusOr<ListenAddress> ListenAddress::Parse(std::string_view text) {
  if (text.starts_with(kUnixPrefix)) return ParseUnix(text);
  const std::optional<HostPort> parsed = ParseHostPort(text);
  if (!parsed.has_value()) {
    return BadListener(text, "give an address and a port, as in 127.0.0.1:50051 or [::1]:50051, or unix:/PATH");
  }
  if (parsed->host.IsMulticast()) return BadListener(text, "a multicast group is not an address to listen on");
  ListenAddress address;
  address.length = net::ToSockaddr(parsed->host, parsed->port, 0, &address.storage);
  return address;
}

std::string ListenAddress::Text() const {
  if (is_unix()) return net::StrCat(kUnixPrefix, std::filesystem::path(path).lexically_normal().string());
  const uint16_t port = storage.ss_family == AF_INET ? reinterpret_cast<const sockaddr_in&>(storage).sin_port
                                                     : reinterpret_cast<const sockaddr_in6&>(storage).sin6_port;
  return net::ToString(net::IpAddress::FromSockaddr(storage), ntohs(port));
}

bool ListenAddress::IsLocal() const { return is_unix() || net::IpAddress::FromSockaddr(storage).IsLoopback(); }

}  // namespace mcgw::app
