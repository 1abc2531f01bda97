// The memberships that keep hop limit 0 on the host: when they are made, renewed and dropped.

#include "server/gateway/sending/host_memberships.h"

#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/fakes.h"

namespace mcgw::gateway {
namespace {

using testing::Ip;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class HostMembershipsTest : public ::testing::Test {
 protected:
  // Sends once at a time: what is held for the send goes at once.
  void Use(std::string_view group, int64_t now_ns = 0) { EXPECT_TRUE(Hold(group, now_ns).ok()); }
  absl::StatusOr<std::shared_ptr<net::MembershipSocket>> Hold(std::string_view group, int64_t now_ns = 0) {
    return memberships_.Hold(a0_, Ip(group), Ip(source_), now_ns);
  }
  static net::InterfaceTable Table(const net::Interface& interface) {
    return net::InterfaceTable(std::vector<net::Interface>{interface});
  }

  const std::shared_ptr<testing::FakeKernel> kernel_ = std::make_shared<testing::FakeKernel>();
  testing::FakeSocketFactory factory_{kernel_};
  net::Interface a0_ = testing::FakeInterface(2, "a0", {"10.0.0.1/24"});
  std::string source_ = "10.0.0.1";
  HostMemberships memberships_{&factory_};
};

TEST_F(HostMembershipsTest, TheKernelAgreesAnewForEachSend) {
  {
    const auto held = Hold("239.1.1.1");
    ASSERT_TRUE(held.ok());
    EXPECT_EQ(kernel_->HostMembers("239.1.1.1 on 2"), 2) << "one kept, one for this send";
  }
  EXPECT_EQ(kernel_->HostMembers("239.1.1.1 on 2"), 1);
  kernel_->ForgetHostMemberships();
  const auto held = Hold("239.1.1.1");
  EXPECT_EQ(kernel_->HostMembers("239.1.1.1 on 2"), 1) << "also where the kept one is lost, unseen";
}

TEST_F(HostMembershipsTest, WhatIsUsedAgainIsNotJoinedAgain) {
  for (int i = 0; i < 10; ++i) Use("239.1.1.1");
  EXPECT_EQ(kernel_->HostJoins("239.1.1.1 on 2"), 11);
  EXPECT_THAT(memberships_.List(), SizeIs(1));
}

TEST_F(HostMembershipsTest, AnInterfaceThatHasChangedIsJoinedAnew) {
  Use("239.1.1.1");
  kernel_->ForgetHostMemberships();
  a0_.mtu_bytes = 9000;
  Use("239.1.1.1");
  EXPECT_EQ(kernel_->HostMembers("239.1.1.1 on 2"), 1) << "kept, beyond the send";
}

TEST_F(HostMembershipsTest, TheIdleIsDroppedAndTheUsedIsNot) {
  Use("239.1.1.1", 0);
  Use("239.1.1.2", 0);
  Use("239.1.1.2", 10);
  memberships_.Sweep(Table(a0_), HostMemberships::kIdleNs);
  EXPECT_EQ(kernel_->HostMembers("239.1.1.1 on 2"), 0);
  EXPECT_EQ(kernel_->HostMembers("239.1.1.2 on 2"), 1);
  memberships_.Sweep(Table(a0_), HostMemberships::kIdleNs + 10);
  EXPECT_THAT(memberships_.List(), IsEmpty());
}

TEST_F(HostMembershipsTest, WhatWasHeldOnAnInterfaceThatHasGoneIsDropped) {
  Use("239.1.1.1");
  memberships_.Sweep(Table(testing::FakeInterface(9, "a0", {})), 1);
  EXPECT_THAT(memberships_.List(), IsEmpty());
}

TEST_F(HostMembershipsTest, ASocketHoldsTwentyGroups) {
  for (int i = 1; i <= 50; ++i) Use(absl::StrCat("239.1.1.", i));
  for (int i = 1; i <= 50; ++i) EXPECT_EQ(kernel_->HostMembers(absl::StrCat("239.1.1.", i, " on 2")), 1);
  EXPECT_THAT(memberships_.List(), SizeIs(50));
}

TEST_F(HostMembershipsTest, PastTheLimitTheLongestIdleGoes) {
  for (size_t i = 0; i <= HostMemberships::kMostGroups; ++i) {
    Use(absl::StrCat("239.1.", i / 250, ".", i % 250), static_cast<int64_t>(i));
  }
  EXPECT_THAT(memberships_.List(), SizeIs(HostMemberships::kMostGroups));
  EXPECT_EQ(kernel_->HostMembers("239.1.0.0 on 2"), 0);
  EXPECT_EQ(kernel_->HostMembers("239.1.0.1 on 2"), 1);
}

TEST_F(HostMembershipsTest, ASourceSpecificGroupIsHeldForEachSource) {
  Use("232.1.1.1");
  source_ = "10.0.0.7";
  Use("232.1.1.1");
  EXPECT_EQ(kernel_->HostMembers("10.0.0.1@232.1.1.1 on 2"), 1);
  EXPECT_EQ(kernel_->HostMembers("10.0.0.7@232.1.1.1 on 2"), 1);
}

}  // namespace
}  // namespace mcgw::gateway
