// A unary call that may block, and so runs in a net::WorkPool, in turn with its client's other calls.

#ifndef MCGW_RPC_POOLED_CALL_H_
#define MCGW_RPC_POOLED_CALL_H_

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "server/net/status.h"
#include "server/net/text.h"
#include "server/net/work_pool.h"
#include "server/rpc/call.h"
#include "server/rpc/rich_status.h"
#include "server/rpc/stream_loop.h"

namespace mcgw::rpc {

template <typename Request, typename Response>
class PooledCall final : public Call {
 public:
  // What the method does: on a thread of the pool. Outlives the calls, as the pool does.
  using Method = std::function<absl::Status(const Call& call, const Request&, Response*)>;

  PooledCall(const Method* method, size_t most_bytes, net::WorkPool* pool, StreamLoop* loop, http2::Stream* stream,
             CallHead head)
      : Call(loop, stream, std::move(head), kMostMessageBytes), method_(method), most_bytes_(most_bytes), pool_(pool) {}

  void Begin() { ReadNext(); }

 private:
  void OnMessage(std::string message) override {
    if (message.size() > most_bytes_) {
      return Finish(ToGrpc(
          net::Error(net::Reason::kValueOutOfRange, "",
                     net::StrCat("a request of ", message.size(), " bytes: this call takes at most ", most_bytes_))));
    }
    auto self = std::static_pointer_cast<PooledCall>(shared_from_this());
    const bool taken = pool_->TryRun(peer(), [self, message = std::move(message)] { self->Run(message); });
    if (!taken) Finish(ToGrpc(TooManyWaiting()));
  }
  void OnHalfClosed() override {
    Finish({grpc::StatusCode::INTERNAL, head().path + " takes one message, and there is none"});
  }
  void OnGone() override { gone_.store(true, std::memory_order_relaxed); }

  void Run(const std::string& message) {
    if (gone_.load(std::memory_order_relaxed)) return;
    absl::StatusOr<std::string> answer = Answer(message);
    // std::function must be copyable, so the answer is shared.
    auto shared = std::make_shared<absl::StatusOr<std::string>>(std::move(answer));
    loop()->Post([self = std::static_pointer_cast<PooledCall>(shared_from_this()), shared] {
      if (!self->open()) return;
      const absl::Status status = shared->status();
      if (status.ok()) self->Write(std::move(shared->value()));
      self->Finish(ToGrpc(status));
    });
  }
  absl::StatusOr<std::string> Answer(const std::string& message) {
    Request request;
    Response response;
    if (!request.ParseFromString(message)) {
      return absl::InvalidArgumentError(net::StrCat("the request of ", head().path, " cannot be parsed"));
    }
    if (absl::Status status = (*method_)(*this, request, &response); !status.ok()) return status;
    return EncodeMessage(response);
  }

  const Method* const method_;
  const size_t most_bytes_;
  net::WorkPool* const pool_;
  std::atomic<bool> gone_{false};
};

}  // namespace mcgw::rpc

#endif  // MCGW_RPC_POOLED_CALL_H_
