// Who holds a channel.

#ifndef MCGW_GATEWAY_CHANNELS_HOLDER_H_
#define MCGW_GATEWAY_CHANNELS_HOLDER_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "server/fanout/source_filter.h"

namespace mcgw::gateway {

// For those who look.
struct Holder {
  // kRetained: a stream that has ended; kGateway: the gateway itself, to keep datagrams with hop limit 0 on the host
  // (host_memberships.h).
  enum class Kind : uint8_t { kSession, kStream, kRetained, kGateway };
  Kind kind = Kind::kSession;
  uint64_t membership_id = 0;
  uint64_t subscriber_id = 0;  // Of a stream.
  std::string identity;
  std::string selector;  // As it was asked for.
  fanout::SourceFilter filter;
  int64_t since_unix_ns = 0;
  int64_t expires_unix_ns = 0;  // 0: not known, or not while it is used.
};

// What all memberships of a holder with one selector have in common. Thread-safe.
struct HolderFacts {
  HolderFacts(const Holder& holder, std::string the_selector)
      : kind(holder.kind),
        subscriber_id(holder.subscriber_id),
        identity(holder.identity),
        selector(std::move(the_selector)) {}

  const Holder::Kind kind;
  const uint64_t subscriber_id;
  const std::string identity;
  const std::string selector;
  std::atomic<int64_t> retained_until_unix_ns{0};  // Not 0: its stream has ended.
};

// What a membership tells of itself. Constant, and outlives its holds.
struct MembershipFacts {
  std::shared_ptr<HolderFacts> holder;
  uint64_t id = 0;
};

}  // namespace mcgw::gateway

#endif  // MCGW_GATEWAY_CHANNELS_HOLDER_H_
