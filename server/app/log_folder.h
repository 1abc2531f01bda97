// Holds back repeated log lines. Lines that one client can cause repeatedly must not fill the disk or hide others.
//
// Lines are of one kind if they differ only in names: numbers, addresses, interfaces with a number. In each interval,
// the first kLinesOfKind lines of a kind pass; the others are counted and summarised in one line at its end. Clients
// influence the words, so all kinds past kMostKinds count as one kind per level.

#ifndef MCGW_APP_LOG_FOLDER_H_
#define MCGW_APP_LOG_FOLDER_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "spdlog/common.h"

namespace mcgw::app {

// Not thread-safe. Times are monotonic.
class LogFolder {
 public:
  static constexpr int64_t kIntervalNs = 10'000'000'000;
  static constexpr int kLinesOfKind = 10;
  static constexpr size_t kMostKinds = 32;

  struct Summary {
    spdlog::level::level_enum level;
    std::string text;
  };

  // The text without its names.
  static std::string KindOf(std::string_view text);

  // Whether to write the line. Lines below info always pass: a user who enables them wants all of them.
  bool Admits(spdlog::level::level_enum level, std::string_view text, int64_t now_ns);
  // When to call Due next; nothing until a line has been admitted.
  std::optional<int64_t> due_ns() const;
  // Summaries of the lines that a finished interval held back. Empty before its end.
  std::vector<Summary> Due(int64_t now_ns);
  // Like Due, but ends the interval now.
  std::vector<Summary> End();

 private:
  struct Account {
    int lines = 0;
    uint64_t held_back = 0;
    std::string last;  // The last line held back.
  };

  std::optional<int64_t> began_ns_;
  std::map<std::pair<spdlog::level::level_enum, std::string>, Account> kinds_;  // Of the current interval.
};

}  // namespace mcgw::app

#endif  // MCGW_APP_LOG_FOLDER_H_
