// What a cursor costs: there may be millions.

#include <memory>
#include <vector>

#include "gtest/gtest.h"
#include "server/fanout/subscriber.h"
#include "tests/fanout/subscriber_fixture.h"
#include "tests/support/held_bytes.h"

namespace mcgw::fanout {
namespace {

constexpr size_t kCursors = 1000;
constexpr size_t kMostBytesWaiting = 160;

using SubscriberMemoryTest = SubscriberTest;

TEST_F(SubscriberMemoryTest, ACursorThatWaitsTakesLittleAlsoAfterADetour) {
  std::vector<std::shared_ptr<ChannelLog>> logs;
  for (size_t i = 0; i < kCursors; ++i) logs.push_back(NewLog(i + 1));
  const auto subscriber = NewSubscriber();
  const size_t before = testing::HeldBytes();
  for (const std::shared_ptr<ChannelLog>& log : logs) Add(subscriber.get(), log);
  TakeAll(subscriber.get());
  EXPECT_LT(testing::HeldBytes() - before, kCursors * kMostBytesWaiting);

  for (const std::shared_ptr<ChannelLog>& log : logs) {
    subscriber->ChangeFilter(log->channel_id(), SourceFilter::AnySource(), Changed(ChangeCause::kJoin));
  }
  EXPECT_GT(testing::HeldBytes() - before, kCursors * kMostBytesWaiting);
  EXPECT_EQ(TakeAll(subscriber.get()).size(), kCursors);
  EXPECT_LT(testing::HeldBytes() - before, kCursors * kMostBytesWaiting);
}

}  // namespace
}  // namespace mcgw::fanout
