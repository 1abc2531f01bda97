#include "server/app/duty_report.h"

#include <algorithm>

#include "absl/strings/str_format.h"

namespace mcgw::app {
namespace {

int64_t Milliseconds(int64_t ns) { return ns / 1'000'000; }

}  // namespace

std::vector<std::string> DutyReport::NewLines(int64_t now_ns) {
  std::vector<std::string> lines;
  for (Loop& loop : loops_) {
    const net::Duty::Counts counts = loop.duty->Read();
    const uint64_t fresh = counts.long_turns - loop.told_turns;
    if (fresh == 0 || (loop.told_ns != 0 && now_ns - loop.told_ns < kIntervalNs)) continue;
    loop.told_turns = counts.long_turns;
    loop.told_ns = now_ns;
    if (fresh == 1) {
      lines.push_back(
          absl::StrFormat("%s was busy for %d ms in one turn", loop.name, Milliseconds(counts.last_long_ns)));
    } else {
      lines.push_back(
          absl::StrFormat("%s was busy for %d ms or more in each of %d turns, for %d ms in the last of them", loop.name,
                          Milliseconds(net::Duty::kLongTurnNs), fresh, Milliseconds(counts.last_long_ns)));
    }
  }
  return lines;
}

std::vector<std::string> DutyReport::Summary(int64_t now_ns, int64_t start_ns) const {
  std::vector<std::string> lines;
  for (const Loop& loop : loops_) {
    const net::Duty::Counts counts = loop.duty->Read();
    const double share = 100.0 * static_cast<double>(counts.busy_ns) / std::max<int64_t>(now_ns - start_ns, 1);
    lines.push_back(absl::StrFormat("%s was busy for %.1f %% of the time, in %d turns, the longest of %.1f ms",
                                    loop.name, share, counts.turns, static_cast<double>(counts.longest_ns) / 1e6));
  }
  return lines;
}

}  // namespace mcgw::app
