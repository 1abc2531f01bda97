// Join, Leave and Send.

#include <optional>
#include <utility>

#include "server/net/status.h"
#include "server/net/text.h"
#include "server/rpc/calls.h"
#include "server/rpc/read_request.h"
#include "server/rpc/write_response.h"

namespace mcgw::rpc {
using net::Error;
using net::Reason;

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

}  // namespace mcgw::rpc
