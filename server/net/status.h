// Failures, as the gateway reports them.
//
// Every function that can fail returns absl::Status or absl::StatusOr. A failure that a client can act on also carries
// a Reason (stable; an ErrorReason value of the API by name) and, if one request field is at fault, the field's name.
// Both travel as payloads of the Status, so that no floor below rpc/ depends on protobuf.

#ifndef MCGW_NET_STATUS_H_
#define MCGW_NET_STATUS_H_

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace mcgw::net {

// Names and meanings are those of ErrorReason in proto/multicast/gateway/v1; a test compares the two lists.
enum class Reason {
  kUnspecified,
  // INVALID_ARGUMENT
  kInvalidAddress,
  kNotAMulticastGroup,
  kInvalidPort,
  kInvalidSource,
  kInvalidSourceFilter,
  kSourceRequired,
  kSourceNotLocal,
  kPayloadTooLarge,
  kInvalidHopLimit,
  kInvalidTrafficClass,
  kLoopRequired,
  kScopeNeedsInterface,
  kInterfaceAmbiguous,
  kFieldRequired,
  kValueOutOfRange,
  kConflictingFields,
  kInvalidResumePoint,
  kInvalidBatch,
  kInvalidPageToken,
  // NOT_FOUND
  kInterfaceNotFound,
  kNotJoined,
  kSessionNotFound,
  kChannelNotFound,
  kSubscriberNotFound,
  // PERMISSION_DENIED
  kGroupReserved,
  kGroupNotAllowed,
  kHopLimitNotAllowed,
  kInterfaceNotAllowed,
  kOperationNotAllowed,
  // RESOURCE_EXHAUSTED
  kChannelLimit,
  kSessionLimit,
  kSubscriberLimit,
  kMembershipLimit,
  kSourceLimit,
  kRateLimited,
  kSubscriberTooSlow,
  kHostLimit,
  // UNAVAILABLE
  kDraining,
  kInterfaceDown,
  kNoCarrier,
  // FAILED_PRECONDITION
  kNoRoute,
  kPortInUse,
  kSendBlocked,
  kNoAddress,
  kInterfaceEnslaved,
  kNoMulticast,
  // UNIMPLEMENTED
  kNotImplemented,
  // INTERNAL
  kKernelError,
};

// "NOT_A_MULTICAST_GROUP" for kNotAMulticastGroup.
std::string_view ReasonName(Reason reason);

// The canonical code of a reason.
absl::StatusCode ReasonCode(Reason reason);

// A failure with its reason. `field` names the request field at fault ("group", "source_filter.sources"), or is empty.
absl::Status Error(Reason reason, std::string_view field, std::string_view message);

// The reason and field of Error; kUnspecified and "" if absent.
Reason ReasonOf(const absl::Status& status);
std::string FieldOf(const absl::Status& status);

// The same failure with `prefix` before the field's name ("memberships[2]." + "group"); unchanged if it names no field.
absl::Status WithFieldPrefix(const absl::Status& status, std::string_view prefix);

// The only place that converts errno to a Status. `what` says what was tried: "bind 239.1.1.1:5000". The codes are
// those of absl::ErrnoToStatus, except where they would mislead: EADDRNOTAVAIL and ENODEV are NOT_FOUND, EMSGSIZE is
// INVALID_ARGUMENT, ENETUNREACH, EHOSTUNREACH and ENETDOWN are UNAVAILABLE, EADDRINUSE is FAILED_PRECONDITION. What
// means a shortage (ENOBUFS, ENOMEM, EMFILE, ENFILE, ENOSPC) has the reason HOST_LIMIT; the others have no reason.
absl::Status ErrnoStatus(int error_number, std::string_view what);

// Error(reason, field, message) that also carries the errno, for an errno whose cause is known.
absl::Status ErrnoError(int error_number, Reason reason, std::string_view field, std::string_view message);

// The errno of ErrnoStatus or ErrnoError, or 0.
int ErrnoOf(const absl::Status& status);

}  // namespace mcgw::net

#endif  // MCGW_NET_STATUS_H_
