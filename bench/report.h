// What came out, as a table for people and as JSON for programs.

#ifndef MCGW_BENCH_REPORT_H_
#define MCGW_BENCH_REPORT_H_

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "bench/host.h"
#include "bench/trial.h"

namespace mcgw::bench {

// One load on all subjects, in turn, several times. outcomes[i] belongs to subjects[i], by round.
struct Case {
  Work work;
  std::vector<std::string> subjects;
  std::vector<std::vector<Outcome>> outcomes;
};

// The search for the highest rate without loss, of one subject.
struct LossFreeRate {
  std::string subject;
  size_t payload_bytes = 0;
  int subscribers = 0;
  double datagrams_per_second = 0;  // 0: none of the rates.
  double cpu_ns_per_delivery = 0;   // There.
  std::string next;                 // What ended the search: what became of the next rate, or "the last rate tried".
};

struct Report {
  HostFacts host;
  std::string version;
  int server_core = 0;
  int client_core = 0;
  int priority = 0;
  std::vector<Case> cases;
  std::vector<LossFreeRate> rates;
};

// Medians over the valid rounds, with the range in parentheses, and the ratios of the gateway to each TCP gateway,
// taken within each round. Markdown tables, aligned.
std::string HostText(const Report& report);
std::string CaseTable(const Case& result);
std::string RateTable(const std::vector<LossFreeRate>& rates);

// All of it, each round by itself.
std::string ToJson(const Report& report);

}  // namespace mcgw::bench

#endif  // MCGW_BENCH_REPORT_H_
