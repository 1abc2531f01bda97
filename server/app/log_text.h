// The text of a log line. Text from outside becomes printable UTF-8 of bounded length.

#ifndef MCGW_APP_LOG_TEXT_H_
#define MCGW_APP_LOG_TEXT_H_

#include <cstddef>
#include <string>
#include <string_view>

#include "absl/time/time.h"
#include "spdlog/common.h"

namespace mcgw::app {

enum class LogFormat { kText, kJson };

struct LogLine {
  absl::Time time;
  spdlog::level::level_enum level = spdlog::level::info;
  std::string text;
};

// The limit for a line's text. A longer text is cut, with the number of bytes cut.
inline constexpr size_t kMostLogTextBytes = 1000;
std::string ShortenLogText(std::string_view text);

// The text with the same bytes escaped as FormatLogLine does in its text form, but for the ends of lines.
std::string PrintableText(std::string_view text);

// The line as written, including its end. Escapes control characters, marks that change the writing direction, and
// bytes that are not UTF-8.
std::string FormatLogLine(const LogLine& line, LogFormat format, absl::TimeZone zone);

}  // namespace mcgw::app

#endif  // MCGW_APP_LOG_TEXT_H_
