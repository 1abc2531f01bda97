// Addresses of gateways as people write them.

#ifndef MCGW_CLIENT_CPP_GATEWAY_ADDRESS_H_
#define MCGW_CLIENT_CPP_GATEWAY_ADDRESS_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace mcgw::client {

// A gateway's default listening address.
inline constexpr char kDefaultGatewayAddress[] = "127.0.0.1:50051";

// The gRPC target for "HOST:PORT", "[IPV6]:PORT" or "unix:PATH". Anything else is INVALID_ARGUMENT, with what is right.
// Does not resolve names, so it never blocks.
absl::StatusOr<std::string> GatewayTarget(absl::string_view address);

}  // namespace mcgw::client

#endif  // MCGW_CLIENT_CPP_GATEWAY_ADDRESS_H_
