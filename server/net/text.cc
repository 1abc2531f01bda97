#include "server/net/text.h"

#include <algorithm>

#include "absl/strings/str_format.h"

namespace mcgw::net {

std::string Printable(std::string_view text) {
  if (std::all_of(text.begin(), text.end(), IsPrintable)) return std::string(text);
  std::string printable;
  for (const char c : text) {
    if (IsPrintable(c)) {
      printable += c;
    } else {
      absl::StrAppendFormat(&printable, "\\x%02x", static_cast<unsigned char>(c));
    }
  }
  return printable;
}

}  // namespace mcgw::net
