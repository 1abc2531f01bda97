// References to channels: what the kernel is told, when, and what is left when it refuses.

#include "server/gateway/channels/interface_channels.h"

#include <cerrno>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/net/clock.h"
#include "tests/fanout/log_reader.h"
#include "tests/gateway/interface_channels_fixture.h"

namespace mcgw::gateway {
namespace {

using fanout::SourceFilter;
using ::testing::ElementsAre;
using testing::FakeKernel;
using testing::FakeReceiver;
using testing::Ips;
using ::testing::IsEmpty;
using ::testing::SizeIs;

SourceFilter Exclude(const std::vector<std::string_view>& sources) { return SourceFilter::Exclude(Ips(sources)); }

TEST_F(InterfaceChannelsTest, TheFirstHoldJoinsAndTheLastLeaves) {
  HoldPtr first = Acquire("239.1.1.1");
  const std::shared_ptr<FakeReceiver> receiver = kernel_->receiver("239.1.1.1");
  EXPECT_THAT(receiver->calls(), ElementsAre("join EXCLUDE{}"));
  EXPECT_EQ(receiver->spec.interface_index, 2u);
  EXPECT_EQ(receiver->spec.interface_name, "a0");
  EXPECT_EQ(receiver->spec.port, 5000);
  EXPECT_EQ(receiver->spec.receive_buffer_bytes, 1u << 20);
  HoldPtr second = Acquire("239.1.1.1");
  first.reset();
  EXPECT_THAT(receiver->calls(), ElementsAre("join EXCLUDE{}"));
  second.reset();
  EXPECT_THAT(receiver->calls(), ElementsAre("join EXCLUDE{}", "leave"));
  Settle();
  EXPECT_THAT(receiver->calls(), ElementsAre("join EXCLUDE{}", "leave", "close"));
  EXPECT_THAT(kernel_->receivers(), SizeIs(1));
}

TEST_F(InterfaceChannelsTest, HoldsOfOneChannelShareItsLog) {
  const HoldPtr first = Acquire("239.1.1.1");
  const HoldPtr second = Acquire("239.1.1.1");
  EXPECT_EQ(first->log(), second->log());
  EXPECT_EQ(first->channel_id(), second->channel_id());
}

TEST_F(InterfaceChannelsTest, PortsAndGroupsAreChannelsOfTheirOwn) {
  const HoldPtr one = Acquire("239.1.1.1", {}, 5000);
  const HoldPtr other_port = Acquire("239.1.1.1", {}, 5001);
  const HoldPtr other_group = Acquire("239.1.1.2", {}, 5000);
  EXPECT_NE(one->channel_id(), other_port->channel_id());
  EXPECT_NE(one->channel_id(), other_group->channel_id());
  EXPECT_NE(one->log(), other_group->log());
  EXPECT_THAT(kernel_->Memberships(), SizeIs(3));
}

TEST_F(InterfaceChannelsTest, TheSameGroupOnTwoInterfacesIsTwoChannels) {
  const net::Interface a1 = testing::FakeInterface(3, "a1", {"10.0.1.1/24"});
  InterfaceChannels other(&services_, "a1", &a1);
  const HoldPtr one = Acquire("239.1.1.1");
  HoldPtr two = other.Acquire(testing::Ip("239.1.1.1"), 5000, membership_, {}, {}).value();
  EXPECT_NE(one->channel_id(), two->channel_id());
  EXPECT_TRUE(kernel_->Memberships().contains(FakeKernel::ChannelKey(3, "239.1.1.1", 5000)));
  two.reset();
  Settle();
  EXPECT_THAT(kernel_->Memberships(), SizeIs(1));
}

TEST_F(InterfaceChannelsTest, WhatIsReceivedReachesTheLog) {
  const HoldPtr hold = Acquire("239.1.1.1");
  kernel_->receiver("239.1.1.1")->Inject({.payload = "hello"});
  Settle();
  EXPECT_EQ(hold->log()->logged(), 1u);
  const ChannelSnapshot snapshot = Snapshots().at(0);
  EXPECT_EQ(snapshot.account.read, 1u);
  EXPECT_EQ(snapshot.account.logged, 1u);
  EXPECT_EQ(snapshot.last_source, "10.0.0.2");
}

TEST_F(InterfaceChannelsTest, TheKernelIsToldWhatAllWantTogether) {
  const HoldPtr first = Acquire("239.1.1.1", Include({"10.0.0.2"}));
  HoldPtr second = Acquire("239.1.1.1", Include({"10.0.0.3"}));
  HoldPtr third = Acquire("239.1.1.1", Exclude({"10.0.0.2", "10.0.0.9"}));
  EXPECT_EQ(Snapshots().at(0).told, Exclude({"10.0.0.9"}));
  third.reset();
  second.reset();
  EXPECT_THAT(kernel_->receiver("239.1.1.1")->calls(),
              ElementsAre("join INCLUDE{10.0.0.2}", "filter INCLUDE{10.0.0.2, 10.0.0.3}", "filter EXCLUDE{10.0.0.9}",
                          "filter INCLUDE{10.0.0.2, 10.0.0.3}", "filter INCLUDE{10.0.0.2}"));
}

TEST_F(InterfaceChannelsTest, TheKernelIsNotToldWhatItKnows) {
  const HoldPtr first = Acquire("239.1.1.1");
  const HoldPtr second = Acquire("239.1.1.1", Include({"10.0.0.2"}));
  EXPECT_THAT(kernel_->receiver("239.1.1.1")->calls(), ElementsAre("join EXCLUDE{}"));
  EXPECT_EQ(second->filter(), Include({"10.0.0.2"}));
}

TEST_F(InterfaceChannelsTest, AChangedFilterIsToldAndKept) {
  const HoldPtr hold = Acquire("232.1.1.1", Include({"10.0.0.2"}));
  EXPECT_TRUE(hold->SetFilter(Include({"10.0.0.3"})).ok());
  EXPECT_EQ(kernel_->receiver("232.1.1.1")->filter(), "INCLUDE{10.0.0.3}");
  EXPECT_EQ(hold->filter(), Include({"10.0.0.3"}));
}

// ---- Refusals ----

TEST_F(InterfaceChannelsTest, AJoinThatFailsLeavesNothingBehind) {
  kernel_->set_refusal([](const FakeKernel::Attempt& attempt) {
    return attempt.call.starts_with("join") ? net::ErrnoStatus(EPERM, "join") : absl::OkStatus();
  });
  const absl::StatusOr<HoldPtr> hold = TryAcquire("239.1.1.1");
  EXPECT_EQ(net::ErrnoOf(hold.status()), EPERM);
  EXPECT_THAT(Snapshots(), IsEmpty());
  EXPECT_EQ(services_.channels.load(), 0u);
  EXPECT_TRUE(kernel_->receiver("239.1.1.1")->closed());
  kernel_->set_refusal(nullptr);
  EXPECT_NE(Acquire("239.1.1.1"), nullptr);
}

TEST_F(InterfaceChannelsTest, ASocketThatCannotBeMadeIsReportedAsItIs) {
  kernel_->set_refusal([](const FakeKernel::Attempt& attempt) {
    return attempt.call == "socket" ? net::Error(net::Reason::kPortInUse, "port", "held by 42") : absl::OkStatus();
  });
  const absl::StatusOr<HoldPtr> hold = TryAcquire("239.1.1.1");
  EXPECT_EQ(net::ReasonOf(hold.status()), net::Reason::kPortInUse);
  EXPECT_EQ(services_.channels.load(), 0u);
}

TEST_F(InterfaceChannelsTest, AFilterThatIsRefusedChangesNothing) {
  const HoldPtr first = Acquire("239.1.1.1", Include({"10.0.0.2"}));
  kernel_->set_refusal([](const FakeKernel::Attempt& attempt) {
    return attempt.call.starts_with("filter") ? net::ErrnoStatus(EPERM, "filter") : absl::OkStatus();
  });
  EXPECT_FALSE(TryAcquire("239.1.1.1").ok());
  EXPECT_FALSE(first->SetFilter(Include({"10.0.0.3"})).ok());
  EXPECT_EQ(first->filter(), Include({"10.0.0.2"}));
  const ChannelSnapshot snapshot = Snapshots().at(0);
  EXPECT_THAT(snapshot.holders, SizeIs(1));
  EXPECT_EQ(snapshot.told, Include({"10.0.0.2"}));
  EXPECT_EQ(snapshot.wanted, Include({"10.0.0.2"}));
}

TEST_F(InterfaceChannelsTest, ALeaveThatFailsClosesAllTheSame) {
  HoldPtr hold = Acquire("239.1.1.1");
  kernel_->set_refusal([](const FakeKernel::Attempt& attempt) {
    return attempt.call == "leave" ? net::ErrnoStatus(EADDRNOTAVAIL, "leave") : absl::OkStatus();
  });
  hold.reset();
  Settle();
  EXPECT_TRUE(kernel_->receiver("239.1.1.1")->closed());
  EXPECT_THAT(kernel_->Memberships(), IsEmpty());
}

// ---- More sources than the kernel keeps ----

TEST_F(InterfaceChannelsTest, WithTooManySourcesTheKernelPassesAll) {
  kernel_->set_max_sources(2);
  const HoldPtr hold = Acquire("239.1.1.1", Include({"10.0.0.2", "10.0.0.3", "10.0.0.4"}));
  EXPECT_EQ(kernel_->receiver("239.1.1.1")->filter(), "EXCLUDE{}");
  EXPECT_THAT(kernel_->receivers(), SizeIs(2));  // The failed join is not built upon.
  Settle();
  EXPECT_TRUE(kernel_->receivers().at(0)->closed());
  const ChannelSnapshot snapshot = Snapshots().at(0);
  EXPECT_EQ(snapshot.told, SourceFilter::AnySource());
  EXPECT_EQ(snapshot.wanted, Include({"10.0.0.2", "10.0.0.3", "10.0.0.4"}));
}

TEST_F(InterfaceChannelsTest, AFilterThatGrowsTooLongIsWidenedAndNarrowedAgain) {
  kernel_->set_max_sources(2);
  const HoldPtr first = Acquire("239.1.1.1", Include({"10.0.0.2", "10.0.0.3"}));
  HoldPtr second = Acquire("239.1.1.1", Include({"10.0.0.4"}));
  EXPECT_EQ(kernel_->receiver("239.1.1.1")->filter(), "EXCLUDE{}");
  second.reset();
  EXPECT_EQ(kernel_->receiver("239.1.1.1")->filter(), "INCLUDE{10.0.0.2, 10.0.0.3}");
}

// ---- IPv6 filters that become narrower ----

constexpr int64_t kSecondNs = 1'000'000'000;

class NarrowingTest : public InterfaceChannelsTest {
 protected:
  // One who wants a single source and goes on, and one who wants any and leaves.
  NarrowingTest() {
    kept_ = Acquire("ff15::1", Include({"fd00::77"}));
    Acquire("ff15::1").reset();
    start_ns_ = net::MonotonicNs();
  }
  std::string filter() const { return kernel_->receiver("ff15::1")->filter(); }
  ChannelSnapshot snapshot() const { return Snapshots().at(0); }
  // The sweep of a second, with a datagram just before it.
  void SecondWithTraffic(int second) {
    kernel_->receiver("ff15::1")->Inject({.payload = "unwanted", .source = "fd00::2"});
    Settle();
    channels_.Sweep(start_ns_ + second * kSecondNs);
    Settle();
  }

