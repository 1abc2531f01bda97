// One stream's messages: events first, turns among cursors, filters, changes at their places.

#include "server/fanout/subscriber.h"

#include <algorithm>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/fanout/subscriber_fixture.h"

namespace mcgw::fanout {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using testing::Ips;
using ::testing::IsEmpty;

TEST_F(SubscriberTest, HasNothingWhileNothingHappens) {
  const auto subscriber = NewSubscriber();
  Add(subscriber.get(), log_);
  EXPECT_THAT(TakeAll(subscriber.get()), IsEmpty());
}

TEST_F(SubscriberTest, DeliversFromItsStartOn) {
  const auto subscriber = NewSubscriber();
  Fill(log_.get(), 3, 10);
  Add(subscriber.get(), log_);
  Fill(log_.get(), 2, 10);
  EXPECT_THAT(TakeAll(subscriber.get()), ElementsAre("4", "5"));
  const auto from_the_oldest = NewSubscriber();
  from_the_oldest->AddChannel(log_, SourceFilter::AnySource(), log_->Oldest(), std::nullopt);
  EXPECT_THAT(TakeAll(from_the_oldest.get()), ElementsAre("1", "2", "3", "4", "5"));
}

TEST_F(SubscriberTest, TheEventOfAChannelComesBeforeItsFirstDatagram) {
  const auto subscriber = NewSubscriber();
  Add(subscriber.get(), log_, SourceFilter::AnySource(), Changed(ChangeCause::kJoin));
  Fill(log_.get(), 1, 10);
  EXPECT_THAT(TakeAll(subscriber.get()), ElementsAre("changed", "1"));
}

TEST_F(SubscriberTest, ARunIsOneSliceOfTheLogWithoutACopy) {
  const auto subscriber = NewSubscriber();
  Add(subscriber.get(), log_);
  Fill(log_.get(), 10, 50);
  fanout::Run run;
  Gap gap;
  log_->Read(Cursor(), 64 << 10, kToTheEnd, &run, &gap);
  const std::optional<Message> message = Take(subscriber.get());
  ASSERT_TRUE(message.has_value());
  EXPECT_EQ(message->data, run.data);
  EXPECT_EQ(message->slab.get(), run.slab.get());
  EXPECT_EQ(message->datagrams, 10u);
}

TEST_F(SubscriberTest, AGapOpensTheMessageOfWhatFollowsIt) {
  const auto subscriber = NewSubscriber();
  Add(subscriber.get(), log_);
  Fill(log_.get(), 2, 10);
  log_->AppendDrops(3, 0, 0);
  Fill(log_.get(), 1, 10);
  const std::optional<Message> before = Take(subscriber.get());
  ASSERT_TRUE(before.has_value());
  EXPECT_THAT(Sequences({before->data, before->size_bytes}), ElementsAre(1, 2));
  EXPECT_EQ(std::count_if(before->events.begin(), before->events.end(),
                          [](const Event& event) { return std::holds_alternative<Gap>(event); }),
            0);
  const std::optional<Message> after = Take(subscriber.get());
  ASSERT_TRUE(after.has_value());
  EXPECT_THAT(Sequences({after->data, after->size_bytes}), ElementsAre(6));
  EXPECT_EQ(Tell(after->events.at(0)), "position 3");
  EXPECT_EQ(Tell(after->events.at(1)), "lost 3-5");
}

TEST_F(SubscriberTest, ATrailingLossIsToldWithoutADatagram) {
  const auto subscriber = NewSubscriber();
  Add(subscriber.get(), log_);
  log_->AppendDrops(3, 0, 0);
  log_->Commit();
  EXPECT_THAT(TakeAll(subscriber.get()), ElementsAre("lost 1-3"));
}

// ---- Turns ----

TEST_F(SubscriberTest, CursorsTakeTurns) {
  Subscriber::Options options = DefaultOptions();
  options.max_message_bytes = 4 << 10;
  const auto subscriber = NewSubscriber(options);
  const auto busy = NewLog(1);
  const auto quiet = NewLog(2);
  Add(subscriber.get(), busy);
  Add(subscriber.get(), quiet);
  Fill(busy.get(), 200, 1000);
  Fill(quiet.get(), 20, 1000);
  std::vector<uint64_t> turns;
  while (turns.size() < 8) {
    const std::vector<DecodedRecord> records = Records(*Take(subscriber.get()));
    for (const DecodedRecord& record : records) EXPECT_EQ(record.channel_id, records.front().channel_id);
    turns.push_back(records.front().channel_id);
  }
  EXPECT_EQ(std::count(turns.begin(), turns.end(), 2u), 4);
}

TEST_F(SubscriberTest, ABusyCursorTakesAtMostOneMessageFull) {
  Subscriber::Options options = DefaultOptions();
  options.max_message_bytes = 8 << 10;
  const auto subscriber = NewSubscriber(options);
  Add(subscriber.get(), log_);
  Fill(log_.get(), 100, 1000);
  std::vector<size_t> sizes;
  while (std::optional<Message> message = Take(subscriber.get())) sizes.push_back(message->size_bytes);
  EXPECT_THAT(sizes, Each(::testing::Le(options.max_message_bytes)));
  EXPECT_GE(sizes.size(), 100u * 1000 / options.max_message_bytes);
}

TEST_F(SubscriberTest, ShortRunsOfSeveralChannelsShareOneMessage) {
  const auto subscriber = NewSubscriber();
  std::vector<std::shared_ptr<ChannelLog>> logs;
  for (uint64_t id = 1; id <= 20; ++id) {
    logs.push_back(NewLog(id));
    Add(subscriber.get(), logs.back());
    Fill(logs.back().get(), 2, 20);
  }
  const std::optional<Message> message = Take(subscriber.get());
  ASSERT_TRUE(message.has_value());
  EXPECT_EQ(message->datagrams, 40u);
  std::vector<uint64_t> next(21, 1);
  for (const DecodedRecord& record : Records(*message)) EXPECT_EQ(record.sequence, next.at(record.channel_id)++);
  EXPECT_THAT(TakeAll(subscriber.get()), IsEmpty());
  ExpectBalanced(*subscriber);
  EXPECT_EQ(subscriber->Total().written, 40u);
}

TEST_F(SubscriberTest, AMessageOfShortRunsKeepsToTheMostBytes) {
  Subscriber::Options options = DefaultOptions();
  options.max_message_bytes = 4 << 10;
  const auto subscriber = NewSubscriber(options);
  std::vector<std::shared_ptr<ChannelLog>> logs;
  for (uint64_t id = 1; id <= 20; ++id) {
    logs.push_back(NewLog(id));
    Add(subscriber.get(), logs.back());
    Fill(logs.back().get(), 3, 500);
  }
  uint64_t datagrams = 0;
  while (std::optional<Message> message = Take(subscriber.get())) {
    EXPECT_LE(message->size_bytes, options.max_message_bytes);
    datagrams += Records(*message).size();
  }
  EXPECT_EQ(datagrams, 60u);
  ExpectBalanced(*subscriber);
}

// ---- Filters ----

TEST_F(SubscriberTest, ARunThatIsAllWantedPassesWithoutACopy) {
  const auto subscriber = NewSubscriber();
  Add(subscriber.get(), log_, SourceFilter::Include(Ips({"10.0.0.2", "10.0.0.3"})));
  Append(log_.get(), {"10.0.0.2", "10.0.0.3", "10.0.0.2"});
  fanout::Run run;
  Gap gap;
  log_->Read(Cursor(), 64 << 10, kToTheEnd, &run, &gap);
  EXPECT_EQ(Take(subscriber.get())->data, run.data);
}

TEST_F(SubscriberTest, OfAMixedRunOnlyTheWantedAreCopied) {
  const auto subscriber = NewSubscriber();
  Add(subscriber.get(), log_, SourceFilter::Exclude(Ips({"10.0.0.3"})));
  Append(log_.get(), {"10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.3"});
  const std::optional<Message> message = Take(subscriber.get());
  EXPECT_THAT(Sequences({message->data, message->size_bytes}), ElementsAre(1, 3));
  Append(log_.get(), {"10.0.0.3", "10.0.0.2"});
  EXPECT_THAT(TakeAll(subscriber.get()), ElementsAre("6"));
  const LedgerEntry entry = subscriber->Ledger().at(0);
  EXPECT_EQ(entry.offered, 6u);
  EXPECT_EQ(entry.written, 3u);
  EXPECT_EQ(entry.filtered, 3u);
}

TEST_F(SubscriberTest, WhatIsNotWantedIsPassedInOneLook) {
  Subscriber::Options options = DefaultOptions();
  options.max_message_bytes = 1 << 10;
  const auto subscriber = NewSubscriber(options);
  Add(subscriber.get(), log_, SourceFilter::Include(Ips({"10.0.0.9"})));
  Fill(log_.get(), 500, 100);
  Append(log_.get(), {"10.0.0.9"});
  const std::optional<Message> message = Take(subscriber.get());
  ASSERT_TRUE(message.has_value());
  EXPECT_THAT(Sequences({message->data, message->size_bytes}), ElementsAre(501));
  EXPECT_EQ(subscriber->Total().filtered, 500u);
  EXPECT_EQ(subscriber->Total().written, 1u);
}

TEST_F(SubscriberTest, AFilteredLossIsToldAllTheSame) {
  const auto subscriber = NewSubscriber();
  Add(subscriber.get(), log_, SourceFilter::Include(Ips({"10.0.0.9"})));
  Append(log_.get(), {"10.0.0.2"});
  log_->AppendDrops(2, 0, 0);
  Append(log_.get(), {"10.0.0.2", "10.0.0.9"});
  EXPECT_THAT(TakeAll(subscriber.get()), ElementsAre("lost 2-3", "5"));
}

// ---- Changes ----

TEST_F(SubscriberTest, AFilterChangeAppliesFromTheHeadOn) {
  const auto subscriber = NewSubscriber();
  Add(subscriber.get(), log_);
  Append(log_.get(), {"10.0.0.2", "10.0.0.3"});
  subscriber->ChangeFilter(1, SourceFilter::Include(Ips({"10.0.0.3"})), Changed(ChangeCause::kJoin));
  Append(log_.get(), {"10.0.0.2", "10.0.0.3"});
  EXPECT_THAT(TakeAll(subscriber.get()), ElementsAre("1", "2", "changed", "4"));
  ExpectBalanced(*subscriber);
}

TEST_F(SubscriberTest, AFilterChangeOfAnIdleChannelIsToldAtOnce) {
  const auto subscriber = NewSubscriber();
  Add(subscriber.get(), log_);
  EXPECT_THAT(TakeAll(subscriber.get()), IsEmpty());
  subscriber->ChangeFilter(1, SourceFilter::Include(Ips({"10.0.0.3"})), Changed(ChangeCause::kJoin));
  EXPECT_THAT(TakeAll(subscriber.get()), ElementsAre("changed"));
  Append(log_.get(), {"10.0.0.2", "10.0.0.3"});
  EXPECT_THAT(TakeAll(subscriber.get()), ElementsAre("2"));
}

TEST_F(SubscriberTest, SeveralChangesKeepTheirOrderAndPlaces) {
  const auto subscriber = NewSubscriber();
  Add(subscriber.get(), log_);
  Append(log_.get(), {"10.0.0.2"});
  subscriber->ChangeFilter(1, SourceFilter::Include(Ips({"10.0.0.3"})), Changed(ChangeCause::kJoin));
  Append(log_.get(), {"10.0.0.2"});
  subscriber->ChangeFilter(1, SourceFilter::AnySource(), Changed(ChangeCause::kJoin));
  Append(log_.get(), {"10.0.0.2"});
  subscriber->RemoveChannel(1, Changed(ChangeCause::kLeave, true));
  Append(log_.get(), {"10.0.0.2"});
  EXPECT_THAT(TakeAll(subscriber.get(), true),
              ElementsAre("1", "position 2", "changed", "changed", "3", "left", "position 4"));
}

TEST_F(SubscriberTest, ARemovedChannelEndsAtTheHeadOfThatMomentWithItsPosition) {
  const auto subscriber = NewSubscriber();
  Add(subscriber.get(), log_);
  Fill(log_.get(), 2, 10);
  subscriber->RemoveChannel(1, Changed(ChangeCause::kLeave, true));
  Fill(log_.get(), 2, 10);
  EXPECT_THAT(TakeAll(subscriber.get(), true), ElementsAre("1", "2", "position 3", "left", "position 3"));
  Fill(log_.get(), 2, 10);
  EXPECT_THAT(TakeAll(subscriber.get()), IsEmpty());
  EXPECT_EQ(subscriber->Total().written, 2u);
  EXPECT_EQ(subscriber->Total().offered, 2u);
  ExpectBalanced(*subscriber);
}

TEST_F(SubscriberTest, AChannelAddedAgainBeforeItsRemovalBeginsAnewBehindIt) {
  const auto subscriber = NewSubscriber();
  Add(subscriber.get(), log_);
  Fill(log_.get(), 1, 10);
  subscriber->RemoveChannel(1, Changed(ChangeCause::kLeave, true));
  Add(subscriber.get(), log_, SourceFilter::AnySource(), Changed(ChangeCause::kJoin));
  Fill(log_.get(), 1, 10);
  EXPECT_THAT(TakeAll(subscriber.get()), ElementsAre("1", "left", "changed", "2"));
}

TEST_F(SubscriberTest, WhatCameBetweenALeaveAndAJoinIsNotOfTheStream) {
  const auto subscriber = NewSubscriber();
  Add(subscriber.get(), log_);
  Append(log_.get(), {"10.0.0.2"});
  subscriber->RemoveChannel(1, Changed(ChangeCause::kLeave, true));
  Append(log_.get(), {"10.0.0.2", "10.0.0.3"});
  Add(subscriber.get(), log_, SourceFilter::Include(Ips({"10.0.0.3"})), Changed(ChangeCause::kJoin));
  Append(log_.get(), {"10.0.0.2", "10.0.0.3"});
  EXPECT_THAT(TakeAll(subscriber.get(), true), ElementsAre("1", "position 2", "left", "position 2", "changed", "5"));
  EXPECT_EQ(subscriber->Total().offered, 3u);
  ExpectBalanced(*subscriber);
}

TEST_F(SubscriberTest, AChannelAddedAgainAfterItsRemovalBeginsAnew) {
  const auto subscriber = NewSubscriber();
  Add(subscriber.get(), log_);
  Fill(log_.get(), 1, 10);
  subscriber->RemoveChannel(1, std::nullopt);
  TakeAll(subscriber.get());
  Fill(log_.get(), 1, 10);
  Add(subscriber.get(), log_, SourceFilter::AnySource(), Changed(ChangeCause::kJoin));
  Fill(log_.get(), 1, 10);
  EXPECT_THAT(TakeAll(subscriber.get()), ElementsAre("changed", "3"));
  EXPECT_EQ(subscriber->Total().offered, 2u);
  ExpectBalanced(*subscriber);
}

TEST_F(SubscriberTest, AnEventOfAnUnknownChannelIsDeliveredAllTheSame) {
  const auto subscriber = NewSubscriber();
  subscriber->RemoveChannel(99, Changed(ChangeCause::kLeave, true));
  subscriber->Notify(Draining{});
  EXPECT_THAT(TakeAll(subscriber.get()), ElementsAre("left", "draining"));
}

TEST_F(SubscriberTest, AnIdleChannelThatIsLookedAtTwiceStillWaitsOnce) {
  // Three streams wait at one log; control decisions have two of them look again before the next datagram.
  const auto first = NewSubscriber();
  const auto second = NewSubscriber();
  const auto third = NewSubscriber();
  for (Subscriber* subscriber : {first.get(), second.get(), third.get()}) {
    Add(subscriber, log_);
    TakeAll(subscriber);
  }
  for (int round = 0; round < 3; ++round) {
    first->ChangeFilter(1, SourceFilter::AnySource(), std::nullopt);
    third->ChangeFilter(1, SourceFilter::AnySource(), std::nullopt);
    TakeAll(first.get());
    TakeAll(third.get());
    Fill(log_.get(), 1, 10);
    const std::string sequence = std::to_string(round + 1);
    EXPECT_THAT(TakeAll(first.get()), ElementsAre(sequence));
    EXPECT_THAT(TakeAll(second.get()), ElementsAre(sequence));
    EXPECT_THAT(TakeAll(third.get()), ElementsAre(sequence));
  }
}

TEST_F(SubscriberTest, AChannelWokenAndChangedAtOnceIsReadOnce) {
  const auto subscriber = NewSubscriber();
  Add(subscriber.get(), log_);
  TakeAll(subscriber.get());
  Fill(log_.get(), 1, 10);  // Moves the waiter to the ready list.
  subscriber->ChangeFilter(1, SourceFilter::AnySource(), Changed(ChangeCause::kJoin));
  EXPECT_THAT(TakeAll(subscriber.get()), ElementsAre("1", "changed"));
  Fill(log_.get(), 1, 10);
  EXPECT_THAT(TakeAll(subscriber.get()), ElementsAre("2"));
}

}  // namespace
}  // namespace mcgw::fanout
