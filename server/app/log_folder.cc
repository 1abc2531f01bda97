#include "server/app/log_folder.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "server/app/log_text.h"
#include "server/net/text.h"

namespace mcgw::app {
namespace {

constexpr size_t kMostKindBytes = 80;

bool IsPlain(std::string_view word) {
  // Trailing punctuation belongs to the sentence.
  while (!word.empty() && (word.back() == ',' || word.back() == ':' || word.back() == ';')) word.remove_suffix(1);
  return std::all_of(word.begin(), word.end(), [](char c) { return absl::ascii_isalpha(static_cast<uint8_t>(c)); });
}

}  // namespace

std::string LogFolder::KindOf(std::string_view text) {
  std::string kind;
  while (!text.empty() && kind.size() < kMostKindBytes) {
    const size_t end = std::min(text.find(' '), text.size());
    const std::string_view word = text.substr(0, std::min(end, kMostKindBytes));
    if (!kind.empty()) kind += ' ';
    kind += IsPlain(word) ? word : std::string_view("*");
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return kind;
}

bool LogFolder::Admits(spdlog::level::level_enum level, std::string_view text, int64_t now_ns) {
  if (level < spdlog::level::info) return true;
  if (!began_ns_.has_value()) began_ns_ = now_ns;
  std::pair<spdlog::level::level_enum, std::string> key(level, KindOf(text));
  auto at = kinds_.find(key);
  if (at == kinds_.end()) {
    if (kinds_.size() >= kMostKinds) key.second.clear();
    at = kinds_.try_emplace(std::move(key)).first;
  }
  Account& account = at->second;
  if (account.lines < kLinesOfKind) {
    ++account.lines;
    return true;
  }
  ++account.held_back;
  account.last = text;
  return false;
}

std::optional<int64_t> LogFolder::due_ns() const {
  if (!began_ns_.has_value()) return std::nullopt;
  return *began_ns_ + kIntervalNs;
}

std::vector<LogFolder::Summary> LogFolder::Due(int64_t now_ns) {
  const std::optional<int64_t> due = due_ns();
  return due.has_value() && now_ns >= *due ? End() : std::vector<Summary>();
}

std::vector<LogFolder::Summary> LogFolder::End() {
  std::vector<Summary> summaries;
  for (const auto& [kind, account] : kinds_) {
    if (account.held_back == 0) continue;
    summaries.push_back({kind.first, ShortenLogText(net::StrCat(
                                         account.held_back, " more lines of this kind, the last: ", account.last))});
  }
  kinds_.clear();
  began_ns_.reset();
  return summaries;
}

}  // namespace mcgw::app