  HoldPtr kept_;
  int64_t start_ns_ = 0;
};

TEST_F(NarrowingTest, WithoutTrafficItTakesASecondAndLosesNothing) {
  EXPECT_EQ(filter(), "EXCLUDE{}");
  EXPECT_TRUE(snapshot().narrows);
  channels_.Sweep(start_ns_);
  channels_.Sweep(start_ns_ + kSecondNs);
  EXPECT_EQ(filter(), "INCLUDE{fd00::77}");
  EXPECT_FALSE(snapshot().narrows);
  Settle();
  fanout::Cursor cursor;
  EXPECT_THAT(fanout::ReadAll(*kept_->log(), &cursor), IsEmpty());
}

TEST_F(NarrowingTest, UnderTrafficItTakesHalfAMinuteAndAnnouncesAGap) {
  for (int second = 0; second < 30; ++second) SecondWithTraffic(second);
  EXPECT_EQ(filter(), "EXCLUDE{}");
  fanout::Cursor cursor;
  EXPECT_THAT(fanout::ReadAll(*kept_->log(), &cursor), ElementsAre(fanout::Datagrams(1, 30)));
  SecondWithTraffic(30);
  EXPECT_EQ(filter(), "INCLUDE{fd00::77}");
  EXPECT_FALSE(snapshot().narrows);
  EXPECT_THAT(fanout::ReadAll(*kept_->log(), &cursor), ElementsAre(fanout::Datagrams(31, 31), fanout::Unknown()));
  SecondWithTraffic(31);  // Once is enough.
  EXPECT_THAT(fanout::ReadAll(*kept_->log(), &cursor), ElementsAre(fanout::Datagrams(32, 32)));
}

TEST_F(NarrowingTest, ChangesMeanwhileDoNotPutItOffFurther) {
  for (int second = 0; second < 30; ++second) {
    SecondWithTraffic(second);
    ASSERT_TRUE(kept_->SetFilter(Include({second % 2 == 0 ? "fd00::78" : "fd00::77"})).ok());
  }
  SecondWithTraffic(30);
  EXPECT_EQ(filter(), "INCLUDE{fd00::77}");
}

TEST_F(NarrowingTest, WhoWantsAnySourceAgainEndsIt) {
  for (int second = 0; second < 20; ++second) SecondWithTraffic(second);
  const HoldPtr any = Acquire("ff15::1");
  EXPECT_FALSE(snapshot().narrows);
  for (int second = 20; second < 60; ++second) SecondWithTraffic(second);
  EXPECT_EQ(filter(), "EXCLUDE{}");
}

TEST_F(NarrowingTest, WhatTheKernelDoesNotKeepIsNotWaitedFor) {
  kernel_->set_max_sources(1);
  ASSERT_TRUE(kept_->SetFilter(Include({"fd00::77", "fd00::78"})).ok());
  EXPECT_EQ(filter(), "EXCLUDE{}");
  EXPECT_FALSE(snapshot().narrows);
  SecondWithTraffic(31);
  fanout::Cursor cursor;
  EXPECT_THAT(fanout::ReadAll(*kept_->log(), &cursor), ElementsAre(fanout::Datagrams(1, 1)));
}

TEST_F(InterfaceChannelsTest, AnIpv4FilterBecomesNarrowerAtOnce) {
  const HoldPtr kept = Acquire("239.1.1.1", Include({"10.0.0.77"}));
  Acquire("239.1.1.1").reset();
  EXPECT_EQ(kernel_->receiver("239.1.1.1")->filter(), "INCLUDE{10.0.0.77}");
}

// ---- Channels that are kept ----

TEST_F(InterfaceChannelsTest, AChannelJoinedAgainInTimeGoesOnBehindAnInterruption) {
  HoldPtr hold = Acquire("239.1.1.1");
  kernel_->receiver("239.1.1.1")->Inject({.payload = "before"});
  Settle();
  const uint64_t epoch = hold->log()->epoch();
  const uint64_t id = hold->channel_id();
  hold.reset();
  Settle();
  channels_.Sweep(net::MonotonicNs());
  hold = Acquire("239.1.1.1");
  EXPECT_EQ(hold->log()->epoch(), epoch);
  EXPECT_EQ(hold->channel_id(), id);
  kernel_->receiver("239.1.1.1")->Inject({.payload = "after"});
  Settle();
  fanout::Cursor cursor;
  EXPECT_THAT(fanout::ReadAll(*hold->log(), &cursor),
              ElementsAre(fanout::Datagrams(1, 1), fanout::Unknown(), fanout::Datagrams(2, 2)));
}

TEST_F(InterfaceChannelsTest, AChannelJoinedAgainTooLateBeginsAnew) {
  HoldPtr hold = Acquire("239.1.1.1");
  const uint64_t epoch = hold->log()->epoch();
  const uint64_t id = hold->channel_id();
  hold.reset();
  Settle();
  const int64_t keep_ns = absl::ToInt64Nanoseconds(services_.options.keep_after_leave);
  channels_.Sweep(net::MonotonicNs() + keep_ns - 1'000'000'000);
  EXPECT_THAT(Snapshots(), SizeIs(1));
  channels_.Sweep(net::MonotonicNs() + keep_ns);
  EXPECT_THAT(Snapshots(), IsEmpty());
  EXPECT_EQ(services_.channels.load(), 0u);
  hold = Acquire("239.1.1.1");
  EXPECT_NE(hold->log()->epoch(), epoch);
  EXPECT_NE(hold->channel_id(), id);
  Settle();
  EXPECT_EQ(hold->log()->unknown_gaps(), 0u);
}

TEST_F(InterfaceChannelsTest, AHeldChannelIsNotSwept) {
  const HoldPtr hold = Acquire("239.1.1.1");
  channels_.Sweep(net::MonotonicNs() + absl::ToInt64Nanoseconds(absl::Hours(1)));
  EXPECT_THAT(Snapshots(), SizeIs(1));
}

TEST_F(InterfaceChannelsTest, AFailedReturnKeepsTheLog) {
  HoldPtr hold = Acquire("239.1.1.1");
  const uint64_t epoch = hold->log()->epoch();
  hold.reset();
  kernel_->set_refusal([](const FakeKernel::Attempt&) { return net::ErrnoStatus(EPERM, "no"); });
  EXPECT_FALSE(TryAcquire("239.1.1.1").ok());
  kernel_->set_refusal(nullptr);
  EXPECT_EQ(Acquire("239.1.1.1")->log()->epoch(), epoch);
}

TEST_F(InterfaceChannelsTest, ALogOutlivesItsChannelWhileSomebodyReadsIt) {
  HoldPtr hold = Acquire("239.1.1.1");
  const std::shared_ptr<fanout::ChannelLog> log = hold->log();
  kernel_->receiver("239.1.1.1")->Inject({.payload = "hello"});
  hold.reset();
  Settle();
  channels_.Sweep(net::MonotonicNs() + absl::ToInt64Nanoseconds(absl::Hours(1)));
  fanout::Cursor cursor;
  EXPECT_THAT(fanout::ReadAll(*log, &cursor), ElementsAre(fanout::Datagrams(1, 1)));
}

// ---- Limits and looks ----

TEST_F(InterfaceChannelsTest, ChannelsAreLimitedOverAllInterfaces) {
  services_.options.limits.channels = 2;
  const net::Interface a1 = testing::FakeInterface(3, "a1", {"10.0.1.1/24"});
  InterfaceChannels other(&services_, "a1", &a1);
  const HoldPtr first = Acquire("239.1.1.1");
  HoldPtr second = other.Acquire(testing::Ip("239.1.1.1"), 5000, membership_, {}, {}).value();
  EXPECT_EQ(net::ReasonOf(TryAcquire("239.1.1.2").status()), net::Reason::kChannelLimit);
  EXPECT_NE(Acquire("239.1.1.1"), nullptr);  // Shares what is there.
  second.reset();
  other.Sweep(net::MonotonicNs() + absl::ToInt64Nanoseconds(absl::Hours(1)));
  EXPECT_NE(Acquire("239.1.1.2"), nullptr);
}

TEST_F(InterfaceChannelsTest, ASnapshotShowsIntentAndFactApart) {
  const Holder stream = {.kind = Holder::Kind::kStream, .subscriber_id = 9, .identity = "me"};
  const MembershipFacts membership = {.holder = std::make_shared<HolderFacts>(stream, "*"), .id = 4};
  HoldPtr hold = channels_.Acquire(testing::Ip("239.1.1.1"), 5000, membership, Include({"10.0.0.2"}), {}).value();
  ChannelSnapshot snapshot = Snapshots().at(0);
  EXPECT_EQ(snapshot.status.phase, fanout::ChannelPhase::kJoined);
  EXPECT_EQ(snapshot.status.interface_name, "a0");
  EXPECT_EQ(snapshot.status.group, testing::Ip("239.1.1.1"));
  EXPECT_TRUE(snapshot.joined);
  ASSERT_THAT(snapshot.holders, SizeIs(1));
  EXPECT_EQ(snapshot.holders[0].identity, "me");
  EXPECT_EQ(snapshot.holders[0].selector, "*");
  EXPECT_GT(snapshot.holders[0].since_unix_ns, 0);
  EXPECT_EQ(channels_.Holds(net::Family::kIpv4), 1u);
  EXPECT_EQ(channels_.Holds(net::Family::kIpv6), 0u);
  EXPECT_EQ(channels_.Sockets().at(testing::Ip("239.1.1.1")), 1u);
  hold.reset();
  snapshot = Snapshots().at(0);
  EXPECT_FALSE(snapshot.joined);
  EXPECT_EQ(snapshot.status.phase, fanout::ChannelPhase::kLeft);
  EXPECT_THAT(snapshot.holders, IsEmpty());
  EXPECT_EQ(channels_.Holds(net::Family::kIpv4), 0u);
  EXPECT_THAT(channels_.Sockets(), IsEmpty());
}

}  // namespace
}  // namespace mcgw::gateway
