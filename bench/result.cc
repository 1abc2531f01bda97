#include "bench/result.h"

#include <algorithm>

#include "absl/strings/match.h"

namespace mcgw::bench {
namespace {

constexpr char kGatewayPrefix[] = "mcgw";

}  // namespace

void Round::Set(absl::string_view name, double value) {
  const auto at = std::ranges::find_if(values_, [name](const auto& each) { return each.first == name; });
  if (at != values_.end()) {
    at->second = value;
  } else {
    values_.emplace_back(name, value);
  }
}

std::optional<double> Round::Get(absl::string_view name) const {
  const auto at = std::ranges::find_if(values_, [name](const auto& each) { return each.first == name; });
  if (at == values_.end()) return std::nullopt;
  return at->second;
}

bool Matches(const Cell& cell, const Parameters& parameters) {
  return std::ranges::all_of(parameters, [&cell](const auto& wanted) {
    return std::ranges::find(cell.parameters, wanted) != cell.parameters.end();
  });
}

const Series* FindSeries(const Cell& cell, absl::string_view subject) {
  const auto at = std::ranges::find_if(cell.series, [subject](const Series& each) { return each.subject == subject; });
  return at == cell.series.end() ? nullptr : &*at;
}

std::optional<Summary> SummaryOf(const Series& series, absl::string_view metric) {
  std::vector<double> values;
  for (const Round& round : series.rounds) {
    const auto value = round.Get(metric);
    if (round.valid() && value.has_value()) values.push_back(*value);
  }
  return Summarize(std::move(values));
}

std::optional<Summary> RatioOf(const Series& series, const Series& reference, absl::string_view metric) {
  std::vector<double> values;
  for (size_t i = 0; i < std::min(series.rounds.size(), reference.rounds.size()); ++i) {
    const Round &over = series.rounds[i], &under = reference.rounds[i];
    const auto value = over.Get(metric), base = under.Get(metric);
    if (!over.valid() || !under.valid() || !value.has_value() || base.value_or(0) == 0) continue;
    values.push_back(*value / *base);
  }
  return Summarize(std::move(values));
}

std::vector<std::pair<const Series*, const Series*>> Comparisons(const Cell& cell) {
  std::vector<std::pair<const Series*, const Series*>> pairs;
  for (const Series& series : cell.series) {
    if (!absl::StartsWith(series.subject, kGatewayPrefix)) continue;
    for (const Series& reference : cell.series) {
      const bool is_gateway = absl::StartsWith(reference.subject, kGatewayPrefix);
      if (!is_gateway || (reference.subject == kGatewayPrefix && series.subject != kGatewayPrefix)) {
        pairs.emplace_back(&series, &reference);
      }
    }
  }
  return pairs;
}

}  // namespace mcgw::bench
