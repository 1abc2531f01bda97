// What may be asked for, class by class.

#include "server/gateway/rules/policy.h"

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/net/status.h"
#include "tests/support/fakes.h"

namespace mcgw::gateway {
namespace {

using fanout::SourceFilter;
using net::Reason;
using net::ReasonOf;
using testing::Ip;
using testing::Ips;

constexpr size_t kMostSources = 3;

MembershipRequest Wish(std::string_view group, SourceFilter filter = {}, std::string selector = "a0") {
  return {.selector = std::move(selector), .group = Ip(group), .port = 5000, .filter = std::move(filter)};
}
Reason Membership(const MembershipRequest& request) { return ReasonOf(CheckMembership(request, kMostSources)); }

SendRequest To(std::string_view group, std::string selector = "a0") {
  return {.selector = std::move(selector), .group = Ip(group), .port = 5000, .source = std::nullopt};
}
Reason Send(const SendRequest& request) { return ReasonOf(CheckSend(request)); }

struct GroupCase {
  std::string group;
  Reason join;
  Reason send;
};

class PolicyGroupTest : public ::testing::TestWithParam<GroupCase> {};

TEST_P(PolicyGroupTest, IsJoinedAndSentToAsItsClassAllows) {
  const SourceFilter filter = Ip(GetParam().group).IsSourceSpecific()
                                  ? SourceFilter::Include(Ips({Ip(GetParam().group).is_v4() ? "10.0.0.2" : "fd00::2"}))
                                  : SourceFilter();
  EXPECT_EQ(Membership(Wish(GetParam().group, filter)), GetParam().join);
  EXPECT_EQ(Send(To(GetParam().group)), GetParam().send);
}

constexpr Reason kFine = Reason::kUnspecified;
constexpr Reason kNoGroup = Reason::kNotAMulticastGroup;
constexpr Reason kReserved = Reason::kGroupReserved;

INSTANTIATE_TEST_SUITE_P(Groups, PolicyGroupTest,
                         ::testing::Values(
                             // Not multicast.
                             GroupCase{"10.0.0.1", kNoGroup, kNoGroup},
                             GroupCase{"223.255.255.255", kNoGroup, kNoGroup},
                             GroupCase{"240.0.0.1", kNoGroup, kNoGroup},
                             GroupCase{"255.255.255.255", kNoGroup, kNoGroup}, GroupCase{"0.0.0.0", kNoGroup, kNoGroup},
                             GroupCase{"127.0.0.1", kNoGroup, kNoGroup}, GroupCase{"fe80::1", kNoGroup, kNoGroup},
                             GroupCase{"::", kNoGroup, kNoGroup}, GroupCase{"fd00::1", kNoGroup, kNoGroup},
                             // Reserved for all.
                             GroupCase{"224.0.0.0", kReserved, kReserved}, GroupCase{"ff00::", kReserved, kReserved},
                             GroupCase{"ff00::1", kReserved, kReserved}, GroupCase{"ff0f::1", kReserved, kReserved},
                             GroupCase{"ff1f::1", kReserved, kReserved},
                             // Every host's own.
                             GroupCase{"224.0.0.1", kReserved, kReserved}, GroupCase{"ff01::1", kReserved, kReserved},
                             GroupCase{"ff02::1", kReserved, kReserved},
                             // The network's own: may be listened to, not sent to.
                             GroupCase{"224.0.0.2", kFine, kReserved}, GroupCase{"224.0.0.4", kFine, kReserved},
                             GroupCase{"224.0.0.5", kFine, kReserved}, GroupCase{"224.0.0.6", kFine, kReserved},
                             GroupCase{"224.0.0.9", kFine, kReserved}, GroupCase{"224.0.0.13", kFine, kReserved},
                             GroupCase{"224.0.0.18", kFine, kReserved}, GroupCase{"224.0.0.22", kFine, kReserved},
                             GroupCase{"224.0.0.251", kFine, kReserved}, GroupCase{"224.0.0.252", kFine, kReserved},
                             GroupCase{"ff02::2", kFine, kReserved}, GroupCase{"ff02::16", kFine, kReserved},
                             GroupCase{"ff02::fb", kFine, kReserved},
                             // Free to use.
                             GroupCase{"224.0.0.100", kFine, kFine}, GroupCase{"224.0.1.1", kFine, kFine},
                             GroupCase{"233.252.0.1", kFine, kFine}, GroupCase{"238.255.255.255", kFine, kFine},
                             GroupCase{"239.0.0.1", kFine, kFine}, GroupCase{"239.192.0.1", kFine, kFine},
                             GroupCase{"239.255.255.255", kFine, kFine}, GroupCase{"232.1.1.1", kFine, kFine},
                             GroupCase{"ff01::100", kFine, kFine}, GroupCase{"ff12::100", kFine, kFine},
                             GroupCase{"ff15::1", kFine, kFine}, GroupCase{"ff18::1", kFine, kFine},
                             GroupCase{"ff1e::1", kFine, kFine}, GroupCase{"ff35::1", kFine, kFine}));

TEST(Policy, ASourceSpecificGroupNeedsItsSources) {
  for (const std::string_view group : {"232.0.0.1", "232.255.255.255"}) {
    EXPECT_EQ(Membership(Wish(group)), Reason::kSourceRequired) << group;
    EXPECT_EQ(Membership(Wish(group, SourceFilter::Exclude(Ips({"10.0.0.2"})))), Reason::kSourceRequired) << group;
    EXPECT_EQ(Membership(Wish(group, SourceFilter::Include(Ips({"10.0.0.2"})))), kFine) << group;
  }
  for (const std::string_view group : {"ff32::1", "ff35::1", "ff3e::1"}) {
    EXPECT_EQ(Membership(Wish(group)), Reason::kSourceRequired) << group;
    EXPECT_EQ(Membership(Wish(group, SourceFilter::Include(Ips({"fd00::2"})))), kFine) << group;
  }
  EXPECT_EQ(Membership(Wish("ff35:1::1")), kFine);  // Unicast-prefix-based, not source-specific.
  EXPECT_EQ(Membership(Wish("231.255.255.255")), kFine);
  EXPECT_EQ(Membership(Wish("233.0.0.0")), kFine);
}

TEST(Policy, ASourceIsAUnicastAddressOfTheGroupsFamily) {
  for (const std::string_view source : {"239.1.1.1", "224.0.0.1", "0.0.0.0", "255.255.255.255", "fd00::2"}) {
    const absl::Status status = CheckMembership(Wish("239.1.1.1", SourceFilter::Include(Ips({source}))), kMostSources);
    EXPECT_EQ(ReasonOf(status), Reason::kInvalidSource) << source;
    EXPECT_EQ(net::FieldOf(status), "source_filter.sources");
    EXPECT_EQ(Membership(Wish("232.1.1.1", SourceFilter::Include(Ips({source})))), Reason::kInvalidSource) << source;
    SendRequest send = To("239.1.1.1");
    send.source = Ip(source);
    EXPECT_EQ(Send(send), Reason::kInvalidSource) << source;
    EXPECT_EQ(net::FieldOf(CheckSend(send)), "options.source_address");
  }
  for (const std::string_view source : {"ff15::2", "::", "10.0.0.2"}) {
    EXPECT_EQ(Membership(Wish("ff15::1", SourceFilter::Exclude(Ips({source})))), Reason::kInvalidSource) << source;
  }
}

TEST(Policy, AFilterHasItsLimits) {
  EXPECT_EQ(Membership(Wish("239.1.1.1", SourceFilter::Include({}))), Reason::kInvalidSourceFilter);
  EXPECT_EQ(Membership(Wish("239.1.1.1", SourceFilter::Exclude(Ips({"10.0.0.2", "10.0.0.3", "10.0.0.4"})))), kFine);
  EXPECT_EQ(Membership(Wish("239.1.1.1", SourceFilter::Exclude(Ips({"10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5"})))),
            Reason::kSourceLimit);
}

TEST(Policy, ANarrowIpv6ScopeNeedsAnInterface) {
  for (const std::string_view group : {"ff01::100", "ff02::100", "ff11::1", "ff12::1"}) {
    EXPECT_EQ(Membership(Wish(group, {}, "")), Reason::kScopeNeedsInterface) << group;
    EXPECT_EQ(Send(To(group, "")), Reason::kScopeNeedsInterface) << group;
    EXPECT_EQ(Membership(Wish(group, {}, "*")), kFine) << group;
    EXPECT_EQ(Send(To(group, "*")), kFine) << group;
  }
  EXPECT_EQ(Membership(Wish("ff15::1", {}, "")), kFine);
  EXPECT_EQ(Membership(Wish("224.0.0.100", {}, "")), kFine);
  EXPECT_EQ(net::FieldOf(CheckMembership(Wish("ff02::100", {}, ""), kMostSources)), "interface");
  EXPECT_EQ(net::FieldOf(CheckSend(To("ff02::100", ""))), "destination.interface");
}

TEST(Policy, ErrorsNameTheFieldAndTheValue) {
  const absl::Status join = CheckMembership(Wish("10.0.0.1"), kMostSources);
  EXPECT_EQ(net::FieldOf(join), "group");
  EXPECT_EQ(join.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(join.message()), ::testing::HasSubstr("10.0.0.1"));
  const absl::Status send = CheckSend(To("224.0.0.5"));
  EXPECT_EQ(net::FieldOf(send), "destination.group");
  EXPECT_EQ(send.code(), absl::StatusCode::kPermissionDenied);
  EXPECT_THAT(std::string(send.message()), ::testing::HasSubstr("OSPF"));
}

TEST(Policy, HopLimitZeroNeedsLoop) {
  SendRequest request = To("239.1.1.1");
  for (const int hop_limit : {0, 1, 255}) {
    request.hop_limit = static_cast<uint8_t>(hop_limit);
    request.loop = true;
    EXPECT_EQ(Send(request), kFine);
    request.loop = false;
    EXPECT_EQ(Send(request), hop_limit == 0 ? Reason::kLoopRequired : kFine);
  }
  request.hop_limit = 0;
  EXPECT_EQ(net::FieldOf(CheckSend(request)), "options.loop");
}

TEST(Policy, APayloadFitsItsFamily) {
  EXPECT_TRUE(CheckPayload(0, net::Family::kIpv4).ok());
  EXPECT_TRUE(CheckPayload(65'507, net::Family::kIpv4).ok());
  EXPECT_EQ(ReasonOf(CheckPayload(65'508, net::Family::kIpv4)), Reason::kPayloadTooLarge);
  EXPECT_TRUE(CheckPayload(65'527, net::Family::kIpv6).ok());
  EXPECT_EQ(ReasonOf(CheckPayload(65'528, net::Family::kIpv6)), Reason::kPayloadTooLarge);
}

TEST(Policy, OnlyTheNetworksOwnGroupsHaveAReservedName) {
  EXPECT_EQ(ReservedGroupName(Ip("224.0.0.22")), "IGMPv3 reports");
  EXPECT_EQ(ReservedGroupName(Ip("ff02::2")), "all routers");
  EXPECT_EQ(ReservedGroupName(Ip("239.1.1.1")), "");
  EXPECT_EQ(ReservedGroupName(Ip("10.0.0.1")), "");
}

}  // namespace
}  // namespace mcgw::gateway
