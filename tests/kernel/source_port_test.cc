// Who may hold the port that the gateway sends from, and who shares the ports that it receives on, against the real
// kernel.

#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/net/owned_fd.h"
#include "server/net/status.h"
#include "tests/kernel/send_fixture.h"
#include "tests/kernel/wire.h"

namespace mcgw::kernel {
namespace {

using net::Reason;
using net::ReasonOf;
using testing::HasSubstr;

constexpr uid_t kOtherUser = 12345;

class SourcePortTest : public SendFixture {
 protected:
  net::SendSocketSpec Spec(uint16_t port, bool shares) const {
    return {.family = cast().family, .source_port = port, .shares_port = shares};
  }
  Reason ReasonOfOpen(const net::SendSocketSpec& spec) { return ReasonOf(factory_->NewSendSocket(spec).status()); }
  absl::StatusOr<std::unique_ptr<net::ReceiveSocket>> Receiver(const std::string& interface = "a0") {
    return factory_->NewReceiveSocket({if_nametoindex(interface.c_str()), interface, group(), kPort, 0});
  }

  // A program of another make: a socket with these options, bound to any address or to the group. Not valid where the
  // kernel refuses.
  enum class Bound { kAny, kGroup };
  net::OwnedFd Foreign(std::initializer_list<int> options, Bound bound = Bound::kAny, uid_t user = 0) {
    if (user != 0 && seteuid(user) != 0) return {};
    const bool v4 = cast().family == net::Family::kIpv4;
    net::OwnedFd fd(socket(v4 ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    const int on = 1;
    if (!v4) setsockopt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
    for (const int option : options) setsockopt(fd.get(), SOL_SOCKET, option, &on, sizeof(on));
    sockaddr_storage name;
    const net::IpAddress address = bound == Bound::kAny ? net::IpAddress::Unspecified(cast().family) : group();
    const socklen_t length = net::ToSockaddr(address, kPort, 0, &name);
    const bool held = bind(fd.get(), reinterpret_cast<const sockaddr*>(&name), length) == 0;
    if (user != 0 && seteuid(0) != 0) return {};
    if (!held) fd.Reset();
    return fd;
  }
};
INSTANTIATE_TEST_SUITE_P(Families, SourcePortTest, testing::Values(kIpv4, kIpv6), FamilyOf);

TEST_P(SourcePortTest, SiblingsShareOnePort) {
  const auto first = Open(Spec(0, false));
  EXPECT_NE(first->source_port(), 0);
  const auto second = Open(Spec(first->source_port(), true));
  const auto third = Open({.family = cast().family,
                           .dont_fragment = true,
                           .host_only = true,
                           .source_port = first->source_port(),
                           .shares_port = true});
  EXPECT_EQ(second->source_port(), first->source_port());
  EXPECT_EQ(third->source_port(), first->source_port());
}

TEST_P(SourcePortTest, ThePortThatIsTakenFirstIsNobodyElses) {
  const auto first = Open(Spec(kPort, false));
  const absl::Status status = factory_->NewSendSocket(Spec(kPort, false)).status();
  EXPECT_EQ(ReasonOf(status), Reason::kPortInUse);
  EXPECT_EQ(net::FieldOf(status), "source_port");
  EXPECT_THAT(std::string(status.message()), HasSubstr(absl::StrCat("pid ", getpid())));
}

TEST_P(SourcePortTest, AStrangersPortIsNotTaken) {
  for (const uid_t user : {uid_t{0}, kOtherUser}) {
    const net::OwnedFd foreign = Foreign({SO_REUSEADDR}, Bound::kAny, user);
    ASSERT_TRUE(foreign.valid());
    EXPECT_EQ(ReasonOfOpen(Spec(kPort, false)), Reason::kPortInUse);
    // The kernel would give it to a socket that shares, once the gateway receives on that port too.
    const auto receiver = Receiver();
    ASSERT_TRUE(receiver.ok()) << receiver.status();
    EXPECT_EQ(ReasonOfOpen(Spec(kPort, false)), Reason::kPortInUse);
  }
}

TEST_P(SourcePortTest, NoStrangerSharesThePort) {
  const auto sender = Open(Spec(kPort, false));
  for (const Bound bound : {Bound::kAny, Bound::kGroup}) {
    EXPECT_FALSE(Foreign({SO_REUSEADDR}, bound).valid());
    EXPECT_FALSE(Foreign({SO_REUSEADDR}, bound, kOtherUser).valid());
    EXPECT_FALSE(Foreign({SO_REUSEPORT}, bound, kOtherUser).valid());
    EXPECT_FALSE(Foreign({SO_REUSEADDR, SO_REUSEPORT}, bound, kOtherUser).valid());
  }
}

TEST_P(SourcePortTest, TheGatewayReceivesOnThePortThatItSendsFrom) {
  const auto sender = Open(Spec(kPort, false));
  const auto here = Joined("a0");
  const auto sibling = Open(Spec(kPort, true));
  const auto there = JoinedThere();
  const net::OutgoingDatagram datagram = Outgoing("from and to one port");
  std::vector<net::SendFailure> failures;
  EXPECT_EQ(sender->Send({&datagram, 1}, &failures), 1u);
  EXPECT_EQ(sibling->Send({&datagram, 1}, &failures), 1u);
  const std::vector<Copy> copies = Receive(factory_.get(), here.get(), 2);
  ASSERT_EQ(copies.size(), 2u);
  EXPECT_EQ(copies[0].datagram.source_port, kPort);
  EXPECT_EQ(Receive(factory_.get(), there.get(), 2).size(), 2u);
}

TEST_P(SourcePortTest, ReceiversShareWithProgramsThatShare) {
  for (const Bound bound : {Bound::kAny, Bound::kGroup}) {
    for (const uid_t user : {uid_t{0}, kOtherUser}) {
      {
        const net::OwnedFd foreign = Foreign({SO_REUSEADDR}, bound, user);
        ASSERT_TRUE(foreign.valid());
        EXPECT_TRUE(Receiver().ok()) << "the program came first";
      }
      const auto receiver = Receiver();
      ASSERT_TRUE(receiver.ok());
      EXPECT_TRUE(Foreign({SO_REUSEADDR}, bound, user).valid()) << "the gateway came first";
    }
  }
}

TEST_P(SourcePortTest, ReceiversDoNotShareWithProgramsThatDoNot) {
  {
    const net::OwnedFd foreign = Foreign({});
    EXPECT_EQ(ReasonOf(Receiver().status()), Reason::kPortInUse);
  }
  {
    const net::OwnedFd foreign = Foreign({SO_REUSEPORT}, Bound::kAny, kOtherUser);
    EXPECT_EQ(ReasonOf(Receiver().status()), Reason::kPortInUse);
  }
  const auto receiver = Receiver();
  EXPECT_FALSE(Foreign({}).valid());
  EXPECT_FALSE(Foreign({SO_REUSEPORT}, Bound::kAny, kOtherUser).valid());
}

TEST_P(SourcePortTest, ASenderLeavesOtherProgramsTheirUnicast) {
  // What is sent to the port of a program that shares goes on reaching it, whatever the gateway opens.
  const net::OwnedFd foreign = Foreign({SO_REUSEADDR});
  ASSERT_TRUE(foreign.valid());
  const auto receiver = Joined("a0");
  EXPECT_EQ(ReasonOfOpen(Spec(kPort, false)), Reason::kPortInUse);
  std::unique_ptr<net::SendSocket> there;
  peer_.Do([&] { there = factory_->NewSendSocket({.family = cast().family, .loop = false}).value(); });
  net::OutgoingDatagram unicast = Outgoing("unicast");
  unicast.group = Ip(cast().here);
  unicast.interface_index = peer_.IndexOf("b0");
  std::vector<net::SendFailure> failures;
  ASSERT_EQ(there->Send({&unicast, 1}, &failures), 1u);
  EXPECT_TRUE(WaitReadable(foreign.get()));
}

TEST_P(SourcePortTest, FragmentsOnlyWhereAllowed) {
  Wire wire(peer_, "b0");
  const std::string large(3000, 'x');
  const net::OutgoingDatagram datagrams[] = {Outgoing("small"), Outgoing(large), Outgoing("marker")};
  std::vector<net::SendFailure> failures;
  EXPECT_EQ(Open({.family = cast().family, .dont_fragment = false})->Send({datagrams, 2}, &failures), 2u);
  EXPECT_EQ(Open({.family = cast().family, .dont_fragment = true})->Send(datagrams, &failures), 2u);
  ASSERT_EQ(failures.size(), 1u);
  EXPECT_EQ(failures[0].index, 1u);
  EXPECT_EQ(ReasonOf(failures[0].status), Reason::kPayloadTooLarge);
  size_t fragments = 0;
  std::vector<bool> dont_fragment;
  for (const Packet& packet : wire.ReadUntil("marker")) {
    fragments += packet.fragment;
    if (packet.payload == "small") dont_fragment.push_back(packet.dont_fragment);
  }
  EXPECT_EQ(fragments, 3u);
  const bool v4 = cast().family == net::Family::kIpv4;
  EXPECT_THAT(dont_fragment, testing::ElementsAre(false, v4));
}

}  // namespace
}  // namespace mcgw::kernel
