// Source filters (RFC 3376, section 2): which senders of a group are wanted.
//
// A SourceFilter is one membership's wish. Merge says what the kernel must be told so that all wishes of a channel are
// met; what the kernel then lets through for others is kept from each subscriber by SourceFilter::Allows.

#ifndef MCGW_FANOUT_SOURCE_FILTER_H_
#define MCGW_FANOUT_SOURCE_FILTER_H_

#include <string_view>
#include <vector>

#include "absl/types/span.h"
#include "server/net/address.h"
#include "server/net/multicast_socket.h"

namespace mcgw::fanout {

// A value. Sources are sorted and unique.
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

  net::FilterMode mode() const { return mode_; }
  const std::vector<net::IpAddress>& sources() const { return sources_; }

  bool IsAnySource() const { return mode_ == net::FilterMode::kExclude && sources_.empty(); }
  // INCLUDE{}: nothing is wanted.
  bool IsEmpty() const { return mode_ == net::FilterMode::kInclude && sources_.empty(); }
  bool Allows(const net::IpAddress& source) const;
  // The same for the 4 or 16 bytes of an address.
  bool Allows(std::string_view source_bytes) const;

  // The filter that allows what any of `filters` allows (RFC 3376, 3.2): with an EXCLUDE among them, EXCLUDE{what all
  // block}, else INCLUDE{the union}. INCLUDE{} for none.
  static SourceFilter Merge(absl::Span<const SourceFilter> filters);

  // "any source", "from 10.0.0.2, 10.0.0.3", "but 10.0.0.9".
  std::string ToString() const;

  friend bool operator==(const SourceFilter&, const SourceFilter&) = default;

 private:
  net::FilterMode mode_ = net::FilterMode::kExclude;
  std::vector<net::IpAddress> sources_;
};

}  // namespace mcgw::fanout

#endif  // MCGW_FANOUT_SOURCE_FILTER_H_
