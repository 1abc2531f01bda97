#include "server/fanout/source_filter.h"

#include <algorithm>
#include <iterator>
#include <unordered_map>

#include "absl/hash/hash.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "server/net/mutex.h"

namespace mcgw::fanout {

using net::FilterMode;
using net::IpAddress;

constexpr size_t kShownSources = 4;

// The rules of all filters, each kept once. Thread-safe. No other lock is taken under its mutex.
class SourceFilter::Pool {
 public:
  static Pool& Get() {
    static auto* const pool = new Pool;
    return *pool;
  }

  std::shared_ptr<const Rules> Share(Rules rules) {
    const size_t hash = absl::HashOf(rules);
    net::MutexLock lock(&mutex_);
    const auto [first, last] = known_.equal_range(hash);
    for (auto at = first; at != last; ++at) {
      if (*at->second.rules != rules) continue;
      // Null if the last filter with these rules is being destroyed: Drop waits for the mutex.
      if (std::shared_ptr<const Rules> shared = at->second.shared.lock(); shared != nullptr) return shared;
    }
    const auto* const owned = new Rules(std::move(rules));
    std::shared_ptr<const Rules> shared(owned, [this, hash](const Rules* gone) { Drop(hash, gone); });
    known_.emplace(hash, Known{owned, shared});
    return shared;
  }

 private:
  struct Known {
    const Rules* rules;
    std::weak_ptr<const Rules> shared;
  };

  void Drop(size_t hash, const Rules* gone) {
    {
      net::MutexLock lock(&mutex_);
      const auto [first, last] = known_.equal_range(hash);
      known_.erase(std::find_if(first, last, [gone](const auto& known) { return known.second.rules == gone; }));
    }
    delete gone;
  }

  net::Mutex mutex_;
  std::unordered_multimap<size_t, Known> known_ ABSL_GUARDED_BY(mutex_);
};

SourceFilter::SourceFilter(FilterMode mode, std::vector<IpAddress> sources) {
  if (mode == FilterMode::kExclude && sources.empty()) return;
  std::sort(sources.begin(), sources.end());
  sources.erase(std::unique(sources.begin(), sources.end()), sources.end());
  sources.shrink_to_fit();
  rules_ = Pool::Get().Share({mode, std::move(sources)});
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
  // All sources are of the group's family, so their bytes order them.
  const std::vector<IpAddress>& sources = rules_->sources;
  const auto at = std::lower_bound(sources.begin(), sources.end(), source_bytes,
                                   [](const IpAddress& a, std::string_view bytes) { return a.bytes() < bytes; });
  const bool listed = at != sources.end() && at->bytes() == source_bytes;
  return listed == (rules_->mode == FilterMode::kInclude);
}

SourceFilter SourceFilter::Merge(absl::Span<const SourceFilter> filters) {
  // Usually all filters are equal.
  if (!filters.empty() && std::all_of(filters.begin(), filters.end(),
                                      [&](const SourceFilter& filter) { return filter == filters.front(); })) {
    return filters.front();
  }
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

std::string SourceFilter::ToText(size_t most) const {
  if (IsAnySource()) return "any source";
  const auto shown = absl::MakeConstSpan(sources()).subspan(0, most);
  const std::string list = absl::StrJoin(
      shown, ", ", [](std::string* out, const IpAddress& source) { absl::StrAppend(out, source.ToString()); });
  const std::string others = sources().size() > most ? absl::StrCat(" and ", sources().size() - most, " more") : "";
  return absl::StrCat(mode() == FilterMode::kInclude ? "from " : "but ", list, others);
}

std::string SourceFilter::ToString() const { return ToText(SIZE_MAX); }

std::string SourceFilter::ToShortString() const { return ToText(kShownSources); }

}  // namespace mcgw::fanout
