// Lists and accounts: page after page, with what each page needs and no more.

#include <memory>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/gateway/gateway_fixture.h"

namespace mcgw::gateway {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class InspectionTest : public GatewayTest {
 protected:
  static std::string Group(int i) { return "239.1.1." + std::to_string(i); }
  static std::vector<uint64_t> Ids(const std::vector<SubscriberSnapshot>& subscribers) {
    std::vector<uint64_t> ids;
    for (const SubscriberSnapshot& subscriber : subscribers) ids.push_back(subscriber.id);
    return ids;
  }
};

TEST_F(InspectionTest, SubscribersComeInPages) {
  std::vector<std::unique_ptr<Subscription>> streams;
  for (int i = 0; i < 12; ++i) streams.push_back(Subscribe({Request("a0", Group(i % 2 + 1))}));
  EXPECT_THAT(Ids(gateway_->inspector().ListSubscribers({.most = 3})), ElementsAre(1, 2, 3));
  EXPECT_THAT(Ids(gateway_->inspector().ListSubscribers({.after_id = 9, .most = 5})), ElementsAre(10, 11, 12));
  // A stream that has gone leaves no hole in the pages.
  streams[9].reset();
  EXPECT_THAT(Ids(gateway_->inspector().ListSubscribers({.after_id = 8, .most = 3})), ElementsAre(9, 11, 12));
  EXPECT_THAT(Ids(gateway_->inspector().ListSubscribers({.after_id = 2, .most = 2, .channel_id = 1})),
              ElementsAre(3, 5));
  EXPECT_THAT(gateway_->inspector().ListSubscribers({.channel_id = 7}), IsEmpty());
  EXPECT_THAT(gateway_->inspector().ListSubscribers(), SizeIs(11));
}

TEST_F(InspectionTest, ASubscriberShowsTheLagThatIsAskedFor) {
  const auto stream = Subscribe({Request("a0", Group(1)), Request("a0", Group(2))});
  Settle();
  Receive(Group(1), "short");
  Receive(Group(2), std::string(1000, 'x'));
  const SubscriberSnapshot greatest = gateway_->inspector().ListSubscribers().at(0);
  EXPECT_EQ(greatest.channels, 2u);
  ASSERT_TRUE(greatest.lag.has_value());
  EXPECT_EQ(greatest.lag->channel_id, 2u);
  EXPECT_EQ(gateway_->inspector().ListSubscribers({.channel_id = 1}).at(0).lag->channel_id, 1u);
  EXPECT_EQ(greatest.total.pending, 2u);
}

TEST_F(InspectionTest, LedgersOfAChannelAndOfASubscriber) {
  const auto first = Subscribe({Request("a0", Group(1)), Request("a0", Group(2)), Request("a0", Group(3))});
  const auto second = Subscribe({Request("a0", Group(2))});
  Settle();
  for (int i = 1; i <= 3; ++i) Receive(Group(i), "one");
  Deliver(first.get());

  EXPECT_FALSE(gateway_->inspector().LedgerOfChannel(9).has_value());
  const std::optional<ChannelLedger> channel = gateway_->inspector().LedgerOfChannel(2);
  ASSERT_TRUE(channel.has_value());
  EXPECT_EQ(channel->account.read, 1u);
  ASSERT_THAT(channel->sockets, SizeIs(1));
  EXPECT_THAT(channel->served, ElementsAre(ElementsAre(2u)));

  const std::vector<SubscriberLedger> in_channel = gateway_->inspector().LedgersInChannel({.channel_id = 2});
  ASSERT_THAT(in_channel, SizeIs(2));
  EXPECT_EQ(in_channel[0].subscriber_id, first->id());
  EXPECT_EQ(in_channel[0].entry.written, 1u);
  EXPECT_EQ(in_channel[1].entry.pending, 1u);
  EXPECT_THAT(gateway_->inspector().LedgersInChannel({.after_id = first->id(), .most = 5, .channel_id = 2}), SizeIs(1));
  EXPECT_THAT(gateway_->inspector().LedgersInChannel({.most = 1, .channel_id = 2}), SizeIs(1));

  std::vector<fanout::LedgerEntry> entries;
  EXPECT_FALSE(gateway_->inspector().LedgerOfSubscriber(9, 0, 10, &entries).has_value());
  const std::optional<fanout::LedgerEntry> total =
      gateway_->inspector().LedgerOfSubscriber(first->id(), 1, 1, &entries);
  ASSERT_TRUE(total.has_value());
  EXPECT_EQ(total->written, 3u);
  ASSERT_THAT(entries, SizeIs(1));
  EXPECT_EQ(entries[0].channel_id, 2u);
}

TEST_F(InspectionTest, AListReadsTheKernelOnceAndNotForEachPage) {
  int readings = 0;
  host_.memberships = [this, &readings] {
    ++readings;
    return kernel_->Users();
  };
  const std::string session = Join("", Request("a0", Group(1))).session_id;
  for (int i = 2; i <= 6; ++i) Join(session, Request("a0", Group(i)));
  readings = 0;
  uint64_t after = 0;
  for (int page = 0; page < 3; ++page) {
    const std::vector<ChannelSnapshot> channels = *gateway_->inspector().ListChannels({.after_id = after, .most = 2});
    ASSERT_THAT(channels, SizeIs(2));
    for (const ChannelSnapshot& channel : channels) EXPECT_EQ(channel.host_users, 1u);
    after = channels.back().status.channel_id;
  }
  EXPECT_EQ(readings, 1);
  // What was joined since is not told from an older reading.
  Join(session, Request("a0", Group(7)));
  EXPECT_EQ(gateway_->inspector().ListChannels({.after_id = after, .most = 2})->at(0).host_users, 1u);
  EXPECT_EQ(readings, 2);
  // The first page of a list reads again.
  EXPECT_THAT(*gateway_->inspector().ListChannels({.most = 2}), SizeIs(2));
  EXPECT_EQ(readings, 3);
}

}  // namespace
}  // namespace mcgw::gateway
