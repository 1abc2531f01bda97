// The text of a log line: what others have put into it comes out as printable UTF-8, and not too much of it.

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

// The most bytes of a line's text. What is longer is cut, and says by how much.
inline constexpr size_t kMostLogTextBytes = 1000;
std::string ShortenLogText(std::string_view text);

// The line as it is written, with its end. Control characters, marks that change the direction of writing, and bytes
// that are no UTF-8 are escaped.
std::string FormatLogLine(const LogLine& line, LogFormat format, absl::TimeZone zone);

}  // namespace mcgw::app

#endif  // MCGW_APP_LOG_TEXT_H_
