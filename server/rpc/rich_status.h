// Converts a failure to a gRPC status with google.rpc details.
//
// Code and text are the Status's own. ErrorInfo carries the reason (an ErrorReason without its prefix, domain
// "multicast.gateway"), BadRequest the field at fault, RetryInfo a delay if waiting helps: for RESOURCE_EXHAUSTED
// always.

#ifndef MCGW_RPC_RICH_STATUS_H_
#define MCGW_RPC_RICH_STATUS_H_

#include "absl/status/status.h"
#include "grpcpp/support/status.h"
#include "multicast/gateway/v1/errors.pb.h"

namespace mcgw::rpc {

grpc::Status ToGrpc(const absl::Status& status);

// RATE_LIMITED: too many of the client's calls already wait for a thread.
absl::Status TooManyWaiting();

// The same facts for an answer that succeeds otherwise. `status` must not be OK.
multicast::gateway::v1::Failure ToFailure(const absl::Status& status);

}  // namespace mcgw::rpc

#endif  // MCGW_RPC_RICH_STATUS_H_
