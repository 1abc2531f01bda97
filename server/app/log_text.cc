#include "server/app/log_text.h"

#include <cstdint>

#include "absl/strings/str_format.h"
#include "server/net/text.h"
#include "server/net/utf8.h"

namespace mcgw::app {
namespace {

// Characters that move the cursor, end a line, or reorder text.
bool IsUnprintable(uint32_t code) {
  return code < 0x20 || (code >= 0x7f && code < 0xa0) || code == 0xad || code == 0x61c ||
         (code >= 0x200b && code <= 0x200f) || (code >= 0x2028 && code <= 0x202e) ||
         (code >= 0x2060 && code <= 0x206f) || code == 0xfeff;
}

void AppendEscaped(std::string_view text, LogFormat format, std::string* out) {
  while (!text.empty()) {
    const net::Utf8Character character = net::DecodeUtf8(text);
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

std::string PrintableText(std::string_view text) {
  std::string out;
  for (size_t end = text.find('\n'); end != std::string_view::npos; end = text.find('\n')) {
    AppendEscaped(text.substr(0, end), LogFormat::kText, &out);
    out.push_back('\n');
    text.remove_prefix(end + 1);
  }
  AppendEscaped(text, LogFormat::kText, &out);
  return out;
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
