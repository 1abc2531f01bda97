// What the send socket waits for and what it says has failed, against the real kernel.

#include <net/if.h>

#include <cerrno>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/net/linux_socket_factory.h"
#include "server/net/status.h"
#include "tests/kernel/kernel_net.h"
#include "tests/kernel/send_fixture.h"

namespace mcgw::kernel {
namespace {

using net::ErrnoOf;
using net::Reason;
using net::ReasonOf;

class SendFailureTest : public SendFixture {};
INSTANTIATE_TEST_SUITE_P(Families, SendFailureTest, testing::Values(kIpv4, kIpv6), FamilyOf);

TEST_P(SendFailureTest, ReportsEachFailureOfARunOfOneSize) {
  net::OutgoingDatagram datagram = Outgoing("x");
  datagram.source = Ip(cast().foreign);
  std::vector<net::OutgoingDatagram> datagrams(100, datagram);
  datagrams[30] = Outgoing("x");
  std::vector<net::SendFailure> failures;
  EXPECT_EQ(Open()->Send(datagrams, &failures), 1u);
  ASSERT_EQ(failures.size(), 99u);
  for (size_t i = 0; i < failures.size(); ++i) {
    EXPECT_EQ(failures[i].index, i < 30 ? i : i + 1);
    EXPECT_EQ(ReasonOf(failures[i].status), Reason::kSourceNotLocal);
  }
}

TEST_P(SendFailureTest, ReportsFailuresByIndexAndSendsTheRest) {
  const auto there = JoinedThere();
  const std::string too_large(net::MaxPayloadBytes(cast().family) + 1, 'x');
  std::vector<std::string> payloads;
  for (int i = 0; i < 200; ++i) payloads.push_back(absl::StrCat(i));
  std::vector<net::OutgoingDatagram> datagrams = OutgoingEach(payloads);
  datagrams[0].payload = too_large;
  datagrams[70].interface_index = 9999;
  datagrams[71].interface_index = 0;
  datagrams[72].hop_limit = 0;
  datagrams[73].source = Ip(cast().foreign);
  datagrams[150].group = Ip(cast().other_family_group);
  datagrams[199].payload = too_large;
  const std::vector<std::pair<size_t, Reason>> expected = {
      {0, Reason::kPayloadTooLarge},  {70, Reason::kInterfaceNotFound}, {71, Reason::kFieldRequired},
      {72, Reason::kInvalidHopLimit}, {73, Reason::kSourceNotLocal},    {150, Reason::kInvalidAddress},
      {199, Reason::kPayloadTooLarge}};
  std::vector<net::SendFailure> failures;
  EXPECT_EQ(Open()->Send(datagrams, &failures), 200 - expected.size());
  std::vector<std::pair<size_t, Reason>> reported;
  for (const net::SendFailure& failure : failures) reported.emplace_back(failure.index, ReasonOf(failure.status));
  EXPECT_EQ(reported, expected);
  for (auto each = expected.rbegin(); each != expected.rend(); ++each) {
    payloads.erase(payloads.begin() + static_cast<ptrdiff_t>(each->first));
  }
  EXPECT_EQ(PayloadsOf(there.get(), payloads.size()), payloads);
}

TEST_P(SendFailureTest, NamesTheCarrierWhereTheKernelMissesIt) {
  peer_.Shell("ip link set b0 down");
  // Most kernels take the datagram and lose it: only the interface table can tell.
  const net::OutgoingDatagram datagram = Outgoing("x");
  std::vector<net::SendFailure> failures;
  if (Open()->Send({&datagram, 1}, &failures) == 0) {
    EXPECT_EQ(ReasonOf(failures[0].status), Reason::kNoCarrier) << failures[0].status;
  }
}

TEST_P(SendFailureTest, WaitsForItsBufferToEmpty) {
  if (!Throttle("8mbit", 10'000'000)) GTEST_SKIP() << "no token bucket here";
  const auto there = JoinedThere();
  const std::vector<std::string> payloads = GrowingPayloads(400);  // Twice what the buffer holds.
  const std::vector<net::OutgoingDatagram> datagrams = OutgoingEach(payloads);
  std::vector<net::SendFailure> failures;
  EXPECT_EQ(Open()->Send(datagrams, &failures), 400u);
  EXPECT_TRUE(failures.empty());
  EXPECT_EQ(PayloadsOf(there.get(), 400).size(), 400u);
}

TEST_P(SendFailureTest, WaitsForAFullQueueOfTheInterface) {
  if (!Throttle("8mbit", 5'000)) GTEST_SKIP() << "no token bucket here";
  const auto there = JoinedThere();
  const std::vector<std::string> payloads = GrowingPayloads(100);
  const std::vector<net::OutgoingDatagram> datagrams = OutgoingEach(payloads);
  std::vector<net::SendFailure> failures;
  EXPECT_EQ(Open()->Send(datagrams, &failures), 100u);
  EXPECT_TRUE(failures.empty()) << failures[0].status;
  EXPECT_EQ(PayloadsOf(there.get(), 100).size(), 100u);
}

TEST_P(SendFailureTest, WithLoopReportsWhatAFullQueueDropped) {
  if (!Throttle("8mbit", 5'000)) GTEST_SKIP() << "no token bucket here";
  const auto here = Joined("a0");
  const auto there = JoinedThere();
  const std::vector<std::string> payloads = GrowingPayloads(100);
  const std::vector<net::OutgoingDatagram> datagrams = OutgoingEach(payloads);
  std::vector<net::SendFailure> failures;
  const size_t sent = Open(true)->Send(datagrams, &failures);
  EXPECT_LT(sent, 100u);
  EXPECT_EQ(sent + failures.size(), 100u);
  ASSERT_FALSE(failures.empty());
  EXPECT_EQ(ReasonOf(failures[0].status), Reason::kHostLimit);
  EXPECT_EQ(ErrnoOf(failures[0].status), ENOBUFS);
  EXPECT_EQ(PayloadsOf(here.get(), 100).size(), 100u) << "each once";
  EXPECT_TRUE(IsEmpty(here.get()));
  EXPECT_EQ(PayloadsOf(there.get(), sent).size(), sent);
}

TEST_P(SendFailureTest, GivesUpWhenNothingMovesForASecond) {
  if (!Throttle("8kbit", 10'000'000)) GTEST_SKIP() << "no token bucket here";
  const std::string payload(1400, 'x');
  const std::vector<net::OutgoingDatagram> datagrams(300, Outgoing(payload));
  std::vector<net::SendFailure> failures;
  const absl::Time before = absl::Now();
  const size_t sent = Open()->Send(datagrams, &failures);
  EXPECT_LT(absl::Now() - before, absl::Seconds(10)) << "not a second for each";
  EXPECT_EQ(sent + failures.size(), 300u);
  ASSERT_FALSE(failures.empty());
  EXPECT_EQ(ReasonOf(failures.back().status), Reason::kHostLimit) << failures.back().status;
}

}  // namespace
}  // namespace mcgw::kernel
