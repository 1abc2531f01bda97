// What a group is by its address: scope by scope, MAC, warnings.

#include "server/gateway/rules/group_description.h"

#include <set>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/net/status.h"
#include "tests/support/fakes.h"

namespace mcgw::gateway {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::Ip;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

GroupDescription Describe(std::string_view group, std::optional<uint8_t> hop_limit = std::nullopt) {
  absl::StatusOr<GroupDescription> description = DescribeGroup(Ip(group), hop_limit);
  EXPECT_TRUE(description.ok()) << group << ": " << description.status();
  return *std::move(description);
}

std::vector<GroupWarningCode> Codes(const GroupDescription& description) {
  std::vector<GroupWarningCode> codes;
  for (const GroupWarning& warning : description.warnings) codes.push_back(warning.code);
  return codes;
}

struct ScopeCase {
  const char* group;
  GroupScope scope;
  int advised;
};

class GroupScopeTest : public ::testing::TestWithParam<ScopeCase> {};

TEST_P(GroupScopeTest, IsThatOfTheAddress) {
  const GroupDescription description = Describe(GetParam().group);
  EXPECT_EQ(description.scope, GetParam().scope) << GetParam().group;
  EXPECT_EQ(description.advised_hop_limit, GetParam().advised) << GetParam().group;
  EXPECT_FALSE(description.scope_description.empty());
}

// Both sides of each boundary.
INSTANTIATE_TEST_SUITE_P(
    Boundaries, GroupScopeTest,
    ::testing::Values(
        ScopeCase{"224.0.0.0", GroupScope::kLinkLocal, 1}, ScopeCase{"224.0.0.255", GroupScope::kLinkLocal, 1},
        ScopeCase{"224.0.1.0", GroupScope::kGlobal, 255}, ScopeCase{"231.255.255.255", GroupScope::kGlobal, 255},
        ScopeCase{"232.0.0.0", GroupScope::kGlobal, 255}, ScopeCase{"238.255.255.255", GroupScope::kGlobal, 255},
        ScopeCase{"239.0.0.0", GroupScope::kAdministered, 63},
        ScopeCase{"239.191.255.255", GroupScope::kAdministered, 63},
        ScopeCase{"239.192.0.0", GroupScope::kOrganizationLocal, 63},
        ScopeCase{"239.195.255.255", GroupScope::kOrganizationLocal, 63},
        ScopeCase{"239.196.0.0", GroupScope::kAdministered, 63},
        ScopeCase{"239.254.255.255", GroupScope::kAdministered, 63},
        ScopeCase{"239.255.0.0", GroupScope::kAdminLocal, 31},
        ScopeCase{"239.255.255.255", GroupScope::kAdminLocal, 31}, ScopeCase{"ff00::1", GroupScope::kReserved, 1},
        ScopeCase{"ff01::1", GroupScope::kInterfaceLocal, 0}, ScopeCase{"ff02::1", GroupScope::kLinkLocal, 1},
        ScopeCase{"ff03::1", GroupScope::kRealmLocal, 31}, ScopeCase{"ff04::1", GroupScope::kAdminLocal, 31},
        ScopeCase{"ff05::1", GroupScope::kSiteLocal, 31}, ScopeCase{"ff06::1", GroupScope::kAdministered, 63},
        ScopeCase{"ff07::1", GroupScope::kAdministered, 63}, ScopeCase{"ff08::1", GroupScope::kOrganizationLocal, 63},
        ScopeCase{"ff09::1", GroupScope::kAdministered, 255}, ScopeCase{"ff0a::1", GroupScope::kAdministered, 255},
        ScopeCase{"ff0b::1", GroupScope::kAdministered, 255}, ScopeCase{"ff0c::1", GroupScope::kAdministered, 255},
        ScopeCase{"ff0d::1", GroupScope::kAdministered, 255}, ScopeCase{"ff0e::1", GroupScope::kGlobal, 255},
        ScopeCase{"ff0f::1", GroupScope::kReserved, 1},
        // The flags do not matter.
        ScopeCase{"ff12::1", GroupScope::kLinkLocal, 1}, ScopeCase{"ff35::1", GroupScope::kSiteLocal, 31},
        ScopeCase{"ff7e::1", GroupScope::kGlobal, 255}, ScopeCase{"ffff::1", GroupScope::kReserved, 1}));

TEST(GroupDescription, WhatIsNoGroupIsRefused) {
  for (const char* const text :
       {"10.0.0.1", "223.255.255.255", "240.0.0.1", "255.255.255.255", "0.0.0.0", "::", "fe80::1"}) {
    const absl::Status status = DescribeGroup(Ip(text), std::nullopt).status();
    EXPECT_EQ(net::ReasonOf(status), net::Reason::kNotAMulticastGroup) << text;
    EXPECT_EQ(net::FieldOf(status), "group");
    EXPECT_THAT(std::string(status.message()), HasSubstr(text));
  }
}

TEST(GroupDescription, AnIpv4MacHoldsTheLow23Bits) {
  EXPECT_EQ(MacOf(Ip("239.1.1.1")), "01:00:5e:01:01:01");
  EXPECT_EQ(MacOf(Ip("224.1.1.1")), "01:00:5e:01:01:01");
  EXPECT_EQ(MacOf(Ip("239.129.1.1")), "01:00:5e:01:01:01");
  EXPECT_EQ(MacOf(Ip("224.0.0.0")), "01:00:5e:00:00:00");
  EXPECT_EQ(MacOf(Ip("239.255.255.255")), "01:00:5e:7f:ff:ff");
  EXPECT_EQ(MacOf(Ip("239.2.1.1")), "01:00:5e:02:01:01");
}

TEST(GroupDescription, AnIpv6MacHoldsTheLow32Bits) {
  EXPECT_EQ(MacOf(Ip("ff02::1")), "33:33:00:00:00:01");
  EXPECT_EQ(MacOf(Ip("ff15::dead:beef")), "33:33:de:ad:be:ef");
  EXPECT_EQ(MacOf(Ip("ff1e:1:2:3:4:5:6789:abcd")), "33:33:67:89:ab:cd");
  EXPECT_THAT(Describe("ff15::1").mac_aliases, IsEmpty());
}

TEST(GroupDescription, ThirtyTwoIpv4GroupsShareAMac) {
  for (const char* const text : {"224.0.0.0", "239.1.1.1", "232.127.255.255", "239.255.255.255"}) {
    const GroupDescription description = Describe(text);
    EXPECT_THAT(description.mac_aliases, SizeIs(31));
    std::set<net::IpAddress> all(description.mac_aliases.begin(), description.mac_aliases.end());
    EXPECT_THAT(all, SizeIs(31));
    EXPECT_THAT(all, Not(Contains(Ip(text))));
    EXPECT_TRUE(std::is_sorted(description.mac_aliases.begin(), description.mac_aliases.end()));
    for (const net::IpAddress& alias : all) {
      EXPECT_TRUE(alias.IsMulticast()) << alias.ToString();
      EXPECT_EQ(MacOf(alias), description.mac) << alias.ToString();
    }
  }
  const GroupDescription description = Describe("239.1.1.1");
  EXPECT_THAT(description.mac_aliases, Contains(Ip("224.1.1.1")));
  EXPECT_THAT(description.mac_aliases, Contains(Ip("239.129.1.1")));
  EXPECT_EQ(description.mac_aliases.front(), Ip("224.1.1.1"));
}

TEST(GroupDescription, RefusalsAreThoseOfThePolicy) {
  struct Case {
    const char* group;
    bool send_refused;
    bool join_refused;
  };
  for (const Case& test :
       {Case{"224.0.0.0", true, true}, Case{"224.0.0.5", true, false}, Case{"224.0.0.100", false, false},
        Case{"239.1.1.1", false, false}, Case{"232.1.1.1", false, false}, Case{"ff00::1", true, true},
        Case{"ff1f::1", true, true}, Case{"ff02::2", true, false}, Case{"ff02::100", false, false},
        Case{"ff35::1", false, false}}) {
    const GroupDescription description = Describe(test.group);
    EXPECT_EQ(description.send_refused, test.send_refused) << test.group;
    EXPECT_EQ(description.join_refused, test.join_refused) << test.group;
    const bool warned = !Codes(description).empty() && Codes(description)[0] == GroupWarningCode::kReserved;
    EXPECT_EQ(warned, test.send_refused) << test.group;
  }
  EXPECT_THAT(Describe("224.0.0.5").warnings[0].message, HasSubstr("OSPF routers"));
}

TEST(GroupDescription, ASourceSpecificGroupSaysSo) {
  for (const char* const text : {"232.1.1.1", "ff35::1", "ff3e::1"}) {
    EXPECT_TRUE(Describe(text).source_specific) << text;
    EXPECT_THAT(Codes(Describe(text)), Contains(GroupWarningCode::kSourceRequired)) << text;
  }
  for (const char* const text : {"231.1.1.1", "ff35:1::1", "ff15::1"}) {
    EXPECT_FALSE(Describe(text).source_specific) << text;
    EXPECT_THAT(Codes(Describe(text)), Not(Contains(GroupWarningCode::kSourceRequired))) << text;
  }
}

TEST(GroupDescription, AMacThatSwitchesFloodIsTold) {
  for (const char* const text : {"239.0.0.1", "239.128.0.251", "224.128.0.5", "225.0.0.255"}) {
    EXPECT_THAT(Codes(Describe(text)), ElementsAre(GroupWarningCode::kFloodedMac)) << text;
  }
  EXPECT_THAT(Describe("239.128.0.251").warnings[0].message, HasSubstr("224.0.0.251"));
  for (const char* const text : {"224.0.0.100", "239.0.1.0", "239.128.1.0", "239.127.0.1", "ff15::1"}) {
    EXPECT_THAT(Codes(Describe(text)), Not(Contains(GroupWarningCode::kFloodedMac))) << text;
  }
}

TEST(GroupDescription, ANarrowIpv6ScopeNeedsAnInterface) {
  for (const char* const text : {"ff01::100", "ff11::1", "ff02::100", "ff12::1"}) {
    EXPECT_THAT(Codes(Describe(text)), ElementsAre(GroupWarningCode::kInterfaceRequired)) << text;
  }
  for (const char* const text : {"ff13::1", "ff15::1", "224.0.0.100", "239.255.1.1"}) {
    EXPECT_THAT(Codes(Describe(text)), IsEmpty()) << text;
  }
}

struct HopLimitCase {
  const char* group;
  int lowest_fitting;
  int highest_fitting;
};

class GroupHopLimitTest : public ::testing::TestWithParam<HopLimitCase> {};

TEST_P(GroupHopLimitTest, IsWarnedOfOutsideTheScope) {
  for (int hop_limit = 0; hop_limit <= 255; ++hop_limit) {
    const GroupDescription plain = Describe(GetParam().group);
    const GroupDescription description = Describe(GetParam().group, static_cast<uint8_t>(hop_limit));
    const bool below = hop_limit < GetParam().lowest_fitting;
    const bool exceeds = hop_limit > GetParam().highest_fitting;
    ASSERT_EQ(description.warnings.size(), plain.warnings.size() + (below || exceeds))
        << GetParam().group << " with " << hop_limit;
    if (!below && !exceeds) continue;
    EXPECT_EQ(description.warnings.back().code,
              below ? GroupWarningCode::kHopLimitBelowScope : GroupWarningCode::kHopLimitExceedsScope);
    EXPECT_THAT(description.warnings.back().message, HasSubstr("hop limit " + std::to_string(hop_limit)));
  }
}

INSTANTIATE_TEST_SUITE_P(Scopes, GroupHopLimitTest,
                         ::testing::Values(HopLimitCase{"224.0.0.100", 1, 1}, HopLimitCase{"239.255.1.1", 2, 32},
                                           HopLimitCase{"239.192.1.1", 33, 64}, HopLimitCase{"239.1.1.1", 2, 64},
                                           HopLimitCase{"233.252.0.1", 65, 255}, HopLimitCase{"ff11::1", 0, 0},
                                           HopLimitCase{"ff12::1", 1, 1}, HopLimitCase{"ff13::1", 2, 32},
                                           HopLimitCase{"ff14::1", 2, 32}, HopLimitCase{"ff15::1", 2, 32},
                                           HopLimitCase{"ff16::1", 2, 64}, HopLimitCase{"ff18::1", 33, 64},
                                           HopLimitCase{"ff1d::1", 33, 255}, HopLimitCase{"ff1e::1", 65, 255},
                                           HopLimitCase{"ff0f::1", 0, 255}));

TEST(GroupDescription, TheAdvisedHopLimitRaisesNoWarning) {
  for (const char* const text :
       {"224.0.0.100", "224.1.1.1", "239.1.1.1", "239.192.1.1", "239.255.1.1", "ff11::1", "ff12::1", "ff13::1",
        "ff14::1", "ff15::1", "ff16::1", "ff18::1", "ff1a::1", "ff1e::1", "ff1f::1"}) {
    const GroupDescription plain = Describe(text);
    EXPECT_THAT(Describe(text, plain.advised_hop_limit).warnings, SizeIs(plain.warnings.size())) << text;
  }
}

}  // namespace
}  // namespace mcgw::gateway
