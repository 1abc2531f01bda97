#include "server/rpc/gateway_service.h"

#include <utility>

#include "server/net/status.h"
#include "server/net/text.h"
#include "server/rpc/calls.h"
#include "server/rpc/read_request.h"
#include "server/rpc/rich_status.h"
#include "server/rpc/unary_call.h"
#include "server/rpc/write_response.h"

namespace mcgw::rpc {
namespace {

using net::Error;
using net::Reason;

// Source lists can be long. The transport admits as much as a Publish batch needs.
constexpr size_t kMostJoinBytes = 512 << 10;

// In this version every listener is local, and all local callers are one.
gateway::Caller CallerOf(const grpc::CallbackServerContext&) { return {.identity = "local"}; }

}  // namespace

absl::Status Join(gateway::Gateway* gateway, const gateway::Caller& caller, const v1::JoinRequest& request,
                  v1::JoinResponse* response) {
  if (!request.has_membership()) {
    return Error(Reason::kFieldRequired, "membership", "membership is missing: name the membership to join");
  }
  const absl::StatusOr<gateway::MembershipRequest> membership = ReadMembership(request.membership());
  if (!membership.ok()) return net::WithFieldPrefix(membership.status(), "membership.");
  std::optional<absl::Duration> lease;
  if (request.has_lease()) {
    const absl::StatusOr<int64_t> lease_ns = ReadDuration(request.lease(), "lease");
    if (!lease_ns.ok()) return lease_ns.status();
    lease = absl::Nanoseconds(*lease_ns);
  }
  const absl::StatusOr<gateway::JoinResult> result = gateway->Join(caller, request.session_id(), *membership, lease);
  if (!result.ok()) return result.status();
  response->set_session_id(result->session_id);
  response->set_membership_id(result->membership_id);
  const int64_t lease_ns = absl::ToInt64Nanoseconds(result->lease);
  response->mutable_lease()->set_seconds(lease_ns / 1'000'000'000);
  response->mutable_lease()->set_nanos(static_cast<int32_t>(lease_ns % 1'000'000'000));
  if (result->expires.has_value()) {
    const int64_t expires_ns = absl::ToUnixNanos(*result->expires);
    response->mutable_lease_expire_time()->set_seconds(expires_ns / 1'000'000'000);
    response->mutable_lease_expire_time()->set_nanos(static_cast<int32_t>(expires_ns % 1'000'000'000));
  }
  for (const fanout::ChannelStatus& channel : result->channels) {
    WriteChannelState(channel, response->add_channels());
  }
  return absl::OkStatus();
}

absl::Status Leave(gateway::Gateway* gateway, const gateway::Caller& caller, const v1::LeaveRequest& request,
                   v1::LeaveResponse* response) {
  if (request.session_id().empty()) {
    return Error(Reason::kFieldRequired, "session_id", "session_id is missing: use the one that Join returned");
  }
  gateway::LeaveTarget target;
  switch (request.target_case()) {
    case v1::LeaveRequest::kMembershipId:
      target = request.membership_id();
      break;
    case v1::LeaveRequest::kMembership: {
      const absl::StatusOr<gateway::MembershipKey> key = ReadKey(request.membership());
      if (!key.ok()) return key.status();
      target = *key;
      break;
    }
    case v1::LeaveRequest::kWholeSession:
      target = gateway::WholeSession();
      break;
    case v1::LeaveRequest::TARGET_NOT_SET:
      return Error(Reason::kFieldRequired, "target", "target is missing: name a membership or the whole session");
  }
  const absl::StatusOr<std::vector<uint64_t>> ids = gateway->Leave(caller, request.session_id(), target);
  if (!ids.ok()) return ids.status();
  response->mutable_membership_ids()->Add(ids->begin(), ids->end());
  return absl::OkStatus();
}

absl::StatusOr<std::shared_ptr<gateway::DatagramJob>> StartSend(gateway::Gateway* gateway,
                                                                const gateway::Caller& caller,
                                                                const v1::SendRequest& request) {
  if (absl::Status status = CheckSize(request, kMostRequestBytes); !status.ok()) return status;
  if (!request.has_destination()) {
    return Error(Reason::kFieldRequired, "destination", "destination is missing: name the group, port and interface");
  }
  const absl::StatusOr<gateway::SendRequest> send = ReadSend(request.destination(), request.options());
  if (!send.ok()) return send.status();
  return gateway->StartSend(caller, request.session_id(), *send, request.payload());
}

absl::Status FinishSend(gateway::DatagramJob* job, v1::SendResponse* response) {
  const absl::StatusOr<std::vector<gateway::SendResult>> results = job->TakeResults();
  if (!results.ok()) return results.status();
  bool any_left = false;
  for (const gateway::SendResult& result : *results) {
    WriteSendResult(result, response->add_results());
    any_left = any_left || result.status.ok();
  }
  return any_left ? absl::OkStatus() : results->front().status;
}

namespace {

// A Send that must wait. Frees itself in OnDone.
class WaitingSend final : public grpc::ServerUnaryReactor {
 public:
  WaitingSend(gateway::SendLoop* sends, std::shared_ptr<gateway::DatagramJob> job, v1::SendResponse* response)
      : sends_(sends), job_(std::move(job)), response_(response) {}

  void Start(gateway::SendJob::Next next, std::string client) {
    sends_->Take(job_, next, std::move(client), [this] {
      Finish(job_->cancelled() ? grpc::Status::CANCELLED : ToGrpc(FinishSend(job_.get(), response_)));
    });
  }
  void OnCancel() override { sends_->Cancel(job_.get()); }
  void OnDone() override { delete this; }

 private:
  gateway::SendLoop* const sends_;
  const std::shared_ptr<gateway::DatagramJob> job_;
  v1::SendResponse* const response_;
};

}  // namespace

grpc::ServerUnaryReactor* GatewayService::Join(grpc::CallbackServerContext* context, const v1::JoinRequest* request,
                                               v1::JoinResponse* response) {
  if (absl::Status status = CheckSize(*request, kMostJoinBytes); !status.ok()) return Answer(context, status);
  return AnswerFrom(calls_, context, [gateway = gateway_, caller = CallerOf(*context), request, response] {
    return rpc::Join(gateway, caller, *request, response);
  });
}

grpc::ServerUnaryReactor* GatewayService::Leave(grpc::CallbackServerContext* context, const v1::LeaveRequest* request,
                                                v1::LeaveResponse* response) {
  if (absl::Status status = CheckSize(*request, kMostRequestBytes); !status.ok()) return Answer(context, status);
  return AnswerFrom(calls_, context, [gateway = gateway_, caller = CallerOf(*context), request, response] {
    return rpc::Leave(gateway, caller, *request, response);
  });
}

grpc::ServerUnaryReactor* GatewayService::Send(grpc::CallbackServerContext* context, const v1::SendRequest* request,
                                               v1::SendResponse* response) {
  absl::StatusOr<std::shared_ptr<gateway::DatagramJob>> job = StartSend(gateway_, CallerOf(*context), *request);
  if (!job.ok()) return Answer(context, job.status());
  const gateway::SendJob::Next next = (*job)->Step(gateway::SendJob::FirstTurn());
  if (next == gateway::SendJob::Next::kDone) return Answer(context, FinishSend(job->get(), response));
  auto* const waiting = new WaitingSend(sends_, *std::move(job), response);
  waiting->Start(next, context->peer());
  return waiting;
}

grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>* GatewayService::Publish(
    grpc::CallbackServerContext* context) {
  return PublishStream::New(gateway_, sends_, context, CallerOf(*context), &publish_streams_);
}

}  // namespace mcgw::rpc
