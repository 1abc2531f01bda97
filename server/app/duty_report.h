// Tells of loops that were busy for too long at a time.

#ifndef MCGW_APP_DUTY_REPORT_H_
#define MCGW_APP_DUTY_REPORT_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "server/net/duty.h"

namespace mcgw::app {

// One thread at a time.
class DutyReport {
 public:
  // At most one line for each loop in this time.
  static constexpr int64_t kIntervalNs = 10'000'000'000;

  // `name` is what the lines call the loop, as "shard 0". `duty` must outlive the report.
  void Watch(std::string name, const net::Duty* duty) { loops_.push_back({std::move(name), duty}); }

  // Lines about the long turns since the last lines. `now_ns` is the monotonic clock.
  std::vector<std::string> NewLines(int64_t now_ns);
  // A line for each loop with its counts since `start_ns`.
  std::vector<std::string> Summary(int64_t now_ns, int64_t start_ns) const;

 private:
  struct Loop {
    std::string name;
    const net::Duty* duty = nullptr;
    uint64_t told_turns = 0;  // Long turns already reported,
    int64_t told_ns = 0;      // and when; 0: none.
  };

  std::vector<Loop> loops_;
};

}  // namespace mcgw::app

#endif  // MCGW_APP_DUTY_REPORT_H_
