// Faults of interfaces and of the host, made on purpose.

#include <sys/resource.h>

#include <fstream>
#include <string>

#include "tests/kernel/diagnosis_fixture.h"

namespace mcgw::gateway {
namespace {

TEST_F(DiagnosisTest, AHealthyHostHasNoErrorAndNoWarning) {
  options_.socket_buffer_bytes = 64 << 10;
  Join("a0", "239.1.1.1");
  Join("a0", "ff15::1");
  for (const Finding& finding : Diagnose(On(""))) {
    EXPECT_NE(finding.severity, Severity::kError) << finding.seen;
    EXPECT_NE(finding.severity, Severity::kWarning) << finding.seen;
  }
}

TEST_F(DiagnosisTest, FindsAMissingInterface) {
  Compare("no interface a9", On("a0"), On("a9"), FindingCode::kInterfaceExists, Severity::kError);
}

TEST_F(DiagnosisTest, FindsAnInterfaceThatIsDown) {
  const Finding finding = Make("ip link set a0 down", On("a0"), FindingCode::kInterfaceUp, Severity::kError,
                               [] { Shell("ip link set a0 down"); });
  EXPECT_EQ(finding.interface_name, "a0");
  Mend(finding, On("a0"));
}

TEST_F(DiagnosisTest, FindsALostCarrier) {
  const Finding finding = Make("the other end of the cable is down", On("a0"), FindingCode::kCarrier, Severity::kError,
                               [this] { peer_.Shell("ip link set b0 down"); });
  peer_.Shell("ip link set b0 up");
  peer_.WaitUntilUp("a0", "b0");
  ExpectGone(finding, On("a0"));
}

TEST_F(DiagnosisTest, FindsThatTheMulticastFlagIsOff) {
  Mend(Make("ip link set a0 multicast off", On("a0"), FindingCode::kMulticastFlag, Severity::kWarning,
            [] { Shell("ip link set a0 multicast off"); }),
       On("a0"));
}

TEST_F(DiagnosisTest, FindsThatAnIpv4AddressIsMissing) {
  const DiagnosisRequest request = About("a0", "239.1.1.1");
  const Finding finding = Make("no IPv4 address", request, FindingCode::kAddress, Severity::kWarning,
                               [] { Shell("ip address del 10.0.0.1/24 dev a0"); });
  Shell("ip address add 10.0.0.1/24 dev a0");
  ExpectGone(finding, request);
}

TEST_F(DiagnosisTest, FindsThatIpv6IsDisabled) {
  Mend(Make("disable_ipv6", About("a0", "ff15::1"), FindingCode::kAddress, Severity::kError,
            [] { Shell("sysctl -qw net.ipv6.conf.a0.disable_ipv6=1"); }),
       About("a0", "ff15::1"));
}

TEST_F(DiagnosisTest, FindsThatALinkLocalAddressIsMissing) {
  const DiagnosisRequest request = About("a0", "ff15::1");
  const Finding finding = Make(
      "no link-local address", request, FindingCode::kAddress, Severity::kWarning,
      [] { Shell("ip address del fe80::1/64 dev a0"); }, "link-local");
  Shell("ip address add fe80::1/64 dev a0 nodad");
  ExpectGone(finding, request);
}

TEST_F(DiagnosisTest, FindsAnMtuThatIsTooSmallForIpv6AndTheMembershipThatItCost) {
  const DiagnosisRequest request = About("a0", "ff15::1");
  Join("a0", "ff15::1");
  EXPECT_FALSE(Find(request, FindingCode::kMembershipInKernel, Severity::kError).has_value());
  const Finding finding =
      Make("mtu 1200", request, FindingCode::kMtu, Severity::kError, [] { Shell("ip link set a0 mtu 1200"); });
  const auto lost = Find(request, FindingCode::kMembershipInKernel, Severity::kError, "lost the membership");
  ASSERT_TRUE(lost.has_value()) << Everything(request);
  Print("mtu 1200, to a membership", *lost);
  Mend(finding, request);
}

TEST_F(DiagnosisTest, FindsAnInterfaceThatIsNotPermitted) {
  options_.interfaces = {"lo"};
  Compare("--interface lo", On("lo"), On("a0"), FindingCode::kInterfacePermitted, Severity::kError);
}

TEST_F(DiagnosisTest, FindsAPortOfABridge) {
  const Finding finding = Make(
      "a0 is a port of a bridge", On("a0"), FindingCode::kInterfacePermitted, Severity::kError,
      [] { Shell("ip link add br0 type bridge && ip link set a0 master br0"); }, "br0");
  Shell("ip link del br0");
  ExpectGone(finding, On("a0"));
}

TEST_F(DiagnosisTest, FindsThatStarTakesNothing) {
  Make(
      "everything is down, and * is asked for", On("*"), FindingCode::kInterfacePermitted, Severity::kError,
      [] { Shell("ip link set a0 down"); }, "takes no interface");
}

TEST_F(DiagnosisTest, SaysWhyStarLeavesAnInterfaceOut) {
  const auto finding = Find(About("lo", "239.1.1.1"), FindingCode::kInterfacePermitted, Severity::kInfo, "loopback");
  ASSERT_TRUE(finding.has_value());
  EXPECT_EQ(finding->interface_name, "lo");
}

TEST_F(DiagnosisTest, FindsThatTheLoopbackIsNotSetUpForIpv6) {
  // As it is at first.
  const DiagnosisRequest request = About("lo", "ff15::1");
  const Finding finding =
      Compare("lo as it comes, and IPv6", About("lo", "239.1.1.1"), request, FindingCode::kLoopback, Severity::kError);
  EXPECT_FALSE(Send("lo", "ff15::1").ok());
  Mend(finding, request);
  EXPECT_TRUE(Send("lo", "ff15::1").ok());
  Shell("ip link set lo multicast off; ip -6 route del local ff00::/8 dev lo table local");
}

TEST_F(DiagnosisTest, FindsARuleThatRefusesIpv6Groups) {
  const DiagnosisRequest request = About("a0", "ff15::1");
  const Finding finding = Make("a prohibit rule", request, FindingCode::kRoute, Severity::kWarning, [] {
    Shell(
        "ip -6 rule add pref 5 lookup local && ip -6 rule del pref 0 && "
        "ip -6 rule add pref 1 to ff15::/16 prohibit");
  });
  EXPECT_FALSE(Send("a0", "ff15::1").ok());
  Shell("ip -6 rule add pref 0 lookup local && ip -6 rule del pref 5 && ip -6 rule del pref 1");
  ExpectGone(finding, request);
}

TEST_F(DiagnosisTest, SaysWhereIpv4GroupsGoThatNameNoInterface) {
  const DiagnosisRequest request = About("a0", "239.1.1.1");
  const auto none = Find(request, FindingCode::kRoute, Severity::kInfo, "no route");
  ASSERT_TRUE(none.has_value());
  Print("no route to groups", *none);
  EXPECT_TRUE(Send("a0", "239.1.1.1").ok());  // A named interface needs none.
  Mend(*none, request);
  EXPECT_TRUE(Find(request, FindingCode::kRoute, Severity::kOk).has_value());
}

TEST_F(DiagnosisTest, FindsAProhibitRouteWhereNoInterfaceIsNamed) {
  Shell("ip route add 224.0.0.0/4 dev a0");
  const DiagnosisRequest request = About("", "239.1.1.1");
  const Finding finding = Make("a prohibit route", request, FindingCode::kRoute, Severity::kError,
                               [] { Shell("ip route add prohibit 239.0.0.0/8"); });
  Shell("ip route del prohibit 239.0.0.0/8");
  ExpectGone(finding, request);
}

TEST_F(DiagnosisTest, FindsThatTheIpv6RouteToGroupsIsMissing) {
  const DiagnosisRequest request = About("a0", "ff15::1");
  const Finding finding = Make("no route to ff00::/8", request, FindingCode::kRoute, Severity::kWarning,
                               [] { Shell("ip -6 route del multicast ff00::/8 dev a0 table local"); });
  EXPECT_FALSE(Send("a0", "ff15::1").ok());
  Mend(finding, request);
  EXPECT_TRUE(Send("a0", "ff15::1").ok());
}

TEST_F(DiagnosisTest, FindsThatNoInterfaceFollowsFromTheRoutes) {
  Compare("no interface named, and no route", About("a0", "239.1.1.1"), About("", "239.1.1.1"), FindingCode::kRoute,
          Severity::kError);
  peer_.AddLink("a1", "b1");
  Compare("no interface named, and several fit", About("a0", "ff15::1"), About("", "ff15::1"), FindingCode::kRoute,
          Severity::kError, "several fit");
}

TEST_F(DiagnosisTest, FindsAFirewallThatBlocksSending) {
  const DiagnosisRequest request = About("a0", "239.1.1.1");
  EXPECT_TRUE(Find(request, FindingCode::kSendBlocked, Severity::kUnknown).has_value());
  ASSERT_TRUE(Send("a0", "239.1.1.1").ok());
  EXPECT_TRUE(Find(request, FindingCode::kSendBlocked, Severity::kOk).has_value());
  if (!kernel::Succeeds("nft 'add table inet t; add chain inet t out { type filter hook output priority 0; }; "
                        "add rule inet t out ip daddr 239.1.1.1 drop'")) {
    GTEST_SKIP() << "no nftables here";
  }
  const Finding finding = Make("nft drops on output", request, FindingCode::kSendBlocked, Severity::kError,
                               [this] { EXPECT_FALSE(Send("a0", "239.1.1.1").ok()); });
  Shell("nft delete table inet t");
  ASSERT_TRUE(Send("a0", "239.1.1.1").ok());
  ExpectGone(finding, request);
  EXPECT_TRUE(Find(request, FindingCode::kSendBlocked, Severity::kWarning, "later ones passed").has_value());
}

TEST_F(DiagnosisTest, FindsThatIgmpMembershipsAreForbidden) {
  Mend(Make("igmp_max_memberships=0", On(""), FindingCode::kLimits, Severity::kError,
            [] { Shell("sysctl -qw net.ipv4.igmp_max_memberships=0"); }),
       On(""));
}

TEST_F(DiagnosisTest, FindsThatDescriptorsRunOut) {
  rlimit before = {};
  getrlimit(RLIMIT_NOFILE, &before);
  gateway();
  const uint64_t used = net::ReadHostSettings().open_files.value();
  const Finding finding = Make("RLIMIT_NOFILE", On(""), FindingCode::kLimits, Severity::kError, [&] {
    const rlimit tight = {used + 10, before.rlim_max};
    ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &tight), 0);
  });
  setrlimit(RLIMIT_NOFILE, &before);
  ExpectGone(finding, On(""));
}

TEST_F(DiagnosisTest, FindsThatTheChannelsAreAllTaken) {
  options_.limits.channels = 1;
  Make("max_channels=1, and one is held", On(""), FindingCode::kLimits, Severity::kError,
       [this] { Join("a0", "239.1.1.1"); });
}

}  // namespace
}  // namespace mcgw::gateway
