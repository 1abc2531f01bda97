// Source filters (RFC 3376, section 2): which senders of a group to receive.
//
// A SourceFilter belongs to one membership. Merge gives the kernel's filter that satisfies all memberships of a
// channel; SourceFilter::Allows then keeps from each subscriber what the kernel passes for the others.

#ifndef MCGW_FANOUT_SOURCE_FILTER_H_
#define MCGW_FANOUT_SOURCE_FILTER_H_

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/types/span.h"
#include "server/net/address.h"
#include "server/net/multicast_socket.h"

namespace mcgw::fanout {

// A value. The sources are sorted and unique; all equal filters of the process share them. Any source, the usual
// filter, takes no memory.
class SourceFilter {
 public:
  // Any source: EXCLUDE{}.
  SourceFilter() = default;
  SourceFilter(net::FilterMode mode, std::vector<net::IpAddress> sources);
  static SourceFilter AnySource() { return SourceFilter(); }
  static SourceFilter Include(std::vector<net::IpAddress> sources) {
    return SourceFilter(net::FilterMode::kInclude, std::move(sources));
  }
  static SourceFilter Exclude(std::vector<net::IpAddress> sources) {
    return SourceFilter(net::FilterMode::kExclude, std::move(sources));
  }

  net::FilterMode mode() const { return rules_ == nullptr ? net::FilterMode::kExclude : rules_->mode; }
  // Valid as long as a copy of this filter lives.
  const std::vector<net::IpAddress>& sources() const;

  bool IsAnySource() const { return rules_ == nullptr; }
  // INCLUDE{}: no source.
  bool IsEmpty() const { return rules_ != nullptr && rules_->sources.empty(); }
  bool Allows(const net::IpAddress& source) const;
  // The same for the 4 or 16 bytes of an address.
  bool Allows(std::string_view source_bytes) const;

  // The filter that allows what any of `filters` allows (RFC 3376, 3.2): if one is EXCLUDE, EXCLUDE{sources that all
  // block}, else INCLUDE{the union}. INCLUDE{} for none.
  static SourceFilter Merge(absl::Span<const SourceFilter> filters);

  // "any source", "from 10.0.0.2, 10.0.0.3", "but 10.0.0.9".
  std::string ToString() const;
  // ToString with a few sources and the number of the others: "from 10.0.0.2, 10.0.0.3 and 998 more". For people.
  std::string ToShortString() const;

  // Equal filters share their rules.
  friend bool operator==(const SourceFilter& a, const SourceFilter& b) { return a.rules_ == b.rules_; }

 private:
  class Pool;
  // With at most `most` sources.
  std::string ToText(size_t most) const;
  struct Rules {
    net::FilterMode mode;
    std::vector<net::IpAddress> sources;
    friend bool operator==(const Rules&, const Rules&) = default;
    template <typename H>
    friend H AbslHashValue(H h, const Rules& rules) {
      return H::combine(std::move(h), rules.mode, rules.sources);
    }
  };
  std::shared_ptr<const Rules> rules_;  // Null: any source.
};

}  // namespace mcgw::fanout

#endif  // MCGW_FANOUT_SOURCE_FILTER_H_
