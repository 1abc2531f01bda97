// IP addresses as values, and their multicast properties.
//
// IpAddress holds both families: 4 or 16 bytes in network order. Parse refuses an IPv4-mapped IPv6 address; it is not
// an IPv4 address here.

#ifndef MCGW_NET_ADDRESS_H_
#define MCGW_NET_ADDRESS_H_

#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace mcgw::net {

enum class Family : uint8_t { kIpv4, kIpv6 };

class IpAddress {
 public:
  // 0.0.0.0.
  IpAddress() = default;

  // Reads "239.1.1.1" or "ff15::1" (RFC 4291 text; no brackets, no zone, no port). Anything else, including an
  // IPv4-mapped IPv6 address, is INVALID_ADDRESS; the message quotes the text.
  static absl::StatusOr<IpAddress> Parse(std::string_view text);
  // Parse for text that is often not an address: returns nothing instead of an error, which costs a microsecond to
  // make.
  static std::optional<IpAddress> ParseIfAny(std::string_view text);
  static IpAddress FromV4(const in_addr& address);
  static IpAddress FromV6(const in6_addr& address);
  // From a sockaddr_in or sockaddr_in6; any other family gives 0.0.0.0.
  static IpAddress FromSockaddr(const sockaddr_storage& address);
  static IpAddress Unspecified(Family family);

  Family family() const { return family_; }
  bool is_v4() const { return family_ == Family::kIpv4; }
  // The 4 or 16 bytes in network order; valid as long as this object.
  std::string_view bytes() const {
    return std::string_view(reinterpret_cast<const char*>(bytes_.data()), is_v4() ? 4 : 16);
  }
  in_addr ToV4() const;   // Only for an IPv4 address.
  in6_addr ToV6() const;  // Only for an IPv6 address.

  bool IsUnspecified() const;
  bool IsLoopback() const;
  bool IsLinkLocalUnicast() const;  // 169.254/16, fe80::/10
  bool IsMulticast() const;         // 224/4, ff00::/8
  bool IsBroadcast() const;         // 255.255.255.255
  bool IsSourceSpecific() const;    // 232/8, ff3x::/32 (RFC 4607)
  // The scope field of an IPv6 group (RFC 4291, 2.7): 0 to 15. -1 for anything else.
  int Ipv6Scope() const;

  // Canonical text: dotted quad, RFC 5952.
  std::string ToString() const;

  friend bool operator==(const IpAddress& a, const IpAddress& b) = default;
  friend auto operator<=>(const IpAddress& a, const IpAddress& b) = default;
  template <typename H>
  friend H AbslHashValue(H h, const IpAddress& a) {
    return H::combine(std::move(h), a.family_, a.bytes_);
  }

 private:
  Family family_ = Family::kIpv4;
  std::array<uint8_t, 16> bytes_{};  // An IPv4 address takes the first four; the rest stay zero.
};

// Fills a sockaddr for the family; `scope_id` is an interface index, used for IPv6 only. Returns its length.
socklen_t ToSockaddr(const IpAddress& address, uint16_t port, uint32_t scope_id, sockaddr_storage* out);

// "239.1.1.1:5000", "[ff15::1]:5000".
std::string ToString(const IpAddress& address, uint16_t port);

// The largest UDP payload of a family: 65,507 bytes (IPv4), 65,527 bytes (IPv6, without jumbograms).
size_t MaxPayloadBytes(Family family);

// "IPv4" or "IPv6".
std::string_view FamilyName(Family family);

}  // namespace mcgw::net

#endif  // MCGW_NET_ADDRESS_H_
