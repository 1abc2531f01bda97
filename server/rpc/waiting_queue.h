// A completion queue whose waiting thread does no input or output.
//
// In gRPC 1.51 every thread that waits in a queue of a server may be made to poll the sockets of all connections, of
// calls of other queues too, and then wakes the threads that those belong to. The threads of the callback API poll
// anyway; one that has little to do itself only makes work for them. docs/adr/0011 has figures.

#ifndef MCGW_RPC_WAITING_QUEUE_H_
#define MCGW_RPC_WAITING_QUEUE_H_

#include <memory>

#include "grpcpp/completion_queue.h"
#include "grpcpp/server_builder.h"

namespace mcgw::rpc {

// As grpc::ServerBuilder::AddCompletionQueue. The server must have a service of the callback API, or another queue that
// is waited in: without either nobody polls.
std::unique_ptr<grpc::ServerCompletionQueue> AddWaitingQueue(grpc::ServerBuilder* builder);

}  // namespace mcgw::rpc

#endif  // MCGW_RPC_WAITING_QUEUE_H_
