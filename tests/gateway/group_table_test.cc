// The table of registered groups: that it is what it says it is, and that the right entry is found.

#include "server/gateway/rules/group_table.h"

#include <netinet/in.h>

#include <cstring>
#include <set>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/gateway/rules/policy.h"
#include "server/net/status.h"
#include "tests/support/fakes.h"

namespace mcgw::gateway {
namespace {

using ::testing::Ge;
using testing::Ip;
using ::testing::IsEmpty;
using ::testing::Not;

bool Contains(const GroupRange& range, const net::IpAddress& address) {
  return address.family() == range.first.family() && range.first <= address && address <= range.last;
}

TEST(GroupTable, EveryEntryIsAMulticastRangeWithANameAndASource) {
  for (const GroupEntry& entry : GroupTable()) {
    SCOPED_TRACE(entry.range);
    const absl::StatusOr<GroupRange> range = ParseRange(entry.range);
    ASSERT_TRUE(range.ok()) << range.status();
    EXPECT_TRUE(range->first.IsMulticast());
    EXPECT_TRUE(range->last.IsMulticast());
    // Canonical: what is shown is what was written.
    EXPECT_EQ(entry.range.substr(0, entry.range.find_first_of("/-")), range->first.ToString());
    EXPECT_THAT(std::string(entry.name), Not(IsEmpty()));
    EXPECT_THAT(std::string(entry.description), Not(IsEmpty()));
    EXPECT_THAT(std::string(entry.source), Not(IsEmpty()));
    if (entry.any_scope) {
      EXPECT_EQ(range->first.Ipv6Scope(), 0) << "a range of any scope is written with scope 0";
    }
  }
}

TEST(GroupTable, HoldsTheWellKnownGroupsOfBothFamilies) {
  size_t single[2] = {};
  for (const GroupEntry& entry : GroupTable()) {
    const GroupRange range = *ParseRange(entry.range);
    if (range.first == range.last) ++single[range.first.is_v4()];
  }
  EXPECT_THAT(single[false], Ge(40));
  EXPECT_THAT(single[true], Ge(40));
}

TEST(GroupTable, IsSortedWithoutDuplicates) {
  std::set<std::string> seen;
  const GroupRange* before = nullptr;
  GroupRange last;
  for (const GroupEntry& entry : GroupTable()) {
    SCOPED_TRACE(entry.range);
    EXPECT_TRUE(seen.insert(std::string(entry.range) + (entry.any_scope ? " any" : "")).second);
    const GroupRange range = *ParseRange(entry.range);
    if (before != nullptr) {
      const bool later = last.first < range.first || (last.first == range.first && range.last <= last.last);
      EXPECT_TRUE(later) << "stands after " << last.first.ToString();
    }
    last = range;
    before = &last;
  }
}

TEST(GroupTable, RangesAreDisjointOrNested) {
  for (const GroupEntry& one : GroupTable()) {
    for (const GroupEntry& other : GroupTable()) {
      if (one.any_scope != other.any_scope) continue;
      const GroupRange a = *ParseRange(one.range);
      const GroupRange b = *ParseRange(other.range);
      if (Contains(a, b.first) != Contains(a, b.last)) {
        // b begins or ends in a: then a must lie in b.
        EXPECT_TRUE(Contains(b, a.first) && Contains(b, a.last)) << one.range << " and " << other.range;
      }
    }
  }
}

TEST(GroupTable, EveryEntryIsFoundByItsOwnFirstAndLastGroupOrByANarrowerOne) {
  for (const GroupEntry& entry : GroupTable()) {
    const GroupRange range = *ParseRange(entry.range);
    for (const net::IpAddress& group : {range.first, range.last}) {
      const GroupEntry* const found = FindGroup(group);
      ASSERT_NE(found, nullptr) << entry.range;
      const GroupRange narrower = *ParseRange(found->range);
      if (range.first == range.last && !found->any_scope) {
        EXPECT_EQ(found, &entry) << entry.range;
      }
      EXPECT_TRUE(Contains(range, narrower.first) || found->any_scope) << entry.range << " and " << found->range;
    }
  }
}

net::IpAddress FromBytes(const std::string& bytes) {
  if (bytes.size() == sizeof(in_addr)) {
    in_addr v4;
    std::memcpy(&v4, bytes.data(), sizeof(v4));
    return net::IpAddress::FromV4(v4);
  }
  in6_addr v6;
  std::memcpy(&v6, bytes.data(), sizeof(v6));
  return net::IpAddress::FromV6(v6);
}

// The address `by` further on (1 or -1), around the ends of the address space.
net::IpAddress Neighbour(const net::IpAddress& address, int by) {
  std::string bytes(address.bytes());
  for (size_t i = bytes.size(); i-- > 0;) {
    bytes[i] = static_cast<char>(bytes[i] + by);
    if (static_cast<uint8_t>(bytes[i]) != (by > 0 ? 0x00 : 0xff)) break;
  }
  return FromBytes(bytes);
}

net::IpAddress WithScope(const net::IpAddress& group, int scope) {
  std::string bytes(group.bytes());
  bytes[1] = static_cast<char>((bytes[1] & 0xf0) | scope);
  return FromBytes(bytes);
}

// By the table's own words: the smallest range that holds the group, one for its scope before one for all. Of two that
// hold it one lies in the other.
const GroupEntry* Searched(const net::IpAddress& group) {
  const GroupEntry* found = nullptr;
  GroupRange best;
  for (const GroupEntry& entry : GroupTable()) {
    GroupRange range = *ParseRange(entry.range);
    if (range.first.family() != group.family()) continue;
    if (entry.any_scope) {
      const int scope = static_cast<uint8_t>(group.bytes()[1]) & 0x0f;
      range = {WithScope(range.first, scope), WithScope(range.last, scope)};
    }
    if (!Contains(range, group)) continue;
    const bool same = range.first == best.first && range.last == best.last;
    if (found != nullptr && (same ? entry.any_scope : !Contains(best, range.first) || !Contains(best, range.last))) {
      continue;
    }
    found = &entry;
    best = range;
  }
  return found;
}

TEST(GroupTable, FindsAtEveryEdgeOfEveryRangeWhatASearchOfTheTableFinds) {
  for (const GroupEntry& entry : GroupTable()) {
    const GroupRange range = *ParseRange(entry.range);
    for (int scope = 0; scope < (entry.any_scope ? 16 : 1); ++scope) {
      for (const net::IpAddress& end : {range.first, range.last}) {
        const net::IpAddress at = entry.any_scope ? WithScope(end, scope) : end;
        for (const net::IpAddress& group : {Neighbour(at, -1), at, Neighbour(at, 1)}) {
          EXPECT_EQ(FindGroup(group), Searched(group)) << group.ToString();
        }
      }
    }
  }
}

TEST(GroupTable, CoversAllMulticastAndNothingElse) {
  for (int first = 224; first < 240; ++first) {
    for (const char* const rest : {".0.0.0", ".0.0.3", ".100.1.2", ".252.3.4", ".255.255.255"}) {
      EXPECT_NE(FindGroup(Ip(std::to_string(first) + rest)), nullptr) << first << rest;
    }
  }
  for (const char* const text : {"ff00::", "ff5e::1", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"}) {
    EXPECT_NE(FindGroup(Ip(text)), nullptr) << text;
  }
  for (const char* const text : {"223.255.255.255", "240.0.0.0", "10.0.0.1", "fe80::1", "::", "feff::1"}) {
    EXPECT_EQ(FindGroup(Ip(text)), nullptr) << text;
  }
}

struct FoundCase {
  const char* group;
  const char* name;
  const char* range;
  const char* source;
};

class GroupTableFindTest : public ::testing::TestWithParam<FoundCase> {};

TEST_P(GroupTableFindTest, TheSmallestRangeIsFound) {
  const net::IpAddress group = Ip(GetParam().group);
  const GroupEntry* const entry = FindGroup(group);
  ASSERT_NE(entry, nullptr);
  EXPECT_EQ(entry->name, GetParam().name);
  EXPECT_EQ(RangeFor(*entry, group), GetParam().range);
  EXPECT_EQ(entry->source, GetParam().source);
}

INSTANTIATE_TEST_SUITE_P(
    Groups, GroupTableFindTest,
    ::testing::Values(FoundCase{"224.0.0.251", "mDNS", "224.0.0.251/32", "RFC 6762"},
                      FoundCase{"224.0.0.3", "local network control block", "224.0.0.0/24", "RFC 5771"},
                      FoundCase{"224.0.1.0", "internetwork control block", "224.0.1.0/24", "RFC 5771"},
                      FoundCase{"224.0.1.129", "PTP", "224.0.1.129/32", "IEEE 1588"},
                      FoundCase{"224.0.1.255", "internetwork control block", "224.0.1.0/24", "RFC 5771"},
                      FoundCase{"224.0.2.0", "AD-HOC block I", "224.0.2.0-224.0.255.255", "RFC 5771"},
                      FoundCase{"224.0.255.255", "AD-HOC block I", "224.0.2.0-224.0.255.255", "RFC 5771"},
                      FoundCase{"224.1.0.0", "reserved", "224.1.0.0/16", "RFC 5771"},
                      FoundCase{"224.2.1.1", "SDP/SAP block", "224.2.0.0/16", "RFC 5771"},
                      FoundCase{"224.2.127.254", "SAP version 1", "224.2.127.254/32", "RFC 2974"},
                      FoundCase{"224.3.0.0", "AD-HOC block II", "224.3.0.0-224.4.255.255", "RFC 5771"},
                      FoundCase{"224.4.255.255", "AD-HOC block II", "224.3.0.0-224.4.255.255", "RFC 5771"},
                      FoundCase{"224.5.0.0", "reserved", "224.5.0.0-231.255.255.255", "RFC 5771"},
                      FoundCase{"231.255.255.255", "reserved", "224.5.0.0-231.255.255.255", "RFC 5771"},
                      FoundCase{"232.1.1.1", "source-specific multicast", "232.0.0.0/8", "RFC 4607"},
                      FoundCase{"233.1.2.3", "GLOP", "233.0.0.0-233.251.255.255", "RFC 3180"},
                      FoundCase{"233.251.255.255", "GLOP", "233.0.0.0-233.251.255.255", "RFC 3180"},
                      FoundCase{"233.252.0.255", "MCAST-TEST-NET", "233.252.0.0/24", "RFC 6676"},
                      FoundCase{"233.252.1.0", "AD-HOC block III", "233.252.0.0/14", "RFC 5771"},
                      FoundCase{"234.1.2.3", "unicast-prefix-based", "234.0.0.0/8", "RFC 6034"},
                      FoundCase{"235.0.0.0", "reserved", "235.0.0.0-238.255.255.255", "RFC 5771"},
                      FoundCase{"239.1.1.1", "administratively scoped", "239.0.0.0/8", "RFC 2365"},
                      FoundCase{"239.191.255.255", "administratively scoped", "239.0.0.0/8", "RFC 2365"},
                      FoundCase{"239.192.0.0", "organisation-local scope", "239.192.0.0/14", "RFC 2365"},
                      FoundCase{"239.195.255.255", "organisation-local scope", "239.192.0.0/14", "RFC 2365"},
                      FoundCase{"239.196.0.0", "administratively scoped", "239.0.0.0/8", "RFC 2365"},
                      FoundCase{"239.255.0.1", "local scope", "239.255.0.0/16", "RFC 2365"},
                      FoundCase{"239.255.255.250", "SSDP", "239.255.255.250/32", "UPnP Device Architecture"},
                      FoundCase{"ff02::1", "all nodes", "ff02::1/128", "RFC 4291"},
                      FoundCase{"ff05::1", "permanently assigned", "ff00::/12", "RFC 4291"},
                      FoundCase{"ff05::101", "NTP", "ff05::101/128", "RFC 5905"},
                      FoundCase{"ff0e::101", "NTP", "ff0e::101/128", "RFC 5905"},
                      FoundCase{"ff15::101", "transient", "ff10::/12", "RFC 4291"},
                      FoundCase{"ff02::fb", "mDNS", "ff02::fb/128", "RFC 6762"},
                      FoundCase{"ff05::fb", "mDNS", "ff05::fb/128", "RFC 6762"},
                      FoundCase{"ff02::1:ff12:3456", "solicited node", "ff02::1:ff00:0/104", "RFC 4291"},
                      FoundCase{"ff02::1:fe12:3456", "permanently assigned", "ff00::/12", "RFC 4291"},
                      FoundCase{"ff05::2:8001", "SAP dynamic assignments", "ff05::2:8000/113", "RFC 2974"},
                      FoundCase{"ff08::2:7ffd", "conference calls", "ff08::2:0-ff08::2:7ffd",
                                "IANA IPv6 multicast registry"},
                      FoundCase{"ff0e::db8:0:1", "documentation", "ff0e::db8:0:0/96", "RFC 6676"},
                      FoundCase{"ff35::1", "source-specific multicast", "ff35::/32", "RFC 4607"},
                      FoundCase{"ff3e::8000:1", "source-specific multicast", "ff3e::/32", "RFC 4607"},
                      FoundCase{"ff3e:30:2001:db8::1", "unicast-prefix-based", "ff30::/12", "RFC 3306"},
                      FoundCase{"ff7e:140:2001:db8::1", "embedded rendezvous point", "ff70::/12", "RFC 3956"},
                      FoundCase{"ff2e::1", "IPv6 multicast", "ff00::/8", "RFC 4291"}));

TEST(GroupTable, TextsThatAreNoRangeAreRefused) {
  for (const char* const text : {"", "224.0.0.0", "224.0.0.0/", "224.0.0.0/0", "224.0.0.0/33", "224.0.0.1/24",
                                 "ff00::/129", "224.0.0.5-224.0.0.1", "224.0.0.1-ff02::1", "ff02::1/128x", "hello/8"}) {
    EXPECT_EQ(net::ReasonOf(ParseRange(text).status()), net::Reason::kInvalidAddress) << text;
  }
}

// The one table decides what the gateway refuses to send to.
TEST(GroupTable, ThePolicyRefusesJustWhatTheTableKeepsFromClients) {
  size_t refused = 0;
  for (const GroupEntry& entry : GroupTable()) {
    const GroupRange range = *ParseRange(entry.range);
    if (range.first != range.last || entry.any_scope) continue;
    const absl::Status send = CheckSend({.selector = "a0", .group = range.first, .port = 5000, .source = std::nullopt});
    EXPECT_EQ(net::ReasonOf(send) == net::Reason::kGroupReserved, entry.use != GroupUse::kOpen) << entry.range;
    EXPECT_EQ(ReservedGroupName(range.first), entry.use == GroupUse::kOpen ? "" : entry.name);
    refused += entry.use != GroupUse::kOpen;
  }
  EXPECT_EQ(refused, 28u);
}

}  // namespace
}  // namespace mcgw::gateway
