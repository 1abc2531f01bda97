#include "server/net/address.h"

#include <arpa/inet.h>

#include <algorithm>
#include <cstring>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "server/net/status.h"
#include "server/net/text.h"

namespace mcgw::net {
namespace {

// Long enough for any address; longer text is cut.
constexpr size_t kMaxShownBytes = 64;

absl::Status NotAnAddress(std::string_view text, std::string_view why) {
  // Escaped, since the text may hold any bytes and a status message must be UTF-8.
  return Error(Reason::kInvalidAddress, "",
               absl::StrCat("\"", absl::CHexEscape(ToAbsl(text.substr(0, kMaxShownBytes))), "\" ", ToAbsl(why)));
}

bool IsMapped(std::string_view text) {
  in6_addr v6;
  return text.find('\0') == text.npos && inet_pton(AF_INET6, std::string(text).c_str(), &v6) == 1 &&
         IN6_IS_ADDR_V4MAPPED(&v6);
}

std::string_view WhyNotAnAddress(std::string_view text) {
  if (text.empty()) return "is empty: give an IP address such as 239.1.1.1 or ff15::1";
  if (text.find('%') != text.npos)
    return "carries a zone: give the address alone, and name the interface in its own field";
  if (IsMapped(text)) return "is an IPv4-mapped IPv6 address: give the IPv4 address itself";
  if (text.front() == '[') return "has brackets: give the address alone, and the port in its own field";
  return "is not an IP address such as 239.1.1.1 or ff15::1";
}

}  // namespace

std::optional<IpAddress> IpAddress::ParseIfAny(std::string_view text) {
  char terminated[INET6_ADDRSTRLEN] = {};
  if (text.size() >= sizeof(terminated) || text.find('\0') != text.npos) return std::nullopt;
  std::copy(text.begin(), text.end(), terminated);
  in_addr v4;
  if (inet_pton(AF_INET, terminated, &v4) == 1) return FromV4(v4);
  in6_addr v6;
  if (inet_pton(AF_INET6, terminated, &v6) != 1 || IN6_IS_ADDR_V4MAPPED(&v6)) return std::nullopt;
  return FromV6(v6);
}

absl::StatusOr<IpAddress> IpAddress::Parse(std::string_view text) {
  const std::optional<IpAddress> address = ParseIfAny(text);
  if (address.has_value()) return *address;
  return NotAnAddress(text, WhyNotAnAddress(text));
}

IpAddress IpAddress::FromV4(const in_addr& address) {
  IpAddress result;
  std::memcpy(result.bytes_.data(), &address, sizeof(address));
  return result;
}

IpAddress IpAddress::FromV6(const in6_addr& address) {
  IpAddress result;
  result.family_ = Family::kIpv6;
  std::memcpy(result.bytes_.data(), &address, sizeof(address));
  return result;
}

IpAddress IpAddress::FromSockaddr(const sockaddr_storage& address) {
  switch (address.ss_family) {
    case AF_INET:
      return FromV4(reinterpret_cast<const sockaddr_in&>(address).sin_addr);
    case AF_INET6:
      return FromV6(reinterpret_cast<const sockaddr_in6&>(address).sin6_addr);
    default:
      return IpAddress();
  }
}

IpAddress IpAddress::Unspecified(Family family) {
  IpAddress result;
  result.family_ = family;
  return result;
}

in_addr IpAddress::ToV4() const {
  in_addr result;
  std::memcpy(&result, bytes_.data(), sizeof(result));
  return result;
}

in6_addr IpAddress::ToV6() const {
  in6_addr result;
  std::memcpy(&result, bytes_.data(), sizeof(result));
  return result;
}

bool IpAddress::IsUnspecified() const { return bytes_ == std::array<uint8_t, 16>{}; }

bool IpAddress::IsLoopback() const {
  if (is_v4()) return bytes_[0] == 127;
  const in6_addr v6 = ToV6();
  return IN6_IS_ADDR_LOOPBACK(&v6);
}

bool IpAddress::IsLinkLocalUnicast() const {
  if (is_v4()) return bytes_[0] == 169 && bytes_[1] == 254;
  return bytes_[0] == 0xfe && (bytes_[1] & 0xc0) == 0x80;
}

bool IpAddress::IsMulticast() const { return is_v4() ? (bytes_[0] & 0xf0) == 0xe0 : bytes_[0] == 0xff; }

bool IpAddress::IsBroadcast() const { return is_v4() && ToV4().s_addr == INADDR_BROADCAST; }

bool IpAddress::IsSourceSpecific() const {
  if (is_v4()) return bytes_[0] == 232;
  return bytes_[0] == 0xff && (bytes_[1] & 0xf0) == 0x30 && bytes_[2] == 0 && bytes_[3] == 0;
}

int IpAddress::Ipv6Scope() const { return is_v4() || !IsMulticast() ? -1 : bytes_[1] & 0x0f; }

std::string IpAddress::ToString() const {
  char text[INET6_ADDRSTRLEN];
  inet_ntop(is_v4() ? AF_INET : AF_INET6, bytes_.data(), text, sizeof(text));
  return text;
}

socklen_t ToSockaddr(const IpAddress& address, uint16_t port, uint32_t scope_id, sockaddr_storage* out) {
  if (address.is_v4()) {
    sockaddr_in v4 = {};
    v4.sin_family = AF_INET;
    v4.sin_port = htons(port);
    v4.sin_addr = address.ToV4();
    std::memcpy(out, &v4, sizeof(v4));
    return sizeof(v4);
  }
  sockaddr_in6 v6 = {};
  v6.sin6_family = AF_INET6;
  v6.sin6_port = htons(port);
  v6.sin6_addr = address.ToV6();
  v6.sin6_scope_id = scope_id;
  std::memcpy(out, &v6, sizeof(v6));
  return sizeof(v6);
}

std::string ToString(const IpAddress& address, uint16_t port) {
  return address.is_v4() ? absl::StrCat(address.ToString(), ":", port)
                         : absl::StrCat("[", address.ToString(), "]:", port);
}

size_t MaxPayloadBytes(Family family) { return family == Family::kIpv4 ? 65'507 : 65'527; }

std::string_view FamilyName(Family family) { return family == Family::kIpv4 ? "IPv4" : "IPv6"; }

}  // namespace mcgw::net
