// How the client library reports failures: absl::Status, with the gateway's machine-readable details inside.
//
// The code is the canonical one. What the gateway says besides (a stable reason, the fields at fault, values such as a
// limit, how long to wait) travels as a payload of the Status; DetailsOf takes it out. Failures that this library finds
// by itself, such as a malformed channel, have the same form, so that a program handles both alike.
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
  std::optional<absl::Duration> retry_delay;  // Set where waiting helps.
};

// What a failed Status carries; empty for one that carries nothing.
ErrorDetails DetailsOf(const absl::Status& status);

// One line for people: "REASON: message (field: group)". Without a reason the canonical code stands in its place, and
// without a field the parenthesis is left out.
std::string Describe(const absl::Status& status);

// The same for a failure inside an answer that otherwise stands.
std::string Describe(const multicast::gateway::v1::Failure& failure);

// "NOT_JOINED" for ERROR_REASON_NOT_JOINED; the number for a value that this library does not know.
std::string ReasonName(multicast::gateway::v1::ErrorReason reason);

// True if no gateway answered, or the connection to it broke: UNAVAILABLE without a reason of the gateway's own.
bool IsUnreachable(const absl::Status& status);

// The outcome of an RPC as a Status. `gateway` is the address for the text. `answered` says whether the gateway had
// already answered something on this RPC; if not, UNAVAILABLE becomes "no gateway answers at ...". A stream that the
// gateway cancelled without a reason becomes UNAVAILABLE, since a new attempt is the remedy.
absl::Status FromGrpc(const grpc::Status& status, absl::string_view gateway, bool answered);

// INVALID_ARGUMENT with the gateway's form of details, for input that cannot be sent.
absl::Status InvalidInput(multicast::gateway::v1::ErrorReason reason, absl::string_view field,
                          absl::string_view message);

}  // namespace mcgw::client

#endif  // MCGW_CLIENT_CPP_ERROR_H_
