// exclude_own: what counts as the gateway's own, and a stream that holds it back.

#include "server/fanout/own_traffic.h"

#include <memory>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/fanout/subscriber_fixture.h"
#include "tests/support/fakes.h"

namespace mcgw::fanout {
namespace {

using net::Family;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

std::shared_ptr<const net::InterfaceTable> Table(const std::vector<std::string_view>& addresses) {
  return std::make_shared<net::InterfaceTable>(std::vector<net::Interface>{testing::FakeInterface(2, "a0", addresses)});
}

class OwnTrafficTest : public SubscriberTest {
 protected:
  OwnTrafficTest() {
    traffic_->SetTable(Table({"10.0.0.1/24", "10.0.0.7/24", "fd00::1/64"}));
    traffic_->AddPort(Family::kIpv4, 4000);
    traffic_->AddPort(Family::kIpv6, 6000);
    traffic_->AddPort(Family::kIpv4, 4001);
    session_->Set(Family::kIpv4, 4001);
  }

  void AppendFrom(std::string_view source, uint16_t port, size_t size = 10) {
    const std::string payload(size, 'x');
    net::ReceivedDatagram datagram = TestDatagram(payload, source);
    datagram.source_port = port;
    log_->Append(datagram, 0);
  }
  // One from each kind of sender: 1 is the gateway's own, 2 the session's, 3 to 6 are others'.
  void AppendOneOfEach() {
    AppendFrom("10.0.0.1", 4000);
    AppendFrom("10.0.0.7", 4001);
    AppendFrom("10.0.0.2", 4000);  // Another host that sends from this port too.
    AppendFrom("10.0.0.1", 6000);  // Another program of this host; the port is the gateway's in IPv6.
    AppendFrom("fd00::1", 4000);
    AppendFrom("10.0.0.1", 0);
    log_->Commit();
  }
  std::unique_ptr<Subscriber> Excluding(std::shared_ptr<const SourcePorts> only) {
    Subscriber::Options options = DefaultOptions();
    options.own = std::make_shared<OwnFilter>(traffic_, std::move(only));
    auto subscriber = NewSubscriber(options);
    Add(subscriber.get(), log_);
    return subscriber;
  }

