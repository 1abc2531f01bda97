#include "client/cli/printable.h"

#include <algorithm>
#include <cstdint>

#include "absl/strings/str_format.h"

namespace mcgw::cli {
namespace {

struct Range {
  uint32_t first;
  uint32_t last;
};

// Unprintable beyond ASCII: the second set of control characters, Unicode's category Cf, and its line ends.
constexpr Range kUnseen[] = {{0x80, 0x9f},       {0xad, 0xad},      {0x600, 0x605},   {0x61c, 0x61c},
                             {0x6dd, 0x6dd},     {0x70f, 0x70f},    {0x180e, 0x180e}, {0x200b, 0x200f},
                             {0x2028, 0x202e},   {0x2060, 0x206f},  {0xfeff, 0xfeff}, {0xfff9, 0xfffb},
                             {0x1d173, 0x1d17a}, {0xe0000, 0xe007f}};

bool IsPlain(char c) { return c == '\n' || (c >= ' ' && c <= '~'); }

// The length of the UTF-8 character at the start of `text`, if it is visible; 0 otherwise.
size_t SizeOfVisible(absl::string_view text) {
  const auto lead = static_cast<unsigned char>(text[0]);
  if (lead < 0x80) return IsPlain(text[0]) ? 1 : 0;
  const size_t size = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead > 0xf4 || size > text.size()) return 0;
  uint32_t character = lead & (0x7f >> size);
  for (size_t i = 1; i < size; ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    if ((byte & 0xc0) != 0x80) return 0;
    character = character << 6 | (byte & 0x3f);
  }
  constexpr uint32_t kLeast[] = {0, 0, 0x80, 0x800, 0x10000};
  const bool surrogate = character >= 0xd800 && character <= 0xdfff;
  if (character < kLeast[size] || character > 0x10ffff || surrogate) return 0;
  const bool unseen = std::any_of(std::begin(kUnseen), std::end(kUnseen), [character](const Range& range) {
    return character >= range.first && character <= range.last;
  });
  return unseen ? 0 : size;
}

}  // namespace

std::string Printable(absl::string_view text) {
  if (std::all_of(text.begin(), text.end(), IsPlain)) return std::string(text);
  std::string printable;
  while (!text.empty()) {
    const size_t size = SizeOfVisible(text);
    if (size > 0) {
      printable.append(text.data(), size);
    } else {
      absl::StrAppendFormat(&printable, "\\x%02x", static_cast<unsigned char>(text[0]));
    }
    text.remove_prefix(std::max<size_t>(size, 1));
  }
  return printable;
}

}  // namespace mcgw::cli
