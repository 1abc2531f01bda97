#include "server/rpc/rich_status.h"

#include <gtest/gtest.h>

#include <string>

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

TEST(RichStatusTest, OkIsOk) { EXPECT_TRUE(ToGrpc(absl::OkStatus()).ok()); }

}  // namespace
}  // namespace mcgw::rpc
