#include "mcgw/error.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "mcgw/channel_text.h"
#include "mcgw/client.h"
#include "mcgw/gateway_address.h"

namespace mcgw::client {
namespace {

namespace v1 = multicast::gateway::v1;

using ::testing::HasSubstr;

// What the gateway sends for a limit that time may lift.
grpc::Status RichStatus() {
  google::rpc::Status rich;
  google::rpc::ErrorInfo info;
  info.set_reason("RATE_LIMITED");
  info.set_domain("multicast.gateway");
  (*info.mutable_metadata())["limit"] = "100";
  (*info.mutable_metadata())["remedy"] = "wait a second";
  google::rpc::BadRequest bad;
  for (const char* field : {"memberships[0].group", "memberships[1].port"}) {
    auto* violation = bad.add_field_violations();
    violation->set_field(field);
    violation->set_description("too many");
  }
  google::rpc::RetryInfo retry;
  retry.mutable_retry_delay()->set_seconds(1);
  retry.mutable_retry_delay()->set_nanos(500'000'000);
  rich.add_details()->PackFrom(info);
  rich.add_details()->PackFrom(bad);
  rich.add_details()->PackFrom(retry);
  return grpc::Status(grpc::RESOURCE_EXHAUSTED, "too fast", rich.SerializeAsString());
}

TEST(ErrorTest, DetailsOfTheGatewayAreDecoded) {
  const absl::Status status = FromGrpc(RichStatus(), "gw:1", false);
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(status.message(), "too fast");
  const ErrorDetails details = DetailsOf(status);
  EXPECT_EQ(details.reason, "RATE_LIMITED");
  EXPECT_EQ(details.domain, "multicast.gateway");
  EXPECT_EQ(details.metadata.at("limit"), "100");
  ASSERT_EQ(details.fields.size(), 2u);
  EXPECT_EQ(details.fields[1].field, "memberships[1].port");
  EXPECT_EQ(details.fields[1].description, "too many");
  EXPECT_EQ(details.retry_delay, absl::Milliseconds(1500));
}

TEST(ErrorTest, DescribeSaysReasonMessageRemedyAndFields) {
  EXPECT_EQ(Describe(FromGrpc(RichStatus(), "gw:1", false)),
            "RATE_LIMITED: too fast; wait a second (fields: memberships[0].group, memberships[1].port)");
  EXPECT_EQ(Describe(InvalidInput(v1::ERROR_REASON_INVALID_PORT, "port", "port 0")),
            "INVALID_PORT: port 0 (field: port)");
  EXPECT_EQ(Describe(absl::NotFoundError("nothing there")), "NOT_FOUND: nothing there");
}

TEST(ErrorTest, DescribeReadsFailures) {
  v1::Failure failure;
  failure.set_code(14);
  failure.set_reason(v1::ERROR_REASON_INTERFACE_DOWN);
  failure.set_message("eth0 is down");
  failure.set_remedy("ip link set eth0 up");
  EXPECT_EQ(Describe(failure), "INTERFACE_DOWN: eth0 is down; ip link set eth0 up");
  failure.set_reason(static_cast<v1::ErrorReason>(9999));
  EXPECT_THAT(Describe(failure), HasSubstr("REASON_9999"));
}

TEST(ErrorTest, DetailsThatAreNoneOrBrokenAreEmpty) {
  EXPECT_EQ(DetailsOf(absl::OkStatus()).reason, "");
  EXPECT_EQ(DetailsOf(absl::InternalError("x")).reason, "");
  EXPECT_EQ(DetailsOf(FromGrpc(grpc::Status(grpc::INTERNAL, "x", "\xff\xff\xff"), "gw:1", false)).reason, "");
}

TEST(ErrorTest, NobodyAnsweringIsSaidWithTheAddress) {
  const absl::Status never = FromGrpc(grpc::Status(grpc::UNAVAILABLE, "Connection refused"), "127.0.0.1:50051", false);
  EXPECT_TRUE(IsUnreachable(never));
  EXPECT_THAT(std::string(never.message()), HasSubstr("no gateway answers at 127.0.0.1:50051"));
  const absl::Status broken = FromGrpc(grpc::Status(grpc::UNAVAILABLE, "Socket closed"), "127.0.0.1:50051", true);
  EXPECT_TRUE(IsUnreachable(broken));
  EXPECT_THAT(std::string(broken.message()), HasSubstr("broke"));
}

TEST(ErrorTest, AReasonMakesUnavailableTheGatewaysOwn) {
  google::rpc::Status rich;
  google::rpc::ErrorInfo info;
  info.set_reason("DRAINING");
  rich.add_details()->PackFrom(info);
  const absl::Status status =
      FromGrpc(grpc::Status(grpc::UNAVAILABLE, "stopping", rich.SerializeAsString()), "gw:1", true);
  EXPECT_FALSE(IsUnreachable(status));
  EXPECT_EQ(Describe(status), "DRAINING: stopping");
}

TEST(ErrorTest, CancelledByTheGatewayIsUnavailable) {
  EXPECT_EQ(FromGrpc(grpc::Status(grpc::CANCELLED, ""), "gw:1", true).code(), absl::StatusCode::kUnavailable);
}

TEST(ErrorTest, WhatWasTypedMayBeAnyBytesAndTheReasonStays) {
  for (const absl::Status& status : {GatewayTarget("\xff:1:2").status(), ParseChannel("ff15::1:\xe1\xff").status()}) {
    EXPECT_EQ(DetailsOf(status).reason, "INVALID_ADDRESS") << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr("\\xff"));
  }
}

TEST(GatewayAddressTest, GoodOnesBecomeTargets) {
  EXPECT_EQ(*GatewayTarget("127.0.0.1:50051"), "ipv4:127.0.0.1:50051");
  EXPECT_EQ(*GatewayTarget("[::1]:50051"), "ipv6:[::1]:50051");
  EXPECT_EQ(*GatewayTarget("[fe80::1%lo]:50051"), "dns:///[fe80::1%lo]:50051");
  EXPECT_EQ(*GatewayTarget("gateway.example:1"), "dns:///gateway.example:1");
  EXPECT_EQ(*GatewayTarget("unix:/run/mcgw/mcgw.sock"), "unix:/run/mcgw/mcgw.sock");
  EXPECT_EQ(*GatewayTarget("unix:///run/mcgw/mcgw.sock"), "unix:/run/mcgw/mcgw.sock");
}

TEST(GatewayAddressTest, BadOnesAreNamed) {
  for (const char* address :
       {"", "localhost", "127.0.0.1", ":50051", "127.0.0.1:0", "127.0.0.1:65536", "127.0.0.1:x", "::1:50051", "[::1]",
        "[::1:50051", "[nonsense]:50051", "ipv4:127.0.0.1:50051", "unix:", "http://host:1", "a host:1"}) {
    const auto target = GatewayTarget(address);
    ASSERT_FALSE(target.ok()) << address;
    EXPECT_EQ(DetailsOf(target.status()).fields.at(0).field, "gateway");
    EXPECT_THAT(std::string(target.status().message()), HasSubstr(std::string("\"") + address + "\""));
    EXPECT_FALSE(Client::Connect(address).ok());
  }
}

TEST(ClientTest, WithoutAGatewayFailsClearly) {
  const auto client = Client::Connect("unix:/nonexistent/mcgw.sock");
  ASSERT_TRUE(client.ok());
  for (const absl::Status& status : {(*client)->ListInterfaces().status(), (*client)->CheckHealth().status(),
                                     (*client)->WaitForConnection(absl::Minutes(1))}) {
    EXPECT_TRUE(IsUnreachable(status)) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr("unix:/nonexistent/mcgw.sock"));
  }
}

}  // namespace
}  // namespace mcgw::client
