// Sending on behalf of sessions, and streams that hold back what their side sent.

#include <memory>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/gateway/gateway_fixture.h"

namespace mcgw::gateway {
namespace {

using net::Family;
using net::Reason;
using net::ReasonOf;
using ::testing::ElementsAre;
using testing::Ip;
using ::testing::SizeIs;

class SessionSendTest : public GatewayTest {
 protected:
  static SendRequest To(std::string_view group) {
    return {.selector = "a0", .group = Ip(group), .port = 5000, .source = {}, .traffic_class = {}};
  }
  absl::StatusOr<std::vector<SendResult>> TrySend(const std::string& session, std::string_view payload = "x") {
    return gateway_->Send(me_, session, To("239.1.1.1"), payload);
  }
  uint16_t Send(const std::string& session) {
    const absl::StatusOr<std::vector<SendResult>> results = TrySend(session);
    EXPECT_TRUE(results.ok()) << results.status();
    return results.ok() ? results->at(0).source_port : 0;
  }
  std::unique_ptr<Subscription> SubscribeExcludingOwn(std::vector<MembershipRequest> memberships,
                                                      const std::string& session) {
    auto subscription = gateway_->Subscribe(
        me_, {.memberships = std::move(memberships), .session_id = session, .exclude_own = true, .options = {}},
        std::make_shared<fanout::CountingDoorbell>());
    EXPECT_TRUE(subscription.ok()) << subscription.status();
    return subscription.ok() ? *std::move(subscription) : nullptr;
  }
  // The copy of what was sent, as it comes back.
  void ReceiveFrom(uint16_t port, const std::string& payload, const std::string& source = "10.0.0.1") {
    kernel_->receiver("239.1.1.1")->Inject({.payload = payload, .source = source, .source_port = port});
    Settle();
  }
};

TEST_F(SessionSendTest, TheGatewaysPortsAreTakenAtTheStart) {
  EXPECT_NE(gateway_->sender().source_port(Family::kIpv4), 0);
  EXPECT_NE(gateway_->sender().source_port(Family::kIpv6), 0);
  EXPECT_EQ(Send(""), gateway_->sender().source_port(Family::kIpv4));
}

TEST_F(SessionSendTest, AGatewayWithoutItsPortDoesNotStart) {
  options_.source_port = 5004;
  const auto first = NewGateway(options_);
  EXPECT_EQ(first->sender().source_port(Family::kIpv6), 5004);
  const auto second = Gateway::Create(options_, std::make_unique<testing::FakeSocketFactory>(kernel_), host_.Source());
  EXPECT_EQ(ReasonOf(second.status()), Reason::kPortInUse);
}

TEST_F(SessionSendTest, EachSessionSendsFromAPortOfItsOwnUntilItEnds) {
  const std::string one = Join("", Request("a0", "239.1.1.1")).session_id;
  const std::string two = Join("", Request("a0", "239.1.1.1")).session_id;
  const uint16_t port = Send(one);
  EXPECT_NE(port, Send(two));
  EXPECT_NE(port, Send(""));
  EXPECT_EQ(port, Send(one));
  const size_t sockets = kernel_->send_sockets().size();
  ASSERT_TRUE(gateway_->Leave(me_, one, WholeSession()).ok());
  EXPECT_THAT(kernel_->send_sockets(), SizeIs(sockets - 1));
  EXPECT_EQ(ReasonOf(TrySend(one).status()), Reason::kSessionNotFound);
}

TEST_F(SessionSendTest, OnlyASessionsOwnIdentitySendsOnItsBehalf) {
  const std::string session = Join("", Request("a0", "239.1.1.1")).session_id;
  EXPECT_EQ(ReasonOf(gateway_->Send({"other"}, session, To("239.1.1.1"), "x").status()), Reason::kSessionNotFound);
  EXPECT_EQ(ReasonOf(gateway_->Publish(me_, "nosuch", {}).status()), Reason::kSessionNotFound);
}

TEST_F(SessionSendTest, SendingRenewsNothing) {
  const std::string session = Join("", Request("a0", "239.1.1.1"), absl::Seconds(10)).session_id;
  Send(session);
  SweepAfter(absl::Seconds(11));
  EXPECT_EQ(ReasonOf(TrySend(session).status()), Reason::kSessionNotFound);
}

TEST_F(SessionSendTest, SendingSessionsAreBounded) {
  options_.limits.sending_sessions = 1;
  gateway_ = NewGateway(options_);
  const std::string one = Join("", Request("a0", "239.1.1.1")).session_id;
  const std::string two = Join("", Request("a0", "239.1.1.1")).session_id;
  Send(one);
  EXPECT_EQ(ReasonOf(TrySend(two).status()), Reason::kSessionLimit);
  Send("");
  ASSERT_TRUE(gateway_->Leave(me_, one, WholeSession()).ok());
  Send(two);
}

TEST_F(SessionSendTest, AStreamOfASessionHoldsBackWhatTheSessionSent) {
  const std::string one = Join("", Request("a0", "239.1.1.1")).session_id;
  const std::string two = Join("", Request("a0", "239.1.1.1")).session_id;
  const auto stream = SubscribeExcludingOwn({}, one);  // Before the session has a port.
  ReceiveFrom(Send(one), "one");
  ReceiveFrom(Send(two), "two");
  ReceiveFrom(Send(""), "gateway");
  ReceiveFrom(Send(one), "another host's", "10.0.0.2");
  EXPECT_THAT(Deliver(stream.get()), ElementsAre("two", "gateway", "another host's"));
  EXPECT_EQ(stream->subscriber().Total().filtered, 1u);
}

TEST_F(SessionSendTest, AStreamWithoutASessionHoldsBackAllThatTheGatewaySent) {
  const std::string session = Join("", Request("a0", "239.1.1.1")).session_id;
  const auto stream = SubscribeExcludingOwn({Request("a0", "239.1.1.1")}, "");
  const auto all = Subscribe({Request("a0", "239.1.1.1")});
  ReceiveFrom(Send(session), "session");
  ReceiveFrom(Send(""), "gateway");
  ReceiveFrom(Send(""), "gateway, back by a1", "10.0.1.1");
  ReceiveFrom(4000, "other");
  ASSERT_TRUE(gateway_->Leave(me_, session, WholeSession()).ok());
  EXPECT_THAT(Deliver(stream.get()), ElementsAre("other")) << "also when the session has ended meanwhile";
  EXPECT_THAT(Deliver(all.get()), SizeIs(4));
}

TEST_F(SessionSendTest, ASendByANewAddressIsKnownAtOnce) {
  const auto stream = SubscribeExcludingOwn({Request("a0", "239.1.1.1")}, "");
  host_.Find("a0").addresses = {{Ip("10.0.0.99"), 24}};
  ASSERT_TRUE(gateway_->directory().Refresh().ok());
  ReceiveFrom(Send(""), "own", "10.0.0.99");
  ReceiveFrom(Send(""), "no longer own", "10.0.0.1");
  EXPECT_THAT(Deliver(stream.get()), ElementsAre("no longer own"));
}

TEST_F(SessionSendTest, HostOnlyMembershipsAreShown) {
  const std::string session = Join("", Request("a0", "239.1.1.1")).session_id;
  SendRequest request = To("239.1.1.1");
  request.hop_limit = 0;
  ASSERT_TRUE(gateway_->Send(me_, "", request, "x")->at(0).status.ok());
  const std::vector<ChannelSnapshot> channels = gateway_->inspector().ListChannels().value();
  ASSERT_THAT(channels, SizeIs(1));
  ASSERT_THAT(channels[0].holders, SizeIs(2));
  EXPECT_EQ(channels[0].holders[1].kind, Holder::Kind::kGateway);
  EXPECT_EQ(channels[0].holders[1].selector, "a0");
  SweepAfter(absl::Seconds(61));
  EXPECT_EQ(kernel_->HostMembers("239.1.1.1 on 2"), 0);
}

}  // namespace
}  // namespace mcgw::gateway
