#include "mcgw/channel_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "mcgw/error.h"

namespace mcgw::client {
namespace {

using ::testing::HasSubstr;

struct Good {
  std::string text;
  std::string canonical;
};

class GoodChannel : public testing::TestWithParam<Good> {};

TEST_P(GoodChannel, IsReadIntoCanonicalForm) {
  const auto membership = ParseChannel(GetParam().text);
  ASSERT_TRUE(membership.ok()) << membership.status();
  EXPECT_EQ(FormatChannel(*membership), GetParam().canonical);
}

INSTANTIATE_TEST_SUITE_P(
    Channels, GoodChannel,
    testing::Values(
        Good{"239.1.1.1:5000", "239.1.1.1:5000"}, Good{"224.0.0.0:1", "224.0.0.0:1"},
        Good{"239.255.255.255:65535", "239.255.255.255:65535"}, Good{"239.1.1.1:5000%eth0", "239.1.1.1:5000%eth0"},
        Good{"239.1.1.1:5000%*", "239.1.1.1:5000%*"}, Good{"239.1.1.1:5000%10.0.0.1", "239.1.1.1:5000%10.0.0.1"},
        Good{"239.1.1.1:5000%fd00::1", "239.1.1.1:5000%fd00::1"},
        Good{"239.1.1.1:5000%eth0.100", "239.1.1.1:5000%eth0.100"},
        Good{"239.1.1.1:5000%eth0@if3", "239.1.1.1:5000%eth0@if3"}, Good{"239.1.1.1:05000", "239.1.1.1:5000"},
        Good{"10.0.0.2@232.1.1.1:5004", "10.0.0.2@232.1.1.1:5004"},
        Good{"10.0.0.2,10.0.0.3@232.1.1.1:5004%eth0", "10.0.0.2,10.0.0.3@232.1.1.1:5004%eth0"},
        Good{"[ff15::1]:5000", "[ff15::1]:5000"}, Good{"[FF15:0:0::0:1]:5000%eth0", "[ff15::1]:5000%eth0"},
        Good{"[ff02::1%eth0]:5000", "[ff02::1]:5000%eth0"}, Good{"[ff02::1%eth0]:5000%eth0", "[ff02::1]:5000%eth0"},
        Good{"fd00::2@[ff35::1]:5000", "fd00::2@[ff35::1]:5000"},
        Good{"[fd00::2]@[ff35::1]:5000%eth0", "fd00::2@[ff35::1]:5000%eth0"},
        Good{"fd00::2,[fd00::3]@[ff35::1]:5000", "fd00::2,fd00::3@[ff35::1]:5000"},
        Good{"[239.1.1.1]:5000", "239.1.1.1:5000"}));

TEST(ChannelTest, HasItsPartsInTheMembership) {
  const auto membership = ParseChannel("10.0.0.2,10.0.0.3@232.1.1.1:5004%eth0");
  ASSERT_TRUE(membership.ok());
  EXPECT_EQ(membership->group(), "232.1.1.1");
  EXPECT_EQ(membership->port(), 5004u);
  EXPECT_EQ(membership->interface(), "eth0");
  EXPECT_EQ(membership->source_filter().mode(), multicast::gateway::v1::SOURCE_FILTER_MODE_INCLUDE);
  EXPECT_THAT(membership->source_filter().sources(), testing::ElementsAre("10.0.0.2", "10.0.0.3"));
  EXPECT_FALSE(ParseChannel("239.1.1.1:5000")->has_source_filter());
}

struct Bad {
  std::string text;
  std::string reason;
  std::string field;
  std::string says;
};

class BadChannel : public testing::TestWithParam<Bad> {};

TEST_P(BadChannel, HasAnErrorThatNamesFieldAndValue) {
  const auto membership = ParseChannel(GetParam().text);
  ASSERT_FALSE(membership.ok()) << FormatChannel(*membership);
  EXPECT_EQ(membership.status().code(), absl::StatusCode::kInvalidArgument);
  const ErrorDetails details = DetailsOf(membership.status());
  EXPECT_EQ(details.reason, GetParam().reason) << membership.status();
  ASSERT_EQ(details.fields.size(), 1u);
  EXPECT_EQ(details.fields[0].field, GetParam().field);
  EXPECT_THAT(std::string(membership.status().message()), HasSubstr(GetParam().says));
}

INSTANTIATE_TEST_SUITE_P(
    Channels, BadChannel,
    testing::Values(
        Bad{"", "FIELD_REQUIRED", "channel", "[SOURCE@]GROUP:PORT"},
        Bad{"not-an-address:5000", "INVALID_ADDRESS", "group", "not-an-address"},
        Bad{"239.1.1:5000", "INVALID_ADDRESS", "group", "239.1.1"},
        Bad{"239.1.1.256:5000", "INVALID_ADDRESS", "group", "239.1.1.256"},
        Bad{"239.01.1.1:5000", "INVALID_ADDRESS", "group", "239.01.1.1"},
        Bad{" 239.1.1.1:5000", "INVALID_ADDRESS", "group", " 239.1.1.1"},
        Bad{std::string("239.1.1.1\0:5000", 15), "INVALID_ADDRESS", "group", "239.1.1.1"},
        Bad{":5000", "FIELD_REQUIRED", "group", "group"}, Bad{"10.0.0.2@:5000", "FIELD_REQUIRED", "group", "group"},
        Bad{"10.1.2.3:5000", "NOT_A_MULTICAST_GROUP", "group", "10.1.2.3"},
        Bad{"240.0.0.1:5000", "NOT_A_MULTICAST_GROUP", "group", "240.0.0.1"},
        Bad{"255.255.255.255:5000", "NOT_A_MULTICAST_GROUP", "group", "multicast"},
        Bad{"[fd00::9]:5000", "NOT_A_MULTICAST_GROUP", "group", "fd00::9"},
        Bad{"[::ffff:239.1.1.1]:5000", "INVALID_ADDRESS", "group", "IPv4-mapped"},
        Bad{"[ff15::1:5000", "INVALID_ADDRESS", "group", "closing bracket"},
        Bad{"[ff15::1]5000", "INVALID_ADDRESS", "group", "after the bracket"},
        Bad{"ff15::1:5000", "INVALID_ADDRESS", "group", "[ff15::1]:5000"},
        Bad{"1:2:3:4:5:6:7:8:5000", "NOT_A_MULTICAST_GROUP", "group", "1:2:3:4:5:6:7:8"},
        Bad{"ff15:0:0:0:0:0:0:1:5000", "INVALID_ADDRESS", "group", "write [ff15::1]:5000"},
        Bad{"[ff15::1]", "FIELD_REQUIRED", "port", "ff15::1"}, Bad{"239.1.1.1", "FIELD_REQUIRED", "port", "239.1.1.1"},
        Bad{"239.1.1.1%eth0", "FIELD_REQUIRED", "port", "port"}, Bad{"239.1.1.1:", "FIELD_REQUIRED", "port", "port"},
        Bad{"239.1.1.1:0", "INVALID_PORT", "port", "\"0\" must be a number from 1 to 65535"},
        Bad{"239.1.1.1:65536", "INVALID_PORT", "port", "65536"}, Bad{"239.1.1.1:http", "INVALID_PORT", "port", "http"},
        Bad{"239.1.1.1:-1", "INVALID_PORT", "port", "-1"}, Bad{"239.1.1.1:+5", "INVALID_PORT", "port", "+5"},
        Bad{"239.1.1.1:5000 ", "INVALID_PORT", "port", "5000 "},
        Bad{"239.1.1.1:99999999999", "INVALID_PORT", "port", "99999999999"},
        Bad{"239.1.1.1:5000%", "FIELD_REQUIRED", "interface", "%NAME"},
        Bad{"[ff02::1%eth0]:5000%eth1", "CONFLICTING_FIELDS", "interface", "eth1"},
        Bad{"239.1.1.2@232.1.1.1:5000", "INVALID_SOURCE", "source_filter.sources", "239.1.1.2 is a multicast"},
        Bad{"0.0.0.0@232.1.1.1:5000", "INVALID_SOURCE", "source_filter.sources", "unspecified"},
        Bad{"255.255.255.255@232.1.1.1:5000", "INVALID_SOURCE", "source_filter.sources", "broadcast"},
        Bad{"nobody@232.1.1.1:5000", "INVALID_SOURCE", "source_filter.sources", "nobody"},
        Bad{"@232.1.1.1:5000", "INVALID_SOURCE", "source_filter.sources", "not an IP address"},
        Bad{"10.0.0.2,@232.1.1.1:5000", "INVALID_SOURCE", "source_filter.sources", "not an IP address"},
        Bad{"fd00::2@232.1.1.1:5000", "INVALID_SOURCE", "source_filter.sources", "IPv4"},
        Bad{"10.0.0.2@[ff35::1]:5000", "INVALID_SOURCE", "source_filter.sources", "IPv6"},
        Bad{"::ffff:10.0.0.2@[ff35::1]:5000", "INVALID_SOURCE", "source_filter.sources", "IPv4-mapped"},
        Bad{"fe80::2%eth0@[ff35::1]:5000", "INVALID_SOURCE", "source_filter.sources", "zone"}));

TEST(FormatTest, WritesAddressesOfBothFamilies) {
  EXPECT_EQ(FormatAddress(std::string("\x0a\x00\x00\x02", 4)), "10.0.0.2");
  EXPECT_EQ(FormatEndpoint(std::string("\x0a\x00\x00\x02", 4), 41000), "10.0.0.2:41000");
  EXPECT_EQ(FormatEndpoint(std::string("\xfd\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x02", 16), 9), "[fd00::2]:9");
  EXPECT_EQ(FormatAddress("abc"), "?");
}

}  // namespace
}  // namespace mcgw::client
