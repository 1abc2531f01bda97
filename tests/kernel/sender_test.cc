// The whole send path (Sender and its sockets) against the real kernel: the matrix of what can be asked for, each seen
// on the wire; and hop limit 0 for groups without a member.

#include "server/gateway/sending/sender.h"

#include <net/if.h>

#include <memory>
#include <optional>
#include <ostream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/gateway/interfaces/interface_directory.h"
#include "server/net/clock.h"
#include "server/net/linux_socket_factory.h"
#include "server/net/status.h"
#include "tests/kernel/kernel_net.h"
#include "tests/kernel/wire.h"

namespace mcgw::kernel {
namespace {

using gateway::SendRequest;
using net::Family;
using testing::IsEmpty;
using testing::SizeIs;

constexpr uint16_t kPort = 5000;

class SenderTest : public testing::TestWithParam<Family> {
 protected:
  SenderTest() {
    StayOnOneProcessor();
    peer_.AddLink("a1", "b1");
    for (const char* interface : {"a0", "a1"}) {
      const std::string link = std::string(interface).substr(1);
      Shell(absl::StrCat("ip addr add ",
                         v4() ? absl::StrCat("10.", link, ".0.9/24") : absl::StrCat("fd0", link, "::9/64"), " dev ",
                         interface, v4() ? "" : " nodad"));
    }
    EXPECT_TRUE(directory_.Refresh().ok());
    EXPECT_TRUE(sender_.Open().ok());
  }

  bool v4() const { return GetParam() == Family::kIpv4; }
  net::IpAddress group() const { return Ip(v4() ? "239.1.1.1" : "ff15::1"); }
  net::IpAddress Address(int link, int number) const {
    return Ip(v4() ? absl::StrCat("10.", link, ".0.", number) : absl::StrCat("fd0", link, "::", number));
  }
  SendRequest To(const std::string& interface) const {
    return {.selector = interface, .group = group(), .port = kPort, .source = {}, .traffic_class = {}};
  }
  gateway::SendResult SendOne(const SendRequest& request, std::string_view payload) {
    const absl::StatusOr<std::vector<gateway::SendResult>> results = sender_.Send(request, payload);
    EXPECT_TRUE(results.ok()) << results.status();
    EXPECT_TRUE(results->at(0).status.ok()) << results->at(0).status;
    return results->at(0);
  }
  // What came over a link before the marker that is sent behind it.
  std::vector<Packet> Datagrams(Wire* wire, const std::string& interface) {
    SendOne(To(interface), "marker");
    return wire->DatagramsUntil("marker", kPort);
  }
  std::unique_ptr<net::ReceiveSocket> Joined(const std::string& interface) {
    auto socket = factory_->NewReceiveSocket({if_nametoindex(interface.c_str()), interface, group(), kPort, 0}).value();
    EXPECT_TRUE(socket->Join(net::FilterMode::kExclude, {}).ok());
    return socket;
  }

