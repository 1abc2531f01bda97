#include "server/net/status.h"

#include <cerrno>

#include "absl/strings/cord.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/types/optional.h"
#include "server/net/text.h"

namespace mcgw::net {
namespace {

constexpr char kReasonPayload[] = "mcgw/reason";
constexpr char kFieldPayload[] = "mcgw/field";
constexpr char kErrnoPayload[] = "mcgw/errno";

struct ReasonTraits {
  std::string_view name;
  absl::StatusCode code;
};

// A switch, so that the compiler reports a reason without a name.
ReasonTraits TraitsOf(Reason reason) {
  using Code = absl::StatusCode;
  switch (reason) {
    case Reason::kUnspecified:
      return {"UNSPECIFIED", Code::kUnknown};
    case Reason::kInvalidAddress:
      return {"INVALID_ADDRESS", Code::kInvalidArgument};
    case Reason::kNotAMulticastGroup:
      return {"NOT_A_MULTICAST_GROUP", Code::kInvalidArgument};
    case Reason::kInvalidPort:
      return {"INVALID_PORT", Code::kInvalidArgument};
    case Reason::kInvalidSource:
      return {"INVALID_SOURCE", Code::kInvalidArgument};
    case Reason::kInvalidSourceFilter:
      return {"INVALID_SOURCE_FILTER", Code::kInvalidArgument};
    case Reason::kSourceRequired:
      return {"SOURCE_REQUIRED", Code::kInvalidArgument};
    case Reason::kSourceNotLocal:
      return {"SOURCE_NOT_LOCAL", Code::kInvalidArgument};
    case Reason::kPayloadTooLarge:
      return {"PAYLOAD_TOO_LARGE", Code::kInvalidArgument};
    case Reason::kInvalidHopLimit:
      return {"INVALID_HOP_LIMIT", Code::kInvalidArgument};
    case Reason::kInvalidTrafficClass:
      return {"INVALID_TRAFFIC_CLASS", Code::kInvalidArgument};
    case Reason::kLoopRequired:
      return {"LOOP_REQUIRED", Code::kInvalidArgument};
    case Reason::kScopeNeedsInterface:
      return {"SCOPE_NEEDS_INTERFACE", Code::kInvalidArgument};
    case Reason::kInterfaceAmbiguous:
      return {"INTERFACE_AMBIGUOUS", Code::kInvalidArgument};
    case Reason::kFieldRequired:
      return {"FIELD_REQUIRED", Code::kInvalidArgument};
    case Reason::kValueOutOfRange:
      return {"VALUE_OUT_OF_RANGE", Code::kInvalidArgument};
    case Reason::kConflictingFields:
      return {"CONFLICTING_FIELDS", Code::kInvalidArgument};
    case Reason::kInvalidResumePoint:
      return {"INVALID_RESUME_POINT", Code::kInvalidArgument};
    case Reason::kInvalidBatch:
      return {"INVALID_BATCH", Code::kInvalidArgument};
    case Reason::kInvalidPageToken:
      return {"INVALID_PAGE_TOKEN", Code::kInvalidArgument};
    case Reason::kInterfaceNotFound:
      return {"INTERFACE_NOT_FOUND", Code::kNotFound};
    case Reason::kNotJoined:
      return {"NOT_JOINED", Code::kNotFound};
    case Reason::kSessionNotFound:
      return {"SESSION_NOT_FOUND", Code::kNotFound};
    case Reason::kChannelNotFound:
      return {"CHANNEL_NOT_FOUND", Code::kNotFound};
    case Reason::kSubscriberNotFound:
      return {"SUBSCRIBER_NOT_FOUND", Code::kNotFound};
    case Reason::kGroupReserved:
      return {"GROUP_RESERVED", Code::kPermissionDenied};
    case Reason::kGroupNotAllowed:
      return {"GROUP_NOT_ALLOWED", Code::kPermissionDenied};
    case Reason::kHopLimitNotAllowed:
      return {"HOP_LIMIT_NOT_ALLOWED", Code::kPermissionDenied};
    case Reason::kInterfaceNotAllowed:
      return {"INTERFACE_NOT_ALLOWED", Code::kPermissionDenied};
    case Reason::kOperationNotAllowed:
      return {"OPERATION_NOT_ALLOWED", Code::kPermissionDenied};
    case Reason::kChannelLimit:
      return {"CHANNEL_LIMIT", Code::kResourceExhausted};
    case Reason::kSessionLimit:
      return {"SESSION_LIMIT", Code::kResourceExhausted};
    case Reason::kSubscriberLimit:
      return {"SUBSCRIBER_LIMIT", Code::kResourceExhausted};
    case Reason::kMembershipLimit:
      return {"MEMBERSHIP_LIMIT", Code::kResourceExhausted};
    case Reason::kSourceLimit:
      return {"SOURCE_LIMIT", Code::kResourceExhausted};
    case Reason::kRateLimited:
      return {"RATE_LIMITED", Code::kResourceExhausted};
    case Reason::kSubscriberTooSlow:
      return {"SUBSCRIBER_TOO_SLOW", Code::kResourceExhausted};
    case Reason::kHostLimit:
      return {"HOST_LIMIT", Code::kResourceExhausted};
    case Reason::kDraining:
      return {"DRAINING", Code::kUnavailable};
    case Reason::kInterfaceDown:
      return {"INTERFACE_DOWN", Code::kUnavailable};
    case Reason::kNoCarrier:
      return {"NO_CARRIER", Code::kUnavailable};
    case Reason::kNoRoute:
      return {"NO_ROUTE", Code::kFailedPrecondition};
    case Reason::kPortInUse:
      return {"PORT_IN_USE", Code::kFailedPrecondition};
    case Reason::kSendBlocked:
      return {"SEND_BLOCKED", Code::kFailedPrecondition};
    case Reason::kNoAddress:
      return {"NO_ADDRESS", Code::kFailedPrecondition};
    case Reason::kInterfaceEnslaved:
      return {"INTERFACE_ENSLAVED", Code::kFailedPrecondition};
    case Reason::kNoMulticast:
      return {"NO_MULTICAST", Code::kFailedPrecondition};
    case Reason::kNotImplemented:
      return {"NOT_IMPLEMENTED", Code::kUnimplemented};
    case Reason::kKernelError:
      return {"KERNEL_ERROR", Code::kInternal};
  }
  return {"UNSPECIFIED", Code::kUnknown};
}

// The host is out of something, whatever was tried.
bool IsShortage(int error_number) {
  return error_number == ENOBUFS || error_number == ENOMEM || error_number == EMFILE || error_number == ENFILE ||
         error_number == ENOSPC;
}

absl::StatusCode CodeOf(int error_number) {
  switch (error_number) {
    case EADDRNOTAVAIL:
    case ENODEV:
      return absl::StatusCode::kNotFound;
    case EMSGSIZE:
      return absl::StatusCode::kInvalidArgument;
    case ENETUNREACH:
    case EHOSTUNREACH:
    case ENETDOWN:
      return absl::StatusCode::kUnavailable;
    case EADDRINUSE:
      return absl::StatusCode::kFailedPrecondition;
    default:
      return absl::ErrnoToStatusCode(error_number);
  }
}

int NumberIn(const absl::Status& status, std::string_view payload) {
  const absl::optional<absl::Cord> cord = status.GetPayload(ToAbsl(payload));
  int number = 0;
  if (!cord || !absl::SimpleAtoi(std::string(*cord), &number)) return 0;
  return number;
}

void SetText(absl::Status* status, std::string_view payload, std::string_view text) {
  status->SetPayload(ToAbsl(payload), absl::Cord(ToAbsl(text)));
}

}  // namespace

std::string_view ReasonName(Reason reason) { return TraitsOf(reason).name; }

absl::StatusCode ReasonCode(Reason reason) { return TraitsOf(reason).code; }

absl::Status Error(Reason reason, std::string_view field, std::string_view message) {
  absl::Status status(ReasonCode(reason), ToAbsl(message));
  SetText(&status, kReasonPayload, absl::StrCat(static_cast<int>(reason)));
  if (!field.empty()) SetText(&status, kFieldPayload, field);
  return status;
}

Reason ReasonOf(const absl::Status& status) { return static_cast<Reason>(NumberIn(status, kReasonPayload)); }

std::string FieldOf(const absl::Status& status) {
  const absl::optional<absl::Cord> field = status.GetPayload(kFieldPayload);
  return field ? std::string(*field) : std::string();
}

absl::Status WithFieldPrefix(const absl::Status& status, std::string_view prefix) {
  const std::string field = FieldOf(status);
  if (field.empty()) return status;
  absl::Status prefixed = status;
  SetText(&prefixed, kFieldPayload, absl::StrCat(ToAbsl(prefix), field));
  return prefixed;
}

absl::Status ErrnoStatus(int error_number, std::string_view what) {
  const absl::Status plain = absl::ErrnoToStatus(error_number, ToAbsl(what));
  if (IsShortage(error_number)) {
    return ErrnoError(error_number, Reason::kHostLimit, "", ToStd(plain.message()));
  }
  const absl::StatusCode code = CodeOf(error_number);
  absl::Status status(code == absl::StatusCode::kOk ? absl::StatusCode::kInternal : code, plain.message());
  SetText(&status, kErrnoPayload, absl::StrCat(error_number));
  return status;
}

absl::Status ErrnoError(int error_number, Reason reason, std::string_view field, std::string_view message) {
  absl::Status status = Error(reason, field, message);
  SetText(&status, kErrnoPayload, absl::StrCat(error_number));
  return status;
}

int ErrnoOf(const absl::Status& status) { return NumberIn(status, kErrnoPayload); }

}  // namespace mcgw::net
