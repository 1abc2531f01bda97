// How the client library reports failures: absl::Status, with the gateway's machine-readable details inside.
//
// The code is the canonical one. The gateway's details (a stable reason, the fields at fault, values such as a limit,
// how long to wait) travel as a payload of the Status; DetailsOf returns them. Failures that the library itself finds,
// such as a malformed channel, have the same form, so a program handles both alike.
//
// All functions are thread-safe and never block.

#ifndef MCGW_CLIENT_CPP_ERROR_H_
#define MCGW_CLIENT_CPP_ERROR_H_

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "grpcpp/support/status.h"
#include "multicast/gateway/v1/errors.pb.h"

namespace mcgw::client {

struct FieldViolation {
  std::string field;  // A path in the request, such as "memberships[1].group".
  std::string description;
};

struct ErrorDetails {
  std::string reason;  // A name of ErrorReason without its prefix, such as "NOT_A_MULTICAST_GROUP". Empty if none.
  std::string domain;  // "multicast.gateway" for reasons of the gateway.
  std::map<std::string, std::string> metadata;
  std::vector<FieldViolation> fields;
  std::optional<absl::Duration> retry_delay;  // Set if waiting helps.
};

// The details of a failed Status; empty if it has none.
ErrorDetails DetailsOf(const absl::Status& status);

// One line for people: "REASON: message (field: group)". The canonical code replaces a missing reason; without a field
// there are no parentheses.
std::string Describe(const absl::Status& status);

// The same for a failure inside a successful answer.
std::string Describe(const multicast::gateway::v1::Failure& failure);

// "NOT_JOINED" for ERROR_REASON_NOT_JOINED; the number for a value that this library does not know.
std::string ReasonName(multicast::gateway::v1::ErrorReason reason);

// True if no gateway answered, or the connection to it broke: UNAVAILABLE without a gateway's reason.
bool IsUnreachable(const absl::Status& status);

// Converts the outcome of an RPC to a Status. `gateway` is the address for the text. `answered`: the gateway has
// already answered on this RPC; if not, UNAVAILABLE becomes "no gateway answers at ...". A stream that the gateway
// cancelled without a reason becomes UNAVAILABLE, because a new attempt is the remedy.
absl::Status FromGrpc(const grpc::Status& status, absl::string_view gateway, bool answered);

// INVALID_ARGUMENT with details in the gateway's form, for input that cannot be sent.
absl::Status InvalidInput(multicast::gateway::v1::ErrorReason reason, absl::string_view field,
                          absl::string_view message);

}  // namespace mcgw::client

#endif  // MCGW_CLIENT_CPP_ERROR_H_
