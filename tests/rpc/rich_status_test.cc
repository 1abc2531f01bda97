#include "server/rpc/rich_status.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <map>
#include <string>

#include "absl/time/time.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "multicast/gateway/v1/errors.pb.h"
#include "server/net/status.h"

namespace mcgw::rpc {
namespace {

namespace v1 = multicast::gateway::v1;

// The delay of RetryInfo; zero without one.
absl::Duration DelayOf(const absl::Status& error) {
  google::rpc::Status rich;
  EXPECT_TRUE(rich.ParseFromString(ToGrpc(error).error_details()));
  absl::Duration delay;
  for (const google::protobuf::Any& any : rich.details()) {
    google::rpc::RetryInfo retry;
    if (any.UnpackTo(&retry)) {
      delay += absl::Seconds(retry.retry_delay().seconds()) + absl::Nanoseconds(retry.retry_delay().nanos());
    }
  }
  return delay;
}

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

TEST(RichStatusTest, WhateverIsExhaustedOrAwaySaysWhenToTryAgain) {
  using net::Reason;
  const std::map<Reason, absl::Duration> delays = {{Reason::kChannelLimit, absl::Seconds(5)},
                                                   {Reason::kSessionLimit, absl::Seconds(5)},
                                                   {Reason::kSubscriberLimit, absl::Seconds(5)},
                                                   {Reason::kMembershipLimit, absl::Seconds(5)},
                                                   {Reason::kSourceLimit, absl::Seconds(5)},
                                                   {Reason::kRateLimited, absl::Seconds(1)},
                                                   {Reason::kSubscriberTooSlow, absl::Milliseconds(100)},
                                                   {Reason::kHostLimit, absl::Seconds(1)},
                                                   {Reason::kDraining, absl::Seconds(1)},
                                                   {Reason::kInterfaceDown, absl::Seconds(1)},
                                                   {Reason::kNoCarrier, absl::Seconds(1)}};
  for (int i = 1; i <= static_cast<int>(Reason::kKernelError); ++i) {
    const auto reason = static_cast<Reason>(i);
    const auto expected = delays.find(reason);
    EXPECT_EQ(DelayOf(net::Error(reason, "", "text")),
              expected == delays.end() ? absl::ZeroDuration() : expected->second)
        << net::ReasonName(reason);
    if (net::ReasonCode(reason) == absl::StatusCode::kResourceExhausted) {
      EXPECT_NE(expected, delays.end());
    }
  }
}

// What is exhausted in the kernel is known, so it is not an unexpected error.
TEST(RichStatusTest, AnErrorOfTheKernelThatMeansAShortageIsOne) {
  for (const int error : {ENOBUFS, ENOMEM, EMFILE, ENFILE, ENOSPC}) {
    const absl::Status status = net::ErrnoStatus(error, "open a netlink socket");
    EXPECT_EQ(ToFailure(status).reason(), v1::ERROR_REASON_HOST_LIMIT) << error;
    EXPECT_EQ(ToGrpc(status).error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED) << error;
    EXPECT_EQ(DelayOf(status), absl::Seconds(1)) << error;
  }
}

TEST(RichStatusTest, OkIsOk) { EXPECT_TRUE(ToGrpc(absl::OkStatus()).ok()); }

}  // namespace
}  // namespace mcgw::rpc
