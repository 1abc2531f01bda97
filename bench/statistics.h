// Medians, quantiles and ranges.

#ifndef MCGW_BENCH_STATISTICS_H_
#define MCGW_BENCH_STATISTICS_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace mcgw::bench {

struct Summary {
  double median = 0;  // Of an even number of values the mean of the middle two.
  double least = 0;
  double most = 0;
  size_t values = 0;
};

// Nothing if there are no values.
std::optional<Summary> Summarize(std::vector<double> values);

// The smallest of the values that at least `part` (0 to 1) of all do not exceed; 0 if there are none. Reorders them.
uint32_t Quantile(std::vector<uint32_t>* values, double part);

// Three digits or more: "0.123", "5.10", "42.0", "31415".
std::string NumberText(double value);

// "5.10 (4.90-5.30)", median and range; "-" for nothing.
std::string SummaryText(const std::optional<Summary>& summary);

}  // namespace mcgw::bench

#endif  // MCGW_BENCH_STATISTICS_H_
