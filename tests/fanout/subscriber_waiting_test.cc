// What control calls queue for a stream: how much of it waits, and how it comes in pages.

#include <algorithm>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "server/net/status.h"
#include "tests/fanout/subscriber_fixture.h"

namespace mcgw::fanout {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Le;
using ::testing::SizeIs;

class SubscriberWaitingTest : public SubscriberTest {
 protected:
  // A join and a leave of a channel that the stream did not have. False: the stream takes no more.
  bool JoinAndLeave(Subscriber* subscriber) {
    if (!subscriber->TakesChanges()) return false;
    const std::shared_ptr<ChannelLog> log = NewLog(++last_id_);
    Add(subscriber, log, SourceFilter::AnySource(), Changed(ChangeCause::kJoin));
    if (!subscriber->TakesChanges()) return false;
    subscriber->RemoveChannel(log->channel_id(), Changed(ChangeCause::kLeave, /*left=*/true));
    return true;
  }
  static net::Reason ReasonOfEnd(const Subscriber& subscriber) {
    return net::ReasonOf(subscriber.verdict().value_or(absl::OkStatus()));
  }
  // Another filter for each `number`, of the most sources that a gateway allows by default.
  static SourceFilter LargeFilter(int number) {
    std::vector<net::IpAddress> sources;
    for (int i = 0; i < 1000; ++i) {
      sources.push_back(testing::Ip("10." + std::to_string(number) + "." + std::to_string(i / 250) + "." +
                                    std::to_string(1 + i % 250)));
    }
    return SourceFilter::Include(std::move(sources));
  }
  void ChangeToLargeFilter(Subscriber* subscriber, int number) {
    const SourceFilter filter = LargeFilter(number);
    MembershipChanged changed = Changed(ChangeCause::kJoin);
    changed.filter = filter;
    subscriber->ChangeFilter(log_->channel_id(), filter, changed);
  }
  static std::vector<size_t> PageSizes(Subscriber* subscriber) {
    std::vector<size_t> sizes;
    while (const std::optional<Message> message = Take(subscriber)) {
      sizes.push_back(message->events.size());
      EXPECT_LE(message->event_bytes, Message::kMostEventBytes + 64 * 1024);  // One event more, at the most.
    }
    return sizes;
  }

  uint64_t last_id_ = 100;
};

TEST_F(SubscriberWaitingTest, AStreamThatDoesNotReadEndsWhenTooMuchWaits) {
  const auto subscriber = NewSubscriber();
  size_t rounds = 0;
  while (JoinAndLeave(subscriber.get())) ASSERT_LE(++rounds, Subscriber::kMostWaitingBytes / 512);
  EXPECT_GT(rounds, 5000u);  // A stream that is only busy has time to come to it.
  EXPECT_EQ(ReasonOfEnd(*subscriber), net::Reason::kSubscriberTooSlow);
  EXPECT_THAT(TakeAll(subscriber.get()), IsEmpty());
  EXPECT_FALSE(subscriber->TakesChanges());
}

TEST_F(SubscriberWaitingTest, AStreamThatReadsTakesAnyNumberOfChanges) {
  const auto subscriber = NewSubscriber();
  for (int i = 0; i < 50'000; ++i) {
    ASSERT_TRUE(JoinAndLeave(subscriber.get())) << i;
    if (i % 1000 == 0) TakeAll(subscriber.get());
  }
  EXPECT_EQ(subscriber->verdict(), std::nullopt);
}

TEST_F(SubscriberWaitingTest, OneActionComesWholeHoweverLarge) {
  constexpr size_t kEvents = 2 * Subscriber::kMostWaitingBytes / 512;
  const auto subscriber = NewSubscriber();
  ASSERT_TRUE(subscriber->TakesChanges());
  for (size_t i = 0; i < kEvents; ++i) subscriber->Notify(Changed(ChangeCause::kRefused));
  EXPECT_EQ(subscriber->verdict(), std::nullopt);
  EXPECT_THAT(TakeAll(subscriber.get()), SizeIs(kEvents));
  EXPECT_TRUE(subscriber->TakesChanges());
}

TEST_F(SubscriberWaitingTest, AFilterCountsWithItsSources) {
  const auto subscriber = NewSubscriber();
  int rounds = 0;
  for (; subscriber->TakesChanges(); ++rounds) {
    ASSERT_LT(rounds, 250);
    ChangeToLargeFilter(subscriber.get(), rounds);
    MembershipChanged changed = Changed(ChangeCause::kJoin);
    changed.filter = LargeFilter(rounds);
    subscriber->Notify(changed);
  }
  EXPECT_EQ(ReasonOfEnd(*subscriber), net::Reason::kSubscriberTooSlow);
}

TEST_F(SubscriberWaitingTest, OneChannelThatChangesAgainAndAgainEndsTheStream) {
  const auto subscriber = NewSubscriber();
  Add(subscriber.get(), log_);
  size_t changes = 0;
  while (subscriber->TakesChanges()) {
    ASSERT_LE(changes, Subscriber::kMostChangesOfChannel);
    subscriber->ChangeFilter(1, SourceFilter::Include(testing::Ips({++changes % 2 == 0 ? "10.0.0.2" : "10.0.0.3"})),
                             Changed(ChangeCause::kJoin));
  }
  EXPECT_EQ(ReasonOfEnd(*subscriber), net::Reason::kSubscriberTooSlow);
}

TEST_F(SubscriberWaitingTest, WhatHasBeenTakenWaitsNoMore) {
  const auto subscriber = NewSubscriber();
  Add(subscriber.get(), log_);
  for (int i = 0; i < 100'000; ++i) {
    ASSERT_TRUE(subscriber->TakesChanges()) << i;
    subscriber->ChangeFilter(1, SourceFilter::Include(testing::Ips({i % 2 == 0 ? "10.0.0.2" : "10.0.0.3"})),
                             Changed(ChangeCause::kJoin));
    subscriber->NotifyAt(1, InterfaceLost{.interface_name = "a0"});
    subscriber->NotifyAt(1, InterfaceRestored{.interface_name = "a0"});
    subscriber->Notify(InterfaceLost{.interface_name = "a1"});
    if (i % 50 == 0) TakeAll(subscriber.get());
  }
}

TEST_F(SubscriberWaitingTest, NoticesComeInPagesBeforeTheDatagramsOfTheirChannels) {
  constexpr size_t kChannels = 2500;
  const auto subscriber = NewSubscriber();
  std::vector<std::shared_ptr<ChannelLog>> logs;
  for (size_t i = 0; i < kChannels; ++i) {
    logs.push_back(NewLog(i + 10));
    MembershipChanged joined = Changed(ChangeCause::kJoin);
    joined.channel.channel_id = i + 10;
    Add(subscriber.get(), logs.back(), SourceFilter::AnySource(), joined);
    Append(logs.back().get(), {"10.0.0.2"});
  }
  std::set<uint64_t> told;
  size_t datagrams = 0;
  std::vector<size_t> pages;
  while (const std::optional<Message> message = Take(subscriber.get())) {
    size_t joins = 0;
    for (const Event& event : message->events) {
      const auto* const changed = std::get_if<MembershipChanged>(&event);
      if (changed == nullptr) continue;
      told.insert(changed->channel.channel_id);
      ++joins;
    }
    if (joins > 0) pages.push_back(joins);
    for (const DecodedRecord& record : Records(*message)) {
      EXPECT_TRUE(told.contains(record.channel_id));
      ++datagrams;
    }
  }
  EXPECT_THAT(pages, ElementsAre(1000, 1000, 500));
  EXPECT_EQ(datagrams, kChannels);
}

TEST_F(SubscriberWaitingTest, LargeNoticesFillAPageByTheirBytes) {
  const auto subscriber = NewSubscriber();
  for (int i = 0; i < 100; ++i) {
    MembershipChanged changed = Changed(ChangeCause::kJoin);
    changed.filter = LargeFilter(i);
    subscriber->Notify(changed);
  }
  const std::vector<size_t> pages = PageSizes(subscriber.get());
  EXPECT_GE(pages.size(), 8u);
  EXPECT_THAT(pages, Each(Le(11u)));
}

TEST_F(SubscriberWaitingTest, TheChangesOfOneChannelComeInPagesToo) {
  const auto subscriber = NewSubscriber();
  Add(subscriber.get(), log_);
  for (int i = 0; i < 100; ++i) ChangeToLargeFilter(subscriber.get(), i);
  const std::vector<size_t> pages = PageSizes(subscriber.get());
  EXPECT_THAT(pages, Each(Le(11u)));
  size_t events = 0;
  for (const size_t page : pages) events += page;
  EXPECT_EQ(events, 100u);
}

class SubscriberPagesTest : public SubscriberWaitingTest {
 protected:
  static constexpr uint64_t kChannels = 2500;

