// A completion queue whose waiting thread does no I/O.
//
// In gRPC 1.51 any thread that waits in a server's queue may have to poll the sockets of all connections, including
// those of other queues, and then wake their threads. The callback API's threads poll anyway; one more polling thread
// only makes work for them. docs/adr/0011 has figures.

#ifndef MCGW_RPC_WAITING_QUEUE_H_
#define MCGW_RPC_WAITING_QUEUE_H_

#include <memory>

#include "grpcpp/completion_queue.h"
#include "grpcpp/server_builder.h"

namespace mcgw::rpc {

// Like grpc::ServerBuilder::AddCompletionQueue. The server must also have a callback service or another queue that is
// waited in, since otherwise no thread polls.
std::unique_ptr<grpc::ServerCompletionQueue> AddWaitingQueue(grpc::ServerBuilder* builder);

}  // namespace mcgw::rpc

#endif  // MCGW_RPC_WAITING_QUEUE_H_
