// What comes by the wire and reaches no socket, or no host answers: queries that the kernel ignores, fragments that
// make no datagram, wrong checksums, frames that are too long.

#include <netinet/in.h>
#include <sched.h>
#include <sys/mount.h>

#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tests/kernel/diagnosis_fixture.h"
#include "tests/kernel/frames.h"

namespace mcgw::gateway {
namespace {

using fanout::SourceFilter;
using kernel::Bytes16;
using kernel::Checksum;
using kernel::Ipv4;
using kernel::Ipv6;
using kernel::PutOnTheWire;
using std::string_literals::operator""s;  // NOLINT(misc-unused-using-decls): the literals use it.

std::string IgmpQuery(size_t bytes, uint8_t spoil = 0) {
  std::string message = "\x11\x0a\0\0\0\0\0\0\2\x7d\0\0"s.substr(0, bytes);
  message.replace(2, 2, Checksum(message));
  message[2] = static_cast<char>(message[2] ^ spoil);
  return Ipv4("10.0.0.2", "224.0.0.1", IPPROTO_IGMP, message);
}

struct MldShape {
  std::string source = "fe80::2";
  uint8_t hop_limit = 1;
  bool router_alert = true;
  uint8_t spoil = 0;
};
std::string MldQuery(const MldShape& shape = {}) {
  std::string message = "\x82\0\0\0\0\x64\0\0"s + std::string(16, '\0') + "\2\x7d\0\0"s;
  message.replace(2, 2,
                  Checksum(kernel::PseudoHeader(shape.source, "ff02::1", IPPROTO_ICMPV6, message.size()) + message));
  message[2] = static_cast<char>(message[2] ^ shape.spoil);
  const std::string alert = shape.router_alert ? "\x3a\0\5\2\0\0\1\0"s : "";
  return Ipv6(shape.source, "ff02::1", shape.router_alert ? IPPROTO_HOPOPTS : IPPROTO_ICMPV6, shape.hop_limit,
              alert + message);
}

TEST_F(DiagnosisTest, CountsNoQuerierByQueriesThatTheKernelIgnores) {
  const std::vector<std::pair<std::string, std::string>> kIgmp = {
      {IgmpQuery(12, 0x11), "10.0.0.2 asked on a0 0 s ago with an IGMP query that the kernel ignores: its checksum is"},
      {IgmpQuery(10), "it is 10 bytes long"}};
  const std::vector<std::pair<std::string, std::string>> kMld = {
      {MldQuery({.hop_limit = 64}), "its hop limit is 64, not 1"},
      {MldQuery({.source = "fd00::2"}), "its source, fd00::2, is not a link-local address"},
      {MldQuery({.router_alert = false}), "it lacks the router alert option"},
      {MldQuery({.spoil = 0x11}), "its checksum is wrong"}};
  for (const auto& [group, queries] : {std::pair("239.1.1.1", kIgmp), std::pair("ff15::1", kMld)}) {
    const DiagnosisRequest request = About("a0", group);
    gateway();
    for (const auto& [packet, fault] : queries) {
      PutOnTheWire(peer_, "b0", packet);
      EXPECT_TRUE(Eventually([&, &said = fault] {
        return Find(request, FindingCode::kInvalidQuery, Severity::kWarning, said).has_value();
      })) << fault
          << Everything(request);
    }
    EXPECT_TRUE(Find(request, FindingCode::kQuerier, Severity::kUnknown, "no querier has asked").has_value())
        << Everything(request);
    // The same, as it should be.
    PutOnTheWire(peer_, "b0", group == "ff15::1"s ? MldQuery() : IgmpQuery(12));
    EXPECT_TRUE(Eventually([&] {
      return Find(request, FindingCode::kQuerier, Severity::kOk, "v3) asked").has_value() ||
             Find(request, FindingCode::kQuerier, Severity::kOk, "v2) asked").has_value();
    })) << Everything(request);
  }
}

TEST_F(DiagnosisTest, FindsFragmentsThatMakeNoDatagram) {
  Shell("sysctl -qw net.ipv4.ipfrag_time=1 net.ipv6.ip6frag_time=1");
  constexpr uint32_t kMoreFragments = 0x2000;
  const std::string beginning =
      Bytes16(4000) + Bytes16(kDiagnosedPort) + Bytes16(2008) + "\0\0"s + std::string(992, 'x');
  for (const bool is_v4 : {true, false}) {
    Make(
        is_v4 ? "an IPv4 fragment without the rest" : "an IPv6 fragment without the rest", On(""),
        FindingCode::kReassembly, Severity::kWarning,
        [&] {
          PutOnTheWire(peer_, "b0",
                       is_v4 ? Ipv4("10.0.0.2", "224.0.0.1", IPPROTO_UDP, beginning, kMoreFragments)
                             : Ipv6("fe80::2", "ff02::1", IPPROTO_FRAGMENT, 1, "\x11\0\0\1\0\0\0\7"s + beginning));
          EXPECT_TRUE(Eventually([&] {
            return Find(On(""), FindingCode::kReassembly, Severity::kWarning, is_v4 ? "1 of IPv4" : "1 of IPv6")
                .has_value();
          }));
        },
        is_v4 ? "1 of IPv4" : "1 of IPv6");
  }
}

TEST_F(DiagnosisTest, FindsAWrongUdpChecksum) {
  Join("a0", "239.1.1.1");
  Receive();
  Make("a datagram with a wrong checksum", On("a0"), FindingCode::kChecksums, Severity::kWarning, [this] {
    const std::string udp = Bytes16(4000) + Bytes16(kDiagnosedPort) + Bytes16(15) + "\x12\x34"s + "payload";
    PutOnTheWire(peer_, "b0", Ipv4("10.0.0.2", "239.1.1.1", IPPROTO_UDP, udp));
    EXPECT_TRUE(Eventually([this] {
      Receive();
      return Find(On("a0"), FindingCode::kChecksums, Severity::kWarning, "1 of IPv4").has_value();
    }));
  });
}

TEST_F(DiagnosisTest, FindsFramesThatAreLongerThanTheMtu) {
  peer_.Shell("ip link set b0 mtu 9000");
  Make("the sender's MTU is 9000, the receiver's 1500", On("a0"), FindingCode::kDeviceDrops, Severity::kInfo, [this] {
    PutOnTheWire(peer_, "b0", Ipv4("10.0.0.2", "239.1.1.1", IPPROTO_UDP, std::string(5000, 'x')));
    EXPECT_TRUE(Eventually([this] { return Find(On("a0"), FindingCode::kDeviceDrops, Severity::kInfo).has_value(); }));
  });
}

TEST_F(DiagnosisTest, AFilterUnderTrafficIsNarrowedAndCalledNoLimit) {
  const DiagnosisRequest request = About("a0", "ff15::10");
  Join("a0", "ff15::10", SourceFilter::Include({Ip("fd00::77")}));
  const std::string kept = std::exchange(session_, "");  // Another client.
  Join("a0", "ff15::10");
  const int64_t start_ns = net::MonotonicNs();
  Make(
      "any source is wanted no more", request, FindingCode::kMembershipInKernel, Severity::kInfo,
      [this] { ASSERT_TRUE(gateway().Leave({"me"}, session_, WholeSession{}).ok()); }, "still passes any source");
  const auto filtered = [] { return kernel::SourceUsers(Ip("ff15::10"), Ip("fd00::77")).include; };
  for (int second = 0; second <= 30; ++second) {
    const uint64_t before = gateway().inspector().ListChannels()->front().account.read;
    PeerSends("ff15::10", "b0", "fd00::2");
    ASSERT_TRUE(Eventually([&] {
      Receive();
      return gateway().inspector().ListChannels()->front().account.read > before;
    }));
    EXPECT_EQ(filtered(), 0) << "after " << second << " s";
    EXPECT_FALSE(Find(request, FindingCode::kLimits, Severity::kInfo).has_value()) << Everything(request);
    gateway().Sweep(start_ns + (second + 1) * int64_t{1'000'000'000});
  }
  EXPECT_EQ(filtered(), 1);
  EXPECT_FALSE(Find(request, FindingCode::kMembershipInKernel, Severity::kInfo).has_value()) << Everything(request);
}

TEST_F(DiagnosisTest, WithoutProcItSaysWhatIsNotKnown) {
  Join("a0", "239.1.1.1");
  Join("a0", "ff15::1");
  std::vector<Finding> findings;
  // The mounts of a thread can be its own.
  std::thread([&] {
    ASSERT_EQ(unshare(CLONE_FS | CLONE_NEWNS), 0);
    ASSERT_EQ(mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0);
    ASSERT_EQ(mount("none", "/proc", "tmpfs", 0, nullptr), 0);
    findings = Diagnose(On(""));
  }).join();
  ASSERT_FALSE(findings.empty());
  int unknown = 0;
  for (const Finding& finding : findings) {
    EXPECT_NE(finding.severity, Severity::kError) << finding.seen;
    const bool of_kernel = finding.code == FindingCode::kMembershipInKernel;
    if (of_kernel) {
      EXPECT_EQ(finding.severity, Severity::kUnknown) << finding.seen;
    }
    unknown += of_kernel ? 1 : 0;
  }
  EXPECT_EQ(unknown, 2);
}

}  // namespace
}  // namespace mcgw::gateway
