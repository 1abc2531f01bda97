// Faults of memberships and of the way to the socket, made on purpose.

#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cstring>
#include <string>

#include "server/net/owned_fd.h"
#include "server/net/status.h"
#include "tests/kernel/diagnosis_fixture.h"

namespace mcgw::gateway {
namespace {

using fanout::SourceFilter;

// Sends one query of an old version, as a router would: IGMPv2, or MLDv1.
void SendIgmp2Query(const std::string& interface, std::string_view source) {
  const net::OwnedFd fd(socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_IGMP));
  const ip_mreqn by = {{0}, Ip(source).ToV4(), static_cast<int>(if_nametoindex(interface.c_str()))};
  ASSERT_EQ(setsockopt(fd.get(), IPPROTO_IP, IP_MULTICAST_IF, &by, sizeof(by)), 0);
  const unsigned char router_alert[] = {0x94, 4, 0, 0};
  ASSERT_EQ(setsockopt(fd.get(), IPPROTO_IP, IP_OPTIONS, router_alert, sizeof(router_alert)), 0);
  const unsigned char query[] = {0x11, 100, 0xee, 0x9b, 0, 0, 0, 0};  // Its checksum included.
  sockaddr_storage to;
  const socklen_t length = net::ToSockaddr(Ip("224.0.0.1"), 0, 0, &to);
  ASSERT_EQ(sendto(fd.get(), query, sizeof(query), 0, reinterpret_cast<sockaddr*>(&to), length),
            static_cast<ssize_t>(sizeof(query)));
}

void SendMld1Query(const std::string& interface, std::string_view source) {
  const uint32_t index = if_nametoindex(interface.c_str());
  const net::OwnedFd fd(socket(AF_INET6, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMPV6));
  sockaddr_storage from;
  socklen_t length = net::ToSockaddr(Ip(source), 0, index, &from);
  ASSERT_EQ(bind(fd.get(), reinterpret_cast<sockaddr*>(&from), length), 0);
  const unsigned char router_alert[] = {IPPROTO_ICMPV6, 0, 5, 2, 0, 0, 1, 0};
  ASSERT_EQ(setsockopt(fd.get(), IPPROTO_IPV6, IPV6_HOPOPTS, router_alert, sizeof(router_alert)), 0);
  mld_hdr query = {};
  query.mld_type = MLD_LISTENER_QUERY;
  query.mld_maxdelay = htons(10);
  sockaddr_storage to;
  length = net::ToSockaddr(Ip("ff02::1"), 0, index, &to);
  ASSERT_EQ(sendto(fd.get(), &query, sizeof(query), 0, reinterpret_cast<sockaddr*>(&to), length),
            static_cast<ssize_t>(sizeof(query)));
}

TEST_F(DiagnosisTest, FindsThatNobodyHasJoined) {
  const DiagnosisRequest request = About("a0", "239.1.1.1");
  const auto before = Find(request, FindingCode::kMembershipWished, Severity::kError);
  ASSERT_TRUE(before.has_value());
  Print("no client has joined", *before);
  EXPECT_EQ(before->remedy_command, "mcgw sub 239.1.1.1:5000%a0");
  Join("a0", "239.1.1.1");
  ExpectGone(*before, request);
  EXPECT_TRUE(Find(request, FindingCode::kMembershipInKernel, Severity::kOk).has_value());
  // Another port of the group, and another group, are other channels.
  DiagnosisRequest other_port = request;
  other_port.port = 5001;
  EXPECT_TRUE(Find(other_port, FindingCode::kMembershipWished, Severity::kError).has_value());
  EXPECT_TRUE(Find(About("a0", "239.1.1.2"), FindingCode::kMembershipWished, Severity::kError).has_value());
}

TEST_F(DiagnosisTest, AChannelThatWasLeftIsNoFaultUnlessItIsAskedAbout) {
  Join("a0", "239.1.1.1");
  ASSERT_TRUE(gateway().Leave({"me"}, session_, WholeSession{}).ok());
  for (const DiagnosisRequest& request : {On(""), On("a0")}) {
    EXPECT_FALSE(Find(request, FindingCode::kMembershipWished, Severity::kError).has_value()) << Everything(request);
  }
  EXPECT_TRUE(Find(About("a0", "239.1.1.1"), FindingCode::kMembershipWished, Severity::kError, "any more").has_value());
}

TEST_F(DiagnosisTest, FindsTheWrongSourceFilter) {
  const DiagnosisRequest request = About("a0", "239.1.1.1", "10.0.0.2");
  Join("a0", "239.1.1.1", SourceFilter::Include({Ip("10.0.0.77")}));
  Compare("the only request names another source", About("a0", "239.1.1.1", "10.0.0.77"), request,
          FindingCode::kMembershipWished, Severity::kError);
  session_.clear();  // Another client.
  Make("one of two requests names another source", request, FindingCode::kMembershipWished, Severity::kWarning,
       [this] { Join("a0", "239.1.1.1", SourceFilter::Include({Ip("10.0.0.2")})); });
}

TEST_F(DiagnosisTest, FindsThatIgmpIsForcedToAVersionWithoutSources) {
  const DiagnosisRequest request = About("a0", "232.1.1.1");
  Join("a0", "232.1.1.1", SourceFilter::Include({Ip("10.0.0.2")}));
  Mend(Make(
           "force_igmp_version=2, and sources wanted", request, FindingCode::kMembershipProtocol, Severity::kWarning,
           [] { Shell("sysctl -qw net.ipv4.conf.a0.force_igmp_version=2"); }, "IGMPv2"),
       request);
  Mend(Make(
           "force_igmp_version=2, and any source", About("a0", "239.1.1.1"), FindingCode::kMembershipProtocol,
           Severity::kInfo, [] { Shell("sysctl -qw net.ipv4.conf.all.force_igmp_version=2"); }, "IGMPv2"),
       About("a0", "239.1.1.1"));
}

TEST_F(DiagnosisTest, FindsThatMldIsForcedToAVersionWithoutSources) {
  const DiagnosisRequest request = About("a0", "ff35::1");
  Join("a0", "ff35::1", SourceFilter::Include({Ip("fd00::2")}));
  Mend(Make(
           "force_mld_version=1, and sources wanted", request, FindingCode::kMembershipProtocol, Severity::kWarning,
           [] { Shell("sysctl -qw net.ipv6.conf.a0.force_mld_version=1"); }, "MLDv1"),
       request);
}

TEST_F(DiagnosisTest, HearsAnOldIgmpQuerier) {
  const DiagnosisRequest request = About("a0", "239.1.1.1");
  EXPECT_TRUE(Find(request, FindingCode::kQuerier, Severity::kUnknown).has_value());
  Make(
      "an IGMPv2 querier", request, FindingCode::kMembershipProtocol, Severity::kInfo,
      [this] {
        peer_.Do([] { SendIgmp2Query("b0", "10.0.0.2"); });
        EXPECT_TRUE(Eventually([] { return net::ReadKernelMemberships()->igmp_version[if_nametoindex("a0")] == 2; }));
      },
      "a querier of that version asks");
  const auto querier = Find(request, FindingCode::kQuerier, Severity::kOk);
  ASSERT_TRUE(querier.has_value()) << Everything(request);
  EXPECT_TRUE(absl::StrContains(querier->seen, "10.0.0.2")) << querier->seen;
}

TEST_F(DiagnosisTest, HearsAnOldMldQuerierAndKnowsTheVersionInForce) {
  const DiagnosisRequest request = About("a0", "ff15::1");
  gateway();
  EXPECT_TRUE(Find(request, FindingCode::kQuerier, Severity::kUnknown).has_value());
  EXPECT_TRUE(Find(request, FindingCode::kMembershipProtocol, Severity::kOk, "MLDv2").has_value());
  Make(
      "an MLDv1 querier", request, FindingCode::kMembershipProtocol, Severity::kInfo,
      [this] {
        peer_.Do([] { SendMld1Query("b0", "fe80::2"); });
        EXPECT_TRUE(Eventually([] { return net::ReadMldCounters("a0")->v1_reports_sent > 0; }));
      },
      "MLDv1");
  EXPECT_TRUE(Find(request, FindingCode::kQuerier, Severity::kOk, "fe80::2").has_value()) << Everything(request);
  const std::vector<InterfaceSnapshot> interfaces = gateway().inspector().ListInterfaces().value();
  for (const InterfaceSnapshot& snapshot : interfaces) {
    if (snapshot.interface.name == "a0") {
      EXPECT_EQ(snapshot.families[1].protocol_version, 1u);
    }
  }
  // A gateway that began later has not heard it: it can only say that there was one.
  Start();
  EXPECT_TRUE(Find(request, FindingCode::kMembershipProtocol, Severity::kUnknown).has_value()) << Everything(request);
  EXPECT_TRUE(Find(request, FindingCode::kQuerier, Severity::kUnknown, "no querier has asked").has_value())
      << Everything(request);
}

TEST_F(DiagnosisTest, FindsABridgeThatSnoopsWithoutAQuerier) {
  Shell("ip link add br0 type bridge mcast_snooping 0 && ip link set br0 up && ip address add 10.8.0.1/24 dev br0");
  const DiagnosisRequest request = About("br0", "239.1.1.1");
  Mend(Make("a bridge snoops without a querier", request, FindingCode::kBridgeSnooping, Severity::kWarning,
            [] { Shell("ip link set br0 type bridge mcast_snooping 1"); }),
       request);
  EXPECT_TRUE(Find(request, FindingCode::kQuerier, Severity::kOk).has_value());
  Shell("ip link del br0");
}

TEST_F(DiagnosisTest, FindsThatRpFilterDropsASourceWithoutARoute) {
  const DiagnosisRequest request = About("a0", "239.1.1.1", "172.30.0.2");
  for (const char* const mode : {"1", "2"}) {
    const Finding finding =
        Make(std::string("rp_filter=") + mode + ", and no route back", request, FindingCode::kReversePath,
             Severity::kError, [&] { Shell(std::string("sysctl -qw net.ipv4.conf.all.rp_filter=") + mode); });
    Mend(finding, request);
    Shell("ip route del 172.30.0.2/32; sysctl -qw net.ipv4.conf.all.rp_filter=0");
  }
}

TEST_F(DiagnosisTest, FindsThatStrictRpFilterDropsASourceBehindAnotherLink) {
  peer_.AddLink("a1", "b1");
  const DiagnosisRequest request = About("a0", "239.1.1.1", "10.1.0.2");
  Mend(Make(
           "rp_filter=1, and the route back leads elsewhere", request, FindingCode::kReversePath, Severity::kError,
           [] { Shell("sysctl -qw net.ipv4.conf.a0.rp_filter=1"); }, "a1"),
       request);
  // The link that the route leads through has no such fault.
  Shell("sysctl -qw net.ipv4.conf.a1.rp_filter=1");
  EXPECT_FALSE(Find(About("a1", "239.1.1.1", "10.1.0.2"), FindingCode::kReversePath, Severity::kError).has_value());
}

TEST_F(DiagnosisTest, FindsRpFilterBySourceOfTheFilterAndByTheDropsItMade) {
  Join("a0", "239.1.1.1", SourceFilter::Include({Ip("172.30.0.2")}));
  Make("rp_filter=1, and a requested source without a route", On(""), FindingCode::kReversePath, Severity::kError,
       [] { Shell("sysctl -qw net.ipv4.conf.a0.rp_filter=1"); });
  peer_.Shell("ip address add 172.30.0.2/24 dev b0");
  Make("rp_filter has dropped", On(""), FindingCode::kReversePath, Severity::kWarning, [this] {
    PeerSends("239.1.1.1", "b0", "172.30.0.2");
    EXPECT_TRUE(Eventually([] { return net::ReadHostCounters().reverse_path_drops.value_or(1) > 0; }));
  });
}

TEST_F(DiagnosisTest, SaysThatRpFilterNeedsASource) {
  Make("rp_filter=1, and no source known", About("a0", "239.1.1.1"), FindingCode::kReversePath, Severity::kUnknown,
       [] { Shell("sysctl -qw net.ipv4.conf.a0.rp_filter=1"); });
}

TEST_F(DiagnosisTest, FindsKernelDrops) {
  options_.socket_buffer_bytes = 4096;
  Join("a0", "239.1.1.1");
  Receive();
  Make("a burst that the receive buffer does not hold", On("a0"), FindingCode::kKernelDrops, Severity::kWarning,
       [this] {
         PeerSends("239.1.1.1", "b0", "10.0.0.2", 500);
         EXPECT_TRUE(Eventually([this] {
           Receive();
           gateway().Sweep();
           Receive();
           return Find(On("a0"), FindingCode::kKernelDrops, Severity::kWarning).has_value();
         }));
       });
}

TEST_F(DiagnosisTest, FindsMoreSourcesThanTheKernelKeeps) {
  const DiagnosisRequest request = About("a0", "239.1.1.1");
  std::vector<net::IpAddress> sources;
  for (int i = 2; i < 14; ++i) sources.push_back(Ip("10.0.0." + std::to_string(i)));
  const Finding finding = Make("12 sources, igmp_max_msf 10", request, FindingCode::kLimits, Severity::kInfo,
                               [&] { Join("a0", "239.1.1.1", SourceFilter::Include(sources)); });
  EXPECT_EQ(finding.remedy_command, "sysctl -w net.ipv4.igmp_max_msf=12");
}

TEST_F(DiagnosisTest, FindsASourceSpecificGroupWithoutASource) {
  Compare("232.1.1.1 without a source", About("a0", "232.1.1.1", "10.0.0.2"), About("a0", "232.1.1.1"),
          FindingCode::kSourceRequired, Severity::kError);
}

TEST_F(DiagnosisTest, FindsGroupsThatDoNotReachHere) {
  const DiagnosisRequest well = About("a0", "239.1.1.1");
  constexpr FindingCode kScope = FindingCode::kGroupScope;
  EXPECT_TRUE(Find(well, kScope, Severity::kOk).has_value());
  Compare("224.0.0.0", well, About("a0", "224.0.0.0"), kScope, Severity::kError);
  Compare("ff0f::1", well, About("a0", "ff0f::1"), kScope, Severity::kError);
  for (const char* const group : {"224.0.0.1", "ff01::1", "ff02::1"}) {
    Compare(group, well, About("a0", group), kScope, Severity::kError, "held by every host");
    EXPECT_EQ(net::ReasonOf(gateway()
                                .Join({"me"}, "",
                                      {.selector = "a0", .group = Ip(group), .port = kDiagnosedPort, .filter = {}},
                                      std::nullopt)
                                .status()),
              net::Reason::kGroupReserved);
  }
  Compare("ff11::1", well, About("a0", "ff11::1"), kScope, Severity::kWarning);
  Compare("224.0.0.99", well, About("a0", "224.0.0.99"), kScope, Severity::kInfo, "link-local");
  Compare("ff02::99", well, About("a0", "ff02::99"), kScope, Severity::kInfo, "link-local");
  Compare("224.0.0.251", well, About("a0", "224.0.0.251"), kScope, Severity::kInfo, "mDNS");
  Compare("ff02::99 on no interface", About("a0", "ff02::99"), About("", "ff02::99"), kScope, Severity::kError,
          "without an interface");
}

TEST_F(DiagnosisTest, TellsOfTheLastDatagramAndItsHopLimit) {
  const DiagnosisRequest request = About("a0", "239.1.1.1");
  Join("a0", "239.1.1.1");
  Receive();
  EXPECT_TRUE(Find(request, FindingCode::kLastDatagram, Severity::kInfo, "nothing has arrived").has_value());
  const auto received = [&](uint64_t count) {
    return Eventually([&] {
      Receive();
      return gateway().inspector().ListChannels()->front().account.logged == count;
    });
  };
  PeerSends("239.1.1.1", "b0", "10.0.0.2", 1, 8);
  ASSERT_TRUE(received(1));
  EXPECT_TRUE(Find(request, FindingCode::kLastDatagram, Severity::kOk, "from 10.0.0.2").has_value());
  EXPECT_TRUE(Find(request, FindingCode::kHopLimit, Severity::kOk, "hop limit 8").has_value());
  Make("datagrams of hop limit 1", request, FindingCode::kHopLimit, Severity::kInfo, [&] {
    PeerSends("239.1.1.1", "b0", "10.0.0.2", 1, 1);
    ASSERT_TRUE(received(2));
  });
  // Where no source is named, the last one seen is looked into.
  Shell("sysctl -qw net.ipv4.conf.a0.rp_filter=1");
  EXPECT_TRUE(Find(request, FindingCode::kReversePath, Severity::kOk, "10.0.0.2").has_value());
}

TEST_F(DiagnosisTest, FindsAPortThatAnotherSocketHoldsForItself) {
  const DiagnosisRequest request = About("a0", "239.1.1.1");
  net::OwnedFd holder(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  sockaddr_storage any;
  const socklen_t length = net::ToSockaddr(Ip("0.0.0.0"), kDiagnosedPort, 0, &any);
  const Finding finding = Make("another socket holds the port", request, FindingCode::kPortSharing, Severity::kError,
                               [&] { ASSERT_EQ(bind(holder.get(), reinterpret_cast<sockaddr*>(&any), length), 0); });
  EXPECT_TRUE(absl::StrContains(finding.seen, "pid")) << finding.seen;
  holder.Reset();
  ExpectGone(finding, request);
}

TEST_F(DiagnosisTest, JoinsAndSendsNothing) {
  peer_.Shell("true");
  const auto before = net::ReadKernelMemberships()->users;
  net::OwnedFd wire;
  peer_.Do([&] { wire = net::OwnedFd(socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, htons(0x0003))); });
  ASSERT_TRUE(wire.valid());
  Diagnose(About("a0", "239.1.1.1"));
  Diagnose(About("a0", "ff15::1"));
  Diagnose(On("*"));
  EXPECT_EQ(net::ReadKernelMemberships()->users, before);
  // What the gateway had sent would have come before this.
  ASSERT_TRUE(Send("a0", "239.9.9.9").ok());
  std::string first;
  EXPECT_TRUE(Eventually([&] {
    char frame[2048];
    const ssize_t length = recv(wire.get(), frame, sizeof(frame), 0);
    if (length <= 0) return false;
    const std::string_view bytes(frame, static_cast<size_t>(length));
    if (bytes.find("payload") == bytes.npos && bytes.find(std::string("\xef\x01\x01\x01", 4)) == bytes.npos) {
      return false;  // Of the hosts' own: neighbour discovery.
    }
    first = bytes;
    return true;
  }));
  EXPECT_NE(first.find("payload"), first.npos);
}

}  // namespace
}  // namespace mcgw::gateway
