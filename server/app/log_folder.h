// Holds back log lines that repeat: what one client causes again and again must not fill the disk, nor hide what else
// is said.
//
// Lines are of one kind if they differ only in words that name something: numbers, addresses, interfaces with a number.
// In an interval the first kLinesOfKind of a kind pass; the others are counted, and told in one line when it is over.
// Clients can choose words, so kinds past kMostKinds count as one kind of each level.

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

  // The text with its names left out.
  static std::string KindOf(std::string_view text);

  // Whether the line is to be written. Lines below info always are: who asks for them wants them all.
  bool Admits(spdlog::level::level_enum level, std::string_view text, int64_t now_ns);
  // When Due is to be called next; none while no line was admitted.
  std::optional<int64_t> due_ns() const;
  // What an interval that is over has held back. Empty before its end.
  std::vector<Summary> Due(int64_t now_ns);
  // The same at once, whether or not the interval is over.
  std::vector<Summary> End();

 private:
  struct Account {
    int lines = 0;
    uint64_t held_back = 0;
    std::string last;  // Of those held back.
  };

  std::optional<int64_t> began_ns_;
  std::map<std::pair<spdlog::level::level_enum, std::string>, Account> kinds_;  // Of the interval.
};

}  // namespace mcgw::app

#endif  // MCGW_APP_LOG_FOLDER_H_
