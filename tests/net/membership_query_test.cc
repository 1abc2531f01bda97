// Which packets are queries that the kernel takes. What it does with each was seen on the kernel itself
// (kernel_diagnosis_test).

#include "server/net/membership_query.h"

#include <cstdint>
#include <random>
#include <string>
#include <string_view>

#include "gtest/gtest.h"

namespace mcgw::net {
namespace {

using std::string_literals::operator""s;  // NOLINT(misc-unused-using-decls): the literals use it.

IpAddress Ip(std::string_view text) { return IpAddress::Parse(text).value(); }

std::string Bytes16(uint32_t value) { return {static_cast<char>(value >> 8), static_cast<char>(value & 0xff)}; }

// The checksum of RFC 1071, computed in the plainest way.
uint16_t Checksum(std::string bytes) {
  if (bytes.size() % 2 != 0) bytes += '\0';
  uint32_t sum = 0;
  for (size_t i = 0; i < bytes.size(); i += 2) {
    sum += static_cast<uint8_t>(bytes[i]) * 256u + static_cast<uint8_t>(bytes[i + 1]);
    sum = (sum & 0xffff) + (sum >> 16);
  }
  return static_cast<uint16_t>(~sum);
}

std::string WithChecksum(std::string message, const std::string& pseudo_header = "") {
  message.replace(2, 2, "\0\0"s);
  return message.replace(2, 2, Bytes16(Checksum(pseudo_header + message)));
}

// ---- IGMP ----

const std::string kIpHeader = "\x46"s + std::string(23, '\0');  // With a router alert's room.

std::string Igmp(const std::string& message) { return kIpHeader + WithChecksum(message); }
std::string Igmp3(const std::string& group, uint32_t sources, size_t more_bytes) {
  return Igmp("\x11\x64\0\0"s + group + "\x02\x7d"s + Bytes16(sources) + std::string(more_bytes, '\1'));
}
const std::string kAllGroups = "\0\0\0\0"s;
const std::string kOneGroup = "\xef\1\1\1"s;

TEST(IgmpQuery, HasItsVersionInLengthAndResponseTime) {
  EXPECT_EQ(JudgeIgmpQuery(Igmp("\x11\0\0\0\0\0\0\0"s)), (QueryVerdict{1, ""}));
  EXPECT_EQ(JudgeIgmpQuery(Igmp("\x11\x64\0\0\0\0\0\0"s)), (QueryVerdict{2, ""}));
  EXPECT_EQ(JudgeIgmpQuery(Igmp3(kAllGroups, 0, 0)), (QueryVerdict{3, ""}));
  EXPECT_EQ(JudgeIgmpQuery(Igmp3(kOneGroup, 2, 8)), (QueryVerdict{3, ""}));
}

TEST(IgmpQuery, WithoutAQueryIsNone) {
  EXPECT_EQ(JudgeIgmpQuery(Igmp("\x22\x64\0\0\0\0\0\0"s)), QueryVerdict());      // A report.
  EXPECT_EQ(JudgeIgmpQuery("\x4f"s + std::string(30, '\x11')), QueryVerdict());  // Shorter than its own header.
  EXPECT_EQ(JudgeIgmpQuery("\x41"s + std::string(30, '\x11')), QueryVerdict());  // A header of 4 bytes.
  EXPECT_EQ(JudgeIgmpQuery(kIpHeader), QueryVerdict());
  EXPECT_EQ(JudgeIgmpQuery(""), QueryVerdict());
}

TEST(IgmpQuery, IsIgnoredWithAWrongChecksum) {
  std::string packet = Igmp3(kAllGroups, 0, 0);
  packet[kIpHeader.size() + 2] ^= 0x11;
  EXPECT_EQ(JudgeIgmpQuery(packet), (QueryVerdict{0, "its checksum is wrong"}));
}

TEST(IgmpQuery, IsIgnoredBetweenTheLengthsOfTheVersions) {
  for (const size_t bytes : {1, 4, 7, 9, 10, 11}) {
    std::string message = "\x11\x64"s + std::string(12, '\0');
    message.resize(bytes);
    const QueryVerdict verdict = JudgeIgmpQuery(bytes < 4 ? kIpHeader + message : Igmp(message));
    EXPECT_EQ(verdict.version, 0u) << bytes;
    EXPECT_EQ(verdict.fault, "it is " + std::to_string(bytes) + " bytes long, and a query has 8, or at least 12");
  }
}

TEST(IgmpQuery, IsIgnoredWithSourcesThatItMustNotOrDoesNotHave) {
  EXPECT_EQ(JudgeIgmpQuery(Igmp3(kAllGroups, 1, 4)).fault, "it asks about all groups but names 1 sources");
  EXPECT_EQ(JudgeIgmpQuery(Igmp3(kOneGroup, 2, 7)).fault, "it announces 2 sources but is too short to hold them");
}

// ---- MLD ----

// A query as it should be, to be spoilt.
struct Mld {
  std::string source = "fe80::2";
  int hop_limit = 1;
  std::string hop_by_hop = "\x3a\0\x05\2\0\0\1\0"s;
  std::string group = std::string(16, '\0');
  uint32_t sources = 0;
  size_t bytes = 28;
  char type = '\x82';
  uint8_t spoil = 0;