  const std::shared_ptr<OwnTraffic> traffic_ = std::make_shared<OwnTraffic>();
  const std::shared_ptr<SourcePorts> session_ = std::make_shared<SourcePorts>();
};

TEST_F(OwnTrafficTest, AllThatTheGatewaySentIsHeldBack) {
  const auto subscriber = Excluding(nullptr);
  AppendOneOfEach();
  EXPECT_THAT(TakeAll(subscriber.get()), ElementsAre("3", "4", "5", "6"));
  ExpectBalanced(*subscriber);
  EXPECT_EQ(subscriber->Total().filtered, 2u);
  EXPECT_EQ(subscriber->Total().written, 4u);
}

TEST_F(OwnTrafficTest, WithASessionOnlyWhatItSent) {
  const auto subscriber = Excluding(session_);
  AppendOneOfEach();
  EXPECT_THAT(TakeAll(subscriber.get()), ElementsAre("1", "3", "4", "5", "6"));
  EXPECT_EQ(subscriber->Total().filtered, 1u);
}

TEST_F(OwnTrafficTest, ASessionThatHasNotSentHoldsNothingBack) {
  const auto subscriber = Excluding(std::make_shared<SourcePorts>());
  AppendOneOfEach();
  EXPECT_THAT(TakeAll(subscriber.get()), ElementsAre("1", "2", "3", "4", "5", "6"));
}

TEST_F(OwnTrafficTest, APortThatASessionGetsLaterCounts) {
  const auto later = std::make_shared<SourcePorts>();
  const auto subscriber = Excluding(later);
  AppendFrom("10.0.0.1", 4002);
  log_->Commit();
  EXPECT_THAT(TakeAll(subscriber.get()), ElementsAre("1"));
  later->Set(Family::kIpv4, 4002);
  AppendFrom("10.0.0.1", 4002);
  AppendFrom("10.0.0.2", 4002);
  log_->Commit();
  EXPECT_THAT(TakeAll(subscriber.get()), ElementsAre("3"));
}

TEST_F(OwnTrafficTest, ASourceFilterHoldsTooAndNoneIsCountedTwice) {
  Subscriber::Options options = DefaultOptions();
  options.own = std::make_shared<OwnFilter>(traffic_, nullptr);
  const auto subscriber = NewSubscriber(options);
  Add(subscriber.get(), log_, SourceFilter::Exclude(testing::Ips({"10.0.0.2", "10.0.0.7"})));
  AppendOneOfEach();
  EXPECT_THAT(TakeAll(subscriber.get()), ElementsAre("4", "5", "6"));
  EXPECT_EQ(subscriber->Total().filtered, 3u);
  ExpectBalanced(*subscriber);
}

TEST_F(OwnTrafficTest, PositionsPassWhatIsHeldBack) {
  const auto subscriber = Excluding(nullptr);
  AppendFrom("10.0.0.1", 4000);
  AppendFrom("10.0.0.1", 4000);
  log_->Commit();
  EXPECT_THAT(TakeAll(subscriber.get()), IsEmpty());
  Message farewell;
  subscriber->NextFarewell(&farewell);
  const Position& position = std::get<Position>(farewell.events.at(0));
  EXPECT_EQ(position.next_sequence, 3u);
  EXPECT_EQ(position.filtered, 2u);
}

TEST_F(OwnTrafficTest, ALongRunWithoutOwnPassesWhole) {
  const auto subscriber = Excluding(nullptr);
  for (int i = 0; i < 50; ++i) AppendFrom("10.0.0.2", 4000, 1000);
  log_->Commit();
  const std::optional<Message> message = Take(subscriber.get());
  ASSERT_TRUE(message.has_value());
  EXPECT_GT(message->datagrams, 1u);
  EXPECT_EQ(DecodeRecords({message->data, message->size_bytes}).size(), message->datagrams);
}

TEST_F(OwnTrafficTest, TheHostsAddressesMayChange) {
  const auto subscriber = Excluding(nullptr);
  traffic_->SetTable(Table({"10.0.0.1/24", "10.0.0.8/24"}));
  AppendFrom("10.0.0.8", 4000);
  AppendFrom("10.0.0.7", 4000);
  log_->Commit();
  EXPECT_THAT(TakeAll(subscriber.get()), ElementsAre("2"));
}

TEST_F(OwnTrafficTest, ARetiredPortIsRememberedForAWhile) {
  traffic_->RetirePort(Family::kIpv4, 4001, 1000);
  traffic_->Sweep(1000 + OwnTraffic::kRememberNs - 1);
  EXPECT_TRUE(traffic_->HasPort(Family::kIpv4, 4001));
  traffic_->Sweep(1000 + OwnTraffic::kRememberNs);
  EXPECT_FALSE(traffic_->HasPort(Family::kIpv4, 4001));
  EXPECT_TRUE(traffic_->HasPort(Family::kIpv4, 4000));
}

TEST_F(OwnTrafficTest, ARetiredPortThatIsTakenAgainStays) {
  traffic_->RetirePort(Family::kIpv4, 4001, 0);
  traffic_->AddPort(Family::kIpv4, 4001);
  traffic_->Sweep(2 * OwnTraffic::kRememberNs);
  EXPECT_TRUE(traffic_->HasPort(Family::kIpv4, 4001));
}

TEST_F(OwnTrafficTest, EveryPortHasItsOwnPlace) {
  OwnTraffic traffic;
  for (const int port : {0, 1, 63, 64, 65, 127, 128, 32'767, 32'768, 65'535}) {
    traffic.AddPort(Family::kIpv4, static_cast<uint16_t>(port));
  }
  int own = 0;
  for (int port = 0; port <= 65'535; ++port) {
    own += traffic.HasPort(Family::kIpv4, static_cast<uint16_t>(port));
    EXPECT_FALSE(traffic.HasPort(Family::kIpv6, static_cast<uint16_t>(port)));
  }
  EXPECT_EQ(own, 10);
  EXPECT_TRUE(traffic.HasPort(Family::kIpv4, 65'535));
}

}  // namespace
}  // namespace mcgw::fanout
