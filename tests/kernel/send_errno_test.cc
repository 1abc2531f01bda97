// The errno table: each error that a send can meet, provoked, and what is said of it.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <ostream>
#include <string>
#include <string_view>
#include <vector>

#include "server/net/status.h"
#include "tests/kernel/send_fixture.h"

namespace mcgw::kernel {
namespace {

using net::Reason;
using testing::HasSubstr;

// What is done to the host, and to the datagram, before it is sent; and what its failure says.
struct Row {
  const char* name;
  std::vector<const char*> commands;
  std::function<void(net::OutgoingDatagram*)> change;
  bool dont_fragment;
  // 0 where the datagram must go out: the kernel goes past the route, since the interface is named.
  int error;
  Reason reason = Reason::kUnspecified;
  absl::StatusCode code = absl::StatusCode::kOk;
  const char* remedy = "";
};

void PrintTo(const Row& row, std::ostream* out) { *out << row.name; }

std::function<void(net::OutgoingDatagram*)> Payload(size_t count) {
  static const std::string bytes(70'000, 'x');
  return [count](net::OutgoingDatagram* datagram) { datagram->payload = std::string_view(bytes).substr(0, count); };
}
std::function<void(net::OutgoingDatagram*)> From(const char* source) {
  return [source](net::OutgoingDatagram* datagram) { datagram->source = Ip(source); };
}
std::function<void(net::OutgoingDatagram*)> By(uint32_t index) {
  return [index](net::OutgoingDatagram* datagram) { datagram->interface_index = index; };
}

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;
constexpr auto kUnavailable = absl::StatusCode::kUnavailable;
constexpr auto kPrecondition = absl::StatusCode::kFailedPrecondition;
constexpr auto kNotFound = absl::StatusCode::kNotFound;
// The local table, where IPv6 keeps its multicast routes, gives way to rules of its own.
constexpr char kRulesFirst[] = "ip -6 rule add prefer 5 lookup local && ip -6 rule del prefer 0";
constexpr char kFirewall[] =
    "nft 'add table inet t; add chain inet t out { type filter hook output priority 0; }; "
    "add rule inet t out udp dport 5000 drop'";

class ErrnoTest : public testing::TestWithParam<Row> {
 protected:
  void Check(const Cast& cast) {
    const Row& row = GetParam();
    net::OutgoingDatagram datagram{.group = Ip(cast.group),
                                   .port = kPort,
                                   .interface_index = if_nametoindex("a0"),
                                   .source = net::IpAddress::Unspecified(cast.family),
                                   .traffic_class = std::nullopt,
                                   .payload = "x"};
    for (const char* command : row.commands) Shell(command);
    if (row.change) row.change(&datagram);
    const auto sender =
        factory_->NewSendSocket({.family = cast.family, .loop = false, .dont_fragment = row.dont_fragment}).value();
    std::vector<net::SendFailure> failures;
    EXPECT_EQ(sender->Send({&datagram, 1}, &failures), row.error == 0 ? 1u : 0u);
    ASSERT_EQ(failures.size(), row.error == 0 ? 0u : 1u);
    if (row.error == 0) return;
    const absl::Status& status = failures[0].status;
    EXPECT_EQ(net::ErrnoOf(status), row.error) << status;
    EXPECT_EQ(net::ReasonOf(status), row.reason) << status;
    EXPECT_EQ(status.code(), row.code) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr(row.remedy));
  }

  // Rules outlive the link.
  ~ErrnoTest() override {
    (void)Succeeds("nft delete table inet t 2>/dev/null");
    (void)Succeeds("ip rule del prefer 1 2>/dev/null");
    (void)Succeeds("ip -6 rule del prefer 1 2>/dev/null");
    (void)Succeeds("ip -6 rule del prefer 5 2>/dev/null && ip -6 rule add prefer 0 lookup local");
    (void)Succeeds(
        "for type in prohibit unreachable blackhole; do ip route flush type $type; "
        "ip -6 route flush table local type $type; done 2>/dev/null");
  }

  const Peer peer_;
  const std::unique_ptr<net::SocketFactory> factory_ = net::NewLinuxSocketFactory();
};

class Ipv4ErrnoTest : public ErrnoTest {};

TEST_P(Ipv4ErrnoTest, HasAReasonAndARemedy) { Check(kIpv4); }
INSTANTIATE_TEST_SUITE_P(
    Rows, Ipv4ErrnoTest,
    testing::Values(
        Row{"InterfaceDown",
            {"ip link set a0 down"},
            nullptr,
            false,
            ENETUNREACH,
            Reason::kInterfaceDown,
            kUnavailable,
            "ip link set a0 up"},
        Row{"NoSuchInterface", {}, By(9999), false, ENODEV, Reason::kInterfaceNotFound, kNotFound, "ListInterfaces"},
        Row{"ForeignSource",
            {},
            From("10.77.0.1"),
            false,
            ENETUNREACH,
            Reason::kSourceNotLocal,
            kInvalid,
            "ip address show dev a0"},
        Row{"MulticastSource",
            {},
            From("239.9.9.9"),
            false,
            EINVAL,
            Reason::kInvalidSource,
            kInvalid,
            "name a unicast address of a0"},
        Row{"TooLarge", {}, Payload(65'508), false, EMSGSIZE, Reason::kPayloadTooLarge, kInvalid, "at most 65507;"},
        Row{"TooLargeUnfragmented",
            {},
            Payload(1473),
            true,
            EMSGSIZE,
            Reason::kPayloadTooLarge,
            kInvalid,
            "at most 1472 (its MTU without the headers); send less"},
        Row{"TooLargeForASmallMtu",
            {"ip link set a0 mtu 1000"},
            Payload(1472),
            true,
            EMSGSIZE,
            Reason::kPayloadTooLarge,
            kInvalid,
            "at most 972 "},
        Row{"FitsUnfragmented", {}, Payload(1472), true, 0},
        Row{"Firewall", {kFirewall}, nullptr, false, EPERM, Reason::kSendBlocked, kPrecondition, "output rules"},
        Row{"ProhibitRoute", {"ip route add prohibit 239.1.0.0/16"}, nullptr, false, 0},
        Row{"UnreachableRoute", {"ip route add unreachable 239.1.0.0/16"}, nullptr, false, 0},
        Row{"BlackholeRoute", {"ip route add blackhole 239.1.0.0/16"}, nullptr, false, 0},
        Row{"ProhibitRule", {"ip rule add prefer 1 to 239.1.0.0/16 prohibit"}, nullptr, false, 0}),
    [](const auto& row) { return std::string(row.param.name); });

class Ipv6ErrnoTest : public ErrnoTest {};

TEST_P(Ipv6ErrnoTest, HasAReasonAndARemedy) { Check(kIpv6); }
INSTANTIATE_TEST_SUITE_P(
    Rows, Ipv6ErrnoTest,
    testing::Values(
        Row{"InterfaceDown",
            {"ip link set a0 down"},
            nullptr,
            false,
            ENETUNREACH,
            Reason::kInterfaceDown,
            kUnavailable,
            "ip link set a0 up"},
        Row{"NoSuchInterface", {}, By(9999), false, ENODEV, Reason::kInterfaceNotFound, kNotFound, "ListInterfaces"},
        Row{"ForeignSource",
            {},
            From("fd77::1"),
            false,
            EINVAL,
            Reason::kSourceNotLocal,
            kInvalid,
            "ip -6 address show dev a0"},
        Row{"MulticastSource",
            {},
            From("ff15::9"),
            false,
            EINVAL,
            Reason::kInvalidSource,
            kInvalid,
            "name a unicast address of a0"},
        Row{"TooLarge", {}, Payload(65'528), false, EMSGSIZE, Reason::kPayloadTooLarge, kInvalid, "at most 65527;"},
        Row{"TooLargeUnfragmented",
            {},
            Payload(1453),
            true,
            EMSGSIZE,
            Reason::kPayloadTooLarge,
            kInvalid,
            "at most 1452 (its MTU without the headers); send less"},
        Row{"FitsUnfragmented", {}, Payload(1452), true, 0},
        Row{"Firewall", {kFirewall}, nullptr, false, EPERM, Reason::kSendBlocked, kPrecondition, "output rules"},
        Row{"FamilyOff",
            {"ip link set a0 mtu 1200"},
            nullptr,
            false,
            ENETUNREACH,
            Reason::kNoRoute,
            kPrecondition,
            "turned off there"},
        Row{"NoRoute",
            {"ip -6 route del ff00::/8 dev a0 table local"},
            From("fd00::1"),
            false,
            ENETUNREACH,
            Reason::kNoRoute,
            kPrecondition,
            "add one (ip -6 route)"},
        Row{"ProhibitRoute", {"ip -6 route add prohibit ff15::/16 table local"}, nullptr, false, 0},
        Row{"UnreachableRoute", {"ip -6 route add unreachable ff15::/16 table local"}, nullptr, false, 0},
        Row{"BlackholeRoute", {"ip -6 route add blackhole ff15::/16 table local"}, nullptr, false, 0},
        Row{"ProhibitRule",
            {kRulesFirst, "ip -6 rule add prefer 1 to ff15::/16 prohibit"},
            nullptr,
            false,
            EACCES,
            Reason::kSendBlocked,
            kPrecondition,
            "ip route, ip rule"},
        Row{"UnreachableRule",
            {kRulesFirst, "ip -6 rule add prefer 1 to ff15::/16 unreachable"},
            nullptr,
            false,
            ENETUNREACH,
            Reason::kNoRoute,
            kPrecondition,
            "unreachable or blackhole route"},
        Row{"BlackholeRule",
            {kRulesFirst, "ip -6 rule add prefer 1 to ff15::/16 blackhole"},
            nullptr,
            false,
            EINVAL,
            Reason::kNoRoute,
            kPrecondition,
            "unreachable or blackhole route"}),
    [](const auto& row) { return std::string(row.param.name); });

// The descriptor of the UDP socket of this process that is bound to a port.
std::optional<int> DescriptorOf(uint16_t port) {
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    const int fd = std::stoi(entry.path().filename().string());
    sockaddr_storage name = {};
    socklen_t length = sizeof(name);
    if (getsockname(fd, reinterpret_cast<sockaddr*>(&name), &length) != 0) continue;
    const bool inet = name.ss_family == AF_INET || name.ss_family == AF_INET6;
    if (inet && ntohs(reinterpret_cast<const sockaddr_in&>(name).sin_port) == port) return fd;
  }
  return std::nullopt;
}

class SendBufferTest : public SendFixture {};
INSTANTIATE_TEST_SUITE_P(Families, SendBufferTest, testing::Values(kIpv4, kIpv6), FamilyOf);

TEST_P(SendBufferTest, SaysThatTheSocketsBufferIsTooSmall) {
  const auto sender = Open(true);
  const std::optional<int> fd = DescriptorOf(sender->source_port());
  ASSERT_TRUE(fd.has_value());
  const int bytes = 4096;
  ASSERT_EQ(setsockopt(*fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes)), 0);
  const std::string payload(60'000, 'x');
  const net::OutgoingDatagram datagram = Outgoing(payload);
  std::vector<net::SendFailure> failures;
  EXPECT_EQ(sender->Send({&datagram, 1}, &failures), 0u);
  ASSERT_EQ(failures.size(), 1u);
  EXPECT_EQ(net::ErrnoOf(failures[0].status), ENOBUFS);
  EXPECT_EQ(net::ReasonOf(failures[0].status), Reason::kHostLimit);
  EXPECT_EQ(failures[0].status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(failures[0].status.message()), HasSubstr("net.core.wmem_default"));
}

}  // namespace
}  // namespace mcgw::kernel
