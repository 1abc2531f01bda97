#include "server/net/text.h"

#include <algorithm>

#include "absl/strings/str_format.h"

namespace mcgw::net {
namespace {

constexpr size_t kMostListBytes = 400;

bool ContinuesCharacter(char byte) { return (static_cast<unsigned char>(byte) & 0xc0) == 0x80; }

}  // namespace

std::string Shortened(std::string_view text, size_t most_bytes) {
  if (text.size() <= most_bytes) return std::string(text);
  const std::string size = StrCat("... (", text.size(), " bytes)");
  size_t end = most_bytes > size.size() ? most_bytes - size.size() : 0;
  while (end > 0 && ContinuesCharacter(text[end])) --end;
  return StrCat(text.substr(0, end), size);
}

std::optional<absl::Duration> ReadDuration(std::string_view text, absl::Duration least, absl::Duration most) {
  absl::Duration duration;
  if (!absl::ParseDuration(std::string(text), &duration) || duration < least || duration > most) return std::nullopt;
  return duration;
}

std::string ListText(const std::vector<std::string>& names) {
  std::string text;
  for (size_t i = 0; i < names.size(); ++i) {
    const std::string name = Shortened(names[i]);
    if (i > 0 && text.size() + name.size() > kMostListBytes) {
      return StrCat(text, " and ", names.size() - i, " more");
    }
    text += StrCat(i == 0 ? "" : ", ", name);
  }
  return text;
}

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
