// Requests as they come from the wire: a byte that chooses the message, and its bytes. What the gateway reads from
// them, or its error, which must name what is wrong and fit into a call's answer.

#include <string>

#include "google/protobuf/stubs/logging.h"
#include "multicast/gateway/v1/gateway_service.pb.h"
#include "multicast/gateway/v1/inspection_service.pb.h"
#include "server/net/status.h"
#include "server/net/text.h"
#include "server/rpc/calls.h"
#include "server/rpc/page.h"
#include "server/rpc/read_request.h"
#include "server/rpc/rich_status.h"
#include "tests/fuzz/fuzz_target.h"

namespace mcgw {
namespace {

namespace v1 = multicast::gateway::v1;

constexpr size_t kMostAnswerBytes = 8 << 10;  // That gRPC takes in headers.

template <typename Result>
void Judge(const absl::StatusOr<Result>& result) {
  if (result.ok()) return;
  const grpc::Status status = rpc::ToGrpc(result.status());
  FUZZ_CHECK(!status.ok() && !status.error_message().empty());
  FUZZ_CHECK(status.error_message().size() + status.error_details().size() <= kMostAnswerBytes);
  FUZZ_CHECK(!rpc::ToFailure(result.status()).message().empty());
}
void Judge(const absl::Status& status) { Judge(status.ok() ? absl::StatusOr<int>(0) : absl::StatusOr<int>(status)); }

template <typename Message, typename Read>
void With(std::string_view bytes, Read read) {
  Message message;
  if (message.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) read(message);
}

}  // namespace

FUZZ_TARGET(requests) {
  static const google::protobuf::LogSilencer silent;
  fuzz::Input parts(input);
  const uint64_t which = parts.Number(1);
  const std::string_view bytes = parts.Rest();
  switch (which % 8) {
    case 0:
      return With<v1::JoinRequest>(bytes, [](const auto& message) {
        Judge(rpc::ReadMembership(message.membership()));
        Judge(rpc::ReadDuration(message.lease(), "lease"));
      });
    case 1:
      return With<v1::LeaveRequest>(bytes, [](const auto& message) { Judge(rpc::ReadKey(message.membership())); });
    case 2:
      return With<v1::SubscribeRequest>(
          bytes, [](const auto& message) { Judge(rpc::ReadSubscribe(message, gateway::Options())); });
    case 3:
      return With<v1::SendRequest>(
          bytes, [](const auto& message) { Judge(rpc::ReadSend(message.destination(), message.options())); });
    case 4:
      return With<v1::PublishRequest>(bytes, [](const auto& message) {
        Judge(rpc::CheckBatch(message));
        for (const v1::Burst& burst : message.bursts()) Judge(rpc::ReadSend(burst.destination(), burst.options()));
      });
    case 5:
      return With<v1::DescribeGroupRequest>(bytes, [](const auto& message) {
        v1::DescribeGroupResponse response;
        Judge(rpc::DescribeGroup(message, &response));
      });
    case 6:
      return With<v1::DiagnoseRequest>(bytes, [](const auto& message) { Judge(rpc::ReadDiagnose(message)); });
    default:
      return With<v1::ListChannelsRequest>(
          bytes, [](const auto& message) { Judge(rpc::ReadPage(message.page_size(), message.page_token())); });
  }
}

}  // namespace mcgw
