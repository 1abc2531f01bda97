#include "server/http2/request_check.h"

#include <nghttp2/nghttp2.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <string_view>

namespace mcgw::http2 {
namespace {

// Of one hop, and so not of HTTP/2 (section 8.2.2).
constexpr std::array<std::string_view, 5> kOfConnection = {"connection", "keep-alive", "proxy-connection",
                                                           "transfer-encoding", "upgrade"};

const uint8_t* Bytes(std::string_view text) { return reinterpret_cast<const uint8_t*>(text.data()); }

}  // namespace

bool RequestCheck::AddPseudo(std::string_view name, std::string_view value) {
  uint8_t which = 0;
  if (name == ":method") which = kMethod;
  if (name == ":scheme") which = kScheme;
  if (name == ":path") which = kPath;
  if (name == ":authority") which = kAuthority;
  if (which == 0 || regular_ || (seen_ & which) != 0 || (which != kAuthority && value.empty())) return false;
  seen_ |= which;
  return true;
}

bool RequestCheck::Add(std::string_view name, std::string_view value) {
  if (nghttp2_check_header_value(Bytes(value), value.size()) == 0) return false;
  if (!name.empty() && name.front() == ':') return AddPseudo(name, value);
  regular_ = true;
  // This also refuses upper case.
  if (nghttp2_check_header_name(Bytes(name), name.size()) == 0) return false;
  if (std::find(kOfConnection.begin(), kOfConnection.end(), name) != kOfConnection.end()) return false;
  if (name == "te") return value == "trailers";
  if (name != "content-length") return true;
  uint64_t length = 0;
  const auto [at, error] = std::from_chars(value.data(), value.data() + value.size(), length);
  if (content_length_.has_value() || error != std::errc() || at != value.data() + value.size()) return false;
  content_length_ = length;
  return true;
}

}  // namespace mcgw::http2