  Peer peer_;
  const std::unique_ptr<net::SocketFactory> factory_ = net::NewLinuxSocketFactory();
  gateway::InterfaceDirectory directory_{{}, {}, ""};
  gateway::Sender sender_{factory_.get(), &directory_};
};
INSTANTIATE_TEST_SUITE_P(Families, SenderTest, testing::Values(Family::kIpv4, Family::kIpv6),
                         [](const auto& family) { return std::string(net::FamilyName(family.param)); });

// One cell of the matrix.
struct Cell {
  uint8_t hop_limit;
  bool loop;
  std::optional<uint8_t> traffic_class;
  int link;
  std::optional<int> source;  // The last part of the address; nothing: the gateway's choice.
  bool dont_fragment;
};

void PrintTo(const Cell& cell, std::ostream* out) {
  *out << "hop limit " << int{cell.hop_limit} << " loop " << cell.loop << " class " << cell.traffic_class.value_or(0)
       << " link " << cell.link << " source " << cell.source.value_or(0) << " whole " << cell.dont_fragment;
}

std::vector<Cell> Matrix() {
  std::vector<Cell> cells;
  for (const uint8_t hop_limit : {0, 1, 2, 32, 64, 128, 255}) {
    for (const bool loop : {true, false}) {
      if (hop_limit == 0 && !loop) continue;
      for (const std::optional<uint8_t> traffic_class : {std::optional<uint8_t>(), {0xb8}, {0x03}, {0xff}}) {
        for (const int link : {0, 1}) {
          for (const std::optional<int> source : {std::optional<int>(), {9}}) {
            for (const bool dont_fragment : {false, true}) {
              cells.push_back({hop_limit, loop, traffic_class, link, source, dont_fragment});
            }
          }
        }
      }
    }
  }
  return cells;
}

TEST_P(SenderTest, EachWayOfSendingIsSeenOnTheWireAsAsked) {
  Wire wires[] = {{peer_, "b0"}, {peer_, "b1"}};
  const std::unique_ptr<net::ReceiveSocket> here[] = {Joined("a0"), Joined("a1")};
  for (const Cell& cell : Matrix()) {
    SCOPED_TRACE(testing::PrintToString(cell));
    SendRequest request = To(absl::StrCat("a", cell.link));
    request.hop_limit = cell.hop_limit;
    request.loop = cell.loop;
    request.traffic_class = cell.traffic_class;
    request.dont_fragment = cell.dont_fragment;
    if (cell.source.has_value()) request.source = Address(cell.link, *cell.source);

    const gateway::SendResult result = SendOne(request, "cell");
    if (cell.source.has_value()) {
      EXPECT_EQ(result.source, *request.source);
    } else {
      EXPECT_THAT(result.source, testing::AnyOf(Address(cell.link, 1), Address(cell.link, 9)));
    }
    EXPECT_EQ(result.source_port, sender_.source_port(GetParam()));
    EXPECT_EQ(result.interface_name, request.selector);

    const std::vector<Packet> came = Datagrams(&wires[cell.link], request.selector);
    if (cell.hop_limit == 0) {
      EXPECT_THAT(came, IsEmpty());
    } else {
      ASSERT_THAT(came, SizeIs(1));
      EXPECT_EQ(came[0].payload, "cell");
      EXPECT_EQ(came[0].source, result.source);
      EXPECT_EQ(came[0].destination, group());
      EXPECT_EQ(came[0].source_port, sender_.source_port(GetParam()));
      EXPECT_EQ(came[0].hop_limit, cell.hop_limit);
      EXPECT_EQ(came[0].traffic_class, cell.traffic_class.value_or(0));
      EXPECT_EQ(came[0].dont_fragment, v4() && cell.dont_fragment);
    }
    // The marker loops.
    const std::vector<std::string> looped = Payloads(Receive(factory_.get(), here[cell.link].get(), cell.loop ? 2 : 1));
    EXPECT_EQ(looped, cell.loop ? (std::vector<std::string>{"cell", "marker"}) : std::vector<std::string>{"marker"});
  }
  // Nothing went astray to the other link.
  for (const int link : {0, 1}) EXPECT_THAT(ReceiveQueued(factory_.get(), here[link].get()), IsEmpty());
}

TEST_P(SenderTest, HopLimitZeroStaysWithoutAnyMember) {
  Wire wire(peer_, "b0");
  for (const char* text : v4() ? std::vector<const char*>{"239.7.7.7", "224.0.0.100", "224.0.1.1", "232.7.7.7"}
                               : std::vector<const char*>{"ff15::77", "ff02::77", "ff12::77", "ff01::77", "ff35::77"}) {
    SendRequest request = To("a0");
    request.group = Ip(text);
    request.hop_limit = 0;
    EXPECT_EQ(GroupUsers("a0", request.group), 0) << text;
    SendOne(request, "stays");
    const gateway::Burst burst = {.invalid = absl::OkStatus(), .request = request, .payloads = {"stays", "stays"}};
    EXPECT_EQ(sender_.Publish({burst}).accepted, 2u);
    EXPECT_EQ(GroupUsers("a0", request.group), 1) << text;
  }
  EXPECT_THAT(Datagrams(&wire, "a0"), IsEmpty());
  sender_.Sweep(net::MonotonicNs() + gateway::HostMemberships::kIdleNs);
  EXPECT_EQ(GroupUsers("a0", Ip(v4() ? "239.7.7.7" : "ff15::77")), 0);
}

TEST_P(SenderTest, HopLimitZeroStaysWhenItsMembershipIsLost) {
  // The interface forgets its memberships and nothing in the gateway's table tells of it: it has the index, the name
  // and the addresses that it had.
  const auto make = [&] {
    Shell("ip link add x0 index 777 type veth peer name y0 netns peer && ip link set x0 addrgenmode none");
    Shell(v4() ? "ip addr add 10.9.0.1/24 dev x0" : "ip addr add fd09::1/64 dev x0 nodad");
    Shell("ip link set x0 up");
    peer_.Shell("ip link set y0 up");
    peer_.WaitUntilUp("x0", "y0");
    EXPECT_TRUE(directory_.Refresh().ok());
  };
  make();
  SendRequest request = To("x0");
  request.hop_limit = 0;
  SendOne(request, "stays");
  EXPECT_EQ(GroupUsers("x0", group()), 1);
  Shell("ip link del x0");
  make();
  EXPECT_EQ(GroupUsers("x0", group()), 0);
  Wire wire(peer_, "y0");
  SendOne(request, "stays");
  EXPECT_THAT(Datagrams(&wire, "x0"), IsEmpty());
  Shell("ip link del x0");
}

TEST_P(SenderTest, TheMembershipIsMadeAnewWithTheInterface) {
  SendRequest request = To("a0");
  request.hop_limit = 0;
  SendOne(request, "stays");
  Shell(v4() ? "ip link set a0 down && ip addr flush dev a0" : "ip link set a0 mtu 1200");
  EXPECT_TRUE(directory_.Refresh().ok());
  EXPECT_FALSE(sender_.Send(request, "x")->at(0).status.ok());
  Shell(v4() ? "ip addr add 10.0.0.1/24 dev a0 && ip link set a0 up"
             : "ip link set a0 mtu 1500 && ip addr add fd00::1/64 dev a0 nodad");
  peer_.WaitUntilUp("a0", "b0");
  EXPECT_TRUE(directory_.Refresh().ok());
  Wire wire(peer_, "b0");
  SendOne(request, "stays");
  EXPECT_EQ(GroupUsers("a0", group()), 1) << "held on, not only for the send";
  EXPECT_THAT(Datagrams(&wire, "a0"), IsEmpty());
}

TEST_P(SenderTest, NoCarrierIsNoSilentLoss) {
  peer_.Shell("ip link set b0 down");
  EXPECT_TRUE(directory_.Refresh().ok());
  for (const uint8_t hop_limit : {0, 1}) {
    SendRequest request = To("a0");
    request.hop_limit = hop_limit;
    const gateway::SendResult result = sender_.Send(request, "x")->at(0);
    EXPECT_EQ(net::ReasonOf(result.status), net::Reason::kNoCarrier);
    EXPECT_EQ(result.status.code(), absl::StatusCode::kUnavailable);
  }
}

TEST_P(SenderTest, WholeDatagramsFitTheMtuOrFailWithTheLimit) {
  SendRequest request = To("a0");
  request.dont_fragment = true;
  const size_t limit = v4() ? 1472 : 1452;
  SendOne(request, std::string(limit, 'x'));
  const gateway::SendResult result = sender_.Send(request, std::string(limit + 1, 'x'))->at(0);
  EXPECT_EQ(net::ReasonOf(result.status), net::Reason::kPayloadTooLarge);
  EXPECT_THAT(std::string(result.status.message()), testing::HasSubstr(absl::StrCat("at most ", limit)));
  request.dont_fragment = false;
  SendOne(request, std::string(limit + 1, 'x'));
}

// What the directory remembers is never older than the last change of the host.
TEST_P(SenderTest, WithoutAnInterfaceEachSendFollowsTheRoutesOfTheMoment) {
  Shell("ip route add default dev a0 && ip -6 route add default dev a0");
  for (int i = 0; i < 50; ++i) {
    const int link = i % 2;
    Shell(absl::StrCat("ip route replace default dev a", link,
                       " && ip -6 route del default && ip -6 route add default ", "dev a", link));
    for (int again = 0; again < 2; ++again) {
      EXPECT_EQ(SendOne(To(""), "x").interface_name, absl::StrCat("a", link)) << i;
    }
  }
}

TEST_P(SenderTest, TheStarFollowsTheInterfacesOfTheMoment) {
  const auto names = [&] {
    const auto results = sender_.Send(To("*"), "x");
    std::vector<std::string> all;
    for (const gateway::SendResult& result : *results) all.push_back(result.interface_name);
    return all;
  };
  for (int i = 0; i < 20; ++i) {
    Shell("ip link set a1 multicast off");
    EXPECT_THAT(names(), testing::ElementsAre("a0")) << i;
    Shell("ip link set a1 multicast on");
    EXPECT_THAT(names(), testing::ElementsAre("a0", "a1")) << i;
  }
}

// Of IPv4: for IPv6 the interface is chosen by the default route, and the source on it.
class SenderByRouteTest : public SenderTest {};
INSTANTIATE_TEST_SUITE_P(Ipv4, SenderByRouteTest, testing::Values(Family::kIpv4));

TEST_P(SenderByRouteTest, SendsFromTheRoutesSource) {
  Shell("ip route add 239.0.0.0/8 dev a0 src 10.0.0.9");
  EXPECT_EQ(SendOne(To(""), "x").source, Ip("10.0.0.9"));
  Shell("ip addr add 10.255.0.1/32 dev lo && ip route replace 239.0.0.0/8 dev a0 src 10.255.0.1");
  Wire wire(peer_, "b0");
  EXPECT_EQ(SendOne(To(""), "x").source, Ip("10.255.0.1"));
  const std::vector<Packet> came = Datagrams(&wire, "a0");
  ASSERT_THAT(came, SizeIs(1));
  EXPECT_EQ(came[0].source, Ip("10.255.0.1"));
}

}  // namespace
}  // namespace mcgw::kernel