  // A stream that has read one datagram of each of many channels.
  void SetUp() override {
    Subscriber::Options options = DefaultOptions();
    options.ledger_interval_ns = 1;
    subscriber_ = NewSubscriber(options);
    for (uint64_t id = 1; id <= kChannels; ++id) {
      logs_.push_back(NewLog(id));
      Add(subscriber_.get(), logs_.back());
    }
    TakeAll(subscriber_.get());
    for (const auto& log : logs_) Append(log.get(), {"10.0.0.2"});
  }

  std::vector<std::shared_ptr<ChannelLog>> logs_;
  std::unique_ptr<Subscriber> subscriber_;
};

TEST_F(SubscriberPagesTest, ASweepComesInPagesAndItsLedgerLast) {
  // Taken, but not reported yet.
  size_t datagrams = 0;
  std::multiset<uint64_t> reported;
  std::vector<std::string> last;
  subscriber_->RequestSweep();
  for (bool swept = false; const std::optional<Message> message = Take(subscriber_.get());) {
    EXPECT_LE(message->events.size(), Message::kMostEvents + 1);
    datagrams += message->datagrams;
    for (const Event& event : message->events) {
      if (const auto* position = std::get_if<Position>(&event)) reported.insert(position->channel_id);
      last.push_back(Tell(event));
    }
    if (!swept && datagrams == kChannels) subscriber_->RequestSweep();
    swept = swept || datagrams == kChannels;
  }
  EXPECT_EQ(datagrams, kChannels);
  EXPECT_EQ(reported.size(), kChannels);
  EXPECT_EQ(std::set<uint64_t>(reported.begin(), reported.end()).size(), kChannels);
  EXPECT_EQ(last.back(), "ledger");
}

TEST_F(SubscriberPagesTest, TheFarewellComesInPagesAndItsLedgerLast) {
  TakeAll(subscriber_.get());
  std::vector<uint64_t> channels;
  std::vector<size_t> pages;
  Message message;
  for (bool more = true; more;) {
    more = subscriber_->NextFarewell(&message);
    pages.push_back(message.events.size());
    for (const Event& event : message.events) {
      if (const auto* position = std::get_if<Position>(&event)) channels.push_back(position->channel_id);
    }
  }
  EXPECT_THAT(pages, ElementsAre(1000, 1000, 501));
  EXPECT_THAT(channels, SizeIs(kChannels));
  EXPECT_TRUE(std::is_sorted(channels.begin(), channels.end()));
  EXPECT_EQ(std::get<LedgerEntry>(message.events.back()).written, kChannels);
}

}  // namespace
}  // namespace mcgw::fanout
