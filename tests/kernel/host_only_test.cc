// Hop limit 0 against the real kernel: the datagram reaches the members on this host and no wire, and why it takes a
// membership.

#include <net/if.h>

#include <memory>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/net/status.h"
#include "tests/kernel/send_fixture.h"
#include "tests/kernel/wire.h"

namespace mcgw::kernel {
namespace {

using testing::SizeIs;

class HostOnlyTest : public SendFixture {
 protected:
  std::unique_ptr<net::SendSocket> OpenHostOnly() { return Open({.family = cast().family, .host_only = true}); }
  std::unique_ptr<net::MembershipSocket> Member() { return factory_->NewMembershipSocket(cast().family).value(); }
  net::HostMembership Membership() const {
    return {.interface_index = if_nametoindex("a0"), .interface_name = "a0", .group = group(), .source = {}};
  }
  net::OutgoingDatagram HostOnly(std::string_view payload) const {
    net::OutgoingDatagram datagram = Outgoing(payload);
    datagram.hop_limit = 0;
    return datagram;
  }
  // Sends all, and a datagram behind them that does leave.
  void SendBeforeMarker(net::SendSocket* sender, const std::vector<net::OutgoingDatagram>& datagrams) {
    std::vector<net::SendFailure> failures;
    EXPECT_EQ(sender->Send(datagrams, &failures), datagrams.size());
    const net::OutgoingDatagram marker = Outgoing("marker");
    EXPECT_EQ(Open()->Send({&marker, 1}, &failures), 1u);
    EXPECT_TRUE(failures.empty());
  }
};
INSTANTIATE_TEST_SUITE_P(Families, HostOnlyTest, testing::Values(kIpv4, kIpv6), FamilyOf);

TEST_P(HostOnlyTest, WithAMembershipNothingReachesTheWire) {
  Wire wire(peer_, "b0");
  const auto here = Joined("a0");
  const auto member = Member();
  ASSERT_TRUE(member->Join(Membership()).ok());
  const auto sender = OpenHostOnly();
  // Also of a run that the kernel cuts, of fragments, and of the empty one.
  const std::string large(5000, 'x');
  std::vector<net::OutgoingDatagram> datagrams(10, HostOnly("same size"));
  datagrams.push_back(HostOnly(large));
  datagrams.push_back(HostOnly(""));
  SendBeforeMarker(sender.get(), datagrams);
  EXPECT_THAT(wire.DatagramsUntil("marker", kPort), SizeIs(0));
  const std::vector<Copy> got = Receive(factory_.get(), here.get(), datagrams.size());
  ASSERT_THAT(got, SizeIs(datagrams.size()));
  EXPECT_EQ(got[0].datagram.hop_limit, 0);
  EXPECT_EQ(got[0].datagram.source_port, sender->source_port());
  EXPECT_EQ(got[10].payload, large);
}

TEST_P(HostOnlyTest, FragmentsStayTooWithoutAReceiver) {
  Wire wire(peer_, "b0");
  const auto member = Member();
  ASSERT_TRUE(member->Join(Membership()).ok());
  const std::string large(5000, 'x');
  SendBeforeMarker(OpenHostOnly().get(), {HostOnly(large), HostOnly("small")});
  for (const Packet& packet : wire.ReadUntil("marker")) {
    EXPECT_FALSE(packet.fragment);
    EXPECT_NE(packet.destination_port, kPort) << packet.payload;
  }
}

// The kernel's way, which all of this is for. Where this fails the kernel has become better.
TEST_P(HostOnlyTest, WithoutAMembershipTheKernelLetsItOut) {
  Wire wire(peer_, "b0");
  SendBeforeMarker(OpenHostOnly().get(), {HostOnly("out")});
  EXPECT_THAT(wire.DatagramsUntil("marker", kPort), SizeIs(1));
}

TEST_P(HostOnlyTest, AMembershipThatTheInterfaceLostIsNoMembership) {
  // Deleted and created again with the same index: the socket lists the group still, and the kernel has forgotten.
  const std::string link = "ip link add x0 index 777 type veth peer name y0";
  const std::string address = cast().family == net::Family::kIpv4 ? "10.9.0.1/24" : "fd09::1/64 nodad";
  const std::string up = " && ip link set x0 up && ip addr add " + address + " dev x0";
  Shell(link + up);
  const auto old = Member();
  const net::HostMembership membership = {
      .interface_index = 777, .interface_name = "x0", .group = group(), .source = {}};
  ASSERT_TRUE(old->Join(membership).ok());
  Shell("ip link del x0 && " + link + up);
  EXPECT_EQ(GroupUsers("x0", group()), 0);
  EXPECT_FALSE(old->Join(membership).ok()) << "not to be known from the socket that held it";
  const auto fresh = Member();
  EXPECT_TRUE(fresh->Join(membership).ok());
  EXPECT_EQ(GroupUsers("x0", group()), 1);
  Shell("ip link del x0");
}

TEST_P(HostOnlyTest, AMembershipIsOneReportUntilTheLastGoes) {
  Wire wire(peer_, "b0");
  const auto first = Member();
  ASSERT_TRUE(first->Join(Membership()).ok());
  EXPECT_EQ(GroupUsers("a0", group()), 1);
  {
    const auto second = Member();
    ASSERT_TRUE(second->Join(Membership()).ok());
    EXPECT_EQ(GroupUsers("a0", group()), 2);
  }
  EXPECT_EQ(GroupUsers("a0", group()), 1);
  first->Leave(Membership());
  EXPECT_EQ(GroupUsers("a0", group()), 0);
  ASSERT_TRUE(first->Join(Membership()).ok());
  EXPECT_EQ(GroupUsers("a0", group()), 1);
}

TEST_P(HostOnlyTest, ASourceSpecificGroupIsJoinedForItsSource) {
  Wire wire(peer_, "b0");
  const bool v4 = cast().family == net::Family::kIpv4;
  net::HostMembership membership = Membership();
  membership.group = Ip(v4 ? "232.1.1.1" : "ff35::1");
  membership.source = Ip(cast().here);
  const auto member = Member();
  ASSERT_TRUE(member->Join(membership).ok());
  EXPECT_EQ(SourceUsers(membership.group, membership.source), (SourceCounts{.include = 1, .exclude = 0}));
  net::OutgoingDatagram datagram = HostOnly("stays");
  datagram.group = membership.group;
  datagram.source = membership.source;
  SendBeforeMarker(OpenHostOnly().get(), {datagram});
  EXPECT_THAT(wire.DatagramsUntil("marker", kPort), SizeIs(0));
}

TEST_P(HostOnlyTest, TakesNoOtherHopLimitAndNeedsLoop) {
  std::vector<net::SendFailure> failures;
  const net::OutgoingDatagram leaves = Outgoing("x");
  EXPECT_EQ(OpenHostOnly()->Send({&leaves, 1}, &failures), 0u);
  const net::OutgoingDatagram stays = HostOnly("x");
  EXPECT_EQ(Open(true)->Send({&stays, 1}, &failures), 0u);
  for (const net::SendFailure& failure : failures) {
    EXPECT_EQ(net::ReasonOf(failure.status), net::Reason::kInvalidHopLimit);
  }
  const absl::Status status =
      factory_->NewSendSocket({.family = cast().family, .loop = false, .host_only = true}).status();
  EXPECT_EQ(net::ReasonOf(status), net::Reason::kLoopRequired);
}

TEST_P(HostOnlyTest, MembershipErrorsSayWhatIsWrong) {
  net::HostMembership nowhere = Membership();
  nowhere.interface_index = 9999;
  EXPECT_EQ(net::ReasonOf(Member()->Join(nowhere)), net::Reason::kInterfaceNotFound);
  if (cast().family == net::Family::kIpv6) {
    Shell("ip link set a0 mtu 1200");
    EXPECT_EQ(net::ReasonOf(Member()->Join(Membership())), net::Reason::kNoAddress);
  } else {
    const auto member = Member();
    absl::Status status;
    for (int i = 0; i < 200 && status.ok(); ++i) {
      net::HostMembership membership = Membership();
      membership.group = Ip("239.1.2." + std::to_string(i));
      status = member->Join(membership);
    }
    EXPECT_EQ(net::ReasonOf(status), net::Reason::kHostLimit);
  }
}

}  // namespace
}  // namespace mcgw::kernel
