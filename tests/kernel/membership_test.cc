// Joining, filtering and leaving, against the real kernel.

#include <net/if.h>

#include <cerrno>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/net/linux_socket_factory.h"
#include "server/net/status.h"
#include "tests/kernel/kernel_net.h"
#include "tests/kernel/receive_fixture.h"

namespace mcgw::kernel {
namespace {

using net::ErrnoOf;
using net::Family;
using net::FilterMode;
using net::IpAddress;
using net::Reason;
using net::ReasonOf;
using testing::ElementsAre;
using testing::HasSubstr;

class MembershipTest : public ReceiveFixture {};
INSTANTIATE_TEST_SUITE_P(Families, MembershipTest, testing::Values(kIpv4, kIpv6), FamilyOf);

TEST_P(MembershipTest, HearsNothingBeforeItJoinsAndAfterItLeft) {
  const auto other = Joined(group());  // So that the host takes the group in.
  const auto socket = Open(group());
  Send(group(), "early");
  ASSERT_THAT(PayloadsOf(other.get(), 1), ElementsAre("early"));
  ASSERT_TRUE(socket->Join(FilterMode::kExclude, {}).ok());
  Send(group(), "while");
  ASSERT_THAT(PayloadsOf(other.get(), 1), ElementsAre("while"));
  Send(group(), "queued");
  ASSERT_THAT(PayloadsOf(other.get(), 1), ElementsAre("queued"));
  ASSERT_TRUE(socket->Leave().ok());
  Send(group(), "late");
  ASSERT_THAT(PayloadsOf(other.get(), 1), ElementsAre("late"));
  EXPECT_THAT(PayloadsOf(socket.get(), 2), ElementsAre("while", "queued"));
  EXPECT_TRUE(IsEmpty(socket.get()));
  ASSERT_TRUE(socket->Join(FilterMode::kExclude, {}).ok()) << "a socket may join again";
  Send(group(), "again");
  EXPECT_THAT(PayloadsOf(socket.get(), 1), ElementsAre("again"));
}

TEST_P(MembershipTest, RefusesCallsOutOfTurn) {
  const auto socket = Open(group());
  EXPECT_EQ(ReasonOf(socket->Leave()), Reason::kNotJoined);
  EXPECT_EQ(ReasonOf(socket->SetFilter(FilterMode::kExclude, {})), Reason::kNotJoined);
  ASSERT_TRUE(socket->Join(FilterMode::kExclude, {}).ok());
  EXPECT_EQ(socket->Join(FilterMode::kExclude, {}).code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(ReasonOf(socket->SetFilter(FilterMode::kInclude, {})), Reason::kInvalidSourceFilter);
  ASSERT_TRUE(socket->Leave().ok());
  EXPECT_EQ(ReasonOf(socket->Leave()), Reason::kNotJoined);
}

TEST_P(MembershipTest, RefusesSourcesThatCannotBe) {
  const auto socket = Open(Ip(cast().ssm_group));
  for (const IpAddress& bad :
       {group(), IpAddress::Unspecified(cast().family), Ip(cast().family == Family::kIpv4 ? "fd00::2" : "10.0.0.2")}) {
    EXPECT_EQ(ReasonOf(socket->Join(FilterMode::kInclude, {source(0), bad})), Reason::kInvalidSource) << bad.ToString();
  }
  EXPECT_EQ(GroupUsers("a0", Ip(cast().ssm_group)), 0);
}

TEST_P(MembershipTest, IncludesOnlyTheSourcesNamed) {
  const IpAddress ssm = Ip(cast().ssm_group);
  const auto socket = Open(ssm);
  ASSERT_TRUE(socket->Join(FilterMode::kInclude, {source(0), source(2)}).ok());
  for (int i = 0; i < 3; ++i) SendFrom(i, ssm, cast().sources[i]);
  EXPECT_THAT(PayloadsOf(socket.get(), 2), ElementsAre(cast().sources[0], cast().sources[2]));
  EXPECT_EQ(SourceUsers(ssm, source(0)), (SourceCounts{1, 0}));
  EXPECT_EQ(SourceUsers(ssm, source(1)), (SourceCounts{0, 0}));
  EXPECT_TRUE(IsEmpty(socket.get()));
}

TEST_P(MembershipTest, ExcludesTheSourcesNamed) {
  const auto socket = Open(group());
  ASSERT_TRUE(socket->Join(FilterMode::kExclude, {source(1)}).ok());
  for (int i = 0; i < 3; ++i) SendFrom(i, group(), cast().sources[i]);
  EXPECT_THAT(PayloadsOf(socket.get(), 2), ElementsAre(cast().sources[0], cast().sources[2]));
  EXPECT_EQ(SourceUsers(group(), source(1)), (SourceCounts{0, 1}));
}

TEST_P(MembershipTest, ReplacesItsFilter) {
  const auto socket = Open(group());
  ASSERT_TRUE(socket->Join(FilterMode::kInclude, {source(0)}).ok());
  const auto witness = Joined(group());  // Says when each datagram has arrived.
  const auto heard = [&](size_t expected) {
    for (int i = 0; i < 3; ++i) {
      SendFrom(i, group(), absl::StrCat(i));
      EXPECT_THAT(PayloadsOf(witness.get(), 1), ElementsAre(absl::StrCat(i)));
    }
    return PayloadsOf(socket.get(), expected);
  };
  EXPECT_THAT(heard(1), ElementsAre("0"));
  ASSERT_TRUE(socket->SetFilter(FilterMode::kInclude, {source(0), source(1)}).ok());
  EXPECT_THAT(heard(2), ElementsAre("0", "1"));
  ASSERT_TRUE(socket->SetFilter(FilterMode::kExclude, {source(0)}).ok());
  EXPECT_THAT(heard(2), ElementsAre("1", "2"));
  ASSERT_TRUE(socket->SetFilter(FilterMode::kExclude, {}).ok());
  EXPECT_THAT(heard(3), ElementsAre("0", "1", "2"));
  ASSERT_TRUE(socket->SetFilter(FilterMode::kInclude, {source(2)}).ok());
  EXPECT_THAT(heard(1), ElementsAre("2"));
  EXPECT_EQ(GroupUsers("a0", group()), 2) << "with the witness";
}

TEST_P(MembershipTest, SaysWhenTheKernelTakesNoMoreSources) {
  std::vector<IpAddress> sources;
  for (size_t i = 0; i <= cast().max_sources; ++i) {
    sources.push_back(Ip(absl::StrCat(cast().family == Family::kIpv4 ? "10.9.0." : "fd09::", i + 1)));
  }
  const auto socket = Open(group());
  absl::Status status = socket->Join(FilterMode::kInclude, sources);
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(ErrnoOf(status), ENOBUFS);
  EXPECT_THAT(std::string(status.message()), HasSubstr("_max_msf"));
  EXPECT_EQ(GroupUsers("a0", group()), 0) << "a join that failed holds nothing";

  sources.pop_back();
  ASSERT_TRUE(socket->Join(FilterMode::kInclude, sources).ok());
  std::vector<IpAddress> too_many = sources;
  too_many.push_back(source(0));
  status = socket->SetFilter(FilterMode::kInclude, too_many);
  EXPECT_EQ(ErrnoOf(status), ENOBUFS);
  EXPECT_EQ(SourceUsers(group(), sources[0]), (SourceCounts{1, 0})) << "the filter is as it was";
  EXPECT_TRUE(socket->SetFilter(FilterMode::kExclude, {}).ok());
}

TEST_P(MembershipTest, HoldsAMembershipThatClosingGivesBack) {
  auto first = Joined(group());
  EXPECT_EQ(GroupUsers("a0", group()), 1);
  auto second = Joined(group());
  EXPECT_EQ(GroupUsers("a0", group()), 2);
  first.reset();
  EXPECT_EQ(GroupUsers("a0", group()), 1);
  ASSERT_TRUE(second->Leave().ok());
  EXPECT_EQ(GroupUsers("a0", group()), 0);
}

TEST_P(MembershipTest, SaysThatAnInterfaceIsGone) {
  net::ReceiveSocketSpec spec = Spec(group());
  spec.interface_name = "none0";
  EXPECT_EQ(ReasonOf(factory_->NewReceiveSocket(spec).status()), Reason::kInterfaceNotFound);
  spec = Spec(group());
  spec.interface_index += 1000;  // The name is another interface's now.
  EXPECT_EQ(ReasonOf(factory_->NewReceiveSocket(spec).status()), Reason::kInterfaceNotFound);

  const auto joined = Joined(group());
  const auto open = Open(group());
  Shell("ip link del a0");
  EXPECT_EQ(ReasonOf(open->Join(FilterMode::kExclude, {})), Reason::kInterfaceNotFound);
  const absl::Status left = joined->Leave();
  EXPECT_TRUE(left.ok()) << left;
}

TEST_P(MembershipTest, RefusesAGroupThatIsNone) {
  const absl::StatusOr<std::unique_ptr<net::ReceiveSocket>> socket = factory_->NewReceiveSocket(Spec(Ip(cast().here)));
  ASSERT_TRUE(socket.ok()) << socket.status();
  EXPECT_EQ(ReasonOf((*socket)->Join(FilterMode::kExclude, {})), Reason::kNotAMulticastGroup);
}

TEST_P(MembershipTest, OutlivesItsInterfaceGoingDownAndUp) {
  const auto socket = Joined(group());
  Shell("ip link set a0 down && ip link set a0 up");
  peer_.WaitUntilUp("a0", "b0");
  Shell("ip addr replace fd00::1/64 dev a0 nodad");  // Taking a link down takes its IPv6 addresses.
  Send(group(), "back");
  EXPECT_THAT(PayloadsOf(socket.get(), 1), ElementsAre("back"));
}

class Ipv6MembershipTest : public ReceiveFixture {};
INSTANTIATE_TEST_SUITE_P(Ipv6, Ipv6MembershipTest, testing::Values(kIpv6), FamilyOf);

TEST_P(Ipv6MembershipTest, JoinsAgainAfterTheMtuFellBelowIpv6s) {
  const auto socket = Joined(group());
  Shell("ip link set a0 mtu 1200");
  const absl::Status status = Open(group())->Join(FilterMode::kExclude, {});
  EXPECT_EQ(ReasonOf(status), Reason::kNoAddress) << status;
  Shell("ip link set a0 mtu 1500");
  ASSERT_EQ(GroupUsers("a0", group()), 0) << "the kernel forgot the membership";
  ASSERT_TRUE(socket->Leave().ok());
  ASSERT_TRUE(socket->Join(FilterMode::kExclude, {}).ok());
  Send(group(), "back");
  EXPECT_THAT(PayloadsOf(socket.get(), 1), ElementsAre("back"));
}

}  // namespace
}  // namespace mcgw::kernel
