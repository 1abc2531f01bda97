// The merge of many source filters, kept up to date as they come and go.

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

// Adding or removing a filter costs what the filter itself lists, however many others there are. While all filters with
// sources are equal, which is usual, no source is counted at all. Not thread-safe.
class MergedFilter {
 public:
  void Add(const SourceFilter& filter);
  // One that was added and not removed since.
  void Remove(const SourceFilter& filter);

  // What SourceFilter::Merge answers for all of them: INCLUDE{} for none. Costs what the answer lists, if that has
  // changed since the last call. Valid until the next call of Add or Remove.
  const SourceFilter& Get() const;

 private:
  struct Uses {
    uint32_t included = 0;  // Filters that include the source,
    uint32_t excluded = 0;  // and that exclude it.
  };
  struct Counts {
    absl::btree_map<net::IpAddress, Uses> sources;
    // Those that some exclude and none includes, by how many exclude them.
    absl::btree_set<std::pair<uint32_t, net::IpAddress>> excluded;
  };

  // Changes the uses of the sources of a filter by as much.
  void Count(const SourceFilter& filter, int change);
  SourceFilter Compute() const;

  uint32_t any_ = 0;           // Filters that allow any source,
  uint32_t with_sources_ = 0;  // others,
  uint32_t excluding_ = 0;     // and those of the others that exclude.
  SourceFilter same_;          // What all others are, while there is no counts_.
  std::unique_ptr<Counts> counts_;
  mutable bool stale_ = false;   // merged_ is to be computed from counts_.
  mutable SourceFilter merged_;  // Of the others.
};

}  // namespace mcgw::fanout

#endif  // MCGW_FANOUT_MERGED_FILTER_H_
