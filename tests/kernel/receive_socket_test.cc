// What the receive socket delivers, against the real kernel.

#include <linux/capability.h>
#include <net/if.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/net/interface_table.h"
#include "server/net/linux_socket_factory.h"
#include "server/net/status.h"
#include "tests/kernel/kernel_net.h"
#include "tests/kernel/receive_fixture.h"

namespace mcgw::kernel {
namespace {

using net::Family;
using net::FilterMode;
using net::IpAddress;
using net::Reason;
using net::ReasonOf;
using testing::ElementsAre;
using testing::HasSubstr;

int64_t NowUnixNs() {
  timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  return int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

class ReceiveSocketTest : public ReceiveFixture {};
INSTANTIATE_TEST_SUITE_P(Families, ReceiveSocketTest, testing::Values(kIpv4, kIpv6), FamilyOf);

TEST_P(ReceiveSocketTest, DeliversADatagramWithItsMetadata) {
  const auto socket = Joined(group());
  const int64_t before = NowUnixNs();
  net::OutgoingDatagram sent = Outgoing(group(), "hello");
  sent.source = source(1);
  sent.hop_limit = 7;
  sent.traffic_class = 0xb9;
  SendOne(sent);
  const std::vector<Copy> got = Receive(socket.get(), 1);
  ASSERT_EQ(got.size(), 1u);
  EXPECT_EQ(got[0].payload, "hello");
  EXPECT_EQ(got[0].datagram.source, source(1));
  EXPECT_EQ(got[0].datagram.source_port, sender_->source_port());
  EXPECT_EQ(got[0].datagram.destination, group());
  EXPECT_EQ(got[0].datagram.interface_index, if_nametoindex("a0"));
  EXPECT_EQ(got[0].datagram.hop_limit, 7);
  EXPECT_EQ(got[0].datagram.traffic_class, 0xb9);
  EXPECT_EQ(got[0].datagram.drops_so_far, 0u);
  EXPECT_GE(got[0].datagram.receive_time_unix_ns, before);
  EXPECT_LE(got[0].datagram.receive_time_unix_ns, NowUnixNs());
}

TEST_P(ReceiveSocketTest, KeepsBoundariesFromNothingToTheLargestDatagram) {
  const auto socket = Joined(group());
  const std::string largest(net::MaxPayloadBytes(cast().family), 'x');
  Send(group(), "");
  Send(group(), largest);
  Send(group(), "1");
  const std::vector<std::string> got = PayloadsOf(socket.get(), 3);
  EXPECT_TRUE(got == (std::vector<std::string>{"", largest, "1"})) << got.size();
  EXPECT_EQ(socket->mismatches(), 0u);
}

TEST_P(ReceiveSocketTest, ReadsAFullBatchAndSaysWhenTheQueueIsEmpty) {
  const auto socket = Joined(group());
  const size_t count = net::ReceiveBatch::kMaxDatagrams + 1;
  const auto witness = Joined(group());  // Says when all have arrived.
  for (size_t i = 0; i < count; ++i) Send(group(), "x");
  ASSERT_EQ(PayloadsOf(witness.get(), count).size(), count);
  const std::unique_ptr<net::ReceiveBatch> batch = factory_->NewReceiveBatch();
  bool drained = true;
  EXPECT_EQ(socket->Receive(batch.get(), &drained).value(), net::ReceiveBatch::kMaxDatagrams);
  EXPECT_FALSE(drained);
  EXPECT_EQ(batch->datagrams().size(), net::ReceiveBatch::kMaxDatagrams);
  EXPECT_EQ(socket->Receive(batch.get(), &drained).value(), 1u);
  EXPECT_TRUE(drained);
  EXPECT_EQ(socket->Receive(batch.get(), &drained).value(), 0u);
  EXPECT_TRUE(drained);
  EXPECT_TRUE(batch->datagrams().empty());
}

TEST_P(ReceiveSocketTest, DoesNotHearOtherGroupsOnItsPort) {
  const auto socket = Joined(group());
  const auto same_mac = Joined(Ip(cast().same_mac_group));
  Send(Ip(cast().same_mac_group), "theirs");
  Send(group(), "ours");
  EXPECT_THAT(PayloadsOf(socket.get(), 1), ElementsAre("ours"));
  EXPECT_THAT(PayloadsOf(same_mac.get(), 1), ElementsAre("theirs"));
  EXPECT_TRUE(IsEmpty(socket.get()));
  EXPECT_TRUE(IsEmpty(same_mac.get()));
}

TEST_P(ReceiveSocketTest, HearsAGroupOnItsOwnInterfaceOnly) {
  peer_.AddLink("a1", "b1");
  const auto on_a0 = Joined(group(), "a0");
  const auto on_a1 = Joined(group(), "a1");
  Send(group(), "by b0", "b0");
  Send(group(), "by b1", "b1");
  EXPECT_THAT(PayloadsOf(on_a1.get(), 1), ElementsAre("by b1"));
  EXPECT_THAT(PayloadsOf(on_a0.get(), 1), ElementsAre("by b0"));
  EXPECT_TRUE(IsEmpty(on_a0.get()));
  EXPECT_TRUE(IsEmpty(on_a1.get()));
}

TEST_P(ReceiveSocketTest, SharesTheGroupWithOthersWhichAllHearIt) {
  const auto first = Joined(group());
  const auto second = Joined(group());
  Send(group(), "both");
  EXPECT_THAT(PayloadsOf(first.get(), 1), ElementsAre("both"));
  EXPECT_THAT(PayloadsOf(second.get(), 1), ElementsAre("both"));
}

// A socket of another program that listens on the port of every address.
net::OwnedFd ForeignSocket(Family family, bool reuse, uint16_t port) {
  net::OwnedFd fd(socket(family == Family::kIpv4 ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  const int on = reuse ? 1 : 0;
  setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  sockaddr_storage name;
  const socklen_t length = net::ToSockaddr(IpAddress::Unspecified(family), port, 0, &name);
  EXPECT_EQ(bind(fd.get(), reinterpret_cast<sockaddr*>(&name), length), 0);
  return fd;
}

TEST_P(ReceiveSocketTest, IsNotFedByTheMembershipsOfOtherProgramsOnItsPort) {
  const net::OwnedFd foreign = ForeignSocket(cast().family, true, kPort);
  const auto other_group = Joined(Ip(cast().same_mac_group));
  const auto socket = Open(group());
  group_req request = {};
  request.gr_interface = if_nametoindex("a0");
  net::ToSockaddr(group(), 0, 0, &request.gr_group);
  ASSERT_EQ(setsockopt(foreign.get(), cast().family == Family::kIpv4 ? IPPROTO_IP : IPPROTO_IPV6, MCAST_JOIN_GROUP,
                       &request, sizeof(request)),
            0);
  Send(group(), "joined by the other program only");
  ASSERT_TRUE(WaitReadable(foreign.get()));
  EXPECT_TRUE(IsEmpty(socket.get()));
  EXPECT_TRUE(IsEmpty(other_group.get()));
}

TEST_P(ReceiveSocketTest, TakesNoUnicast) {
  const net::OwnedFd foreign = ForeignSocket(cast().family, true, kPort);
  const auto socket = Joined(group());
  Send(Ip(cast().here), "to the host");
  ASSERT_TRUE(WaitReadable(foreign.get()));
  Send(group(), "to the group");
  EXPECT_THAT(PayloadsOf(socket.get(), 1), ElementsAre("to the group"));
}

TEST_P(ReceiveSocketTest, CountsDropsExactlyAndKnowsTheirPlaces) {
  constexpr int kRounds = 3;
  constexpr uint32_t kBurst = 500;
  net::ReceiveSocketSpec spec = Spec(group());
  spec.receive_buffer_bytes = 20'000;
  const auto socket = factory_->NewReceiveSocket(spec).value();
  EXPECT_NE(socket->Facts().inode, 0u);
  EXPECT_EQ(socket->Facts().receive_buffer_bytes, 40'000u) << "the kernel doubles it for its overhead";
  ASSERT_TRUE(socket->Join(FilterMode::kExclude, {}).ok());
  const auto witness = Joined(group());  // With room for all of a burst: when it has the last, the burst is over.
  EXPECT_EQ(socket->Drops(), 0u);

  uint32_t sent = 0;
  uint32_t read = 0;
  for (int round = 0; round < kRounds; ++round) {
    for (uint32_t i = 0; i < kBurst; i += 50) {
      std::vector<std::string> payloads;
      for (uint32_t each = 0; each < 50; ++each) payloads.push_back(absl::StrCat(sent++));
      std::vector<net::OutgoingDatagram> datagrams;
      for (const std::string& payload : payloads) datagrams.push_back(Outgoing(group(), payload));
      std::vector<net::SendFailure> failures;
      ASSERT_EQ(sender_->Send(datagrams, &failures), 50u);
      ASSERT_EQ(Receive(witness.get(), 50).size(), 50u);
    }
    for (const Copy& copy : ReceiveQueued(factory_.get(), socket.get())) {
      uint32_t number = 0;
      ASSERT_TRUE(absl::SimpleAtoi(copy.payload, &number));
      EXPECT_EQ(copy.datagram.drops_so_far, number - read) << "all that is missing before it";
      ++read;
    }
    EXPECT_EQ(read + socket->Drops(), sent) << "drops after the last datagram read count too";
  }
  EXPECT_GT(socket->Drops(), 0u);
  EXPECT_EQ(witness->Drops(), 0u);
}

TEST_P(ReceiveSocketTest, NamesAnotherProgramThatHoldsThePort) {
  int ready[2], done[2];
  ASSERT_EQ(pipe(ready), 0);
  ASSERT_EQ(pipe(done), 0);
  const pid_t child = fork();
  if (child == 0) {
    prctl(PR_SET_NAME, "port-holder");
    const net::OwnedFd foreign = ForeignSocket(cast().family, false, kPort);
    char byte = 'x';
    close(done[1]);
    (void)!write(ready[1], &byte, 1);
    (void)!read(done[0], &byte, 1);
    _exit(0);
  }
  char byte;
  ASSERT_EQ(read(ready[0], &byte, 1), 1);
  const absl::Status status = factory_->NewReceiveSocket(Spec(group())).status();
  EXPECT_EQ(ReasonOf(status), Reason::kPortInUse);
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()), HasSubstr(absl::StrCat("port-holder (pid ", child, ")")));
  for (const int fd : {ready[0], ready[1], done[0], done[1]}) close(fd);
  EXPECT_EQ(waitpid(child, nullptr, 0), child);
}

TEST_P(ReceiveSocketTest, NeedsNoCapability) {
  std::unique_ptr<net::ReceiveSocket> socket;
  std::unique_ptr<net::SendSocket> looping;
  net::OutgoingDatagram sent = Outgoing(group(), "loop");
  sent.interface_index = if_nametoindex("a0");
  sent.source = Ip(cast().here);
  sent.hop_limit = 9;
  sent.traffic_class = 4;
  // Capabilities are each thread's own.
  std::thread([&] {
    __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    __user_cap_data_struct none[2] = {};
    ASSERT_EQ(syscall(SYS_capset, &header, none), 0);
    net::ReceiveSocketSpec spec = Spec(group());
    spec.receive_buffer_bytes = 1'000'000'000;
    socket = factory_->NewReceiveSocket(spec).value();
    EXPECT_LT(socket->Facts().receive_buffer_bytes, spec.receive_buffer_bytes) << "capped by net.core.rmem_max";
    ASSERT_TRUE(socket->Join(FilterMode::kInclude, {source(0), source(1)}).ok());
    ASSERT_TRUE(socket->SetFilter(FilterMode::kExclude, {}).ok());
    looping = factory_->NewSendSocket({.family = cast().family}).value();
    std::vector<net::SendFailure> failures;
    ASSERT_EQ(looping->Send({&sent, 1}, &failures), 1u);
    EXPECT_TRUE(net::InterfaceTable::Read().ok());
    EXPECT_TRUE(net::InterfaceWatch::Create().ok());
  }).join();
  ASSERT_NE(socket, nullptr);
  EXPECT_THAT(PayloadsOf(socket.get(), 1), ElementsAre("loop"));
  EXPECT_EQ(socket->Drops(), 0u);
}

class Ipv6ReceiveSocketTest : public ReceiveFixture {};
INSTANTIATE_TEST_SUITE_P(Ipv6, Ipv6ReceiveSocketTest, testing::Values(kIpv6), FamilyOf);

TEST_P(Ipv6ReceiveSocketTest, HearsALinkLocalGroupOnEachInterfaceApart) {
  peer_.AddLink("a1", "b1");
  const auto on_a0 = Joined(Ip("ff02::1234"), "a0");
  const auto on_a1 = Joined(Ip("ff02::1234"), "a1");
  Send(Ip("ff02::1234"), "by b0", "b0");
  Send(Ip("ff02::1234"), "by b1", "b1");
  EXPECT_THAT(PayloadsOf(on_a1.get(), 1), ElementsAre("by b1"));
  EXPECT_THAT(PayloadsOf(on_a0.get(), 1), ElementsAre("by b0"));
}

}  // namespace
}  // namespace mcgw::kernel
