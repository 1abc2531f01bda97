// Resuming and the accounts, over gRPC.

#include <functional>
#include <limits>
#include <map>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "tests/rpc/server_fixture.h"

namespace mcgw {
namespace {

using grpc::StatusCode;

class AccountTest : public ServerTest {
 protected:
  void SetUp() override { Start(); }

  void SendNumbered(const std::string& group, int first, int count) {
    for (int i = 0; i < count; ++i) {
      v1::SendResponse response;
      ASSERT_TRUE(Send(To("a0", group, 5000, std::to_string(first + i)), &response).ok());
    }
  }
  static v1::SubscribeRequest Request(const std::string& group = "239.1.1.1") {
    v1::SubscribeRequest request;
    *request.add_memberships() = Wish("a0", group, 5000);
    return request;
  }
  static v1::ResumePoint Point(const v1::Channel& channel, uint64_t next_sequence) {
    v1::ResumePoint point;
    point.set_interface_name(channel.interface_name());
    point.set_group(channel.group());
    point.set_port(channel.port());
    point.set_epoch(channel.epoch());
    point.set_next_sequence(next_sequence);
    return point;
  }
  static v1::SubscribeRequest Resume(const v1::ResumePoint& point) {
    v1::SubscribeRequest request = Request();
    *request.mutable_start()->mutable_resume()->add_points() = point;
    return request;
  }
  // A channel that a session holds, with datagrams "1" to "count" in its log.
  v1::Channel Held(int count) {
    v1::JoinResponse joined;
    EXPECT_TRUE(Join(Wish("a0", "239.1.1.1", 5000), &joined).ok());
    const auto stream = Subscribe(Request());
    EXPECT_NE(stream->ReadEvent(v1::Event::kSubscribed), nullptr);
    SendNumbered("239.1.1.1", 1, count);
    EXPECT_TRUE(stream->ReadDatagrams(static_cast<size_t>(count)));
    times_.clear();
    for (const v1::Datagram& datagram : stream->datagrams) times_.push_back(datagram.receive_time_unix_ns());
    return joined.channels(0).channel();
  }
  static std::vector<std::string> Payloads(const Stream& stream) {
    std::vector<std::string> payloads;
    for (const v1::Datagram& datagram : stream.datagrams) payloads.push_back(datagram.payload());
    return payloads;
  }
  v1::GetLedgerResponse Ledger(const v1::GetLedgerRequest& request = {}) {
    grpc::ClientContext context;
    v1::GetLedgerResponse response;
    const grpc::Status status = inspection_->GetLedger(&context, request, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return response;
  }
  static void ExpectBalanced(const v1::SubscriberLedger& ledger) {
    EXPECT_EQ(ledger.offered_datagrams(), ledger.written_datagrams() + ledger.filtered_datagrams() +
                                              ledger.kernel_dropped_datagrams() + ledger.lagged_datagrams() +
                                              ledger.expired_datagrams() + ledger.in_flight_datagrams() +
                                              ledger.pending_datagrams() + ledger.abandoned_datagrams())
        << ledger.ShortDebugString();
  }

  std::vector<int64_t> times_;
};

TEST_F(AccountTest, AResumePointGoesOnWhereTheStreamStopped) {
  const v1::Channel channel = Held(5);
  const auto stream = Subscribe(Resume(Point(channel, 3)));
  const v1::Event* const subscribed = stream->ReadEvent(v1::Event::kSubscribed);
  ASSERT_NE(subscribed, nullptr);
  EXPECT_EQ(subscribed->subscribed().channels(0).channel().next_sequence(), 3u);
  SendNumbered("239.1.1.1", 6, 1);
  ASSERT_TRUE(stream->ReadDatagrams(4));
  EXPECT_THAT(Payloads(*stream), testing::ElementsAre("3", "4", "5", "6"));
}

TEST_F(AccountTest, AnotherEpochIsAnnouncedAndGoesOnByTime) {
  v1::ResumePoint point = Point(Held(5), 900);
  point.set_epoch(point.epoch() + 1);
  point.set_last_receive_time_unix_ns(times_[2]);
  const auto stream = Subscribe(Resume(point));
  const v1::Event* const gap = stream->ReadEvent(v1::Event::kGap);
  ASSERT_NE(gap, nullptr);
  EXPECT_EQ(gap->gap().cause(), v1::GAP_CAUSE_OTHER_EPOCH);
  EXPECT_EQ(gap->gap().unknown().before_sequence(), 4u);
  ASSERT_TRUE(stream->ReadDatagrams(2));
  EXPECT_THAT(Payloads(*stream), testing::ElementsAre("4", "5"));
}

TEST_F(AccountTest, WithoutATimeAnotherEpochGoesOnLive) {
  v1::ResumePoint point = Point(Held(5), 3);
  point.set_epoch(point.epoch() + 1);
  const auto stream = Subscribe(Resume(point));
  ASSERT_NE(stream->ReadEvent(v1::Event::kGap), nullptr);
  SendNumbered("239.1.1.1", 6, 1);
  ASSERT_TRUE(stream->ReadDatagrams(1));
  EXPECT_THAT(Payloads(*stream), testing::ElementsAre("6"));
}

TEST_F(AccountTest, APointOfAChannelThatComesLaterWaitsForIt) {
  const v1::Channel channel = Held(3);
  v1::JoinResponse joined;
  ASSERT_TRUE(Join(Wish("a0", "239.1.1.2", 5000), &joined).ok());
  v1::SubscribeRequest request;
  request.set_session_id(joined.session_id());
  *request.mutable_start()->mutable_resume()->add_points() = Point(channel, 2);
  const auto stream = Subscribe(request);
  ASSERT_NE(stream->ReadEvent(v1::Event::kSubscribed), nullptr);
  ASSERT_TRUE(Join(Wish("a0", "239.1.1.1", 5000), &joined, joined.session_id()).ok());
  ASSERT_TRUE(stream->ReadDatagrams(2));
  EXPECT_THAT(Payloads(*stream), testing::ElementsAre("2", "3"));
}

TEST_F(AccountTest, AStartByTimeBeginsWithTheFirstDatagramOfThatTime) {
  Held(5);
  v1::SubscribeRequest request = Request();
  request.mutable_start()->mutable_time()->set_seconds(times_[3] / 1'000'000'000);
  request.mutable_start()->mutable_time()->set_nanos(static_cast<int32_t>(times_[3] % 1'000'000'000));
  const auto stream = Subscribe(request);
  ASSERT_TRUE(stream->ReadDatagrams(2));
  EXPECT_THAT(Payloads(*stream), testing::ElementsAre("4", "5"));
  for (const v1::Event& event : stream->events) EXPECT_FALSE(event.has_gap());
}

TEST_F(AccountTest, AStartBeforeTheLogIsAGap) {
  Held(2);
  v1::SubscribeRequest request = Request();
  request.mutable_start()->mutable_time()->set_seconds(1);
  const auto stream = Subscribe(request);
  const v1::Event* const gap = stream->ReadEvent(v1::Event::kGap);
  ASSERT_NE(gap, nullptr);
  EXPECT_EQ(gap->gap().cause(), v1::GAP_CAUSE_EXPIRED);
  EXPECT_TRUE(gap->gap().has_unknown());
  ASSERT_TRUE(stream->ReadDatagrams(2));
  EXPECT_THAT(Payloads(*stream), testing::ElementsAre("1", "2"));
}

TEST_F(AccountTest, BadPointsAndOptionsNameTheirFields) {
  const v1::Channel channel = Held(2);
  const auto expect = [&](const v1::SubscribeRequest& request, const std::string& reason, const std::string& field) {
    const Rich rich = Take(Subscribe(request)->Finish());
    EXPECT_EQ(rich.code, StatusCode::INVALID_ARGUMENT) << rich.message;
    EXPECT_EQ(rich.reason, reason) << rich.message;
    EXPECT_EQ(rich.field, field) << rich.message;
  };
  const std::string first = "start.resume.points[0]";
  const std::vector<std::pair<std::function<void(v1::ResumePoint*)>, std::string>> changes = {
      {[](v1::ResumePoint* point) { point->clear_interface_name(); }, ".interface_name"},
      {[](v1::ResumePoint* point) { point->set_group("nonsense"); }, ".group"},
      {[](v1::ResumePoint* point) { point->set_group("10.0.0.1"); }, ".group"},
      {[](v1::ResumePoint* point) { point->set_port(0); }, ".port"},
      {[](v1::ResumePoint* point) { point->set_port(65536); }, ".port"},
      {[](v1::ResumePoint* point) { point->set_epoch(0); }, ".epoch"},
      {[](v1::ResumePoint* point) { point->set_next_sequence(0); }, ".next_sequence"},
  };
  for (const auto& [change, field] : changes) {
    v1::ResumePoint point = Point(channel, 1);
    change(&point);
    expect(Resume(point), "INVALID_RESUME_POINT", first + field);
  }
  expect(Resume(Point(channel, 4)), "INVALID_RESUME_POINT", "start.resume.points");  // Ahead of the log.
  v1::SubscribeRequest twice = Resume(Point(channel, 1));
  *twice.mutable_start()->mutable_resume()->add_points() = Point(channel, 2);
  expect(twice, "INVALID_RESUME_POINT", "start.resume.points[1]");

  const std::vector<std::pair<std::function<void(v1::SubscribeRequest*)>, std::string>> options = {
      {[](v1::SubscribeRequest* r) { r->mutable_start()->mutable_time()->set_seconds(-1); }, "start.time"},
      {[](v1::SubscribeRequest* r) { r->mutable_start()->mutable_time()->set_nanos(-1); }, "start.time"},
      {[](v1::SubscribeRequest* r) { r->mutable_start()->mutable_time()->set_seconds(1LL << 60); }, "start.time"},
      {[](v1::SubscribeRequest* r) { r->mutable_options()->mutable_retain()->set_seconds(61); }, "options.retain"},
      {[](v1::SubscribeRequest* r) { r->mutable_options()->mutable_retain()->set_seconds(-1); }, "options.retain"},
      {[](v1::SubscribeRequest* r) { r->mutable_options()->mutable_retain()->set_seconds(1LL << 60); },
       "options.retain"},
      {[](v1::SubscribeRequest* r) { r->mutable_options()->mutable_lag_limit_age(); }, "options.lag_limit_age"},
      {[](v1::SubscribeRequest* r) { r->mutable_options()->mutable_lag_limit_age()->set_seconds(3601); },
       "options.lag_limit_age"},
      {[](v1::SubscribeRequest* r) { r->mutable_options()->mutable_max_batching_delay()->set_nanos(-1); },
       "options.max_batching_delay"},
      {[](v1::SubscribeRequest* r) { r->mutable_options()->mutable_max_batching_delay()->set_nanos(2'000'000'000); },
       "options.max_batching_delay"},
      {[](v1::SubscribeRequest* r) { r->mutable_options()->mutable_ledger_interval()->set_nanos(1); },
       "options.ledger_interval"},
      {[](v1::SubscribeRequest* r) { r->mutable_options()->mutable_ledger_interval()->set_seconds(3601); },
       "options.ledger_interval"},
  };
  for (const auto& [change, field] : options) {
    v1::SubscribeRequest request = Request();
    change(&request);
    expect(request, "VALUE_OUT_OF_RANGE", field);
  }

  // The greatest and the least numbers of a Duration, in every field that has one.
  const std::pair<google::protobuf::Duration* (v1::SubscribeOptions::*)(), std::string> durations[] = {
      {&v1::SubscribeOptions::mutable_retain, "options.retain"},
      {&v1::SubscribeOptions::mutable_lag_limit_age, "options.lag_limit_age"},
      {&v1::SubscribeOptions::mutable_max_batching_delay, "options.max_batching_delay"},
      {&v1::SubscribeOptions::mutable_ledger_interval, "options.ledger_interval"},
  };
  for (const int64_t seconds : {std::numeric_limits<int64_t>::max(), std::numeric_limits<int64_t>::min()}) {
    for (const auto& [field, name] : durations) {
      v1::SubscribeRequest request = Request();
      (request.mutable_options()->*field)()->set_seconds(seconds);
      expect(request, "VALUE_OUT_OF_RANGE", name);
    }
    v1::JoinRequest join;
    *join.mutable_membership() = Wish("a0", "239.1.1.1", 5000);
    join.mutable_lease()->set_seconds(seconds);
    grpc::ClientContext context;
    v1::JoinResponse joined;
    const Rich rich = Take(gateway_->Join(&context, join, &joined));
    EXPECT_EQ(rich.reason, "VALUE_OUT_OF_RANGE");
    EXPECT_EQ(rich.field, "lease");
  }
}

TEST_F(AccountTest, WhatAStreamRetainsIsListedAndResumedWithoutAGap) {
  v1::SubscribeRequest request = Request();
  request.mutable_options()->mutable_retain()->set_seconds(60);
  auto first = Subscribe(request);
  const v1::Event* const subscribed = first->ReadEvent(v1::Event::kSubscribed);
  ASSERT_NE(subscribed, nullptr);
  EXPECT_EQ(subscribed->subscribed().options().retain().seconds(), 60);
  const v1::Channel channel = subscribed->subscribed().channels(0).channel();
  const uint64_t subscriber_id = subscribed->subscribed().subscriber_id();
  SendNumbered("239.1.1.1", 1, 1);
  ASSERT_TRUE(first->ReadDatagrams(1));
  first.reset();
  // The end of the stream follows its client's; what the listing shows tells when.
  v1::ListChannelsResponse channels;
  for (int i = 0; i < 1000; ++i) {
    grpc::ClientContext context;
    ASSERT_TRUE(inspection_->ListChannels(&context, {}, &channels).ok());
    ASSERT_EQ(channels.channels(0).wish().holder_count(), 1u);
    if (channels.channels(0).wish().holders(0).kind() == v1::HOLDER_KIND_RETAINED) break;
  }
  const v1::Holder& holder = channels.channels(0).wish().holders(0);
  EXPECT_EQ(holder.kind(), v1::HOLDER_KIND_RETAINED);
  EXPECT_EQ(holder.subscriber_id(), subscriber_id);
  EXPECT_TRUE(holder.has_expire_time());
  SendNumbered("239.1.1.1", 2, 2);  // While no stream is open.
  const auto second = Subscribe(Resume(Point(channel, 2)));
  ASSERT_TRUE(second->ReadDatagrams(2));
  EXPECT_THAT(Payloads(*second), testing::ElementsAre("2", "3"));
  for (const v1::Event& event : second->events) EXPECT_FALSE(event.has_gap());
}

TEST_F(AccountTest, AStreamThatEndsInOrderSaysItsPositionAndAsLastItsLedger) {
  const auto stream = Subscribe(Request());
  ASSERT_NE(stream->ReadEvent(v1::Event::kSubscribed), nullptr);
  SendNumbered("239.1.1.1", 1, 3);
  ASSERT_TRUE(stream->ReadDatagrams(3));
  server_->Stop(absl::ZeroDuration());
  EXPECT_EQ(Take(stream->Finish()).reason, "DRAINING");
  ASSERT_GE(stream->events.size(), 2u);
  const v1::Event& position = stream->events[stream->events.size() - 2];
  EXPECT_EQ(position.position().next_sequence(), 4u) << position.ShortDebugString();
  const v1::Event& last = stream->events.back();
  EXPECT_EQ(last.ledger().written_datagrams(), 3u) << last.ShortDebugString();
  ExpectBalanced(last.ledger());
}

TEST_F(AccountTest, AStreamWhoseSessionIsLeftEndsWithItsLedgerToo) {
  v1::JoinResponse joined;
  ASSERT_TRUE(Join(Wish("a0", "239.1.1.1", 5000), &joined).ok());
  v1::SubscribeRequest request;
  request.set_session_id(joined.session_id());
  const auto stream = Subscribe(request);
  ASSERT_NE(stream->ReadEvent(v1::Event::kSubscribed), nullptr);
  SendNumbered("239.1.1.1", 1, 2);
  ASSERT_TRUE(stream->ReadDatagrams(2));
  grpc::ClientContext context;
  v1::LeaveRequest leave;
  v1::LeaveResponse left;
  leave.set_session_id(joined.session_id());
  leave.mutable_whole_session();
  ASSERT_TRUE(gateway_->Leave(&context, leave, &left).ok());
  EXPECT_TRUE(stream->Finish().ok());
  const v1::Event& last = stream->events.back();
  EXPECT_EQ(last.ledger().written_datagrams(), 2u) << last.ShortDebugString();
  ExpectBalanced(last.ledger());
}

TEST_F(AccountTest, AStreamReportsItsLedgerAsOftenAsAsked) {
  v1::SubscribeRequest request = Request();
  request.mutable_options()->mutable_ledger_interval()->set_seconds(1);
  const auto stream = Subscribe(request);
  ASSERT_NE(stream->ReadEvent(v1::Event::kSubscribed), nullptr);
  SendNumbered("239.1.1.1", 1, 4);
  ASSERT_TRUE(stream->ReadDatagrams(4));
  const auto reports = [&] {
    std::vector<v1::SubscriberLedger> found;
    for (const v1::Event& event : stream->events) {
      if (event.has_ledger()) found.push_back(event.ledger());
    }
    return found;
  };
  while (reports().size() < 2) ASSERT_TRUE(stream->ReadOne());
  EXPECT_EQ(reports().back().written_datagrams(), 4u);
  ExpectBalanced(reports().back());
}

TEST_F(AccountTest, TheLedgerOfTheGatewayKeepsWhatHasGone) {
  {
    const auto stream = Subscribe(Request());
    ASSERT_NE(stream->ReadEvent(v1::Event::kSubscribed), nullptr);
    SendNumbered("239.1.1.1", 1, 7);
    ASSERT_TRUE(stream->ReadDatagrams(7));
  }
  v1::GetLedgerResponse ledger;
  v1::ListSubscribersResponse open;
  do {  // Until the stream has gone.
    grpc::ClientContext context;
    ASSERT_TRUE(inspection_->ListSubscribers(&context, {}, &open).ok());
  } while (open.subscribers_size() > 0);
  ledger = Ledger();
  const v1::GatewayLedger& gateway = ledger.gateway();
  EXPECT_EQ(gateway.channels().read_datagrams(), 7u);
  EXPECT_EQ(gateway.channels().logged_datagrams(), 7u);
  EXPECT_EQ(gateway.subscribers().offered_datagrams(), 7u);
  EXPECT_EQ(gateway.subscribers().written_datagrams(), 7u);
  EXPECT_EQ(gateway.send_requested_datagrams(), 7u);
  EXPECT_EQ(gateway.sent_datagrams(), 7u);
  EXPECT_EQ(gateway.sent_payload_bytes(), 7u);
  ExpectBalanced(gateway.subscribers());
  EXPECT_TRUE(ledger.has_read_time());
}

TEST_F(AccountTest, TheLedgerOfAChannelAndOfASubscriber) {
  const auto all = Subscribe(Request());
  v1::SubscribeRequest filtered = Request();
  filtered.mutable_memberships(0)->mutable_source_filter()->set_mode(v1::SOURCE_FILTER_MODE_INCLUDE);
  filtered.mutable_memberships(0)->mutable_source_filter()->add_sources("10.0.0.9");
  const auto none = Subscribe(filtered);
  const v1::Event* const subscribed = all->ReadEvent(v1::Event::kSubscribed);
  ASSERT_NE(subscribed, nullptr);
  const v1::Event* const other = none->ReadEvent(v1::Event::kSubscribed);
  ASSERT_NE(other, nullptr);
  const uint64_t channel_id = subscribed->subscribed().channels(0).channel().channel_id();
  const uint64_t subscriber_id = subscribed->subscribed().subscriber_id();
  const uint64_t other_id = other->subscribed().subscriber_id();
  SendNumbered("239.1.1.1", 1, 4);
  ASSERT_TRUE(all->ReadDatagrams(4));
  v1::GetLedgerRequest request;
  request.set_channel_id(channel_id);
  v1::GetLedgerResponse ledger = Ledger(request);
  ASSERT_EQ(ledger.channels_size(), 1);
  EXPECT_EQ(ledger.channels(0).read_datagrams(), 4u);
  ASSERT_EQ(ledger.sockets_size(), 1);
  EXPECT_EQ(ledger.sockets(0).read_datagrams(), 4u);
  EXPECT_THAT(ledger.sockets(0).channel_ids(), testing::ElementsAre(channel_id));
  EXPECT_GT(ledger.sockets(0).inode(), 0u);
  ASSERT_EQ(ledger.subscribers_size(), 2);
  for (const v1::SubscriberLedger& subscriber : ledger.subscribers()) {
    EXPECT_EQ(subscriber.offered_datagrams(), 4u);
    ExpectBalanced(subscriber);
  }
  // One page after the other.
  request.set_page_size(1);
  ledger = Ledger(request);
  ASSERT_EQ(ledger.subscribers_size(), 1);
  EXPECT_EQ(ledger.subscribers(0).subscriber_id(), std::min(subscriber_id, other_id));
  request.set_page_token(ledger.next_page_token());
  ledger = Ledger(request);
  ASSERT_EQ(ledger.subscribers_size(), 1);
  EXPECT_EQ(ledger.subscribers(0).subscriber_id(), std::max(subscriber_id, other_id));
  EXPECT_EQ(ledger.next_page_token(), "");

  request.Clear();
  request.set_subscriber_id(subscriber_id);
  ledger = Ledger(request);
  ASSERT_EQ(ledger.subscribers_size(), 1);
  EXPECT_EQ(ledger.subscribers(0).channel_id(), channel_id);
  EXPECT_EQ(ledger.subscriber_total().offered_datagrams(), 4u);
  EXPECT_EQ(ledger.channels_size(), 1);

  grpc::ClientContext context;
  v1::ListSubscribersResponse list;
  ASSERT_TRUE(inspection_->ListSubscribers(&context, {}, &list).ok());
  ASSERT_EQ(list.subscribers_size(), 2);
  const v1::SubscriberInfo& info = list.subscribers(0);
  EXPECT_EQ(info.channel_count(), 1u);
  EXPECT_NE(info.peer(), "");
  EXPECT_EQ(info.identity(), "uid:" + std::to_string(getuid()));
  EXPECT_FALSE(info.has_session());
  EXPECT_EQ(info.lag().channel_id(), channel_id);
  EXPECT_EQ(info.lag().next_sequence() + info.lag().datagrams(), 5u);
}

TEST_F(AccountTest, AccountsOfWhatIsNotThere) {
  grpc::ClientContext contexts[3];
  v1::GetLedgerRequest request;
  v1::GetLedgerResponse ledger;
  request.set_channel_id(999);
  Rich rich = Take(inspection_->GetLedger(&contexts[0], request, &ledger));
  EXPECT_EQ(rich.code, StatusCode::NOT_FOUND);
  EXPECT_EQ(rich.reason, "CHANNEL_NOT_FOUND");
  request.set_subscriber_id(999);
  rich = Take(inspection_->GetLedger(&contexts[1], request, &ledger));
  EXPECT_EQ(rich.reason, "SUBSCRIBER_NOT_FOUND");
  v1::ListSubscribersRequest list;
  v1::ListSubscribersResponse subscribers;
  list.set_channel_id(999);
  rich = Take(inspection_->ListSubscribers(&contexts[2], list, &subscribers));
  EXPECT_EQ(rich.reason, "CHANNEL_NOT_FOUND");
}

}  // namespace
}  // namespace mcgw
