// What is measured: rounds of named values, by subject; a cell for each load. The names are those of metrics.h.

#ifndef MCGW_BENCH_RESULT_H_
#define MCGW_BENCH_RESULT_H_

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "bench/statistics.h"

namespace mcgw::bench {

// One measurement of one subject. With a reason against it, it counts for nothing.
class Round {
 public:
  // Replaces a value of that name.
  void Set(absl::string_view name, double value);
  std::optional<double> Get(absl::string_view name) const;
  const std::vector<std::pair<std::string, double>>& values() const { return values_; }  // In the order of first Set.

  void Invalidate(std::string why) { invalid_.push_back(std::move(why)); }
  // The same for what the subject has no part in: the sender, the readers, others on the machine.
  void Disturb(std::string why) {
    disturbed_ = true;
    Invalidate(std::move(why));
  }
  // Takes back what was said against it.
  void Acquit() {
    invalid_.clear();
    disturbed_ = false;
  }
  bool disturbed() const { return disturbed_; }
  bool valid() const { return invalid_.empty(); }
  const std::vector<std::string>& invalid() const { return invalid_; }

 private:
  std::vector<std::pair<std::string, double>> values_;
  std::vector<std::string> invalid_;
  bool disturbed_ = false;
};

// All rounds of one subject. The nth rounds of the subjects of a cell were measured one after the other.
struct Series {
  std::string subject;
  std::vector<Round> rounds;
  std::string left_out;  // Why there are fewer rounds than were wanted; empty if there are not.
};

using Parameters = std::vector<std::pair<std::string, double>>;

// One load on all subjects, in turn, several times.
struct Cell {
  std::string case_name;
  std::string title;
  Parameters parameters;
  std::vector<Series> series;
};

// Whether the cell has each of the parameters with that value.
bool Matches(const Cell& cell, const Parameters& parameters);

// Null if it was not measured.
const Series* FindSeries(const Cell& cell, absl::string_view subject);

// Over the valid rounds that have the value.
std::optional<Summary> SummaryOf(const Series& series, absl::string_view metric);

// Of the quotients within each round; only rounds count in which both are valid and the reference's value is not 0.
std::optional<Summary> RatioOf(const Series& series, const Series& reference, absl::string_view metric);

// Which subject is compared with which: mcgw with each reference, another way to mcgw with mcgw.
std::vector<std::pair<const Series*, const Series*>> Comparisons(const Cell& cell);

}  // namespace mcgw::bench

#endif  // MCGW_BENCH_RESULT_H_
