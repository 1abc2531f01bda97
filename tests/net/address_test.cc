#include "server/net/address.h"

#include <arpa/inet.h>

#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>

#include "absl/hash/hash.h"
#include "absl/status/statusor.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/net/status.h"

namespace mcgw::net {
namespace {

IpAddress Ip(std::string_view text) {
  const absl::StatusOr<IpAddress> address = IpAddress::Parse(text);
  EXPECT_TRUE(address.ok()) << text;
  return address.value_or(IpAddress());
}

TEST(Parse, ReadsBothFamilies) {
  const IpAddress v4 = Ip("239.1.2.3");
  EXPECT_EQ(v4.family(), Family::kIpv4);
  EXPECT_EQ(v4.bytes(), std::string_view("\xef\x01\x02\x03", 4));
  const IpAddress v6 = Ip("ff15::1");
  EXPECT_EQ(v6.family(), Family::kIpv6);
  EXPECT_EQ(v6.bytes().size(), 16u);
  EXPECT_EQ(v6.bytes().substr(0, 2), "\xff\x15");
}

TEST(Parse, RefusesWhatIsNotAnAddress) {
  for (const char* text : {"",
                           " ",
                           "239.1.1",
                           "239.1.1.1.1",
                           "239.1.1.256",
                           "239.1.1.1 ",
                           " 239.1.1.1",
                           "0xef.1.1.1",
                           "239.01.1.1",
                           "4009820417",
                           "ff15::1%eth0",
                           "[ff15::1]",
                           "239.1.1.1:5000",
                           "239.1.1.0/24",
                           "ff15:::1",
                           "ff15::1::2",
                           "1:2:3:4:5:6:7:8:9",
                           "12345::",
                           "localhost",
                           "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"}) {
    const absl::Status status = IpAddress::Parse(text).status();
    EXPECT_EQ(ReasonOf(status), Reason::kInvalidAddress) << text;
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << text;
  }
}

TEST(Parse, RefusesATextThatGoesOnAfterANul) {
  EXPECT_FALSE(IpAddress::Parse(std::string_view("239.1.1.1\0x", 11)).ok());
  EXPECT_FALSE(IpAddress::Parse(std::string_view("239.1.1.1\0", 10)).ok());
}

TEST(Parse, GivesNothingInsteadOfAnErrorWhereAsked) {
  EXPECT_EQ(IpAddress::ParseIfAny("239.1.1.1"), *IpAddress::Parse("239.1.1.1"));
  EXPECT_EQ(IpAddress::ParseIfAny("ff15::1"), *IpAddress::Parse("ff15::1"));
  for (const std::string_view text : {std::string_view("eth0"), std::string_view(""),
                                      std::string_view("::ffff:1.2.3.4"), std::string_view("239.1.1.1\0", 10)}) {
    EXPECT_EQ(IpAddress::ParseIfAny(text), std::nullopt) << text;
  }
}

TEST(Parse, NamesTheValueAndTheRemedy) {
  const auto text_of = [](std::string_view text) { return std::string(IpAddress::Parse(text).status().message()); };
  EXPECT_THAT(text_of("bogus"), testing::HasSubstr("\"bogus\""));
  EXPECT_THAT(text_of("ff02::1%eth0"), testing::HasSubstr("zone"));
  EXPECT_THAT(text_of("[ff15::1]"), testing::HasSubstr("brackets"));
  EXPECT_THAT(text_of("\xff\x01"), testing::HasSubstr("\\xff\\x01")) << "a status text is UTF-8";
  EXPECT_LT(text_of(std::string(100'000, 'x')).size(), 500u);
}

TEST(Parse, RefusesIpv4MappedAddresses) {
  for (const char* text : {"::ffff:239.1.1.1", "::ffff:ef01:101", "::ffff:10.0.0.1"}) {
    const absl::Status status = IpAddress::Parse(text).status();
    EXPECT_EQ(ReasonOf(status), Reason::kInvalidAddress) << text;
    EXPECT_THAT(std::string(status.message()), testing::HasSubstr("IPv4-mapped")) << text;
  }
}

TEST(ToString, IsCanonical) {
  const std::pair<const char*, const char*> cases[] = {
      {"239.1.1.1", "239.1.1.1"},
      {"0.0.0.0", "0.0.0.0"},
      {"FF15:0:0:0:0:0:0:1", "ff15::1"},
      {"ff02:0000:0000:0000:0000:0001:ff00:0001", "ff02::1:ff00:1"},
      {"2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"},     // RFC 5952, 4.2.3: the first of equal runs
      {"2001:0:0:1:0:0:0:1", "2001:0:0:1::1"},           // the longest run
      {"2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"},  // 4.2.2: not a single zero
      {"::", "::"},
  };
  for (const auto& [text, canonical] : cases) {
    EXPECT_EQ(Ip(text).ToString(), canonical);
    EXPECT_EQ(Ip(canonical), Ip(text));
  }
}

TEST(ToString, PutsAnIpv6AddressWithAPortInBrackets) {
  EXPECT_EQ(ToString(Ip("239.1.1.1"), 5000), "239.1.1.1:5000");
  EXPECT_EQ(ToString(Ip("ff15::1"), 5000), "[ff15::1]:5000");
}

TEST(IsMulticast, HoldsForTheWholeRangesAndNothingElse) {
  for (const char* text : {"224.0.0.0", "224.0.0.1", "232.1.1.1", "239.255.255.255", "ff00::", "ff02::1", "ff0f::1",
                           "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"}) {
    EXPECT_TRUE(Ip(text).IsMulticast()) << text;
  }
  for (const char* text : {"0.0.0.0", "10.0.0.1", "223.255.255.255", "240.0.0.1", "255.255.255.255", "::", "::1",
                           "fe80::1", "fd00::1", "feff:ffff::1", "::ef01:101"}) {
    EXPECT_FALSE(Ip(text).IsMulticast()) << text;
  }
}

TEST(IsSourceSpecific, HoldsFor232AndFf3xSlash32) {
  for (const char* text :
       {"232.0.0.0", "232.255.255.255", "ff30::1", "ff35::1", "ff3e::8000:1", "ff3f::4000:1", "ff3e:0:1::"}) {
    EXPECT_TRUE(Ip(text).IsSourceSpecific()) << text;
  }
  for (const char* text : {"231.255.255.255", "233.0.0.0", "239.1.1.1", "ff15::1", "ff70::1",
                           "ff3e:30:2001:db8::1" /* RFC 3306: prefix-based, not SSM */, "fe35::1"}) {
    EXPECT_FALSE(Ip(text).IsSourceSpecific()) << text;
  }
}

TEST(Classes, TellSpecialAddressesApart) {
  EXPECT_TRUE(Ip("0.0.0.0").IsUnspecified());
  EXPECT_TRUE(Ip("::").IsUnspecified());
  EXPECT_FALSE(Ip("::1").IsUnspecified());
  EXPECT_TRUE(Ip("127.0.0.1").IsLoopback());
  EXPECT_TRUE(Ip("127.255.0.1").IsLoopback());
  EXPECT_TRUE(Ip("::1").IsLoopback());
  EXPECT_FALSE(Ip("::2").IsLoopback());
  EXPECT_FALSE(Ip("128.0.0.1").IsLoopback());
  EXPECT_TRUE(Ip("169.254.1.1").IsLinkLocalUnicast());
  EXPECT_TRUE(Ip("fe80::1").IsLinkLocalUnicast());
  EXPECT_TRUE(Ip("febf::1").IsLinkLocalUnicast());
  EXPECT_FALSE(Ip("fec0::1").IsLinkLocalUnicast());
  EXPECT_FALSE(Ip("169.255.1.1").IsLinkLocalUnicast());
  EXPECT_FALSE(Ip("ff02::1").IsLinkLocalUnicast());
  EXPECT_TRUE(Ip("255.255.255.255").IsBroadcast());
  EXPECT_FALSE(Ip("255.255.255.254").IsBroadcast());
  EXPECT_FALSE(Ip("240.0.0.1").IsBroadcast());
}

TEST(Ipv6Scope, IsTheScopeFieldOfIpv6GroupsOnly) {
  EXPECT_EQ(Ip("ff01::1").Ipv6Scope(), 1);
  EXPECT_EQ(Ip("ff12::1").Ipv6Scope(), 2);
  EXPECT_EQ(Ip("ff15::1").Ipv6Scope(), 5);
  EXPECT_EQ(Ip("ff38::1").Ipv6Scope(), 8);
  EXPECT_EQ(Ip("ff0e::1").Ipv6Scope(), 14);
  EXPECT_EQ(Ip("ff00::1").Ipv6Scope(), 0);
  EXPECT_EQ(Ip("ff0f::1").Ipv6Scope(), 15);
  EXPECT_EQ(Ip("fe80::1").Ipv6Scope(), -1);
  EXPECT_EQ(Ip("239.1.1.1").Ipv6Scope(), -1);
}

TEST(Sockaddr, GoesThereAndBack) {
  for (const char* text : {"239.1.1.1", "ff02::1", "10.0.0.1"}) {
    sockaddr_storage storage = {};
    const socklen_t length = ToSockaddr(Ip(text), 5000, 7, &storage);
    EXPECT_EQ(IpAddress::FromSockaddr(storage), Ip(text));
    const auto& v6 = reinterpret_cast<const sockaddr_in6&>(storage);
    EXPECT_EQ(ntohs(v6.sin6_port), 5000);
    EXPECT_EQ(length, Ip(text).is_v4() ? sizeof(sockaddr_in) : sizeof(sockaddr_in6));
    if (!Ip(text).is_v4()) {
      EXPECT_EQ(v6.sin6_scope_id, 7u);
    }
  }
}

TEST(Sockaddr, OfAnotherFamilyGivesTheUnspecifiedAddress) {
  sockaddr_storage storage = {};
  storage.ss_family = AF_UNIX;
  EXPECT_EQ(IpAddress::FromSockaddr(storage), IpAddress());
}

TEST(IpAddress, IsAValueThatHashesAndOrders) {
  const std::unordered_set<IpAddress, absl::Hash<IpAddress>> set = {Ip("239.1.1.1"), Ip("ff15::1"), Ip("239.1.1.1")};
  EXPECT_EQ(set.size(), 2u);
  EXPECT_LT(Ip("239.1.1.1"), Ip("239.1.1.2"));
  EXPECT_LT(Ip("239.1.1.1"), Ip("::"));
  EXPECT_NE(Ip("0.0.0.0"), Ip("::"));
  EXPECT_EQ(IpAddress::Unspecified(Family::kIpv6), Ip("::"));
  EXPECT_EQ(IpAddress(), Ip("0.0.0.0"));
}

TEST(Limits, BelongToTheFamily) {
  EXPECT_EQ(MaxPayloadBytes(Family::kIpv4), 65'507u);
  EXPECT_EQ(MaxPayloadBytes(Family::kIpv6), 65'527u);
  EXPECT_EQ(FamilyName(Family::kIpv4), "IPv4");
  EXPECT_EQ(FamilyName(Family::kIpv6), "IPv6");
}

}  // namespace
}  // namespace mcgw::net
