#include "mcgw/gateway_address.h"

#include <arpa/inet.h>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "mcgw/error.h"

namespace mcgw::client {
namespace {

namespace v1 = multicast::gateway::v1;

absl::Status Wrong(absl::string_view address, absl::string_view why) {
  return InvalidInput(v1::ERROR_REASON_INVALID_ADDRESS, "gateway",
                      absl::StrCat("gateway address \"", address, "\" ", why));
}

constexpr char kForms[] = "write HOST:PORT, [IPV6]:PORT or unix:PATH, such as 127.0.0.1:50051";

bool IsIpv4(absl::string_view text) {
  in_addr binary;
  return inet_pton(AF_INET, std::string(text).c_str(), &binary) == 1;
}

bool IsIpv6(absl::string_view text) {
  const std::string address(text.substr(0, text.find('%')));
  in6_addr binary;
  return inet_pton(AF_INET6, address.c_str(), &binary) == 1;
}

}  // namespace

absl::StatusOr<std::string> GatewayTarget(absl::string_view address) {
  if (address.empty()) return Wrong(address, absl::StrCat("is empty: ", kForms));
  if (absl::StartsWith(address, "unix:")) {
    const absl::string_view path = absl::StripPrefix(absl::StripPrefix(address, "unix:"), "//");
    if (path.empty()) return Wrong(address, "lacks a path: write unix:/run/mcgw/mcgw.sock");
    return absl::StrCat("unix:", path);
  }
  if (absl::StrContains(address, "://")) return Wrong(address, absl::StrCat("is a URL: ", kForms));
  const size_t colon = address.rfind(':');
  const absl::string_view host = address.substr(0, colon == absl::string_view::npos ? address.size() : colon);
  const bool bracketed = absl::StartsWith(host, "[");
  if (colon == absl::string_view::npos || absl::EndsWith(address, "]")) {
    return Wrong(address, absl::StrCat("has no port: ", kForms));
  }
  if (!bracketed && absl::StrContains(host, ":")) {
    if (!IsIpv6(host) && !IsIpv6(address)) return Wrong(address, absl::StrCat("has too many colons: ", kForms));
    return Wrong(address, "is IPv6 without brackets: write [::1]:50051");
  }
  if (host.empty()) return Wrong(address, absl::StrCat("has no host: ", kForms));
  if (bracketed && (!absl::EndsWith(host, "]") || !IsIpv6(host.substr(1, host.size() - 2)))) {
    return Wrong(address, "does not have an IPv6 address in its brackets: write [::1]:50051");
  }
  for (const char c : host) {
    if (absl::ascii_isspace(c) || c == '/') return Wrong(address, absl::StrCat("does not name a host: ", kForms));
  }
  const absl::string_view port_text = address.substr(colon + 1);
  int port = 0;
  if (!absl::SimpleAtoi(port_text, &port) || port < 1 || port > 65535) {
    return Wrong(address, absl::StrCat("has the port \"", port_text, "\": write a number from 1 to 65535"));
  }
  // An address as such needs no resolver. One with a zone does: `%` has a meaning in a URI.
  if (IsIpv4(host)) return absl::StrCat("ipv4:", host, ":", port);
  if (bracketed && !absl::StrContains(host, "%")) return absl::StrCat("ipv6:", host, ":", port);
  return absl::StrCat("dns:///", host, ":", port);
}

}  // namespace mcgw::client
