#include "server/fanout/source_filter.h"

#include <algorithm>
#include <iterator>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace mcgw::fanout {

using net::FilterMode;
using net::IpAddress;

SourceFilter::SourceFilter(FilterMode mode, std::vector<IpAddress> sources)
    : mode_(mode), sources_(std::move(sources)) {
  std::sort(sources_.begin(), sources_.end());
  sources_.erase(std::unique(sources_.begin(), sources_.end()), sources_.end());
}

bool SourceFilter::Allows(const IpAddress& source) const {
  const bool listed = std::binary_search(sources_.begin(), sources_.end(), source);
  return listed == (mode_ == FilterMode::kInclude);
}

bool SourceFilter::Allows(std::string_view source_bytes) const {
  // All sources are of the group's family, so bytes alone order them.
  const auto at = std::lower_bound(sources_.begin(), sources_.end(), source_bytes,
                                   [](const IpAddress& a, std::string_view bytes) { return a.bytes() < bytes; });
  const bool listed = at != sources_.end() && at->bytes() == source_bytes;
  return listed == (mode_ == FilterMode::kInclude);
}

SourceFilter SourceFilter::Merge(absl::Span<const SourceFilter> filters) {
  std::vector<IpAddress> included;
  std::vector<IpAddress> blocked_by_all;
  bool any_exclude = false;
  for (const SourceFilter& filter : filters) {
    if (filter.mode_ == FilterMode::kInclude) {
      included.insert(included.end(), filter.sources_.begin(), filter.sources_.end());
    } else if (!any_exclude) {
      any_exclude = true;
      blocked_by_all = filter.sources_;
    } else {
      std::vector<IpAddress> both;
      std::set_intersection(blocked_by_all.begin(), blocked_by_all.end(), filter.sources_.begin(),
                            filter.sources_.end(), std::back_inserter(both));
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
      sources_, ", ", [](std::string* out, const IpAddress& source) { absl::StrAppend(out, source.ToString()); });
  return absl::StrCat(mode_ == FilterMode::kInclude ? "from " : "but ", list);
}

}  // namespace mcgw::fanout
