#include "server/app/log_text.h"

#include <cstdint>

#include "absl/strings/str_format.h"
#include "server/net/text.h"

namespace mcgw::app {
namespace {

struct Character {
  uint32_t code = 0;
  size_t bytes = 0;  // 0: not valid UTF-8.
};

// Decodes the first character of `text`, which is not empty.
Character Decode(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  const uint8_t first = byte(0);
  if (first < 0x80) return {first, 1};
  const size_t bytes = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4 || text.size() < bytes) return {};
  uint32_t code = first & (0x7fU >> bytes);
  for (size_t i = 1; i < bytes; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return {};
    code = code << 6 | (byte(i) & 0x3fU);
  }
  const bool overlong = (bytes == 3 && code < 0x800) || (bytes == 4 && code < 0x10000);
  const bool surrogate = code >= 0xd800 && code <= 0xdfff;
  if (overlong || surrogate || code > 0x10ffff) return {};
  return {code, bytes};
}

// Characters that move the cursor, end a line, or reorder text.
bool IsUnprintable(uint32_t code) {
  return code < 0x20 || (code >= 0x7f && code < 0xa0) || code == 0xad || code == 0x61c ||
         (code >= 0x200b && code <= 0x200f) || (code >= 0x2028 && code <= 0x202e) ||
         (code >= 0x2060 && code <= 0x206f) || code == 0xfeff;
}

void AppendEscaped(std::string_view text, LogFormat format, std::string* out) {
  while (!text.empty()) {
    const Character character = Decode(text);
    if (character.bytes == 0) {
      format == LogFormat::kJson ? out->append("\\ufffd")
                                 : absl::StrAppendFormat(out, "\\x%02x", static_cast<uint8_t>(text[0]));
    } else if (IsUnprintable(character.code)) {
      absl::StrAppendFormat(out, "\\u%04x", character.code);
    } else {
      if (format == LogFormat::kJson && (text[0] == '"' || text[0] == '\\')) out->push_back('\\');
      out->append(text.substr(0, character.bytes));
    }
    text.remove_prefix(character.bytes == 0 ? 1 : character.bytes);
  }
}

}  // namespace

std::string ShortenLogText(std::string_view text) {
  if (text.size() <= kMostLogTextBytes) return std::string(text);
  size_t end = kMostLogTextBytes;
  while (end > 0 && (static_cast<uint8_t>(text[end]) & 0xc0) == 0x80) --end;
  return net::StrCat(text.substr(0, end), " ... (", text.size() - end, " more bytes)");
}

std::string FormatLogLine(const LogLine& line, LogFormat format, absl::TimeZone zone) {
  const std::string time = absl::FormatTime("%Y-%m-%dT%H:%M:%E3S%Ez", line.time, zone);
  const auto name = spdlog::level::to_string_view(line.level);
  const std::string_view level(name.data(), name.size());
  std::string out;
  if (format == LogFormat::kText) {
    out = net::StrCat(time, " ", level, " ");
    AppendEscaped(line.text, format, &out);
    out += "\n";
  } else {
    out = net::StrCat(R"({"time":")", time, R"(","level":")", level, R"(","message":")");
    AppendEscaped(line.text, format, &out);
    out += "\"}\n";
  }
  return out;
}

}  // namespace mcgw::app
