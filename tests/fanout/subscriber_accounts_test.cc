// The accounts of a stream, and what it reports of them.

#include <algorithm>
#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/fanout/subscriber.h"
#include "tests/fanout/subscriber_fixture.h"

namespace mcgw::fanout {
namespace {

using ::testing::ElementsAre;
using testing::Ips;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class SubscriberAccountsTest : public SubscriberTest {};

TEST_F(SubscriberAccountsTest, EveryNumberIsInOneColumnOfTheLedger) {
  const auto subscriber = NewSubscriber();
  Add(subscriber.get(), log_, SourceFilter::Include(Ips({"10.0.0.2"})));
  Append(log_.get(), {"10.0.0.2", "10.0.0.3"});
  log_->AppendDrops(4, 0, 0);
  Append(log_.get(), {"10.0.0.2"});
  TakeAll(subscriber.get());
  Append(log_.get(), {"10.0.0.2"});
  Message message;
  ASSERT_TRUE(subscriber->Next(&message));
  Append(log_.get(), {"10.0.0.2", "10.0.0.2"});

  LedgerEntry entry = subscriber->Ledger().at(0);
  EXPECT_EQ(entry.offered, 10u);
  EXPECT_EQ(entry.written, 2u);
  EXPECT_EQ(entry.filtered, 1u);
  EXPECT_EQ(entry.skipped[static_cast<int>(GapCause::kKernelDrop)], 4u);
  EXPECT_EQ(entry.in_flight, 1u);
  EXPECT_EQ(entry.pending, 2u);
  ExpectBalanced(*subscriber);

  subscriber->Abandon();
  entry = subscriber->Ledger().at(0);
  EXPECT_EQ(entry.in_flight, 0u);
  EXPECT_EQ(entry.abandoned, 1u);
  EXPECT_EQ(entry.written, 2u);
  ExpectBalanced(*subscriber);
}

TEST_F(SubscriberAccountsTest, UnknownGapsAreCountedApart) {
  const auto subscriber = NewSubscriber();
  Add(subscriber.get(), log_);
  log_->AppendUnknown(GapCause::kNotJoined, 0, 0);
  log_->AppendDrops(1, 0, 0);
  log_->Commit();
  EXPECT_THAT(TakeAll(subscriber.get()), ElementsAre("unknown", "lost 1-1"));
  EXPECT_EQ(subscriber->Total().unknown_gaps, 1u);
  EXPECT_EQ(subscriber->Total().range_gaps, 1u);
}

TEST_F(SubscriberAccountsTest, TheTotalKeepsWhatRemovedChannelsHad) {
  const auto subscriber = NewSubscriber();
  constexpr uint64_t kChannels = 200;  // More than are kept one by one.
  for (uint64_t id = 1; id <= kChannels; ++id) {
    const auto log = NewLog(id);
    Add(subscriber.get(), log);
    Fill(log.get(), 3, 10);
    subscriber->RemoveChannel(id, std::nullopt);
    TakeAll(subscriber.get());
  }
  EXPECT_EQ(subscriber->Total().written, 3 * kChannels);
  EXPECT_EQ(subscriber->Total().offered, 3 * kChannels);
  EXPECT_LT(subscriber->Ledger().size(), kChannels);
  ExpectBalanced(*subscriber);
}

TEST_F(SubscriberAccountsTest, ASweepReportsThePositionOfAChannelThatMoved) {
  const auto subscriber = NewSubscriber();
  Add(subscriber.get(), log_, SourceFilter::Include(Ips({"10.0.0.9"})));
  subscriber->RequestSweep();
  EXPECT_THAT(TakeAll(subscriber.get(), true), IsEmpty());
  Fill(log_.get(), 3, 10);
  EXPECT_THAT(TakeAll(subscriber.get(), true), IsEmpty());  // All of it filtered.
  subscriber->RequestSweep();
  const std::optional<Message> message = Take(subscriber.get());
  ASSERT_TRUE(message.has_value());
  ASSERT_THAT(message->events, SizeIs(1));
  const Position position = std::get<Position>(message->events.front());
  EXPECT_EQ(position.channel_id, 1u);
  EXPECT_EQ(position.epoch, log_->epoch());
  EXPECT_EQ(position.next_sequence, 4u);
  EXPECT_EQ(position.filtered, 3u);
  subscriber->RequestSweep();
  EXPECT_THAT(TakeAll(subscriber.get(), true), IsEmpty());  // It has not moved since.
}

TEST_F(SubscriberAccountsTest, ASweepReportsTheLedgerWhenItsIntervalHasPassed) {
  Subscriber::Options options = DefaultOptions();
  options.ledger_interval_ns = 1;
  const auto subscriber = NewSubscriber(options);
  Add(subscriber.get(), log_);
  Fill(log_.get(), 2, 10);
  TakeAll(subscriber.get());
  subscriber->RequestSweep();
  const std::optional<Message> message = Take(subscriber.get());
  ASSERT_TRUE(message.has_value());
  const LedgerEntry* const ledger = std::get_if<LedgerEntry>(&message->events.back());
  ASSERT_NE(ledger, nullptr);
  EXPECT_EQ(ledger->written, 2u);
}

TEST_F(SubscriberAccountsTest, TheFarewellIsEveryPositionAndThenTheLedger) {
  const auto subscriber = NewSubscriber();
  const auto other = NewLog(2);
  Add(subscriber.get(), log_);
  Add(subscriber.get(), other);
  Fill(other.get(), 5, 10);
  TakeAll(subscriber.get());
  Message message;
  EXPECT_FALSE(subscriber->NextFarewell(&message));
  const std::vector<Event>& farewell = message.events;
  ASSERT_THAT(farewell, SizeIs(3));
  std::map<uint64_t, uint64_t> next;
  for (int i : {0, 1}) {
    const Position position = std::get<Position>(farewell[i]);
    next[position.channel_id] = position.next_sequence;
  }
  EXPECT_EQ(next, (std::map<uint64_t, uint64_t>{{1, 1}, {2, 6}}));
  EXPECT_EQ(std::get<LedgerEntry>(farewell[2]).written, 5u);
}

TEST_F(SubscriberAccountsTest, PendingIsCountedByTheLogAlsoWhereItHasGivenUp) {
  const auto log = NewLog(2, 20 << 10);
  const auto subscriber = NewSubscriber();
  Add(subscriber.get(), log);
  Fill(log.get(), 500, 100);
  log->AppendDrops(7, 0, 0);
  log->Commit();
  const LedgerEntry entry = subscriber->Total();
  EXPECT_EQ(entry.offered, 507u);
  EXPECT_EQ(entry.pending, 507u);
}

TEST_F(SubscriberAccountsTest, PendingIsRightWhereMarksHadToGo) {
  const auto subscriber = NewSubscriber();
  Add(subscriber.get(), log_);
  Fill(log_.get(), 1, 10);
  TakeAll(subscriber.get());
  for (int i = 0; i < 5000; ++i) log_->AppendDrops(1, 0, 0);
  log_->Commit();
  EXPECT_EQ(subscriber->Total().pending, 5000u);
  ExpectBalanced(*subscriber);
}

TEST_F(SubscriberAccountsTest, AtTheEndWhatWasNotTakenIsNotOffered) {
  const auto subscriber = NewSubscriber();
  Add(subscriber.get(), log_);
  Fill(log_.get(), 2, 10);
  TakeAll(subscriber.get());
  Fill(log_.get(), 3, 10);
  const LedgerEntry total = subscriber->FinalTotal();
  EXPECT_EQ(total.offered, 2u);
  EXPECT_EQ(total.written, 2u);
  ExpectBalanced(total);
}

TEST_F(SubscriberAccountsTest, TheLagIsWhatLiesAhead) {
  const auto subscriber = NewSubscriber();
  Add(subscriber.get(), log_);
  Fill(log_.get(), 1, 100, 1);
  TakeAll(subscriber.get());
  Fill(log_.get(), 4, 100, 1);
  const std::optional<Lag> lag = subscriber->GreatestLag();
  ASSERT_TRUE(lag.has_value());
  EXPECT_EQ(lag->channel_id, 1u);
  EXPECT_EQ(lag->next_sequence, 2u);
  EXPECT_EQ(lag->datagrams, 4u);
  EXPECT_EQ(lag->bytes, log_->committed_position() / 5 * 4);
  EXPECT_GT(lag->age_ns, 0);
  TakeAll(subscriber.get());
  EXPECT_EQ(subscriber->GreatestLag()->datagrams, 0u);
  EXPECT_EQ(subscriber->GreatestLag()->age_ns, 0);
}

TEST_F(SubscriberAccountsTest, TheGreatestLagIsThatOfTheChannelWithMostBytesAhead) {
  const auto subscriber = NewSubscriber();
  EXPECT_FALSE(subscriber->GreatestLag().has_value());
  std::vector<std::shared_ptr<ChannelLog>> logs;
  for (uint64_t id = 1; id <= 3; ++id) {
    logs.push_back(NewLog(id));
    Add(subscriber.get(), logs.back());
  }
  TakeAll(subscriber.get());
  Fill(logs[0].get(), 1, 100);
  Fill(logs[1].get(), 3, 100);
  Fill(logs[2].get(), 2, 100);
  EXPECT_EQ(subscriber->GreatestLag()->channel_id, 2u);
  EXPECT_EQ(subscriber->LagIn(3)->datagrams, 2u);
  EXPECT_FALSE(subscriber->LagIn(4).has_value());
}

TEST_F(SubscriberAccountsTest, TheLedgerComesInPages) {
  const auto subscriber = NewSubscriber();
  std::vector<std::shared_ptr<ChannelLog>> logs;
  for (uint64_t id = 1; id <= 5; ++id) {
    logs.push_back(NewLog(id));
    Add(subscriber.get(), logs.back());
    Fill(logs.back().get(), static_cast<int>(id), 10);
  }
  TakeAll(subscriber.get());
  // What it has left is listed at its place.
  subscriber->RemoveChannel(2, std::nullopt);
  TakeAll(subscriber.get());
  std::vector<uint64_t> ids;
  std::vector<LedgerEntry> page;
  for (uint64_t after = 0; !(page = subscriber->Ledger(after, 2)).empty(); after = page.back().channel_id) {
    EXPECT_LE(page.size(), 2u);
    for (const LedgerEntry& entry : page) {
      ids.push_back(entry.channel_id);
      EXPECT_EQ(entry.written, entry.channel_id);
      EXPECT_EQ(subscriber->LedgerIn(entry.channel_id)->written, entry.written);
    }
  }
  EXPECT_THAT(ids, ElementsAre(1, 2, 3, 4, 5));
  EXPECT_FALSE(subscriber->LedgerIn(6).has_value());
}

TEST_F(SubscriberAccountsTest, AStreamThatWantsNothingGivesWayToOthers) {
  const auto log = NewLog(2, 8 << 20);
  const auto subscriber = NewSubscriber();
  Add(subscriber.get(), log, SourceFilter::Include(Ips({"10.0.0.9"})));
  Message message;
  EXPECT_FALSE(subscriber->Next(&message));
  Fill(log.get(), 3000, 1000);
  int turns = 0;
  for (int rings = -1; rings != doorbell_->rings(); ++turns) {  // It rings as long as there is more.
    rings = doorbell_->rings();
    if (subscriber->Next(&message)) {  // A Position.
      subscriber->Written();
      doorbell_->Ring();
    }
    EXPECT_EQ(message.datagrams, 0u);
  }
  EXPECT_GT(turns, 5);
  EXPECT_EQ(subscriber->Total().filtered, 3000u);
  ExpectBalanced(*subscriber);
}

// The sum is kept as cursors move, and must always be that of the parts.
class TotalTest : public SubscriberTest, public ::testing::WithParamInterface<int> {};

INSTANTIATE_TEST_SUITE_P(Seeds, TotalTest, ::testing::Range(0, 8));

TEST_P(TotalTest, IsTheSumOfTheChannelsWhateverHappens) {
  std::mt19937 chance(GetParam());
  const auto draw = [&chance](uint32_t count) { return chance() % count; };
  std::vector<std::shared_ptr<ChannelLog>> logs;
  for (uint64_t id = 1; id <= 6; ++id) logs.push_back(NewLog(id, 24 << 10));
  const auto subscriber = NewSubscriber({.lag_limit_bytes = 8 << 10, .ledger_interval_ns = 0});
  bool writing = false;
  for (int step = 0; step < 3000; ++step) {
    const std::shared_ptr<ChannelLog>& log = logs[draw(6)];
    switch (draw(10)) {
      case 0:
        subscriber->AddChannel(log, SourceFilter::Include(testing::Ips({"10.0.0.2"})), ChannelStart::Live(*log), {});
        break;
      case 1:
        subscriber->AddChannel(log, SourceFilter::AnySource(), ChannelStart(log->Oldest(), true, std::nullopt), {});
        break;
      case 2:
        subscriber->RemoveChannel(log->channel_id(), {});
        break;
      case 3:
        log->AppendDrops(1 + draw(5), 0, 0);
        log->Commit();
        break;
      case 4:
        Append(log.get(), {"10.0.0.3", "10.0.0.2"}, 1000 * draw(12));
        break;
      default:
        Append(log.get(), {"10.0.0.2"}, 100);
    }
    if (draw(3) == 0) {
      if (writing) subscriber->Written();
      Message message;
      writing = subscriber->Next(&message);
    }
    LedgerEntry sum;
    for (const LedgerEntry& entry : subscriber->Ledger()) sum.Add(entry);
    const LedgerEntry total = subscriber->Total();
    ASSERT_EQ(total.offered, sum.offered) << step;
    ASSERT_EQ(total.pending, sum.pending) << step;
    ASSERT_EQ(total.in_flight, sum.in_flight) << step;
    ASSERT_EQ(total.written, sum.written) << step;
    ASSERT_EQ(total.written_bytes, sum.written_bytes) << step;
    ASSERT_EQ(total.filtered, sum.filtered) << step;
    ASSERT_EQ(total.range_gaps, sum.range_gaps) << step;
    ExpectBalanced(total);
  }
  subscriber->Abandon();
  LedgerEntry sum;
  for (const LedgerEntry& entry : subscriber->Ledger()) sum.Add(entry);
  EXPECT_EQ(subscriber->FinalTotal().abandoned, sum.abandoned);
  EXPECT_EQ(subscriber->FinalTotal().offered, sum.offered - sum.pending);
}

TEST_F(SubscriberAccountsTest, ASweepCostsWhatHasMovedAndNotWhatWaits) {
  constexpr uint64_t kWaiting = 50'000;
  const auto subscriber = NewSubscriber({.lag_policy = LagPolicy::kDisconnect, .ledger_interval_ns = 1});
  std::vector<std::shared_ptr<ChannelLog>> logs;
  for (uint64_t id = 1; id <= kWaiting; ++id) {
    logs.push_back(NewLog(id));
    Add(subscriber.get(), logs.back());
  }
  TakeAll(subscriber.get());
  const auto best_time_of = [](const auto& work) {
    auto best = std::chrono::nanoseconds::max();
    for (int i = 0; i < 5; ++i) {
      const auto begin = std::chrono::steady_clock::now();
      work();
      best = std::min<std::chrono::nanoseconds>(best, std::chrono::steady_clock::now() - begin);
    }
    return best;
  };
  const auto sweep = best_time_of([&] {
    Append(logs.front().get(), {"10.0.0.2"});
    subscriber->RequestSweep();
    EXPECT_FALSE(TakeAll(subscriber.get()).empty());
  });
  const auto walk = best_time_of([&] { EXPECT_EQ(subscriber->Ledger().size(), kWaiting); });
  EXPECT_LT(sweep * 10, walk);
}

}  // namespace
}  // namespace mcgw::fanout
