// Text helpers, first of all for absl::string_view: packaged builds of Abseil (Debian, Ubuntu) have their own, which
// does not convert from std::string_view. The gateway uses std::string_view and converts where it calls Abseil.

#ifndef MCGW_NET_TEXT_H_
#define MCGW_NET_TEXT_H_

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace mcgw::net {

inline absl::string_view ToAbsl(std::string_view text) { return absl::string_view(text.data(), text.size()); }
inline std::string_view ToStd(absl::string_view text) { return std::string_view(text.data(), text.size()); }

// absl::StrCat that also accepts std::string_view.
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

// A name from a client or the host, for a message: whole up to `most_bytes`, else its beginning and size, "aaaa...
// (4096 bytes)". Never splits a UTF-8 character.
inline constexpr size_t kMostEchoedBytes = 128;  // Longer than any interface name.
std::string Shortened(std::string_view text, size_t most_bytes = kMostEchoedBytes);

// A duration from `least` to `most`: a number and a unit, such as "30s" or "500ms". Nothing if the text is anything
// else.
std::optional<absl::Duration> ReadDuration(std::string_view text, absl::Duration least, absl::Duration most);

// A list of names for a message: whole if short, else its beginning, "eth0, eth1 and 248 more".
std::string ListText(const std::vector<std::string>& names);

// The limit for error messages, applied where they leave the gateway. They travel in HTTP/2 headers, which gRPC limits
// to 8 kB in total and which repeat the message, encoded. Quoted values are shortened earlier, so that the words around
// them survive.
inline constexpr size_t kMostMessageBytes = 1000;
// Whether a byte is printable ASCII. Other bytes may affect a terminal: control characters, and in UTF-8 invisible
// characters and those that change the writing direction.
constexpr bool IsPrintable(char c) { return c >= ' ' && c <= '~'; }

// The text with all other bytes as \x1b. Errors and the log show client text only in this form.
std::string Printable(std::string_view text);

}  // namespace mcgw::net

#endif  // MCGW_NET_TEXT_H_
