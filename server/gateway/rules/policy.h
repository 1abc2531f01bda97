// Checks of requests before the kernel is involved.
//
// The kernel accepts requests that are meaningless or harmful (a join of 224.0.0.0, of a source-specific group without
// a source, of ff02::1 without an interface). These functions refuse them with a reason. They are pure.

#ifndef MCGW_GATEWAY_RULES_POLICY_H_
#define MCGW_GATEWAY_RULES_POLICY_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "server/fanout/source_filter.h"
#include "server/net/address.h"

namespace mcgw::gateway {

// A client's request to receive.
struct MembershipRequest {
  std::string selector;  // An interface's name, one of its addresses, "" for the default, or "*".
  net::IpAddress group;
  uint16_t port = 0;
  fanout::SourceFilter filter;
  bool wait_for_interface = false;
};

// A client's request to send.
struct SendRequest {
  std::string selector;
  net::IpAddress group;
  uint16_t port = 0;
  std::optional<net::IpAddress> source;
  uint8_t hop_limit = 1;  // 0: stays on this host.
  bool loop = true;
  bool dont_fragment = false;
  std::optional<uint8_t> traffic_class;
};

// NOT_A_MULTICAST_GROUP, GROUP_RESERVED, INVALID_SOURCE, SOURCE_REQUIRED, SOURCE_LIMIT, SCOPE_NEEDS_INTERFACE. Field
// names are those of Membership.
absl::Status CheckMembership(const MembershipRequest& request, size_t most_sources);

// NOT_A_MULTICAST_GROUP, GROUP_RESERVED, SCOPE_NEEDS_INTERFACE, INVALID_SOURCE, LOOP_REQUIRED (hop limit 0 without it).
// Field names are those of SendRequest: "destination.group".
absl::Status CheckSend(const SendRequest& request);

// PAYLOAD_TOO_LARGE.
absl::Status CheckPayload(size_t size_bytes, net::Family family);

// NO_MULTICAST, for an interface that does not carry it (net::Interface::carries_multicast).
absl::Status NoMulticast(std::string_view interface_name, std::string_view field);

// Groups that every host holds on every interface (224.0.0.1, ff01::1, ff02::1); clients cannot join them.
bool IsHeldByTheHost(const net::IpAddress& group);

// The name of a group that belongs to the network's own protocols, which clients do not send to; empty for all others.
std::string_view ReservedGroupName(const net::IpAddress& group);

}  // namespace mcgw::gateway

#endif  // MCGW_GATEWAY_RULES_POLICY_H_
