#include "server/rpc/rich_status.h"

#include <string>

#include "absl/time/time.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "server/net/status.h"
#include "server/net/text.h"

namespace mcgw::rpc {
namespace {

namespace v1 = multicast::gateway::v1;

constexpr char kDomain[] = "multicast.gateway";

// How long to wait before another attempt; zero if waiting does not help. What other clients hold becomes free when
// they leave, which takes longer than a burst of calls.
absl::Duration RetryDelay(net::Reason reason) {
  switch (reason) {
    case net::Reason::kSubscriberTooSlow:  // The stream may resume: what it has not read may soon be gone.
      return absl::Milliseconds(100);
    case net::Reason::kRateLimited:
    case net::Reason::kHostLimit:
    case net::Reason::kDraining:
    case net::Reason::kInterfaceDown:
    case net::Reason::kNoCarrier:
      return absl::Seconds(1);
    default:
      return net::ReasonCode(reason) == absl::StatusCode::kResourceExhausted ? absl::Seconds(5) : absl::ZeroDuration();
  }
}

// A failure without a reason is an unexpected kernel error.
net::Reason ReasonFor(const absl::Status& status) {
  const net::Reason reason = net::ReasonOf(status);
  return reason == net::Reason::kUnspecified ? net::Reason::kKernelError : reason;
}

// The message, shortened for gRPC's headers: an error that exceeds them would reach the client as RESOURCE_EXHAUSTED,
// without its reason.
std::string MessageOf(const absl::Status& status) {
  return net::Shortened(net::Printable(net::ToStd(status.message())), net::kMostMessageBytes);
}

}  // namespace

grpc::Status ToGrpc(const absl::Status& status) {
  if (status.ok()) return grpc::Status::OK;
  const std::string message = MessageOf(status);
  const net::Reason reason = ReasonFor(status);

  google::rpc::Status rich;
  rich.set_code(static_cast<int>(status.code()));
  rich.set_message(message);
  google::rpc::ErrorInfo info;
  info.set_reason(std::string(net::ReasonName(reason)));
  info.set_domain(kDomain);
  rich.add_details()->PackFrom(info);
  if (const std::string field = net::Shortened(net::FieldOf(status)); !field.empty()) {
    google::rpc::BadRequest bad_request;
    google::rpc::BadRequest::FieldViolation* const violation = bad_request.add_field_violations();
    violation->set_field(field);
    violation->set_description(message);
    rich.add_details()->PackFrom(bad_request);
  }
  if (const int64_t delay_ns = absl::ToInt64Nanoseconds(RetryDelay(reason)); delay_ns > 0) {
    google::rpc::RetryInfo retry;
    retry.mutable_retry_delay()->set_seconds(delay_ns / 1'000'000'000);
    retry.mutable_retry_delay()->set_nanos(static_cast<int32_t>(delay_ns % 1'000'000'000));
    rich.add_details()->PackFrom(retry);
  }
  return grpc::Status(static_cast<grpc::StatusCode>(status.code()), message, rich.SerializeAsString());
}

absl::Status TooManyWaiting() {
  return net::Error(net::Reason::kRateLimited, "",
                    "too many calls wait to be served: make fewer at a time and try again later");
}

v1::Failure ToFailure(const absl::Status& status) {
  v1::Failure failure;
  failure.set_code(static_cast<int>(status.code()));
  v1::ErrorReason reason = v1::ERROR_REASON_UNSPECIFIED;
  v1::ErrorReason_Parse(net::StrCat("ERROR_REASON_", net::ReasonName(ReasonFor(status))), &reason);
  failure.set_reason(reason);
  failure.set_message(MessageOf(status));
  return failure;
}

}  // namespace mcgw::rpc
