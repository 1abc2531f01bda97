// A gateway's errors as the clients read them: a code, a message, and details that should be a google.rpc.Status; and
// the same bytes as a Failure inside an answer.

#include <string>

#include "google/protobuf/stubs/logging.h"
#include "grpcpp/support/status.h"
#include "mcgw/error.h"
#include "multicast/gateway/v1/errors.pb.h"
#include "tests/fuzz/fuzz_target.h"

namespace mcgw {

FUZZ_TARGET(errors) {
  static const google::protobuf::LogSilencer silent;
  fuzz::Input parts(input);
  const auto code = static_cast<grpc::StatusCode>(parts.Number(1) % (grpc::StatusCode::UNAUTHENTICATED + 1));
  const bool answered = parts.Number(1) % 2 == 1;
  const std::string message(parts.Line());
  const std::string details(parts.Rest());
  const absl::Status status = client::FromGrpc(grpc::Status(code, message, details), "127.0.0.1:50051", answered);
  FUZZ_CHECK(status.ok() == (code == grpc::StatusCode::OK));
  client::DetailsOf(status);
  client::IsUnreachable(status);
  FUZZ_CHECK(!client::Describe(status).empty());
  multicast::gateway::v1::Failure failure;
  if (failure.ParseFromString(details)) FUZZ_CHECK(!client::Describe(failure).empty());
}

}  // namespace mcgw
