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

// Unprintable: the two sets of control characters, Unicode's category Cf, and its line ends.
constexpr Range kUnseen[] = {{0x0, 0x1f},      {0x7f, 0x9f},       {0xad, 0xad},      {0x600, 0x605},
                             {0x61c, 0x61c},   {0x6dd, 0x6dd},     {0x70f, 0x70f},    {0x180e, 0x180e},
                             {0x200b, 0x200f}, {0x2028, 0x202e},   {0x2060, 0x206f},  {0xfeff, 0xfeff},
                             {0xfff9, 0xfffb}, {0x1d173, 0x1d17a}, {0xe0000, 0xe007f}};

bool IsVisible(uint32_t code) {
  return std::none_of(std::begin(kUnseen), std::end(kUnseen),
                      [code](const Range& range) { return code >= range.first && code <= range.last; });
}

struct Character {
  uint32_t code = 0;
  size_t bytes = 0;  // 0: not valid UTF-8.
};

// Decodes the first character of `text`, which is not empty.
Character Decode(absl::string_view text) {
  const auto lead = static_cast<unsigned char>(text[0]);
  if (lead < 0x80) return {lead, 1};
  const size_t size = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead > 0xf4 || size > text.size()) return {};
  uint32_t code = lead & (0x7f >> size);
  for (size_t i = 1; i < size; ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    if ((byte & 0xc0) != 0x80) return {};
    code = code << 6 | (byte & 0x3f);
  }
  constexpr uint32_t kLeast[] = {0, 0, 0x80, 0x800, 0x10000};
  const bool surrogate = code >= 0xd800 && code <= 0xdfff;
  if (code < kLeast[size] || code > 0x10ffff || surrogate) return {};
  return {code, size};
}

// JSON escapes characters beyond 16 bits as two surrogates.
void AppendJsonEscape(uint32_t code, std::string* out) {
  if (code < 0x10000) {
    absl::StrAppendFormat(out, "\\u%04x", code);
  } else {
    absl::StrAppendFormat(out, "\\u%04x\\u%04x", 0xd800 + ((code - 0x10000) >> 10),
                          0xdc00 + ((code - 0x10000) & 0x3ff));
  }
}

bool IsPlain(char c) { return c == '\n' || (c >= ' ' && c <= '~'); }

}  // namespace

bool IsUtf8(absl::string_view text) {
  while (!text.empty()) {
    const size_t bytes = Decode(text).bytes;
    if (bytes == 0) return false;
    text.remove_prefix(bytes);
  }
  return true;
}

std::string Printable(absl::string_view text) {
  if (std::all_of(text.begin(), text.end(), IsPlain)) return std::string(text);
  std::string printable;
  while (!text.empty()) {
    const Character character = Decode(text);
    const size_t bytes = std::max<size_t>(character.bytes, 1);
    if (character.bytes > 0 && (character.code == '\n' || IsVisible(character.code))) {
      printable.append(text.data(), bytes);
      text.remove_prefix(bytes);
    } else {
      // Byte by byte: what follows the first byte is no character of its own.
      absl::StrAppendFormat(&printable, "\\x%02x", static_cast<unsigned char>(text[0]));
      text.remove_prefix(1);
    }
  }
  return printable;
}

void AppendJsonString(absl::string_view text, std::string* out) {
  *out += '"';
  while (!text.empty()) {
    const Character character = Decode(text);
    if (character.bytes == 0) {
      *out += "\\ufffd";
    } else if (!IsVisible(character.code)) {
      AppendJsonEscape(character.code, out);
    } else {
      if (text[0] == '"' || text[0] == '\\') *out += '\\';
      out->append(text.data(), character.bytes);
    }
    text.remove_prefix(std::max<size_t>(character.bytes, 1));
  }
  *out += '"';
}

}  // namespace mcgw::cli
