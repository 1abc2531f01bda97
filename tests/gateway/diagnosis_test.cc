// Checks on made-up facts, for what a kernel is not easily brought to.

#include "server/gateway/inspection/diagnosis.h"

#include <algorithm>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "server/net/status.h"
#include "server/net/text.h"
#include "tests/support/fakes.h"

namespace mcgw::gateway {
namespace {

using testing::FakeInterface;
using testing::Ip;

constexpr int64_t kSecondNs = 1'000'000'000;
constexpr int64_t kNowNs = 10'000 * kSecondNs;

bool Says(const std::optional<Finding>& finding, Severity severity, std::string_view seen = "") {
  return finding.has_value() && finding->severity == severity && absl::StrContains(finding->seen, net::ToAbsl(seen));
}

HostFacts Host() {
  HostFacts host;
  host.settings = {.rmem_max = 212992,
                   .optmem_max = 131072,
                   .igmp_max_memberships = 20,
                   .igmp_max_msf = 10,
                   .mld_max_msf = 64,
                   .open_files = 20,
                   .open_files_limit = 1024};
  host.counters = host.counters_before = {.reverse_path_drops = 5,
                                          .reassembly_failures = {1, 2},
                                          .udp_checksum_errors = {3, 4},
                                          .ipv4_header_checksum_errors = 5};
  host.channels_limit = 100;
  host.asked_buffer_bytes = 1 << 20;
  host.now_monotonic_ns = kNowNs;
  host.now_unix_ns = kNowNs;
  return host;
}

InterfaceFacts A0() {
  InterfaceFacts facts;
  facts.interface = FakeInterface(2, "a0", {"10.0.0.1/24", "fe80::1/64"});
  facts.interface.mtu_bytes = 1500;
  facts.settings = {
      .rp_filter_all = 0, .rp_filter_own = 0, .disable_ipv6 = 0, .force_igmp_version = 0, .force_mld_version = 0};
  facts.mld = net::MldCounters();
  for (FamilyFacts& family : facts.families) family.concerned = true;
  facts.families[0].protocol_version = 3;
  facts.families[1].protocol_version = 2;
  return facts;
}

// Joined by one client, any source.
ChannelFacts Channel() {
  ChannelFacts channel;
  channel.group = Ip("239.1.1.1");
  channel.port = 5000;
  channel.interface_name = "a0";
  ChannelSnapshot& snapshot = channel.snapshot.emplace();
  snapshot.status.channel_id = 7;
  snapshot.status.phase = fanout::ChannelPhase::kJoined;
  snapshot.holders.emplace_back();
  snapshot.joined = true;
  snapshot.socket.receive_buffer_bytes = 2 << 20;
  channel.host_users = channel.gateway_sockets = 1;
  return channel;
}

TEST(Diagnosis, TellsHowMuchTheKernelGrantsOfAReceiveBuffer) {
  HostFacts host = Host();
  EXPECT_TRUE(
      Says(CheckBufferLimit(host), Severity::kInfo, "212992"));  // Nothing is joined: not known what is granted.
  host.granted_buffer_bytes = 212992;
  const auto finding = CheckBufferLimit(host);
  EXPECT_TRUE(Says(finding, Severity::kWarning, "212992"));
  EXPECT_EQ(finding->remedy_command, "sysctl -w net.core.rmem_max=1048576");
  host.granted_buffer_bytes = 1 << 20;  // By CAP_NET_ADMIN.
  EXPECT_TRUE(Says(CheckBufferLimit(host), Severity::kOk));
  host.granted_buffer_bytes.reset();
  host.settings.rmem_max = 1 << 20;
  EXPECT_TRUE(Says(CheckBufferLimit(host), Severity::kOk));
  host.settings.rmem_max.reset();
  EXPECT_TRUE(Says(CheckBufferLimit(host), Severity::kUnknown));
}

TEST(Diagnosis, TellsOfAChannelsSmallBuffer) {
  const HostFacts host = Host();
  ChannelFacts channel = Channel();
  EXPECT_TRUE(Says(CheckBuffer(channel, host), Severity::kOk));
  channel.snapshot->socket.receive_buffer_bytes = 2 * 212992;
  EXPECT_TRUE(Says(CheckBuffer(channel, host), Severity::kInfo, "212992 of 1048576"));
  channel.snapshot->account.kernel_drops = 3;
  EXPECT_TRUE(Says(CheckBuffer(channel, host), Severity::kWarning));
  EXPECT_TRUE(Says(CheckDrops(channel), Severity::kWarning, "dropped 3"));
  // Raised since: only a new join has more.
  HostFacts raised = host;
  raised.settings.rmem_max = 1 << 20;
  channel.snapshot->account.kernel_drops = 0;
  EXPECT_TRUE(Says(CheckBuffer(channel, raised), Severity::kWarning));
  EXPECT_TRUE(CheckBuffer(channel, raised)->remedy_command.empty());
}

TEST(Diagnosis, TellsOfLittleOptionMemory) {
  HostFacts host = Host();
  EXPECT_TRUE(Says(CheckKernelLimits(host), Severity::kOk));
  host.settings.optmem_max = 500;
  EXPECT_TRUE(Says(CheckKernelLimits(host), Severity::kWarning, "optmem_max is 500"));
}

TEST(Diagnosis, TellsOfDescriptorsAndChannelsBeforeTheyRunOut) {
  HostFacts host = Host();
  EXPECT_TRUE(Says(CheckDescriptors(host), Severity::kOk));
  host.settings.open_files = 900;
  EXPECT_TRUE(Says(CheckDescriptors(host), Severity::kWarning, "900 of at most 1024"));
  host.settings.open_files = 1020;
  EXPECT_TRUE(Says(CheckDescriptors(host), Severity::kError));
  host.channels = 89;
  EXPECT_TRUE(Says(CheckChannelLimit(host), Severity::kOk));
  host.channels = 95;
  EXPECT_TRUE(Says(CheckChannelLimit(host), Severity::kWarning));
}

TEST(Diagnosis, CountsOnlyTheReversePathDropsSinceItsStart) {
  HostFacts host = Host();
  EXPECT_TRUE(Says(CheckReversePathDrops(host), Severity::kOk));
  host.counters.reverse_path_drops = 8;
  EXPECT_TRUE(Says(CheckReversePathDrops(host), Severity::kWarning, "dropped 3 packets"));
}

TEST(Diagnosis, SaysThatAQuerierIsMissingOnlyAfterListeningLongEnough) {
  const InterfaceFacts facts = A0();
  HostFacts host = Host();
  for (const net::Family family : {net::Family::kIpv4, net::Family::kIpv6}) {
    host.listens_to_queriers = false;
    const auto deaf = CheckQuerier(facts, host, family);
    EXPECT_TRUE(Says(deaf, Severity::kUnknown));
    EXPECT_TRUE(absl::StrContains(deaf->remedy_command, "tcpdump")) << deaf->remedy_command;
    host.listens_to_queriers = true;
    host.listened_ns = 60 * kSecondNs;
    EXPECT_TRUE(Says(CheckQuerier(facts, host, family), Severity::kUnknown, "60 s only"));
    host.listened_ns = 300 * kSecondNs;
    EXPECT_TRUE(Says(CheckQuerier(facts, host, family), Severity::kWarning, "no querier asked on a0"));
  }
}

TEST(Diagnosis, TellsOfTheQuerierThatItHeard) {
  InterfaceFacts facts = A0();
  HostFacts host = Host();
  host.listens_to_queriers = true;
  host.listened_ns = 5000 * kSecondNs;
  facts.families[0].last_query = net::Query{Ip("10.0.0.254"), 3, kNowNs - 12 * kSecondNs};
  EXPECT_TRUE(
      Says(CheckQuerier(facts, host, net::Family::kIpv4), Severity::kOk, "10.0.0.254, IGMPv3) asked on a0 12 s"));
  facts.families[0].last_query->heard_ns = kNowNs - 600 * kSecondNs;
  EXPECT_TRUE(Says(CheckQuerier(facts, host, net::Family::kIpv4), Severity::kWarning, "10 min ago, and none since"));
}

TEST(Diagnosis, KnowsAQuerierByTheTracesItLeaves) {
  InterfaceFacts facts = A0();
  const HostFacts host = Host();
  facts.families[0].protocol_version = 2;
  EXPECT_TRUE(Says(CheckQuerier(facts, host, net::Family::kIpv4), Severity::kOk, "IGMP version 2"));
  facts.families[0].forced_version = 2;  // Then the version says nothing of a querier.
  EXPECT_TRUE(Says(CheckQuerier(facts, host, net::Family::kIpv4), Severity::kUnknown));
  // The kernel counts what it ignores, too.
  facts.mld->queries_received = 4;
  EXPECT_TRUE(Says(CheckQuerier(facts, host, net::Family::kIpv6), Severity::kUnknown, "4 MLD queries"));
  facts.bridge = BridgeFacts{"br0", {.snooping = true, .querier = false, .hears_querier = {true, false}}};
  EXPECT_TRUE(Says(CheckQuerier(facts, host, net::Family::kIpv4), Severity::kOk, "br0 hears a querier"));
  EXPECT_TRUE(Says(CheckBridge(facts, net::Family::kIpv4), Severity::kOk));
  EXPECT_TRUE(Says(CheckBridge(facts, net::Family::kIpv6), Severity::kWarning, "br0 snoops MLD"));
}

TEST(Diagnosis, SaysThatAVersionIsNotKnown) {
  InterfaceFacts facts = A0();
  facts.families[1].protocol_version = 0;
  EXPECT_TRUE(Says(CheckProtocol(facts, net::Family::kIpv6), Severity::kUnknown, "MLD"));
  facts.interface.ipv6 = false;  // CheckAddress says so.
  EXPECT_FALSE(CheckProtocol(facts, net::Family::kIpv6).has_value());
  EXPECT_FALSE(CheckQuerier(facts, Host(), net::Family::kIpv6).has_value());
}

TEST(Diagnosis, TellsOfMembershipsThatWaitFailOrAreOver) {
  ChannelFacts channel = Channel();
  EXPECT_TRUE(Says(CheckWanted(channel), Severity::kOk, "1 membership requests"));
  channel.snapshot->joined = false;
  EXPECT_TRUE(Says(CheckInKernel(channel), Severity::kError, "lost the membership"));
  channel.snapshot->status.phase = fanout::ChannelPhase::kWaiting;
  channel.snapshot->status.error = net::Error(net::Reason::kInterfaceDown, "", "a0 is down");
  EXPECT_TRUE(Says(CheckWanted(channel), Severity::kWarning, "cannot be joined yet: a0 is down"));
  EXPECT_TRUE(Says(CheckInKernel(channel), Severity::kError, "has not joined"));
  channel.snapshot->status.phase = fanout::ChannelPhase::kFailed;
  channel.snapshot->status.error = net::Error(net::Reason::kPortInUse, "", "another has it");
  EXPECT_TRUE(Says(CheckWanted(channel), Severity::kError, "another has it"));
  channel.snapshot->holders.clear();
  EXPECT_TRUE(Says(CheckWanted(channel), Severity::kError, "any more"));
  EXPECT_TRUE(Says(CheckInKernel(channel), Severity::kInfo, "but not for this channel"));
}

TEST(Diagnosis, AsksOfAQuietChannelWhereItsDatagramsAre) {
  const HostFacts host = Host();
  ChannelFacts channel = Channel();
  channel.snapshot->created_unix_ns = kNowNs - 30 * kSecondNs;
  EXPECT_TRUE(Says(CheckLastDatagram(channel, host), Severity::kInfo, "30 s ago"));
  EXPECT_FALSE(CheckHopLimit(channel).has_value());
  channel.snapshot->last_datagram_unix_ns = kNowNs - 5 * kSecondNs;
  channel.snapshot->last_source = "10.0.0.2";
  channel.snapshot->last_hop_limit = 7;
  EXPECT_TRUE(Says(CheckLastDatagram(channel, host), Severity::kOk, "5 s ago from 10.0.0.2"));
  EXPECT_TRUE(Says(CheckHopLimit(channel), Severity::kOk, "hop limit 7"));
  channel.snapshot->last_datagram_unix_ns = kNowNs - 7300 * kSecondNs;
  EXPECT_TRUE(Says(CheckLastDatagram(channel, host), Severity::kInfo, "2 h ago"));
}

TEST(Diagnosis, ReversePathKnowsItsOwnHostAndTheCasesItCannotJudge) {
  InterfaceFacts facts = A0();
  ChannelFacts channel = Channel();
  EXPECT_TRUE(Says(CheckReversePath(channel, facts), Severity::kOk, "off"));
  facts.settings.rp_filter_all = 1;
  channel.sources = {{Ip("10.0.0.1"), {net::Route::Kind::kLocal, 1}, "lo"}};
  EXPECT_TRUE(Says(CheckReversePath(channel, facts), Severity::kOk));
  facts.settings.rp_filter_all.reset();
  facts.settings.rp_filter_own.reset();
  EXPECT_TRUE(Says(CheckReversePath(channel, facts), Severity::kUnknown, "cannot be read"));
  channel.group = Ip("ff15::1");  // There is no such filter for IPv6.
  EXPECT_FALSE(CheckReversePath(channel, facts).has_value());
}

TEST(Diagnosis, PutsTheGravestFirstAndKeepsTheAnswerSmall) {
  DiagnosisFacts facts{Host(), {A0()}, {}};
  facts.interfaces[0].interface.up = false;
  for (size_t i = 0; i < kMostFindings; ++i) facts.channels.push_back(Channel());
  const std::vector<Finding> findings = Judge(facts);
  ASSERT_EQ(findings.size(), kMostFindings);
  EXPECT_EQ(findings.front().code, FindingCode::kInterfaceUp);
  EXPECT_EQ(findings.front().interface_name, "a0");
  std::vector<Severity> order;
  for (const Finding& finding : findings) {
    if (order.empty() || order.back() != finding.severity) order.push_back(finding.severity);
  }
  EXPECT_EQ(order, (std::vector<Severity>{Severity::kError, Severity::kUnknown, Severity::kInfo}));
}

TEST(Diagnosis, NamesTheChannelOfAFinding) {
  const std::vector<Finding> findings = Judge({Host(), {A0()}, {Channel()}});
  for (const Finding& finding : findings) {
    if (finding.code != FindingCode::kMembershipWished) continue;
    EXPECT_EQ(finding.channel_id, 7u);
    EXPECT_EQ(finding.interface_name, "a0");
  }
}

TEST(Diagnosis, SaysWhoseQueriesTheKernelIgnoresAndWhy) {
  InterfaceFacts facts = A0();
  HostFacts host = Host();
  host.listens_to_queriers = true;
  host.listened_ns = 300 * kSecondNs;
  EXPECT_FALSE(CheckInvalidQueries(facts, host, net::Family::kIpv6).has_value());
  facts.families[1].invalid_query =
      net::InvalidQuery{Ip("fe80::2"), "its hop limit is 64, not 1", kNowNs - 7 * kSecondNs, 3};
  const auto finding = CheckInvalidQueries(facts, host, net::Family::kIpv6);
  EXPECT_TRUE(
      Says(finding, Severity::kWarning, "fe80::2 asked on a0 7 s ago with an MLD query that the kernel ignores"));
  EXPECT_TRUE(Says(finding, Severity::kWarning, "its hop limit is 64, not 1; it is one of 3 such queries"));
  EXPECT_EQ(finding->code, FindingCode::kInvalidQuery);
  // It makes no querier.
  EXPECT_TRUE(Says(CheckQuerier(facts, host, net::Family::kIpv6), Severity::kWarning, "no querier asked"));
}

TEST(Diagnosis, AForcedVersionMakesTheKernelIgnoreAnOlderQuerier) {
  InterfaceFacts facts = A0();
  facts.families[1].last_query = net::Query{Ip("fe80::9"), 1, kNowNs - kSecondNs};
  EXPECT_TRUE(Says(CheckQuerier(facts, Host(), net::Family::kIpv6), Severity::kOk, "MLDv1) asked"));
  facts.families[1].forced_version = 2;
  const auto finding = CheckQuerier(facts, Host(), net::Family::kIpv6);
  EXPECT_TRUE(Says(finding, Severity::kWarning, "ignores it, since force_mld_version is 2"));
  EXPECT_EQ(finding->remedy_command,
            "sysctl -w net.ipv6.conf.all.force_mld_version=0 net.ipv6.conf.a0.force_mld_version=0");
}

// ---- Filters that the kernel has not taken ----

ChannelFacts Ipv6Channel(std::vector<net::IpAddress> sources) {
  ChannelFacts channel = Channel();
  channel.group = Ip("ff15::10");
  channel.snapshot->wanted = fanout::SourceFilter::Include(std::move(sources));
  return channel;
}

std::vector<net::IpAddress> Sources(size_t count) {
  std::vector<net::IpAddress> sources;
  for (size_t i = 0; i < count; ++i) sources.push_back(Ip(absl::StrCat("fd00::", i + 1)));
  return sources;
}

TEST(Diagnosis, AFilterYetToBeNarrowedExceedsNoLimit) {
  ChannelFacts channel = Ipv6Channel(Sources(1));
  channel.snapshot->narrows = true;
  const auto finding = CheckFilter(channel, Host());
  EXPECT_TRUE(Says(finding, Severity::kInfo, "still passes any source of [ff15::10]:5000 on a0")) << finding->seen;
  EXPECT_EQ(finding->code, FindingCode::kMembershipInKernel);
  EXPECT_EQ(finding->remedy_command, "");
  EXPECT_TRUE(absl::StrContains(finding->remedy, "30 s")) << finding->remedy;
}

TEST(Diagnosis, ALimitIsReportedOnlyWhereItIsExceeded) {
  HostFacts host = Host();
  EXPECT_FALSE(CheckFilter(Channel(), host).has_value());
  const auto exceeded = CheckFilter(Ipv6Channel(Sources(65)), host);
  EXPECT_TRUE(Says(exceeded, Severity::kInfo, "it keeps 64 (net.ipv6.mld_max_msf)")) << exceeded->seen;
  EXPECT_EQ(exceeded->remedy_command, "sysctl -w net.ipv6.mld_max_msf=65");
  const auto within = CheckFilter(Ipv6Channel(Sources(64)), host);
  EXPECT_TRUE(Says(within, Severity::kInfo, "though it keeps 64 now"));
  EXPECT_EQ(within->remedy_command, "");
  host.settings.mld_max_msf.reset();
  const auto unknown = CheckFilter(Ipv6Channel(Sources(1)), host);
  EXPECT_TRUE(Says(unknown, Severity::kUnknown, "cannot be read"));
  EXPECT_EQ(unknown->remedy_command, "sysctl net.ipv6.mld_max_msf net.core.optmem_max");
}

// ---- What is dropped before any socket ----

TEST(Diagnosis, TellsOfFragmentsThatMakeNoDatagram) {
  HostFacts host = Host();
  EXPECT_TRUE(Says(CheckReassembly(host), Severity::kOk, "0 of IPv4, 0 of IPv6"));
  host.counters.reassembly_failures[1] = 9;
  EXPECT_TRUE(Says(CheckReassembly(host), Severity::kWarning, "0 of IPv4, 7 of IPv6"));
  host.settings.has_ipv6 = false;
  host.counters.reassembly_failures[1].reset();
  EXPECT_TRUE(Says(CheckReassembly(host), Severity::kOk, "0 of IPv4"));
  host.counters.reassembly_failures[0].reset();
  const auto unknown = CheckReassembly(host);
  EXPECT_TRUE(Says(unknown, Severity::kUnknown, "cannot be read"));
  EXPECT_EQ(unknown->remedy_command, "nstat -az IpReasmFails Ip6ReasmFails");
}

TEST(Diagnosis, TellsOfWrongChecksums) {
  HostFacts host = Host();
  EXPECT_TRUE(Says(CheckChecksums(host), Severity::kOk));
  host.counters.udp_checksum_errors[0] = 5;
  host.counters.ipv4_header_checksum_errors = 6;
  EXPECT_TRUE(Says(CheckChecksums(host), Severity::kWarning, "2 of IPv4, 0 of IPv6, 1 in an IPv4 header"));
  host.counters = {};
  EXPECT_TRUE(Says(CheckChecksums(host), Severity::kUnknown, "cannot be read"));
}

TEST(Diagnosis, ACounterThatFellBeganAgain) {
  HostFacts host = Host();
  host.counters.reassembly_failures[0] = 0;
  EXPECT_TRUE(Says(CheckReassembly(host), Severity::kOk));
  const net::DeviceCounters before = {.received_packets = 9, .dropped_packets = 5};
  EXPECT_EQ(net::Since(before, {.received_packets = 10, .dropped_packets = 2}),
            (net::DeviceCounters{.received_packets = 1, .dropped_packets = 2}));
}

TEST(Diagnosis, TellsOfFramesThatTheDeviceDropped) {
  InterfaceFacts facts = A0();
  EXPECT_FALSE(CheckDevice(facts).has_value());  // Not known.
  facts.device = net::DeviceCounters{.received_packets = 100};
  EXPECT_TRUE(Says(CheckDevice(facts), Severity::kOk, "no received frame"));
  facts.device->dropped_packets = 3;  // Often those of protocols that this host does not receive.
  EXPECT_TRUE(Says(CheckDevice(facts), Severity::kInfo, "3 without giving a reason"));
  facts.device->length_errors = 2;
  const auto finding = CheckDevice(facts);
  EXPECT_TRUE(Says(finding, Severity::kWarning, "2 for their length, 3 without giving a reason"));
  EXPECT_TRUE(absl::StrContains(finding->remedy, "the MTU of a0 (1500 bytes)")) << finding->remedy;
}

// ---- What cannot be known ----

TEST(Diagnosis, AHostWithoutIpv6IsToldSoAndNotOfAnMtu) {
  HostFacts host = Host();
  host.settings.has_ipv6 = false;
  InterfaceFacts facts = A0();
  facts.interface.ipv6 = false;
  facts.interface.mtu_bytes = 1200;
  facts.settings.disable_ipv6.reset();
  facts.mld.reset();
  EXPECT_FALSE(CheckMtu(facts, host).has_value());
  EXPECT_TRUE(Says(CheckAddress(facts, host, net::Family::kIpv6), Severity::kError, "has no IPv6"));
  for (const Finding& finding : Judge({host, {facts}, {}})) {
    EXPECT_FALSE(absl::StrContains(finding.seen, "MTU")) << finding.seen;
  }
}

TEST(Diagnosis, WithoutProcItSaysWhatItCannotKnow) {
  HostFacts host = Host();
  host.settings = {.open_files_limit = 1024};
  host.counters = {};
  InterfaceFacts facts = A0();
  facts.settings = {};
  facts.mld.reset();
  for (FamilyFacts& family : facts.families) family.protocol_version = 0;
  ChannelFacts channel = Channel();
  channel.host_users.reset();
  const DiagnosisFacts all{host, {facts}, {channel}};
  std::set<FindingCode> unknown;
  for (const Finding& finding : Judge(all)) {
    EXPECT_NE(finding.severity, Severity::kError) << finding.seen;
    if (finding.severity == Severity::kUnknown) unknown.insert(finding.code);
  }
  for (const FindingCode code : {FindingCode::kMembershipInKernel, FindingCode::kMembershipProtocol,
                                 FindingCode::kQuerier, FindingCode::kReversePath, FindingCode::kReceiveBuffer,
                                 FindingCode::kLimits, FindingCode::kReassembly, FindingCode::kChecksums}) {
    EXPECT_TRUE(unknown.contains(code)) << static_cast<int>(code);
  }
}

TEST(Diagnosis, AnIpvlanOfLayer3CarriesNoMulticast) {
  InterfaceFacts facts = A0();
  EXPECT_TRUE(Says(CheckMulticastFlag(facts), Severity::kOk));
  facts.interface.carries_multicast = false;
  const auto finding = CheckMulticastFlag(facts);
  EXPECT_TRUE(Says(finding, Severity::kError, "carries no multicast"));
  EXPECT_EQ(finding->remedy_command, "ip link set dev a0 type ipvlan mode l2");
}

// ---- Remedies ----

// Every `sysctl -w NAME=VALUE` of a remedy, against the value that the facts have.
TEST(Diagnosis, NoRemedyLowersALimit) {
  const std::vector<int64_t> values = {0, 1, 10, 20, 64, 500, 4096, 212992, 1 << 20, 64 << 20};
  int raised = 0;
  for (const int64_t value : values) {
    for (const size_t sources : {1, 64, 65, 600}) {
      HostFacts host = Host();
      host.settings = {.rmem_max = value,
                       .optmem_max = value,
                       .igmp_max_memberships = value,
                       .igmp_max_msf = value,
                       .mld_max_msf = value};
      host.granted_buffer_bytes = std::min<size_t>(static_cast<size_t>(value), 1 << 20);
      ChannelFacts channel = Ipv6Channel(Sources(sources));
      channel.snapshot->socket.receive_buffer_bytes = 2 * *host.granted_buffer_bytes;
      InterfaceFacts facts = A0();
      facts.interface.mtu_bytes = static_cast<uint32_t>(value);
      for (const Finding& finding : Judge({host, {facts}, {channel}})) {
        if (const size_t at = finding.remedy_command.find(" mtu "); at != std::string::npos) {
          EXPECT_GT(std::stoll(finding.remedy_command.substr(at + 5)), value) << finding.remedy_command;
        }
        for (const std::string_view word :
             {"rmem_max=", "optmem_max=", "igmp_max_memberships=", "igmp_max_msf=", "mld_max_msf="}) {
          const size_t at = finding.remedy_command.find(word);
          if (at == std::string::npos) continue;
          ++raised;
          EXPECT_GT(std::stoll(finding.remedy_command.substr(at + word.size())), value) << finding.remedy_command;
        }
      }
    }
  }
  EXPECT_GT(raised, 0);
}

TEST(Diagnosis, QuotesWhatAShellWouldTakeApart) {
  EXPECT_EQ(ShellWord("eth0.100@x"), "eth0.100@x");
  EXPECT_EQ(ShellWord("a;b"), "'a;b'");
  EXPECT_EQ(ShellWord("a'b"), "'a'\\''b'");
  EXPECT_EQ(ShellWord("[ff15::1]:5000%a0"), "'[ff15::1]:5000%a0'");
  EXPECT_EQ(ShellWord(""), "''");
}

// ---- VRF ----

InterfaceFacts PortOfRed() {
  InterfaceFacts facts = A0();
  facts.interface.master_index = 9;
  facts.interface.port_kind = "vrf";
  facts.master_name = "red";
  facts.master_kind = "vrf";
  return facts;
}

TEST(Diagnosis, APortOfAVrfIsNotEnslavedAndNeedsNoRouteOfTheHost) {
  InterfaceFacts facts = PortOfRed();
  EXPECT_FALSE(CheckEnslaved(facts).has_value());
  EXPECT_FALSE(CheckVrf(facts).has_value());
  facts.families[0].route = net::Route{};
  EXPECT_TRUE(Says(CheckRoute(facts, net::Family::kIpv4), Severity::kOk, "a0 is in VRF red"));
  facts.families[0].route = net::Route{.kind = net::Route::Kind::kThrough, .interface_index = 2};
  EXPECT_TRUE(Says(CheckRoute(facts, net::Family::kIpv4), Severity::kOk, "whose route to groups leads through it"));
}

TEST(Diagnosis, RemediesNameTheVrf) {
  InterfaceFacts facts = PortOfRed();
  facts.settings.rp_filter_all = 1;
  ChannelFacts channel = Channel();
  channel.sources.push_back({.source = Ip("10.9.0.2"), .route = {}, .route_interface = ""});
  const auto finding = CheckReversePath(channel, facts);
  EXPECT_TRUE(Says(finding, Severity::kError, "the route of VRF red back to 10.9.0.2"));
  EXPECT_EQ(finding->remedy_command, "ip route add 10.9.0.2/32 dev a0 vrf red");
  channel.sources[0].route = {.kind = net::Route::Kind::kThrough, .interface_index = 2};
  EXPECT_TRUE(Says(CheckReversePath(channel, facts), Severity::kOk));
}

TEST(Diagnosis, OnAVrfItselfNothingArrives) {
  InterfaceFacts facts = A0();
  facts.interface.kind = "vrf";
  EXPECT_TRUE(Says(CheckVrf(facts), Severity::kError, "a0 is a VRF"));
  EXPECT_EQ(CheckVrf(facts)->remedy_command, "ip link show master a0");
}

}  // namespace
}  // namespace mcgw::gateway
