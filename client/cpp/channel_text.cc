#include "mcgw/channel_text.h"

#include <arpa/inet.h>

#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "mcgw/error.h"

namespace mcgw::client {
namespace {

namespace v1 = multicast::gateway::v1;

constexpr absl::string_view::size_type kNone = absl::string_view::npos;
constexpr char kForm[] = "a channel is [SOURCE@]GROUP:PORT[%INTERFACE], such as 239.1.1.1:5000%eth0 or [ff15::1]:5000";
constexpr char kPortRange[] = "must be a number from 1 to 65535";

std::string Quoted(absl::string_view text) { return absl::StrCat("\"", absl::CHexEscape(text), "\""); }

struct Address {
  bool ipv6 = false;
  std::string bytes;  // Network order.

  uint8_t byte(size_t i) const { return static_cast<uint8_t>(bytes[i]); }
  bool IsMulticast() const { return ipv6 ? byte(0) == 0xff : (byte(0) & 0xf0) == 0xe0; }
  bool IsUnspecified() const { return bytes.find_first_not_of('\0') == std::string::npos; }
  bool IsBroadcast() const { return !ipv6 && bytes == "\xff\xff\xff\xff"; }
  bool IsMapped() const { return ipv6 && bytes.compare(0, 12, std::string("\0\0\0\0\0\0\0\0\0\0\xff\xff", 12)) == 0; }
  const char* family() const { return ipv6 ? "IPv6" : "IPv4"; }
  std::string ToText() const { return FormatAddress(bytes); }
};

bool ReadAddress(absl::string_view text, Address* address) {
  const std::string terminated(text);
  if (terminated.find('\0') != std::string::npos) return false;
  char binary[16];
  address->ipv6 = absl::StrContains(text, ":");
  if (inet_pton(address->ipv6 ? AF_INET6 : AF_INET, terminated.c_str(), binary) != 1) return false;
  address->bytes.assign(binary, address->ipv6 ? 16 : 4);
  return true;
}

// The channel's text cut into its parts, not checked yet.
struct Parts {
  std::vector<absl::string_view> sources;
  absl::string_view group;
  bool bracketed = false;
  absl::string_view zone;
  bool has_port = false;
  absl::string_view port;
  bool has_interface = false;
  absl::string_view interface;
};

absl::StatusOr<Parts> Split(absl::string_view text) {
  if (text.empty()) return InvalidInput(v1::ERROR_REASON_FIELD_REQUIRED, "channel", absl::StrCat("empty: ", kForm));
  Parts parts;
  absl::string_view rest = text;
  const size_t at = rest.find('@');
  const size_t percent = rest.find('%');
  if (at != kNone && percent < at && rest.substr(at + 1, 1) == "[") {
    return InvalidInput(v1::ERROR_REASON_INVALID_SOURCE, "source_filter.sources",
                        absl::StrCat("source ", Quoted(rest.substr(0, at)),
                                     " carries a zone: name the interface after the "
                                     "port, as in fe80::2@[ff02::1234]:5000%eth0"));
  }
  if (at < percent) {
    parts.sources = absl::StrSplit(rest.substr(0, at), ',');
    rest.remove_prefix(at + 1);
  }
  if (absl::StartsWith(rest, "[")) {
    const size_t close = rest.find(']');
    if (close == kNone) {
      return InvalidInput(v1::ERROR_REASON_INVALID_ADDRESS, "group",
                          absl::StrCat("channel ", Quoted(text), " lacks the closing bracket: ", kForm));
    }
    parts.bracketed = true;
    parts.group = rest.substr(1, close - 1);
    const size_t zone = parts.group.find('%');
    if (zone != kNone) {
      parts.zone = parts.group.substr(zone + 1);
      parts.group = parts.group.substr(0, zone);
    }
    rest.remove_prefix(close + 1);
  }
  const size_t interface = rest.find('%');
  if (interface != kNone) {
    parts.has_interface = true;
    parts.interface = rest.substr(interface + 1);
    rest = rest.substr(0, interface);
  }
  const size_t colon = rest.rfind(':');
  Address ignored;
  if (!parts.bracketed && ReadAddress(rest, &ignored) && ignored.ipv6) {
    return InvalidInput(v1::ERROR_REASON_INVALID_ADDRESS, "group",
                        absl::StrCat("channel ", Quoted(text),
                                     " has an IPv6 group without brackets or without a port: "
                                     "write [ff15::1]:5000"));
  }
  parts.has_port = colon != kNone;
  if (parts.has_port) parts.port = rest.substr(colon + 1);
  const absl::string_view before_port = rest.substr(0, colon);
  if (!parts.bracketed) {
    parts.group = before_port;
  } else if (!before_port.empty()) {
    return InvalidInput(
        v1::ERROR_REASON_INVALID_ADDRESS, "group",
        absl::StrCat("channel ", Quoted(text), " has ", Quoted(before_port), " after the bracket: ", kForm));
  }
  return parts;
}

absl::StatusOr<Address> ReadGroup(const Parts& parts) {
  Address group;
  if (parts.group.empty()) {
    return InvalidInput(v1::ERROR_REASON_FIELD_REQUIRED, "group", absl::StrCat("the group is missing: ", kForm));
  }
  if (!ReadAddress(parts.group, &group)) {
    return InvalidInput(v1::ERROR_REASON_INVALID_ADDRESS, "group",
                        absl::StrCat(Quoted(parts.group), " is not an IP address such as 239.1.1.1 or ff15::1"));
  }
  if (group.IsMapped()) {
    return InvalidInput(
        v1::ERROR_REASON_INVALID_ADDRESS, "group",
        absl::StrCat(Quoted(parts.group), " is an IPv4-mapped IPv6 address: give the IPv4 address itself"));
  }
  if (!group.IsMulticast()) {
    return InvalidInput(v1::ERROR_REASON_NOT_A_MULTICAST_GROUP, "group",
                        absl::StrCat(group.ToText(),
                                     " is not a multicast group: IPv4 groups are 224.0.0.0 to "
                                     "239.255.255.255, IPv6 groups begin with ff"));
  }
  if (group.ipv6 && !parts.bracketed) {
    return InvalidInput(
        v1::ERROR_REASON_INVALID_ADDRESS, "group",
        absl::StrCat("IPv6 group ", Quoted(parts.group), " lacks brackets: write [", group.ToText(), "]:", parts.port));
  }
  return group;
}

absl::StatusOr<uint32_t> ReadPort(const Parts& parts) {
  if (!parts.has_port || parts.port.empty()) {
    return InvalidInput(v1::ERROR_REASON_FIELD_REQUIRED, "port",
                        absl::StrCat("the port of ", parts.group, " is missing: ", kForm));
  }
  uint32_t port = 0;
  const bool digits = parts.port.find_first_not_of("0123456789") == kNone;
  if (!digits || !absl::SimpleAtoi(parts.port, &port) || port < 1 || port > 65535) {
    return InvalidInput(v1::ERROR_REASON_INVALID_PORT, "port",
                        absl::StrCat("port ", Quoted(parts.port), " ", kPortRange));
  }
  return port;
}

absl::StatusOr<std::string> ReadSource(absl::string_view text, const Address& group) {
  if (absl::StartsWith(text, "[") && absl::EndsWith(text, "]")) text = text.substr(1, text.size() - 2);
  auto source = ParseUnicastAddress(text, "source_filter.sources", "source");
  if (!source.ok()) return source;
  const bool ipv6 = absl::StrContains(*source, ":");
  if (ipv6 != group.ipv6) {
    return InvalidInput(v1::ERROR_REASON_INVALID_SOURCE, "source_filter.sources",
                        absl::StrCat("source ", *source, " is not of the same family as the ", group.family(),
                                     " group ", group.ToText(), ": name a sender's ", group.family(), " address"));
  }
  return source;
}

absl::StatusOr<std::string> ReadInterface(const Parts& parts) {
  if (parts.has_interface && parts.interface.empty()) {
    return InvalidInput(v1::ERROR_REASON_FIELD_REQUIRED, "interface",
                        "the interface after % is missing: write %NAME, %ADDRESS or %*, or leave out the %");
  }
  if (parts.zone.empty()) return std::string(parts.interface);
  if (parts.has_interface && parts.interface != parts.zone) {
    return InvalidInput(
        v1::ERROR_REASON_CONFLICTING_FIELDS, "interface",
        absl::StrCat("two interfaces, ", Quoted(parts.zone), " and ", Quoted(parts.interface), ": name one"));
  }
  return std::string(parts.zone);
}

}  // namespace

absl::StatusOr<v1::Membership> ParseChannel(absl::string_view text) {
  const auto parts = Split(text);
  if (!parts.ok()) return parts.status();
  const auto group = ReadGroup(*parts);
  if (!group.ok()) return group.status();
  const auto port = ReadPort(*parts);
  if (!port.ok()) return port.status();
  const auto interface = ReadInterface(*parts);
  if (!interface.ok()) return interface.status();

  v1::Membership membership;
  membership.set_group(group->ToText());
  membership.set_port(*port);
  membership.set_interface(*interface);
  for (const absl::string_view text_of_source : parts->sources) {
    const auto source = ReadSource(text_of_source, *group);
    if (!source.ok()) return source.status();
    membership.mutable_source_filter()->set_mode(v1::SOURCE_FILTER_MODE_INCLUDE);
    membership.mutable_source_filter()->add_sources(*source);
  }
  return membership;
}

absl::StatusOr<std::string> ParseUnicastAddress(absl::string_view text, absl::string_view field,
                                                absl::string_view what) {
  Address address;
  if (!ReadAddress(text, &address)) {
    return InvalidInput(v1::ERROR_REASON_INVALID_SOURCE, field,
                        absl::StrCat(what, " ", Quoted(text), " is not an IP address such as 10.0.0.2 or fd00::2"));
  }
  const char* wrong = address.IsMulticast()     ? "a multicast address"
                      : address.IsUnspecified() ? "the unspecified address"
                      : address.IsBroadcast()   ? "the broadcast address"
                      : address.IsMapped()      ? "an IPv4-mapped IPv6 address"
                                                : nullptr;
  if (wrong != nullptr) {
    return InvalidInput(v1::ERROR_REASON_INVALID_SOURCE, field,
                        absl::StrCat(what, " ", text, " is ", wrong, ": name a sender's unicast address"));
  }
  return address.ToText();
}

std::string FormatChannel(absl::string_view group, uint32_t port, absl::string_view interface) {
  const bool ipv6 = absl::StrContains(group, ":");
  return absl::StrCat(ipv6 ? "[" : "", group, ipv6 ? "]:" : ":", port, interface.empty() ? "" : "%", interface);
}

std::string FormatChannel(const v1::Channel& channel) {
  return FormatChannel(channel.group(), channel.port(), channel.interface_name());
}

std::string FormatChannel(const v1::Membership& membership) {
  std::string text;
  if (membership.source_filter().mode() == v1::SOURCE_FILTER_MODE_INCLUDE) {
    for (const std::string& source : membership.source_filter().sources()) {
      absl::StrAppend(&text, text.empty() ? "" : ",", source);
    }
    text += '@';
  }
  return absl::StrCat(text, FormatChannel(membership.group(), membership.port(), membership.interface()));
}

std::string FormatAddress(absl::string_view bytes) {
  char text[INET6_ADDRSTRLEN];
  if (bytes.size() != 4 && bytes.size() != 16) return "?";
  return inet_ntop(bytes.size() == 4 ? AF_INET : AF_INET6, bytes.data(), text, sizeof(text));
}

std::string FormatEndpoint(absl::string_view address_bytes, uint32_t port) {
  return FormatChannel(FormatAddress(address_bytes), port, "");
}

}  // namespace mcgw::client
