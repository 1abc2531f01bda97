// DescribeGroup as clients see it.

#include "tests/rpc/server_fixture.h"

namespace mcgw {
namespace {

using grpc::StatusCode;

class DescribeGroupTest : public ServerTest {
 protected:
  void SetUp() override { Start(); }

  grpc::Status Describe(const std::string& group, std::optional<uint32_t> hop_limit,
                        v1::DescribeGroupResponse* response) {
    grpc::ClientContext context;
    v1::DescribeGroupRequest request;
    request.set_group(group);
    if (hop_limit.has_value()) request.set_hop_limit(*hop_limit);
    return inspection_->DescribeGroup(&context, request, response);
  }
};

TEST_F(DescribeGroupTest, TellsAllOfAnIpv4Group) {
  v1::DescribeGroupResponse response;
  ASSERT_TRUE(Describe("239.255.1.1", 64, &response).ok());
  EXPECT_EQ(response.group(), "239.255.1.1");
  EXPECT_EQ(response.family(), v1::ADDRESS_FAMILY_IPV4);
  EXPECT_EQ(response.scope(), v1::GROUP_SCOPE_ADMIN_LOCAL);
  EXPECT_FALSE(response.scope_description().empty());
  EXPECT_EQ(response.well_known_name().range(), "239.255.0.0/16");
  EXPECT_EQ(response.well_known_name().source(), "RFC 2365");
  EXPECT_EQ(response.mac().address(), "01:00:5e:7f:01:01");
  EXPECT_EQ(response.mac().aliases_size(), 31);
  EXPECT_EQ(response.advised_hop_limit(), 31u);
  EXPECT_FALSE(response.source_specific() || response.send_refused() || response.join_refused());
  ASSERT_EQ(response.warnings_size(), 1);
  EXPECT_EQ(response.warnings(0).code(), v1::GROUP_WARNING_CODE_HOP_LIMIT_EXCEEDS_SCOPE);
}

TEST_F(DescribeGroupTest, TellsAllOfAnIpv6Group) {
  v1::DescribeGroupResponse response;
  ASSERT_TRUE(Describe("FF02:0:0::16", std::nullopt, &response).ok());
  EXPECT_EQ(response.group(), "ff02::16");
  EXPECT_EQ(response.family(), v1::ADDRESS_FAMILY_IPV6);
  EXPECT_EQ(response.scope(), v1::GROUP_SCOPE_LINK_LOCAL);
  EXPECT_EQ(response.well_known_name().name(), "MLDv2 reports");
  EXPECT_EQ(response.mac().address(), "33:33:00:00:00:16");
  EXPECT_EQ(response.mac().aliases_size(), 0);
  EXPECT_TRUE(response.send_refused());
  EXPECT_FALSE(response.join_refused());
  ASSERT_EQ(response.warnings_size(), 2);
  EXPECT_EQ(response.warnings(0).code(), v1::GROUP_WARNING_CODE_RESERVED);
  EXPECT_EQ(response.warnings(1).code(), v1::GROUP_WARNING_CODE_INTERFACE_REQUIRED);
}

TEST_F(DescribeGroupTest, EachScopeAndWarningHasItsName) {
  const auto scope = [this](const char* group) {
    v1::DescribeGroupResponse response;
    EXPECT_TRUE(Describe(group, std::nullopt, &response).ok()) << group;
    return response.scope();
  };
  EXPECT_EQ(scope("ff11::1"), v1::GROUP_SCOPE_INTERFACE_LOCAL);
  EXPECT_EQ(scope("ff13::1"), v1::GROUP_SCOPE_REALM_LOCAL);
  EXPECT_EQ(scope("ff15::1"), v1::GROUP_SCOPE_SITE_LOCAL);
  EXPECT_EQ(scope("239.192.0.1"), v1::GROUP_SCOPE_ORGANIZATION_LOCAL);
  EXPECT_EQ(scope("ff16::1"), v1::GROUP_SCOPE_ADMINISTERED);
  EXPECT_EQ(scope("233.252.0.1"), v1::GROUP_SCOPE_GLOBAL);
  EXPECT_EQ(scope("ff0f::1"), v1::GROUP_SCOPE_RESERVED);
  v1::DescribeGroupResponse response;
  ASSERT_TRUE(Describe("232.0.0.5", 0, &response).ok());
  ASSERT_EQ(response.warnings_size(), 3);
  EXPECT_EQ(response.warnings(0).code(), v1::GROUP_WARNING_CODE_SOURCE_REQUIRED);
  EXPECT_EQ(response.warnings(1).code(), v1::GROUP_WARNING_CODE_FLOODED_MAC);
  EXPECT_EQ(response.warnings(2).code(), v1::GROUP_WARNING_CODE_HOP_LIMIT_BELOW_SCOPE);
}

TEST_F(DescribeGroupTest, WhatIsNoGroupIsRefusedWithItsReason) {
  v1::DescribeGroupResponse response;
  for (const char* text : {"240.0.0.1", "10.0.0.1", "255.255.255.255", "fd00::1"}) {
    const Rich rich = Take(Describe(text, std::nullopt, &response));
    EXPECT_EQ(rich.code, StatusCode::INVALID_ARGUMENT) << text;
    EXPECT_EQ(rich.reason, "NOT_A_MULTICAST_GROUP") << text;
    EXPECT_EQ(rich.field, "group");
    EXPECT_NE(rich.message.find(text), std::string::npos) << rich.message;
  }
  for (const char* text : {"", "239.1.1", "::ffff:239.1.1.1", "ff15::1%a0", "[ff15::1]", "239.1.1.1:5000"}) {
    const Rich rich = Take(Describe(text, std::nullopt, &response));
    EXPECT_EQ(rich.code, StatusCode::INVALID_ARGUMENT) << text;
    EXPECT_EQ(rich.reason, "INVALID_ADDRESS") << text;
    EXPECT_EQ(rich.field, "group");
  }
  const Rich rich = Take(Describe("239.1.1.1", 256, &response));
  EXPECT_EQ(rich.reason, "INVALID_HOP_LIMIT");
  EXPECT_EQ(rich.field, "hop_limit");
}

}  // namespace
}  // namespace mcgw
