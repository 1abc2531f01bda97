#include "server/fanout/merged_filter.h"

#include <vector>

#include "server/net/invariant.h"

namespace mcgw::fanout {

using net::FilterMode;
using net::IpAddress;

void MergedFilter::Add(const SourceFilter& filter) {
  if (filter.IsAnySource()) {
    ++any_;
    return;
  }
  if (with_sources_ == 0) same_ = filter;
  if (counts_ == nullptr && filter != same_) {
    counts_ = std::make_unique<Counts>();
    Count(same_, static_cast<int>(with_sources_));
  }
  ++with_sources_;
  if (filter.mode() == FilterMode::kExclude) ++excluding_;
  if (counts_ != nullptr) Count(filter, 1);
}

void MergedFilter::Remove(const SourceFilter& filter) {
  if (filter.IsAnySource()) {
    MCGW_INVARIANT(any_ > 0);
    --any_;
    return;
  }
  MCGW_INVARIANT(with_sources_ > 0);
  --with_sources_;
  if (filter.mode() == FilterMode::kExclude) --excluding_;
  MCGW_INVARIANT(excluding_ <= with_sources_);
  if (with_sources_ == 0) {
    counts_.reset();
    same_ = merged_ = SourceFilter();
  } else if (counts_ != nullptr) {
    Count(filter, -1);
  }
}

void MergedFilter::Count(const SourceFilter& filter, int change) {
  const bool include = filter.mode() == FilterMode::kInclude;
  // A filter that excludes may change the answer in any case. The answer lists no more sources than all of them
  // exclude.
  stale_ = stale_ || !include;
  for (const IpAddress& source : filter.sources()) {
    const auto at = counts_->sources.try_emplace(source).first;
    Uses& uses = at->second;
    MCGW_INVARIANT(change > 0 || (include ? uses.included : uses.excluded) > 0);
    const bool was_included = uses.included > 0;
    if (!was_included && uses.excluded > 0) counts_->excluded.erase({uses.excluded, source});
    (include ? uses.included : uses.excluded) += static_cast<uint32_t>(change);
    if (was_included != (uses.included > 0)) stale_ = stale_ || excluding_ == 0 || uses.excluded == excluding_;
    if (uses.included == 0 && uses.excluded > 0) counts_->excluded.insert({uses.excluded, source});
    if (uses.included == 0 && uses.excluded == 0) counts_->sources.erase(at);
  }
}

SourceFilter MergedFilter::Compute() const {
  std::vector<IpAddress> sources;
  if (excluding_ == 0) {
    sources.reserve(counts_->sources.size());
    for (const auto& [source, uses] : counts_->sources) sources.push_back(source);
    return SourceFilter::Include(std::move(sources));
  }
  for (auto at = counts_->excluded.lower_bound({excluding_, IpAddress()}); at != counts_->excluded.end(); ++at) {
    sources.push_back(at->second);
  }
  return SourceFilter::Exclude(std::move(sources));
}

const SourceFilter& MergedFilter::Get() const {
  static const auto* const any = new SourceFilter;
  static const auto* const none = new SourceFilter(SourceFilter::Include({}));
  if (any_ > 0) return *any;
  if (with_sources_ == 0) return *none;
  if (counts_ == nullptr) return same_;
  if (std::exchange(stale_, false)) merged_ = Compute();
  return merged_;
}

}  // namespace mcgw::fanout
