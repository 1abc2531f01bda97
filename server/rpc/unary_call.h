// Answers unary calls: at once, or on a thread that may block.

#ifndef MCGW_RPC_UNARY_CALL_H_
#define MCGW_RPC_UNARY_CALL_H_

#include <utility>

#include "absl/status/status.h"
#include "grpcpp/support/server_callback.h"
#include "server/net/status.h"
#include "server/net/text.h"
#include "server/net/work_pool.h"
#include "server/rpc/rich_status.h"

namespace mcgw::rpc {

inline grpc::ServerUnaryReactor* Answer(grpc::CallbackServerContext* context, const absl::Status& status) {
  grpc::ServerUnaryReactor* const reactor = context->DefaultReactor();
  reactor->Finish(ToGrpc(status));
  return reactor;
}

// Answers with the result of `work`, which runs in the pool: the threads that deliver calls also read for all
// connections and must not wait. Skips a call that was cancelled before its turn.
template <typename Work>
grpc::ServerUnaryReactor* AnswerFrom(net::WorkPool* pool, grpc::CallbackServerContext* context, Work work) {
  grpc::ServerUnaryReactor* const reactor = context->DefaultReactor();
  const bool taken = pool->TryRun(context->peer(), [context, reactor, work = std::move(work)] {
    reactor->Finish(context->IsCancelled() ? grpc::Status::CANCELLED : ToGrpc(work()));
  });
  if (!taken) reactor->Finish(ToGrpc(TooManyWaiting()));
  return reactor;
}

// For most calls.
inline constexpr size_t kMostRequestBytes = 256 << 10;

// INVALID_ARGUMENT for a message larger than any valid one of its method.
template <typename Request>
absl::Status CheckSize(const Request& request, size_t most_bytes) {
  if (const size_t size = request.ByteSizeLong(); size > most_bytes) {
    return net::Error(net::Reason::kValueOutOfRange, "",
                      net::StrCat("a request of ", size, " bytes: this call takes at most ", most_bytes));
  }
  return absl::OkStatus();
}

}  // namespace mcgw::rpc

#endif  // MCGW_RPC_UNARY_CALL_H_
