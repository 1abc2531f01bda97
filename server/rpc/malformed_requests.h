// Unary calls whose request cannot be parsed get INVALID_ARGUMENT. gRPC's own answer is UNIMPLEMENTED, which sends
// people to look for another version of the gateway.

#ifndef MCGW_RPC_MALFORMED_REQUESTS_H_
#define MCGW_RPC_MALFORMED_REQUESTS_H_

#include "grpcpp/server_builder.h"

namespace mcgw::rpc {

// Before the server is built. Streams are left alone: they cost nothing more.
void AnswerMalformedRequests(grpc::ServerBuilder* builder);

}  // namespace mcgw::rpc

#endif  // MCGW_RPC_MALFORMED_REQUESTS_H_
