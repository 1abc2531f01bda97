// Merges many source filters incrementally as they come and go.

#ifndef MCGW_FANOUT_MERGED_FILTER_H_
#define MCGW_FANOUT_MERGED_FILTER_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

#include "absl/container/btree_map.h"
#include "absl/container/btree_set.h"
#include "server/fanout/source_filter.h"
#include "server/net/address.h"

namespace mcgw::fanout {

// Adding or removing a filter costs only what the filter lists, however many others there are. While all filters with
// sources are equal, the usual case, no source is counted at all. Not thread-safe.
class MergedFilter {
 public:
  void Add(const SourceFilter& filter);
  // Removes a filter that was added and not removed since.
  void Remove(const SourceFilter& filter);

  // SourceFilter::Merge of all filters: INCLUDE{} for none. If that has changed since the last call, costs what the
  // answer lists. Valid until the next call of Add or Remove.
  const SourceFilter& Get() const;

 private:
  struct Uses {
    uint32_t included = 0;  // Filters that include the source,
    uint32_t excluded = 0;  // and filters that exclude it.
  };
  struct Counts {
    absl::btree_map<net::IpAddress, Uses> sources;
    // Sources that some filters exclude and none includes, by how many exclude them.
    absl::btree_set<std::pair<uint32_t, net::IpAddress>> excluded;
  };

  // Adds `change` to the uses of a filter's sources.
  void Count(const SourceFilter& filter, int change);
  SourceFilter Compute() const;

  uint32_t any_ = 0;           // Filters that allow any source,
  uint32_t with_sources_ = 0;  // other filters,
  uint32_t excluding_ = 0;     // and those of them that exclude.
  SourceFilter same_;          // The value of all others while there is no counts_.
  std::unique_ptr<Counts> counts_;
  mutable bool stale_ = false;   // merged_ must be computed from counts_.
  mutable SourceFilter merged_;  // The merge of the others.
};

}  // namespace mcgw::fanout

#endif  // MCGW_FANOUT_MERGED_FILTER_H_
