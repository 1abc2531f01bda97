#include "server/fanout/source_filter.h"

#include <algorithm>
#include <iterator>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace mcgw::fanout {

using net::FilterMode;
using net::IpAddress;

SourceFilter::SourceFilter(FilterMode mode, std::vector<IpAddress> sources) {
  if (mode == FilterMode::kExclude && sources.empty()) return;
  std::sort(sources.begin(), sources.end());
  sources.erase(std::unique(sources.begin(), sources.end()), sources.end());
  sources.shrink_to_fit();
  rules_ = std::make_shared<const Rules>(Rules{mode, std::move(sources)});
}

const std::vector<IpAddress>& SourceFilter::sources() const {
  static const auto* const none = new std::vector<IpAddress>;
  return rules_ == nullptr ? *none : rules_->sources;
}

bool SourceFilter::Allows(const IpAddress& source) const {
  if (rules_ == nullptr) return true;
  const bool listed = std::binary_search(rules_->sources.begin(), rules_->sources.end(), source);
  return listed == (rules_->mode == FilterMode::kInclude);
}

bool SourceFilter::Allows(std::string_view source_bytes) const {
  if (rules_ == nullptr) return true;
  // All sources are of the group's family, so bytes alone order them.
  const std::vector<IpAddress>& sources = rules_->sources;
  const auto at = std::lower_bound(sources.begin(), sources.end(), source_bytes,
                                   [](const IpAddress& a, std::string_view bytes) { return a.bytes() < bytes; });
  const bool listed = at != sources.end() && at->bytes() == source_bytes;
  return listed == (rules_->mode == FilterMode::kInclude);
}

SourceFilter SourceFilter::Merge(absl::Span<const SourceFilter> filters) {
  std::vector<IpAddress> included;
  std::vector<IpAddress> blocked_by_all;
  bool any_exclude = false;
  for (const SourceFilter& filter : filters) {
    if (filter.mode() == FilterMode::kInclude) {
      included.insert(included.end(), filter.sources().begin(), filter.sources().end());
    } else if (!any_exclude) {
      any_exclude = true;
      blocked_by_all = filter.sources();
    } else {
      std::vector<IpAddress> both;
      std::set_intersection(blocked_by_all.begin(), blocked_by_all.end(), filter.sources().begin(),
                            filter.sources().end(), std::back_inserter(both));
      blocked_by_all = std::move(both);
    }
  }
  if (!any_exclude) return Include(std::move(included));
  std::sort(included.begin(), included.end());
  std::vector<IpAddress> blocked;
  std::set_difference(blocked_by_all.begin(), blocked_by_all.end(), included.begin(), included.end(),
                      std::back_inserter(blocked));
  return Exclude(std::move(blocked));
}

std::string SourceFilter::ToString() const {
  if (IsAnySource()) return "any source";
  const std::string list = absl::StrJoin(
      sources(), ", ", [](std::string* out, const IpAddress& source) { absl::StrAppend(out, source.ToString()); });
  return absl::StrCat(mode() == FilterMode::kInclude ? "from " : "but ", list);
}

}  // namespace mcgw::fanout
