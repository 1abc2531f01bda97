// What the gateway is meant to reach, as ratios within one run where there is a reference, and whether it does.

#ifndef MCGW_BENCH_TARGET_H_
#define MCGW_BENCH_TARGET_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "bench/names.h"
#include "bench/result.h"
#include "bench/statistics.h"

namespace mcgw::bench {

struct Target {
  std::string work;  // For people.
  std::string case_name;
  Parameters row;  // Which cell of the case.
  std::string metric;
  double bound = 0;
  double stretch = 0;        // 0: none.
  std::string reference;     // The ratio to this subject in that cell; empty: see base.
  Parameters base;           // The ratio to mcgw itself in this cell; if empty too: the value itself.
  bool at_least = false;     // The measured value is to be at least the bound, else at most.
  double least_allowed = 0;  // For growth: not less than this either.
  std::string subject = kGateway;
};

enum class Verdict { kNotMeasured, kNotMet, kMet, kStretchMet };

struct Judgement {
  const Target* target;
  std::optional<Summary> measured;  // Without a range for growth.
  Verdict verdict = Verdict::kNotMeasured;
};

// What the documentation states as targets.
const std::vector<Target>& Targets();

// By the medians; of a target that several cells match, the first counts. `targets` outlive what is returned.
std::vector<Judgement> Judge(const std::vector<Target>& targets, absl::Span<const Cell> cells);

const char* VerdictText(Verdict verdict);

// "at most 1.3, better 1"
std::string BoundText(const Target& target);

}  // namespace mcgw::bench

#endif  // MCGW_BENCH_TARGET_H_
