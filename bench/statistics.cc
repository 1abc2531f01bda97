#include "bench/statistics.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_format.h"

namespace mcgw::bench {

std::optional<Summary> Summarize(std::vector<double> values) {
  if (values.empty()) return std::nullopt;
  std::sort(values.begin(), values.end());
  const size_t middle = values.size() / 2;
  const double median = values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
  return Summary{.median = median, .least = values.front(), .most = values.back(), .values = values.size()};
}

uint32_t Quantile(std::vector<uint32_t>* values, double part) {
  if (values->empty()) return 0;
  const double rank = std::ceil(part * static_cast<double>(values->size()));
  const auto index = static_cast<std::ptrdiff_t>(std::clamp(rank, 1.0, static_cast<double>(values->size()))) - 1;
  std::nth_element(values->begin(), values->begin() + index, values->end());
  return (*values)[static_cast<size_t>(index)];
}

std::string NumberText(double value) {
  const double size = std::abs(value);
  const int digits = value == std::floor(value) && size < 10 ? 0 : size >= 100 ? 0 : size >= 10 ? 1 : size >= 1 ? 2 : 3;
  return absl::StrFormat("%.*f", digits, value);
}

std::string SummaryText(const std::optional<Summary>& summary) {
  if (!summary.has_value()) return "-";
  if (summary->values == 1) return NumberText(summary->median);
  return absl::StrFormat("%s (%s-%s)", NumberText(summary->median), NumberText(summary->least),
                         NumberText(summary->most));
}

}  // namespace mcgw::bench