  QueryVerdict Judge() const {
    const IpAddress from = Ip(source);
    const IpAddress to = Ip("ff02::1");
    std::string message = type + "\0\0\0\0\x64\0\0"s + group + "\2\x7d"s + Bytes16(sources);
    message.resize(bytes, '\1');
    if (bytes >= 4) {
      message = WithChecksum(message, std::string(from.bytes()) + std::string(to.bytes()) + "\0\0"s +
                                          Bytes16(static_cast<uint32_t>(bytes)) + "\0\0\0\x3a"s);
      message[3] = static_cast<char>(message[3] ^ spoil);
    }
    return JudgeMldQuery(
        {.message = message, .source = from, .destination = to, .hop_limit = hop_limit, .hop_by_hop = hop_by_hop});
  }
};

TEST(MldQuery, HasItsVersionInItsLength) {
  EXPECT_EQ(Mld().Judge(), (QueryVerdict{2, ""}));
  EXPECT_EQ(Mld{.bytes = 24}.Judge(), (QueryVerdict{1, ""}));
  EXPECT_EQ((Mld{.group = std::string(Ip("ff15::1").bytes()), .sources = 1, .bytes = 44}.Judge()),
            (QueryVerdict{2, ""}));
}

TEST(MldQuery, WithoutAQueryIsNone) {
  EXPECT_EQ(Mld{.type = '\x83'}.Judge(), QueryVerdict());
  EXPECT_EQ(JudgeMldQuery({}), QueryVerdict());
}

TEST(MldQuery, IsIgnoredForEachRuleThatItBreaks) {
  EXPECT_EQ(Mld{.spoil = 0x11}.Judge().fault, "its checksum is wrong");
  EXPECT_EQ(Mld{.source = "fd00::2"}.Judge().fault, "its source, fd00::2, is not a link-local address");
  EXPECT_EQ(Mld{.source = "::"}.Judge().fault, "its source, ::, is not a link-local address");
  EXPECT_EQ(Mld{.hop_limit = 64}.Judge().fault, "its hop limit is 64, not 1");
  EXPECT_EQ(Mld{.bytes = 26}.Judge().fault, "it is 26 bytes long, and a query has 24, or at least 28");
  EXPECT_EQ(Mld{.bytes = 20}.Judge().fault, "it is 20 bytes long, and a query has 24, or at least 28");
  EXPECT_EQ(Mld{.group = std::string(Ip("fd00::1").bytes())}.Judge().fault,
            "it asks about fd00::1, which is not a multicast group");
  EXPECT_EQ(Mld{.sources = 1}.Judge().fault, "it asks about all groups but names 1 sources");
  EXPECT_EQ((Mld{.group = std::string(Ip("ff15::1").bytes()), .sources = 1, .bytes = 43}.Judge().fault),
            "it announces 1 sources but is too short to hold them");
}

TEST(MldQuery, NeedsTheRouterAlertOfMld) {
  constexpr std::string_view kLacks = "it lacks the router alert option of MLD";
  EXPECT_EQ(Mld{.hop_by_hop = ""}.Judge().fault, kLacks);
  EXPECT_EQ(Mld{.hop_by_hop = "\x3a\0\1\4\0\0\0\0"s}.Judge().fault, kLacks);  // Padding only.
  EXPECT_EQ(Mld{.hop_by_hop = "\x3a\0\5\2\0\1\1\0"s}.Judge().fault, kLacks);  // That of RSVP.
  EXPECT_EQ(Mld{.hop_by_hop = "\x3a\0\5"s}.Judge().fault, kLacks);            // Cut off.
  EXPECT_EQ(Mld{.hop_by_hop = "\x3a\0\5\2\0"s}.Judge().fault, kLacks);
  EXPECT_EQ(Mld{.hop_by_hop = "\x3a\0\1\xff\5\2\0\0"s}.Judge().fault, kLacks);  // Behind an option that is too long.
  EXPECT_EQ(Mld{.hop_by_hop = "\x3a\0\0\0\5\2\0\0"s}.Judge().version, 2u);      // Behind padding.
}

// ---- Both ----

TEST(MembershipQuery, AnyBytesAreJudged) {
  std::mt19937 random(20261127);
  for (int round = 0; round < 200'000; ++round) {
    std::string bytes(random() % 64, '\0');
    for (char& byte : bytes) byte = static_cast<char>(random() % 4 == 0 ? random() : random() % 8);
    if (bytes.size() > 24 && random() % 2 == 0) {
      bytes[0] = '\x46';
      bytes[24] = '\x11';
    }
    const QueryVerdict igmp = JudgeIgmpQuery(bytes);
    EXPECT_FALSE(igmp.version != 0 && !igmp.fault.empty());
    if (!bytes.empty() && random() % 2 == 0) bytes[0] = '\x82';
    const size_t cut = random() % (bytes.size() + 1);
    const QueryVerdict mld = JudgeMldQuery({.message = std::string_view(bytes).substr(0, cut),
                                            .source = Ip("fe80::1"),
                                            .destination = Ip("ff02::1"),
                                            .hop_limit = 1,
                                            .hop_by_hop = std::string_view(bytes).substr(cut)});
    EXPECT_FALSE(mld.version != 0 && !mld.fault.empty());
  }
}

}  // namespace
}  // namespace mcgw::net
