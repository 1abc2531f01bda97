#include "server/rpc/send_call.h"

#include <utility>

#include "server/net/status.h"
#include "server/net/text.h"
#include "server/rpc/calls.h"
#include "server/rpc/rich_status.h"
#include "server/rpc/stream_loop.h"

namespace mcgw::rpc {

SendCall::SendCall(gateway::Gateway* gateway, gateway::SendLoop* sends, StreamLoop* loop, http2::Stream* stream,
                   CallHead head)
    : Call(loop, stream, std::move(head), kMostMessageBytes), gateway_(gateway), sends_(sends) {}

void SendCall::OnMessage(std::string message) {
  if (!request_.ParseFromString(message)) {
    return Finish(ToGrpc(absl::InvalidArgumentError("the request of " + head().path + " cannot be parsed")));
  }
  if (message.size() > kMostRequestBytes) {
    return Finish(ToGrpc(net::Error(
        net::Reason::kValueOutOfRange, "",
        net::StrCat("a request of ", message.size(), " bytes: this call takes at most ", kMostRequestBytes))));
  }
  absl::StatusOr<std::shared_ptr<gateway::DatagramJob>> job = StartSend(gateway_, caller(), request_);
  if (!job.ok()) return Finish(ToGrpc(job.status()));
  job_ = *std::move(job);
  const gateway::SendJob::Next next = job_->Step(gateway::SendJob::FirstTurn());
  if (next == gateway::SendJob::Next::kDone) return Answer();
  auto self = std::static_pointer_cast<SendCall>(shared_from_this());
  sends_->Take(job_, next, peer(), [self] { self->loop()->Post([self] { self->Answer(); }); });
}

void SendCall::OnHalfClosed() { Finish({grpc::StatusCode::INTERNAL, "Send takes one message, and there is none"}); }

void SendCall::Answer() {
  if (!open()) return;
  v1::SendResponse response;
  const absl::Status status = FinishSend(job_.get(), &response);
  if (status.ok()) Write(EncodeMessage(response));
  Finish(ToGrpc(status));
}

void SendCall::OnGone() {
  if (job_ != nullptr) sends_->Cancel(job_.get());
}

}  // namespace mcgw::rpc
