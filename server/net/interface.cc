#include "server/net/interface.h"

#include <linux/rtnetlink.h>

#include <algorithm>
#include <bit>
#include <tuple>

namespace mcgw::net {
namespace {

constexpr int kLinkLocalScope = 2;
constexpr int kSiteLocalScope = 5;
constexpr int kGlobalScope = 14;

uint8_t ByteOf(const IpAddress& address, size_t at) { return static_cast<uint8_t>(address.bytes()[at]); }

int WordOf(const IpAddress& address, size_t at) { return ByteOf(address, 2 * at) << 8 | ByteOf(address, 2 * at + 1); }

bool IsSiteLocal(const IpAddress& address) { return (WordOf(address, 0) & 0xffc0) == 0xfec0; }

int UnicastScope(const IpAddress& address) {
  if (address.IsLinkLocalUnicast() || address.IsLoopback()) return kLinkLocalScope;
  return IsSiteLocal(address) ? kSiteLocalScope : kGlobalScope;
}

// Whether the policy table of RFC 6724 (2.1) gives the address the same label as multicast groups.
bool HasLabelOfGroups(const IpAddress& address) {
  const int first = WordOf(address, 0);
  const int second = WordOf(address, 1);
  if ((first & 0xfe00) == 0xfc00 || IsSiteLocal(address)) return false;               // Unique local; site-local.
  if (first == 0x2002 || first == 0x3ffe) return false;                               // 6to4; 6bone.
  if (first == 0x2001 && (second == 0 || (second & 0xfff0) == 0x0010)) return false;  // Teredo; ORCHID.
  const bool leading_zeros = address.bytes().substr(0, 10) == std::string_view("\0\0\0\0\0\0\0\0\0\0", 10);
  const int sixth = WordOf(address, 5);
  return !leading_zeros || (sixth != 0 && sixth != 0xffff);  // ::/96, ::ffff:0:0/96.
}

// How many leading bits the address shares with the group, limited to the address's prefix length.
int SharedBits(const InterfaceAddress& candidate, const IpAddress& group) {
  int bits = 0;
  for (size_t i = 0; i < group.bytes().size(); ++i) {
    const auto differing = static_cast<uint8_t>(ByteOf(candidate.address, i) ^ ByteOf(group, i));
    bits += std::countl_zero(differing);
    if (differing != 0) break;
  }
  return std::min<int>(bits, candidate.prefix_length);
}

// The least is best (RFC 6724, 5). Rules 1, 4 and 5 cannot distinguish addresses of one interface.
using Ipv6Order = std::tuple<int, bool, bool, bool, int>;

Ipv6Order OrderOf(const InterfaceAddress& candidate, const IpAddress& group, bool prefers_temporary) {
  const int group_scope = group.Ipv6Scope();
  const int scope = UnicastScope(candidate.address);
  // The smallest scope that is wide enough is best, then the widest.
  const int by_scope = scope >= group_scope ? scope : 2 * kGlobalScope - scope;
  return {by_scope, candidate.deprecated, !HasLabelOfGroups(candidate.address),
          candidate.temporary != prefers_temporary, -SharedBits(candidate, group)};
}

std::optional<IpAddress> Ipv6SourceFor(const Interface& interface, const IpAddress& group) {
  const InterfaceAddress* best = nullptr;
  const auto order = [&](const InterfaceAddress& candidate) {
    return OrderOf(candidate, group, interface.prefers_temporary);
  };
  for (const InterfaceAddress& candidate : interface.addresses) {
    if (candidate.address.is_v4()) continue;
    if (best == nullptr || order(candidate) < order(*best)) best = &candidate;
  }
  if (best == nullptr) return std::nullopt;
  return best->address;
}

// The first address whose scope is wide enough, else the one with the widest scope. Link scope suffices for link-local
// groups (224.0.0.0/24).
std::optional<IpAddress> Ipv4SourceFor(const Interface& interface, const IpAddress& group) {
  const bool to_link = group.bytes().substr(0, 3) == std::string_view("\xe0\0\0", 3);
  const int enough = to_link ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE;
  const InterfaceAddress* best = nullptr;
  const auto order = [&](const InterfaceAddress& candidate) {
    return std::tuple(candidate.secondary, std::max<int>(candidate.scope, enough));
  };
  for (const InterfaceAddress& candidate : interface.addresses) {
    if (!candidate.address.is_v4()) continue;
    if (best == nullptr || order(candidate) < order(*best)) best = &candidate;
  }
  if (best == nullptr) return std::nullopt;
  return best->address;
}

}  // namespace

bool Interface::IsCalled(std::string_view a_name) const {
  return name == a_name ||
         std::find(alternative_names.begin(), alternative_names.end(), a_name) != alternative_names.end();
}

bool Interface::HasAddress(Family family) const {
  return std::any_of(addresses.begin(), addresses.end(),
                     [family](const InterfaceAddress& entry) { return entry.address.family() == family; });
}

std::optional<IpAddress> Interface::SourceFor(const IpAddress& group) const {
  return group.is_v4() ? Ipv4SourceFor(*this, group) : Ipv6SourceFor(*this, group);
}

std::optional<IpAddress> Interface::DefaultSource(Family family) const {
  static const IpAddress kWide[] = {*IpAddress::ParseIfAny("239.255.0.1"), *IpAddress::ParseIfAny("ff0e::1")};
  return SourceFor(kWide[family == Family::kIpv6 ? 1 : 0]);
}

std::optional<IpAddress> Interface::IgmpSource() const {
  const auto at = std::find_if(addresses.begin(), addresses.end(), [](const InterfaceAddress& candidate) {
    return candidate.address.is_v4() && !candidate.secondary && candidate.scope <= RT_SCOPE_LINK;
  });
  return at == addresses.end() ? std::nullopt : std::optional(at->address);
}

}  // namespace mcgw::net
