// How a failure travels to a client: as a status with google.rpc details.
//
// The canonical code and the text are the Status's own. ErrorInfo carries the reason (an ErrorReason without its
// prefix, domain "multicast.gateway"), BadRequest the field at fault, RetryInfo a delay where waiting helps.

#ifndef MCGW_RPC_RICH_STATUS_H_
#define MCGW_RPC_RICH_STATUS_H_

#include "absl/status/status.h"
#include "grpcpp/support/status.h"
#include "multicast/gateway/v1/errors.pb.h"

namespace mcgw::rpc {

grpc::Status ToGrpc(const absl::Status& status);

// RATE_LIMITED: so many calls of a client wait for a thread that no more are taken.
absl::Status TooManyWaiting();

// The same facts inside an answer that otherwise stands. `status` is not OK.
multicast::gateway::v1::Failure ToFailure(const absl::Status& status);

}  // namespace mcgw::rpc

#endif  // MCGW_RPC_RICH_STATUS_H_
