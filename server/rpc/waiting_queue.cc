#include "server/rpc/waiting_queue.h"

#include "grpc/grpc.h"
#include "grpcpp/version_info.h"

// The tested range of versions. Others get a polling queue, which is slower but correct.
#define MCGW_GRPC_IS_KNOWN (GRPC_CPP_VERSION_MAJOR == 1 && GRPC_CPP_VERSION_MINOR >= 51 && GRPC_CPP_VERSION_MINOR <= 83)

namespace mcgw::rpc {

#if MCGW_GRPC_IS_KNOWN

namespace {

// The builder only makes polling queues, and keeps private the non-polling one that it makes for synchronous calls. So
// exchange the core of a queue before the server learns of it. An explicit instantiation may name a private member.
template <grpc_completion_queue* grpc::CompletionQueue::*kMember>
struct CoreAccess {
  friend grpc_completion_queue*& CoreOf(grpc::CompletionQueue& queue) { return queue.*kMember; }
};
template struct CoreAccess<&grpc::CompletionQueue::cq_>;
grpc_completion_queue*& CoreOf(grpc::CompletionQueue& queue);

}  // namespace

std::unique_ptr<grpc::ServerCompletionQueue> AddWaitingQueue(grpc::ServerBuilder* builder) {
  std::unique_ptr<grpc::ServerCompletionQueue> queue = builder->AddCompletionQueue();
  const grpc_completion_queue_attributes attributes = {GRPC_CQ_CURRENT_VERSION, GRPC_CQ_NEXT, GRPC_CQ_NON_POLLING,
                                                       nullptr};
  grpc_completion_queue*& core = CoreOf(*queue);
  grpc_completion_queue* const polling = core;
  core = grpc_completion_queue_create(grpc_completion_queue_factory_lookup(&attributes), &attributes, nullptr);
  grpc_completion_queue_destroy(polling);
  return queue;
}

#else

std::unique_ptr<grpc::ServerCompletionQueue> AddWaitingQueue(grpc::ServerBuilder* builder) {
  return builder->AddCompletionQueue();
}

#endif

}  // namespace mcgw::rpc
