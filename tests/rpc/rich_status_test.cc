#include "server/rpc/rich_status.h"

#include <gtest/gtest.h>

#include <string>

#include "google/rpc/status.pb.h"
#include "multicast/gateway/v1/errors.pb.h"
#include "server/net/status.h"

namespace mcgw::rpc {
namespace {

namespace v1 = multicast::gateway::v1;

TEST(RichStatusTest, EveryReasonOfTheGatewayIsOneOfTheApiAndTheOtherWayRound) {
  int known = 0;
  for (int i = 1; i <= static_cast<int>(net::Reason::kKernelError); ++i) {
    const auto reason = static_cast<net::Reason>(i);
    const std::string name = "ERROR_REASON_" + std::string(net::ReasonName(reason));
    v1::ErrorReason parsed;
    EXPECT_TRUE(v1::ErrorReason_Parse(name, &parsed)) << name;
    ++known;
  }
  EXPECT_EQ(known, v1::ErrorReason_descriptor()->value_count() - 1);
}

TEST(RichStatusTest, AFailureKeepsCodeReasonAndText) {
  const v1::Failure failure = ToFailure(net::Error(net::Reason::kNoCarrier, "interface", "no carrier on a0"));
  EXPECT_EQ(failure.code(), static_cast<int>(absl::StatusCode::kUnavailable));
  EXPECT_EQ(failure.reason(), v1::ERROR_REASON_NO_CARRIER);
  EXPECT_EQ(failure.message(), "no carrier on a0");
}

// gRPC limits headers to 8 kB: the message percent-encoded, and the details in base64, with the message twice.
TEST(RichStatusTest, NoErrorOutgrowsTheHeaders) {
  std::string all_encoded;
  while (all_encoded.size() < 100'000) all_encoded += "\u20ac";
  for (const std::string& text : {std::string(100'000, 'x'), all_encoded}) {
    const absl::Status error = net::Error(net::Reason::kNoCarrier, std::string(10'000, 'f'), text);
    const grpc::Status status = ToGrpc(error);
    const size_t encoded = 3 * status.error_message().size() + status.error_details().size() * 4 / 3;
    EXPECT_LT(encoded, 7'500u);
    google::rpc::Status rich;
    ASSERT_TRUE(rich.ParseFromString(status.error_details()));
    EXPECT_EQ(rich.details_size(), 3);
    EXPECT_EQ(rich.message(), status.error_message());
    EXPECT_EQ(ToFailure(error).message(), status.error_message());
    EXPECT_NE(status.error_message().find(" bytes)"), std::string::npos);
  }
}

TEST(RichStatusTest, OkIsOk) { EXPECT_TRUE(ToGrpc(absl::OkStatus()).ok()); }

}  // namespace
}  // namespace mcgw::rpc
