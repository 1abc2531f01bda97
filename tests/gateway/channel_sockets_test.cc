// Many sources and many groups: which sockets channels get, and what becomes of them.

#include "server/gateway/channels/channel_sockets.h"

#include <algorithm>
#include <cerrno>
#include <map>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/fanout/log_reader.h"
#include "tests/gateway/interface_channels_fixture.h"

namespace mcgw::gateway {
namespace {

using fanout::SourceFilter;
using ::testing::Each;
using ::testing::ElementsAre;
using testing::FakeKernel;
using testing::FakeReceiver;
using testing::Ip;
using testing::Ips;
using ::testing::IsEmpty;
using ::testing::SizeIs;

net::IpAddress Source(int i) { return Ip(absl::StrCat("10.9.", i / 250, ".", 1 + i % 250)); }
SourceFilter Sources(int begin, int end) {
  std::vector<net::IpAddress> sources;
  for (int i = begin; i < end; ++i) sources.push_back(Source(i));
  return SourceFilter::Include(sources);
}
std::string Group(int i) { return absl::StrCat("239.1.", i / 250, ".", 1 + i % 250); }

// ---- The budget ----

TEST(SocketBudget, AllChannelsHaveTheirOwnWhereAllFit) {
  const SocketBudget budget(100, 100);
  EXPECT_EQ(budget.own(), 100u);
  EXPECT_EQ(budget.most(), 100u);
}

TEST(SocketBudget, AsManyHaveTheirOwnAsLeavesRoomForTheRest) {
  const SocketBudget budget(100, 290);
  EXPECT_EQ(budget.own(), 90u);  // 90 + 200 / 20.
  const SocketBudget one_more(100, 291);
  EXPECT_EQ(one_more.own(), 89u);
}

TEST(SocketBudget, AtLeastHalfHaveTheirOwn) {
  EXPECT_EQ(SocketBudget(100, 20'000).own(), 50u);
  EXPECT_EQ(SocketBudget(0, 20'000).own(), 0u);
}

TEST(SocketBudget, ATokenCountsAsLongAsItLives) {
  SocketBudget budget(2, 40);
  SocketBudget::Token own = budget.TakeOwn();
  EXPECT_NE(own, nullptr);
  EXPECT_EQ(budget.TakeOwn(), nullptr);
  SocketBudget::Token shared = budget.TakeShared();
  EXPECT_NE(shared, nullptr);
  EXPECT_EQ(budget.TakeShared(), nullptr);
  EXPECT_EQ(budget.used(), 2u);
  shared.reset();
  own.reset();
  EXPECT_NE(budget.TakeOwn(), nullptr);
  EXPECT_EQ(budget.used(), 0u);
}

// ---- Many sources ----

class ManySourcesTest : public InterfaceChannelsTest {
 protected:
  ManySourcesTest() { kernel_->set_max_sources(2); }
  // The filters of the open sockets, in the order in which they were made.
  std::vector<std::string> Filters() const {
    std::vector<std::string> filters;
    for (const auto& receiver : kernel_->receivers()) {
      if (!receiver->filter().empty()) filters.push_back(receiver->filter());
    }
    return filters;
  }
};

TEST_F(ManySourcesTest, ASourceSpecificGroupTakesAsManySocketsAsItsSourcesNeed) {
  const HoldPtr hold = Acquire("232.1.1.1", Include({"10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5", "10.0.0.6"}));
  EXPECT_THAT(Filters(),
              ElementsAre("INCLUDE{10.0.0.2, 10.0.0.3}", "INCLUDE{10.0.0.4, 10.0.0.5}", "INCLUDE{10.0.0.6}"));
  EXPECT_EQ(channels_.Sockets().at(Ip("232.1.1.1")), 3u);
  Settle();
  const ChannelSnapshot snapshot = Snapshots().at(0);
  EXPECT_EQ(snapshot.told, snapshot.wanted);
  EXPECT_THAT(snapshot.sockets, SizeIs(3));
  EXPECT_EQ(snapshot.socket.receive_buffer_bytes, 3u << 20);
  for (const auto& receiver : kernel_->receivers()) receiver->Inject({.payload = "x"});
  Settle();
  EXPECT_EQ(hold->log()->logged(), 3u);
  EXPECT_EQ(Snapshots().at(0).sockets.at(1).read, 1u);
}

TEST_F(ManySourcesTest, ASourceThatIsKeptStaysWhereItIs) {
  const HoldPtr hold = Acquire("232.1.1.1", Include({"10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5"}));
  ASSERT_TRUE(hold->SetFilter(Include({"10.0.0.3", "10.0.0.5"})).ok());
  EXPECT_THAT(Filters(), ElementsAre("INCLUDE{10.0.0.3}", "INCLUDE{10.0.0.5}"));
  ASSERT_TRUE(hold->SetFilter(Include({"10.0.0.1", "10.0.0.3", "10.0.0.5", "10.0.0.7", "10.0.0.8"})).ok());
  EXPECT_THAT(Filters(),
              ElementsAre("INCLUDE{10.0.0.1, 10.0.0.3}", "INCLUDE{10.0.0.5, 10.0.0.7}", "INCLUDE{10.0.0.8}"));
  ASSERT_TRUE(hold->SetFilter(Include({"10.0.0.8"})).ok());
  EXPECT_THAT(Filters(), ElementsAre("INCLUDE{10.0.0.8}"));
  Settle();
  EXPECT_TRUE(kernel_->receivers().at(0)->closed());
  EXPECT_TRUE(kernel_->receivers().at(1)->closed());
  EXPECT_FALSE(kernel_->receivers().at(2)->closed());
}

TEST_F(ManySourcesTest, ASourceSpecificGroupIsNeverToldToExclude) {
  const HoldPtr first = Acquire("232.1.1.1", Sources(0, 5));
  const HoldPtr second = Acquire("232.1.1.1", Sources(3, 30));
  for (const auto& receiver : kernel_->receivers()) {
    for (const std::string& call : receiver->calls()) EXPECT_THAT(call, ::testing::Not(::testing::HasSubstr("EXCL")));
  }
  EXPECT_THAT(Filters(), SizeIs(15));
}

TEST_F(ManySourcesTest, WithoutSocketsForAllItsSourcesNothingChanges) {
  const HoldPtr hold = Acquire("232.1.1.1", Include({"10.0.0.2"}));
  kernel_->set_max_sockets(3);
  EXPECT_EQ(net::ReasonOf(hold->SetFilter(Sources(0, 9))), net::Reason::kHostLimit);
  EXPECT_EQ(net::ReasonOf(TryAcquire("232.1.1.1", Sources(0, 9)).status()), net::Reason::kHostLimit);
  EXPECT_EQ(net::ReasonOf(TryAcquire("232.1.1.2", Sources(0, 9)).status()), net::Reason::kHostLimit);
  EXPECT_EQ(hold->filter(), Include({"10.0.0.2"}));
  Settle();
  EXPECT_EQ(kernel_->Memberships(),
            (std::map<FakeKernel::ChannelKey, std::string>{{{2, "232.1.1.1", 5000}, "INCLUDE{10.0.0.2}"}}));
  EXPECT_EQ(services_.channels.load(), 1u);
}

TEST_F(ManySourcesTest, ARefusedChangeOfOneSiblingIsTakenBackFromTheOthers) {
  const HoldPtr hold = Acquire("232.1.1.1", Include({"10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5"}));
  kernel_->set_refusal([](const FakeKernel::Attempt& attempt) {
    return attempt.call == "filter INCLUDE{10.0.0.4}" ? net::ErrnoStatus(EPERM, "filter") : absl::OkStatus();
  });
  EXPECT_FALSE(hold->SetFilter(Include({"10.0.0.2", "10.0.0.4"})).ok());
  EXPECT_THAT(Filters(), ElementsAre("INCLUDE{10.0.0.2, 10.0.0.3}", "INCLUDE{10.0.0.4, 10.0.0.5}"));
  EXPECT_EQ(Snapshots().at(0).told, Include({"10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5"}));
}

TEST_F(ManySourcesTest, WhereTheKernelKeepsFewerThanItSaysMoreSocketsDo) {
  kernel_->set_max_sources(8);
  kernel_->set_refusal([](const FakeKernel::Attempt& attempt) {
    return attempt.sources > 3 ? net::ErrnoError(ENOMEM, net::Reason::kHostLimit, "source_filter.sources", "memory")
                               : absl::OkStatus();
  });
  const HoldPtr hold = Acquire("232.1.1.1", Sources(0, 7));
  EXPECT_THAT(Filters(), SizeIs(3));
  ASSERT_TRUE(hold->SetFilter(Sources(0, 10)).ok());
  EXPECT_EQ(Snapshots().at(0).told, Sources(0, 10));
  EXPECT_NE(kernel_->Memberships().begin()->second, "DUPLICATES");
}

TEST_F(ManySourcesTest, AChannelJoinedAgainSaysOnceWhatWasMissed) {
  HoldPtr hold = Acquire("232.1.1.1", Sources(0, 6));
  hold.reset();
  hold = Acquire("232.1.1.1", Sources(0, 6));
  Settle();
  EXPECT_EQ(hold->log()->unknown_gaps(), 1u);
}

// ---- IPv6 ----

TEST_F(InterfaceChannelsTest, AnIpv6ExcludeBecomesAnIncludeOnlyWhileNothingComes) {
  HoldPtr any = Acquire("ff15::1");
  const HoldPtr one = Acquire("ff15::1", Include({"fd00::2"}));
  const auto receiver = kernel_->receiver("ff15::1");
  Settle();
  any.reset();
  EXPECT_EQ(receiver->filter(), "EXCLUDE{}");
  EXPECT_EQ(Snapshots().at(0).wanted, Include({"fd00::2"}));
  channels_.Sweep(0);
  receiver->Inject({.payload = "busy", .source = "fd00::2"});
  Settle();
  channels_.Sweep(0);
  EXPECT_EQ(receiver->filter(), "EXCLUDE{}");
  channels_.Sweep(0);
  EXPECT_EQ(receiver->filter(), "INCLUDE{fd00::2}");
  EXPECT_EQ(Snapshots().at(0).told, Include({"fd00::2"}));
  any = Acquire("ff15::1");
  EXPECT_EQ(receiver->filter(), "EXCLUDE{}") << "at once";
}

TEST_F(InterfaceChannelsTest, WhatAnIpv6ExcludeBlocksAndIsWantedIsLetThroughAtOnce) {
  HoldPtr hold = Acquire("ff15::1", SourceFilter::Exclude(Ips({"fd00::2", "fd00::3"})));
  const auto receiver = kernel_->receiver("ff15::1");
  ASSERT_TRUE(hold->SetFilter(Include({"fd00::2"})).ok());
  EXPECT_EQ(receiver->filter(), "EXCLUDE{fd00::3}");
  channels_.Sweep(0);
  channels_.Sweep(0);
  EXPECT_EQ(receiver->filter(), "INCLUDE{fd00::2}");
}

TEST_F(InterfaceChannelsTest, AnIpv6FilterOfOneModeChangesAtOnce) {
  const HoldPtr hold = Acquire("ff15::1", Include({"fd00::2", "fd00::3"}));
  ASSERT_TRUE(hold->SetFilter(Include({"fd00::3"})).ok());
  EXPECT_EQ(kernel_->receiver("ff15::1")->filter(), "INCLUDE{fd00::3}");
}

// ---- Many groups ----

class ManyGroupsTest : public InterfaceChannelsTest {
 protected:
  // Two channels may have their own sockets; there may be four in all.
  ManyGroupsTest() { services_.socket_budget = SocketBudget(4, 42); }

  size_t OpenSockets() const {
    size_t open = 0;
    for (const auto& receiver : kernel_->receivers()) open += receiver->closed() ? 0 : 1;
    return open;
  }
};

TEST_F(ManyGroupsTest, PastItsDescriptorsChannelsShareSockets) {
  std::vector<HoldPtr> holds;
  for (int i = 0; i < 42; ++i) holds.push_back(Acquire(Group(i)));
  EXPECT_EQ(OpenSockets(), 4u);
  EXPECT_THAT(kernel_->Memberships(), SizeIs(42));
  EXPECT_FALSE(kernel_->receivers().at(1)->spec.group.IsUnspecified());
  EXPECT_TRUE(kernel_->receivers().at(2)->spec.group.IsUnspecified());
  EXPECT_THAT(kernel_->receivers().at(2)->filters(), SizeIs(20));
  const std::vector<ChannelSnapshot> channels = Snapshots();
  std::map<uint64_t, int> by_inode;
  for (const ChannelSnapshot& channel : channels) {
    ASSERT_THAT(channel.sockets, SizeIs(1));
    ++by_inode[channel.sockets[0].facts.inode];
  }
  for (const ChannelSnapshot& channel : channels) {
    const auto sharing = static_cast<size_t>(by_inode.at(channel.sockets[0].facts.inode));
    EXPECT_EQ(channel.sockets[0].shared, sharing > 1);
    const std::vector<uint64_t> served = channels_.LedgerOf(channel.status.channel_id)->served.at(0);
    EXPECT_THAT(served, SizeIs(sharing));
    EXPECT_TRUE(std::binary_search(served.begin(), served.end(), channel.status.channel_id));
  }
  Settle();
  for (int i = 0; i < 42; ++i) {
    const auto receiver = kernel_->receiver(Group(i));
    receiver->Inject({.payload = "x", .group = receiver->spec.group.IsUnspecified() ? Group(i) : ""});
  }
  Settle();
  for (const HoldPtr& hold : holds) EXPECT_EQ(hold->log()->logged(), 1u);
}

TEST_F(ManyGroupsTest, WithoutAnyDescriptorAJoinSaysWhatToDo) {
  std::vector<HoldPtr> holds;
  for (int i = 0; i < 42; ++i) holds.push_back(Acquire(Group(i)));
  const absl::Status status = TryAcquire(Group(42)).status();
  EXPECT_EQ(net::ReasonOf(status), net::Reason::kHostLimit);
  EXPECT_THAT(std::string(status.message()), ::testing::HasSubstr("4 of 4"));
  EXPECT_THAT(std::string(status.message()), ::testing::HasSubstr("ulimit -n"));
  EXPECT_EQ(services_.channels.load(), 42u);
  holds.pop_back();
  EXPECT_NE(Acquire(Group(42)), nullptr) << "a place that is left is taken again";
}

TEST_F(ManyGroupsTest, OnlyChannelsOfOnePortAndFamilyShare) {
  std::vector<HoldPtr> holds;
  for (int i = 0; i < 3; ++i) holds.push_back(Acquire(Group(i)));
  holds.push_back(Acquire(Group(0), {}, 5001));
  EXPECT_EQ(OpenSockets(), 4u);
  EXPECT_EQ(net::ReasonOf(TryAcquire("ff15::1").status()), net::Reason::kHostLimit);
  EXPECT_NE(Acquire(Group(4), {}, 5001), nullptr);
  EXPECT_EQ(OpenSockets(), 4u);
}

TEST_F(ManyGroupsTest, InterfacesDoNotShareButTheirDescriptorsAreOneBudget) {
  const net::Interface a1 = testing::FakeInterface(3, "a1", {"10.0.1.1/24"});
  InterfaceChannels other(&services_, "a1", &a1);
  std::vector<HoldPtr> holds;
  for (int i = 0; i < 3; ++i) holds.push_back(Acquire(Group(i)));
  holds.push_back(other.Acquire(Ip(Group(0)), 5000, membership_, {}, {}).value());
  EXPECT_EQ(OpenSockets(), 4u);
  EXPECT_EQ(kernel_->receivers().back()->spec.interface_name, "a1");
  EXPECT_TRUE(kernel_->receivers().back()->spec.group.IsUnspecified());
  EXPECT_EQ(net::ReasonOf(TryAcquire("239.1.1.1", {}, 5001).status()), net::Reason::kHostLimit);
  holds.clear();
  Settle();
}

TEST_F(ManyGroupsTest, ASharedSocketClosesWithItsLastChannel) {
  std::vector<HoldPtr> holds;
  for (int i = 0; i < 5; ++i) holds.push_back(Acquire(Group(i)));
  const auto shared = kernel_->receivers().at(2);
  holds.resize(3);
  Settle();
  EXPECT_FALSE(shared->closed());
  EXPECT_THAT(shared->filters(), SizeIs(1));
  holds.resize(2);
  Settle();
  EXPECT_TRUE(shared->closed());
  EXPECT_EQ(services_.socket_budget.used(), 2u);
}

TEST_F(ManyGroupsTest, WhenTheKernelHasNoMoreDescriptorsThanAskedForChannelsShareTheSame) {
  services_.socket_budget = SocketBudget();
  kernel_->set_max_sockets(2);
  const HoldPtr own = Acquire(Group(0));
  const absl::StatusOr<HoldPtr> shared = TryAcquire(Group(1));
  ASSERT_TRUE(shared.ok()) << shared.status();
  // Nothing is left for a shared one: the kernel's own word.
  kernel_->set_max_sockets(1);
  const absl::Status status = TryAcquire(Group(2), {}, 5001).status();
  EXPECT_EQ(net::ReasonOf(status), net::Reason::kHostLimit);
}

TEST_F(ManyGroupsTest, ASocketThatTakesNoMoreGroupsIsFollowedByAnother) {
  // As IPv6 with a small net.core.optmem_max, and IPv4 with a small igmp_max_memberships: the fourth join of all is the
  // second on the first shared socket.
  int joins = 0;
  kernel_->set_refusal([&joins](const FakeKernel::Attempt& attempt) {
    const bool refused = attempt.call.starts_with("join") && ++joins == 4;
    return refused ? net::ErrnoError(ENOMEM, net::Reason::kHostLimit, "", "join") : absl::OkStatus();
  });
  std::vector<HoldPtr> holds;
  for (int i = 0; i < 4; ++i) holds.push_back(Acquire(Group(i)));
  EXPECT_EQ(OpenSockets(), 4u);
  EXPECT_THAT(holds, Each(::testing::NotNull()));
  EXPECT_EQ(joins, 5);
}

TEST_F(ManyGroupsTest, SiblingsTakeSharedSocketsToo) {
  kernel_->set_max_sources(2);
  const HoldPtr first = Acquire(Group(0));
  const HoldPtr many = Acquire("232.1.1.1", Sources(0, 5));
  EXPECT_EQ(OpenSockets(), 4u);  // One own, and two shared ones.
  const HoldPtr more = Acquire("232.1.1.2", Sources(0, 4));
  EXPECT_EQ(OpenSockets(), 4u);
  for (const auto& [channel, filter] : kernel_->Memberships()) EXPECT_NE(filter, "DUPLICATES");
}

// ---- Random requests ----

// Random holders of some source-specific and other groups, with few descriptors and few sources for a socket: the
// kernel always has just what they want together, no source twice, and one that is kept never moves.
class SocketsPropertyTest : public InterfaceChannelsTest, public ::testing::WithParamInterface<int> {
 protected:
  size_t Random(size_t n) { return std::uniform_int_distribution<size_t>(0, n - 1)(random_); }

  SourceFilter RandomSources() {
    std::set<int> chosen;
    for (size_t count = 1 + Random(9); count > 0; --count) chosen.insert(static_cast<int>(Random(12)));
    std::vector<net::IpAddress> sources;
    for (const int i : chosen) sources.push_back(Source(i));
    return SourceFilter::Include(sources);
  }

  // The socket that has each (group, source).
  std::map<std::pair<net::IpAddress, net::IpAddress>, const FakeReceiver*> Places() const {
    std::map<std::pair<net::IpAddress, net::IpAddress>, const FakeReceiver*> places;
    for (const auto& receiver : kernel_->receivers()) {
      for (const auto& [group, filter] : receiver->filters()) {
        for (const net::IpAddress& source : filter.sources) places[{group, source}] = receiver.get();
      }
    }
    return places;
  }

  std::mt19937 random_{static_cast<unsigned>(GetParam())};
};

TEST_P(SocketsPropertyTest, TheKernelHasWhatIsWishedAndNothingMoves) {
  kernel_->set_max_sources(3);
  services_.socket_budget = SocketBudget(12, 100);
  const std::vector<std::string> groups = {"232.1.1.1", "232.1.1.2", "232.1.1.3"};
  struct Held {
    std::string group;
    HoldPtr hold;
  };
  std::vector<Held> held;
  int refused = 0;
  for (int step = 0; step < 400; ++step) {
    const auto before = Places();
    if (held.empty() || Random(3) == 0) {
      const std::string& group = groups[Random(groups.size())];
      absl::StatusOr<HoldPtr> hold = TryAcquire(group, RandomSources());
      if (hold.ok()) {
        held.push_back({group, *std::move(hold)});
      } else {
        ++refused;
      }
    } else if (Random(2) == 0) {
      refused += held[Random(held.size())].hold->SetFilter(RandomSources()).ok() ? 0 : 1;
    } else {
      held.erase(held.begin() + static_cast<ptrdiff_t>(Random(held.size())));
    }
    std::map<FakeKernel::ChannelKey, std::string> wanted;
    for (const std::string& group : groups) {
      std::vector<SourceFilter> wishes;
      for (const Held& each : held) {
        if (each.group == group) wishes.push_back(each.hold->filter());
      }
      if (wishes.empty()) continue;
      const SourceFilter merged = SourceFilter::Merge(wishes);
      wanted[{2, group, 5000}] = testing::FilterText(merged.mode(), merged.sources());
    }
    ASSERT_EQ(kernel_->Memberships(), wanted) << "step " << step;
    const auto after = Places();
    for (const auto& [place, receiver] : before) {
      const auto at = after.find(place);
      if (at != after.end()) {
        ASSERT_EQ(at->second, receiver) << "step " << step;
      }
    }
    if (step % 5 == 0) Settle();
    ASSERT_LE(services_.socket_budget.used(), 12u);
  }
  EXPECT_LT(refused, 200);
  held.clear();
  Settle();
  EXPECT_THAT(kernel_->Memberships(), IsEmpty());
  EXPECT_EQ(services_.socket_budget.used(), 0u);
  for (const auto& receiver : kernel_->receivers()) EXPECT_TRUE(receiver->closed());
}

INSTANTIATE_TEST_SUITE_P(Seeds, SocketsPropertyTest, ::testing::Range(1, 9));

}  // namespace
}  // namespace mcgw::gateway
