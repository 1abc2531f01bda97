// What the send socket sends, against the real kernel.

#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <fstream>
#include <iterator>
#include <memory>
#include <sstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/net/linux_socket_factory.h"
#include "server/net/status.h"
#include "tests/kernel/kernel_net.h"
#include "tests/kernel/send_fixture.h"

namespace mcgw::kernel {
namespace {

using net::Family;
using net::Reason;
using net::ReasonOf;
using testing::ElementsAre;
using testing::HasSubstr;

class SendSocketTest : public SendFixture {};
INSTANTIATE_TEST_SUITE_P(Families, SendSocketTest, testing::Values(kIpv4, kIpv6), FamilyOf);

TEST_P(SendSocketTest, SendsWithTheHopLimitClassAndSourceAsked) {
  Shell(absl::StrCat("ip addr add ", cast().here_too, cast().family == Family::kIpv4 ? "/24" : "/64 nodad", " dev a0"));
  const auto there = JoinedThere();
  const auto sender = Open();
  net::OutgoingDatagram asked = Outgoing("asked");
  asked.source = Ip(cast().here_too);
  asked.hop_limit = 255;
  asked.traffic_class = 0xb8;
  const net::OutgoingDatagram plain = Outgoing("plain");
  std::vector<net::SendFailure> failures;
  EXPECT_EQ(sender->Send({asked, plain}, &failures), 2u);
  EXPECT_TRUE(failures.empty());
  const std::vector<Copy> got = Receive(factory_.get(), there.get(), 2);
  ASSERT_EQ(got.size(), 2u);
  EXPECT_EQ(got[0].payload, "asked");
  EXPECT_EQ(got[0].datagram.source, Ip(cast().here_too));
  EXPECT_EQ(got[0].datagram.source_port, sender->source_port());
  EXPECT_EQ(got[0].datagram.hop_limit, 255);
  EXPECT_EQ(got[0].datagram.traffic_class, 0xb8);
  EXPECT_EQ(got[1].payload, "plain");
  EXPECT_THAT((std::vector<std::string>{cast().here, cast().here_too}),
              testing::Contains(got[1].datagram.source.ToString()));
  EXPECT_EQ(got[1].datagram.hop_limit, 1);
  EXPECT_EQ(got[1].datagram.traffic_class, 0);
}

TEST_P(SendSocketTest, SendsEachDatagramByItsInterface) {
  peer_.AddLink("a1", "b1");
  const auto on_b0 = JoinedThere("b0");
  const auto on_b1 = JoinedThere("b1");
  std::vector<net::SendFailure> failures;
  EXPECT_EQ(Open()->Send({Outgoing("1", "a1"), Outgoing("0", "a0"), Outgoing("2", "a1")}, &failures), 3u);
  const std::vector<Copy> by_a1 = Receive(factory_.get(), on_b1.get(), 2);
  EXPECT_THAT(Payloads(by_a1), ElementsAre("1", "2"));
  EXPECT_EQ(by_a1[0].datagram.source, Ip(cast().here_on_a1)) << "an address of the interface, not of another";
  EXPECT_THAT(PayloadsOf(on_b0.get(), 1), ElementsAre("0"));
}

TEST_P(SendSocketTest, SendsMoreThanOneBatchInOrder) {
  const auto there = JoinedThere();
  std::vector<std::string> payloads;
  for (int i = 0; i < 300; ++i) payloads.push_back(absl::StrCat(i));
  std::vector<net::SendFailure> failures;
  EXPECT_EQ(Open()->Send(OutgoingEach(payloads), &failures), 300u);
  EXPECT_TRUE(failures.empty());
  EXPECT_EQ(PayloadsOf(there.get(), 300), payloads);
  EXPECT_EQ(Open()->Send({}, &failures), 0u);
}

// Payloads with runs of one size, which the kernel is given as one message each.
std::vector<std::string> PayloadsInRuns() {
  std::vector<std::string> payloads;
  for (const auto& [count, size] : std::vector<std::pair<int, size_t>>{
           {100, 64}, {1, 10}, {3, 64}, {2, 0}, {70, 1400}, {2, 3000}, {1, 1}, {1, 2}, {300, 4}}) {
    for (int i = 0; i < count; ++i) {
      std::string payload = absl::StrCat(payloads.size());
      payload.resize(size, '.');
      payloads.push_back(payload);
    }
  }
  return payloads;
}

TEST_P(SendSocketTest, KeepsBoundariesAndOrderInRunsOfOneSize) {
  const auto there = JoinedThere();
  const auto here = Joined("a0");
  const std::vector<std::string> payloads = PayloadsInRuns();
  for (const bool loop : {false, true}) {
    std::vector<net::SendFailure> failures;
    EXPECT_EQ(Open(loop)->Send(OutgoingEach(payloads), &failures), payloads.size());
    EXPECT_TRUE(failures.empty());
    EXPECT_EQ(PayloadsOf(there.get(), payloads.size()), payloads);
  }
  EXPECT_EQ(PayloadsOf(here.get(), payloads.size()), payloads);
  EXPECT_TRUE(IsEmpty(here.get()));
}

TEST_P(SendSocketTest, KeepsOptionsApartInRunsOfOneSize) {
  const auto there = JoinedThere();
  std::vector<net::OutgoingDatagram> datagrams(100, Outgoing("same size"));
  for (size_t i = 0; i < datagrams.size(); ++i) {
    datagrams[i].hop_limit = static_cast<uint8_t>(1 + i / 10);
    datagrams[i].traffic_class = static_cast<uint8_t>(i / 20 * 4);
  }
  std::vector<net::SendFailure> failures;
  EXPECT_EQ(Open()->Send(datagrams, &failures), 100u);
  const std::vector<Copy> got = Receive(factory_.get(), there.get(), 100);
  ASSERT_EQ(got.size(), 100u);
  for (size_t i = 0; i < got.size(); ++i) {
    EXPECT_EQ(got[i].datagram.hop_limit, datagrams[i].hop_limit) << i;
    EXPECT_EQ(got[i].datagram.traffic_class, *datagrams[i].traffic_class) << i;
  }
}

TEST_P(SendSocketTest, FragmentsRunsThatExceedTheMtu) {
  Shell("ip link set a0 mtu 1280");
  const auto there = JoinedThere();
  const std::vector<std::string> payloads(100, std::string(1400, 'x'));
  std::vector<net::SendFailure> failures;
  EXPECT_EQ(Open()->Send(OutgoingEach(payloads), &failures), 100u);
  EXPECT_EQ(PayloadsOf(there.get(), 100), payloads);
}

TEST_P(SendSocketTest, SendsFromEmptyToTheLargest) {
  const auto there = JoinedThere();
  const std::string largest(net::MaxPayloadBytes(cast().family), 'x');
  std::vector<net::SendFailure> failures;
  EXPECT_EQ(Open()->Send({Outgoing(""), Outgoing(largest)}, &failures), 2u);
  EXPECT_TRUE(PayloadsOf(there.get(), 2) == (std::vector<std::string>{"", largest}));
}

TEST_P(SendSocketTest, GivesLocalReceiversACopyOnlyWithLoop) {
  const auto here = Joined("a0");
  const auto there = JoinedThere();
  const net::OutgoingDatagram off = Outgoing("off");
  const net::OutgoingDatagram on = Outgoing("on");
  std::vector<net::SendFailure> failures;
  EXPECT_EQ(Open(false)->Send({&off, 1}, &failures), 1u);
  EXPECT_EQ(Open(true)->Send({&on, 1}, &failures), 1u);
  EXPECT_THAT(PayloadsOf(there.get(), 2), ElementsAre("off", "on"));
  EXPECT_THAT(PayloadsOf(here.get(), 1), ElementsAre("on"));
  EXPECT_TRUE(IsEmpty(here.get()));
}

TEST_P(SendSocketTest, SendsFromThePortAskedAndHoldsIt) {
  const auto sender = Open(false, 6000);
  EXPECT_EQ(sender->source_port(), 6000);
  const absl::Status status = factory_->NewSendSocket({.family = cast().family, .source_port = 6000}).status();
  EXPECT_EQ(ReasonOf(status), Reason::kPortInUse);
  EXPECT_THAT(std::string(status.message()), HasSubstr(absl::StrCat("pid ", getpid())));
  EXPECT_NE(Open()->source_port(), 0);
}

// Received bytes queued and datagrams dropped at the sockets of a port, from /proc/net/udp.
struct PortState {
  uint64_t queued_bytes = 0;
  uint64_t drops = 0;
};

PortState StateOf(Family family, uint16_t port) {
  std::ifstream lines(family == Family::kIpv4 ? "/proc/net/udp" : "/proc/net/udp6");
  const std::string wanted = absl::StrFormat(":%04X", port);
  PortState state;
  std::string line;
  while (std::getline(lines, line)) {
    std::istringstream words(line);
    const std::vector<std::string> fields{std::istream_iterator<std::string>(words), {}};
    if (fields.size() < 13 || fields[1].find(wanted) == std::string::npos) continue;
    state.queued_bytes += std::stoull(fields[4].substr(fields[4].find(':') + 1), nullptr, 16);
    state.drops += std::stoull(fields[12]);
  }
  return state;
}

TEST_P(SendSocketTest, TakesNothingIn) {
  const auto sender = Open(true, 6000);
  std::unique_ptr<net::SendSocket> there;
  peer_.Do([&] { there = factory_->NewSendSocket({.family = cast().family, .loop = false}).value(); });
  net::OutgoingDatagram unicast = Outgoing("to the send socket");
  unicast.group = Ip(cast().here);
  unicast.port = 6000;
  unicast.interface_index = peer_.IndexOf("b0");
  std::vector<net::SendFailure> failures;
  ASSERT_EQ(there->Send({&unicast, 1}, &failures), 1u);
  const absl::Time deadline = absl::Now() + absl::Seconds(5);
  while (StateOf(cast().family, 6000).drops == 0 && absl::Now() < deadline) std::this_thread::yield();
  EXPECT_EQ(StateOf(cast().family, 6000).drops, 1u);
  EXPECT_EQ(StateOf(cast().family, 6000).queued_bytes, 0u);
}

TEST_P(SendSocketTest, IsSharedByThreads) {
  constexpr size_t kEach = 500;
  const auto there = JoinedThere();
  const auto sender = Open();
  std::vector<std::thread> threads;
  for (const char* name : {"one", "two"}) {
    threads.emplace_back([&, name] {
      const std::vector<net::OutgoingDatagram> datagrams(kEach, Outgoing(name));
      std::vector<net::SendFailure> failures;
      EXPECT_EQ(sender->Send(datagrams, &failures), kEach);
    });
  }
  for (std::thread& thread : threads) thread.join();
  size_t ones = 0;
  const std::vector<std::string> got = PayloadsOf(there.get(), 2 * kEach);
  for (const std::string& payload : got) ones += payload == "one";
  EXPECT_EQ(got.size(), 2 * kEach);
  EXPECT_EQ(ones, kEach);
}

}  // namespace
}  // namespace mcgw::kernel
