// Packaged builds of Abseil (Debian, Ubuntu) have an absl::string_view of their own, which does not convert from
// std::string_view. The gateway's code speaks std::string_view and converts where it calls Abseil.

#ifndef MCGW_NET_TEXT_H_
#define MCGW_NET_TEXT_H_

#include <cstddef>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace mcgw::net {

inline absl::string_view ToAbsl(std::string_view text) { return absl::string_view(text.data(), text.size()); }
inline std::string_view ToStd(absl::string_view text) { return std::string_view(text.data(), text.size()); }

// absl::StrCat that takes std::string_view too.
template <typename... Parts>
std::string StrCat(const Parts&... parts) {
  const auto convert = [](const auto& part) -> decltype(auto) {
    if constexpr (std::is_same_v<std::decay_t<decltype(part)>, std::string_view>) {
      return ToAbsl(part);
    } else {
      return (part);
    }
  };
  return absl::StrCat(convert(parts)...);
}

// What a client or the host has named, for a message: whole up to `most_bytes`, else its beginning and its size,
// "aaaa... (4096 bytes)". Does not cut through a UTF-8 character.
inline constexpr size_t kMostEchoedBytes = 128;  // More than any interface's name has.
std::string Shortened(std::string_view text, size_t most_bytes = kMostEchoedBytes);

// A list of names for a message: whole while it is short, else its beginning, "eth0, eth1 and 248 more".
std::string ListText(const std::vector<std::string>& names);

// A message that travels in HTTP/2 headers, which gRPC limits to 8 kB altogether and which carry it several times,
// encoded. Applied to all errors where they leave the gateway; what errors name is shortened before, so that the words
// around it survive.
inline constexpr size_t kMostMessageBytes = 1000;
// Whether a byte is printable ASCII. All others may do something to the terminal that shows them: control characters,
// and in UTF-8 those that turn the direction of writing or cannot be seen.
constexpr bool IsPrintable(char c) { return c >= ' ' && c <= '~'; }

// The text with all other bytes as \x1b. What a client has said is shown in this form only: in errors and in the log.
std::string Printable(std::string_view text);

}  // namespace mcgw::net

#endif  // MCGW_NET_TEXT_H_
