#include "server/rpc/gateway_service.h"

#include <utility>

#include "server/net/status.h"
#include "server/net/text.h"
#include "server/rpc/read_request.h"
#include "server/rpc/rich_status.h"
#include "server/rpc/write_response.h"

namespace mcgw::rpc {
namespace {

using net::Error;
using net::Reason;

grpc::ServerUnaryReactor* Answer(grpc::CallbackServerContext* context, const absl::Status& status) {
  grpc::ServerUnaryReactor* const reactor = context->DefaultReactor();
  reactor->Finish(ToGrpc(status));
  return reactor;
}

// Every listener is local in this version, and all local callers are one.
gateway::Caller CallerOf(const grpc::CallbackServerContext&) { return {.identity = "local"}; }

absl::Status Join(gateway::Gateway* gateway, const gateway::Caller& caller, const v1::JoinRequest& request,
                  v1::JoinResponse* response) {
  if (!request.has_membership()) {
    return Error(Reason::kFieldRequired, "membership", "membership is missing: say what to join");
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
    return Error(Reason::kFieldRequired, "session_id", "session_id is missing: Join answered it");
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
      return Error(Reason::kFieldRequired, "target",
                   "target is missing: say what to leave, a membership or the whole session");
  }
  const absl::StatusOr<std::vector<uint64_t>> ids = gateway->Leave(caller, request.session_id(), target);
  if (!ids.ok()) return ids.status();
  response->mutable_membership_ids()->Add(ids->begin(), ids->end());
  return absl::OkStatus();
}

absl::Status Send(gateway::Gateway* gateway, const gateway::Caller& caller, const v1::SendRequest& request,
                  v1::SendResponse* response) {
  if (!request.has_destination()) {
    return Error(Reason::kFieldRequired, "destination", "destination is missing: say where to send");
  }
  const absl::StatusOr<gateway::SendRequest> send = ReadSend(request.destination(), request.options());
  if (!send.ok()) return send.status();
  const absl::StatusOr<std::vector<gateway::SendResult>> results =
      gateway->Send(caller, request.session_id(), *send, request.payload());
  if (!results.ok()) return results.status();
  bool any_left = false;
  for (const gateway::SendResult& result : *results) {
    WriteSendResult(result, response->add_results());
    any_left = any_left || result.status.ok();
  }
  return any_left ? absl::OkStatus() : results->front().status;
}

}  // namespace

grpc::ServerUnaryReactor* GatewayService::Join(grpc::CallbackServerContext* context, const v1::JoinRequest* request,
                                               v1::JoinResponse* response) {
  return Answer(context, rpc::Join(gateway_, CallerOf(*context), *request, response));
}

grpc::ServerUnaryReactor* GatewayService::Leave(grpc::CallbackServerContext* context, const v1::LeaveRequest* request,
                                                v1::LeaveResponse* response) {
  return Answer(context, rpc::Leave(gateway_, CallerOf(*context), *request, response));
}

grpc::ServerUnaryReactor* GatewayService::Send(grpc::CallbackServerContext* context, const v1::SendRequest* request,
                                               v1::SendResponse* response) {
  return Answer(context, rpc::Send(gateway_, CallerOf(*context), *request, response));
}

grpc::ServerBidiReactor<v1::PublishRequest, v1::PublishResponse>* GatewayService::Publish(
    grpc::CallbackServerContext* context) {
  return new PublishStream(gateway_, CallerOf(*context), &publish_streams_);
}

}  // namespace mcgw::rpc
