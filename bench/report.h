// What came out, as tables for people and as JSON for programs.

#ifndef MCGW_BENCH_REPORT_H_
#define MCGW_BENCH_REPORT_H_

#include <string>
#include <vector>

#include "absl/types/span.h"
#include "bench/host.h"
#include "bench/result.h"
#include "bench/target.h"

namespace mcgw::bench {

struct Report {
  HostFacts host;
  std::string mcgw_version;
  std::string grpc_version;
  std::string nats_version;  // Empty where it is not there; so the next.
  std::string zmq_version;
  std::string mode;  // "quick" or "full".
  int rounds = 0;
  int server_core = 0;
  int client_core = 0;
  int priority = 0;
  double seconds = 0;  // That the whole run took.
  std::vector<Cell> cells;
  std::vector<std::string> notes;  // What was left out, and why.
};

// Markdown, aligned. A cell's table has a row for each subject (medians over the valid rounds, the range in
// parentheses) and one for each comparison, taken within each round.
std::string HostText(const Report& report);
std::string CellTable(const Cell& cell);
std::string TargetTable(absl::Span<const Judgement> judgements);

// Each round, and the medians, ranges, ratios and judgements on targets that follow from them.
std::string ToJson(const Report& report, absl::Span<const Judgement> judgements);

}  // namespace mcgw::bench

#endif  // MCGW_BENCH_REPORT_H_
