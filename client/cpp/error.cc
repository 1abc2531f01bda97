#include "mcgw/error.h"

#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"

namespace mcgw::client {
namespace {

namespace v1 = multicast::gateway::v1;

constexpr char kPayloadUrl[] = "type.googleapis.com/google.rpc.Status";
constexpr char kDomain[] = "multicast.gateway";

void Read(const google::protobuf::Any& any, ErrorDetails* details) {
  google::rpc::ErrorInfo info;
  google::rpc::BadRequest bad_request;
  google::rpc::RetryInfo retry;
  if (any.UnpackTo(&info)) {
    details->reason = info.reason();
    details->domain = info.domain();
    details->metadata.insert(info.metadata().begin(), info.metadata().end());
  } else if (any.UnpackTo(&bad_request)) {
    for (const auto& violation : bad_request.field_violations()) {
      details->fields.push_back({violation.field(), violation.description()});
    }
  } else if (any.UnpackTo(&retry)) {
    details->retry_delay =
        absl::Seconds(retry.retry_delay().seconds()) + absl::Nanoseconds(retry.retry_delay().nanos());
  }
}

std::string Line(absl::string_view label, absl::string_view message, const std::vector<FieldViolation>& fields) {
  std::string text = absl::StrCat(label, ": ", message);
  const char* separator = fields.size() > 1 ? " (fields: " : " (field: ";
  for (const FieldViolation& field : fields) {
    absl::StrAppend(&text, separator, field.field);
    separator = ", ";
  }
  if (!fields.empty()) text += ')';
  return text;
}

// Other bytes as \xff: the details can hold nothing but UTF-8, and what was typed can be anything.
std::string Ascii(absl::string_view text) {
  std::string ascii;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x80) {
      ascii.push_back(c);
    } else {
      absl::StrAppend(&ascii, "\\x", absl::Hex(byte, absl::kZeroPad2));
    }
  }
  return ascii;
}

// gRPC's words for a handshake that failed are those of its TLS library.
absl::string_view WhatToCheck(absl::string_view message) {
  const auto says = [message](absl::string_view words) { return message.find(words) != absl::string_view::npos; };
  if (says("CERTIFICATE_VERIFY_FAILED") || says("certificate verify failed"))
    return "its certificate is not of a CA that is trusted here; check the CA file";
  if (says("is not in peer certificate") || says("Hostname Verification")) {
    return "its certificate is for other names; check the address, or give the server name";
  }
  if (says("WRONG_VERSION_NUMBER") || says("wrong version number")) return "it does not speak TLS there";
  // What gRPC says of credentials that it cannot use.
  if (says("empty address list")) return "the TLS files cannot be used; check that the key belongs to the certificate";
  if (says("TSI_DATA_CORRUPTED")) return "it ends TLS, as it does if it wants a certificate, or another one";
  return "check that mcgwd is running and listens there, with TLS or without";
}

absl::Status WithDetails(absl::StatusCode code, absl::string_view message, absl::string_view serialized_details) {
  absl::Status status(code, message);
  if (!serialized_details.empty()) status.SetPayload(kPayloadUrl, absl::Cord(serialized_details));
  return status;
}

}  // namespace

ErrorDetails DetailsOf(const absl::Status& status) {
  ErrorDetails details;
  const auto payload = status.GetPayload(kPayloadUrl);
  google::rpc::Status rich;
  if (!payload.has_value() || !rich.ParseFromString(std::string(*payload))) return details;
  for (const google::protobuf::Any& any : rich.details()) Read(any, &details);
  return details;
}

std::string ReasonName(v1::ErrorReason reason) {
  const std::string& name = v1::ErrorReason_Name(reason);
  if (name.empty()) return absl::StrCat("REASON_", static_cast<int>(reason));
  return std::string(absl::StripPrefix(name, "ERROR_REASON_"));
}

std::string Describe(const absl::Status& status) {
  const ErrorDetails details = DetailsOf(status);
  std::string label = details.reason.empty() ? absl::StatusCodeToString(status.code()) : details.reason;
  const auto remedy = details.metadata.find("remedy");
  std::string message(status.message());
  if (remedy != details.metadata.end() && message.find(remedy->second) == std::string::npos) {
    absl::StrAppend(&message, "; ", remedy->second);
  }
  return Line(label, message, details.fields);
}

std::string Describe(const v1::Failure& failure) {
  std::string label = failure.reason() == v1::ERROR_REASON_UNSPECIFIED
                          ? absl::StatusCodeToString(static_cast<absl::StatusCode>(failure.code()))
                          : ReasonName(failure.reason());
  std::string message = failure.message();
  if (!failure.remedy().empty() && message.find(failure.remedy()) == std::string::npos) {
    absl::StrAppend(&message, "; ", failure.remedy());
  }
  return Line(label, message, {});
}

bool IsUnreachable(const absl::Status& status) {
  return status.code() == absl::StatusCode::kUnavailable && DetailsOf(status).reason.empty();
}

absl::Status FromGrpc(const grpc::Status& status, absl::string_view gateway, bool answered) {
  if (status.ok()) return absl::OkStatus();
  const auto code = static_cast<absl::StatusCode>(status.error_code());
  const std::string& message = status.error_message();
  absl::Status result = WithDetails(code, message, status.error_details());
  if (IsUnreachable(result)) {
    if (answered) {
      return absl::UnavailableError(absl::StrCat("the connection to the gateway at ", gateway, " broke: ", message));
    }
    return absl::UnavailableError(
        absl::StrCat("no gateway answers at ", gateway, ": ", WhatToCheck(message), " (", message, ")"));
  }
  if (code == absl::StatusCode::kCancelled) {
    return absl::UnavailableError(absl::StrCat("the gateway at ", gateway,
                                               " ended the stream without a reason, as it does when a client has "
                                               "stopped reading"));
  }
  if (code == absl::StatusCode::kDeadlineExceeded && !answered) {
    return absl::DeadlineExceededError(absl::StrCat("the gateway at ", gateway, " did not answer in time: ", message));
  }
  return result;
}

absl::Status InvalidInput(v1::ErrorReason reason, absl::string_view field, absl::string_view text) {
  const std::string message = Ascii(text);
  google::rpc::Status rich;
  rich.set_code(static_cast<int>(absl::StatusCode::kInvalidArgument));
  rich.set_message(message);
  google::rpc::ErrorInfo info;
  info.set_reason(ReasonName(reason));
  info.set_domain(kDomain);
  rich.add_details()->PackFrom(info);
  if (!field.empty()) {
    google::rpc::BadRequest bad_request;
    auto* violation = bad_request.add_field_violations();
    violation->set_field(std::string(field));
    violation->set_description(message);
    rich.add_details()->PackFrom(bad_request);
  }
  return WithDetails(absl::StatusCode::kInvalidArgument, message, rich.SerializeAsString());
}

}  // namespace mcgw::client
