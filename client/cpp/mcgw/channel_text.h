// Channels as people write them: [SOURCE[,SOURCE...]@]GROUP:PORT[%INTERFACE].
//
//   239.1.1.1:5000                      the default interface
//   239.1.1.1:5000%eth0                 a named interface
//   239.1.1.1:5000%10.0.0.1             the interface that has this address
//   239.1.1.1:5000%*                    every eligible interface
//   10.0.0.2,10.0.0.3@232.1.1.1:5004    from these sources only
//   [ff15::1]:5000%eth0                 IPv6 groups need brackets
//   [ff02::1%eth0]:5000                 the same as [ff02::1]:5000%eth0
//   fd00::2@[ff35::1]:5000              IPv6 sources may have brackets
//
// All functions are thread-safe and never block.

#ifndef MCGW_CLIENT_CPP_CHANNEL_TEXT_H_
#define MCGW_CLIENT_CPP_CHANNEL_TEXT_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "multicast/gateway/v1/channel.pb.h"
#include "multicast/gateway/v1/membership.pb.h"

namespace mcgw::client {

// Parses a channel, with addresses in canonical form and sources as an INCLUDE filter. Errors are INVALID_ARGUMENT and
// name the field, the value and what is right: INVALID_ADDRESS, NOT_A_MULTICAST_GROUP, FIELD_REQUIRED, INVALID_PORT,
// INVALID_SOURCE, CONFLICTING_FIELDS. The gateway checks what depends on its host.
absl::StatusOr<multicast::gateway::v1::Membership> ParseChannel(absl::string_view text);

// Converts a unicast IP address to canonical form. `field` and `what` ("source") name it in the error.
absl::StatusOr<std::string> ParseUnicastAddress(absl::string_view text, absl::string_view field,
                                                absl::string_view what);

// "239.1.1.1:5000%eth0", "[ff15::1]:5000%eth0"; without "%" if the interface is empty.
std::string FormatChannel(absl::string_view group, uint32_t port, absl::string_view interface);
std::string FormatChannel(const multicast::gateway::v1::Channel& channel);
std::string FormatChannel(const multicast::gateway::v1::Membership& membership);  // With its included sources.

// "10.0.0.2" for 4 bytes in network order, RFC 5952 text for 16; "?" for any other length.
std::string FormatAddress(absl::string_view bytes);

// "10.0.0.2:41000", "[fd00::2]:41000".
std::string FormatEndpoint(absl::string_view address_bytes, uint32_t port);

}  // namespace mcgw::client

#endif  // MCGW_CLIENT_CPP_CHANNEL_TEXT_H_
