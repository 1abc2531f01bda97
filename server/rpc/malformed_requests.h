// Answers unary calls whose request cannot be parsed with INVALID_ARGUMENT. gRPC answers UNIMPLEMENTED, which suggests
// a wrong gateway version.

#ifndef MCGW_RPC_MALFORMED_REQUESTS_H_
#define MCGW_RPC_MALFORMED_REQUESTS_H_

#include "grpcpp/server_builder.h"

namespace mcgw::rpc {

// Call before the server is built. Leaves streams alone: they need no interception.
void AnswerMalformedRequests(grpc::ServerBuilder* builder);

}  // namespace mcgw::rpc

#endif  // MCGW_RPC_MALFORMED_REQUESTS_H_
