// Subscribe, Publish and Send over gRPC, on the real kernel.

#include <map>
#include <thread>

#include "tests/rpc/server_fixture.h"

namespace mcgw {
namespace {

class StreamTest : public ServerTest {
 protected:
  void SetUp() override {
    Start();
    peer_.WaitUntilUp("a0", "b0");
  }

  void SendNumbered(const std::string& group, int count, int from = 0) {
    for (int i = from; i < from + count; ++i) {
      v1::SendResponse response;
      ASSERT_TRUE(Send(To("a0", group, 5000, std::to_string(i)), &response).ok());
    }
  }
};

TEST_F(StreamTest, TheFirstEventSaysWhatWasResolved) {
  const auto stream = Subscribe(Wish("10.0.0.1", "239.1.1.1", 5000));
  ASSERT_TRUE(stream->ReadOne());
  ASSERT_EQ(stream->events.size(), 1u);
  const v1::Subscribed& subscribed = stream->events[0].subscribed();
  ASSERT_EQ(subscribed.channels_size(), 1);
  EXPECT_EQ(subscribed.channels(0).state(), v1::JOIN_STATE_JOINED);
  EXPECT_EQ(subscribed.channels(0).channel().interface_name(), "a0");
  EXPECT_EQ(subscribed.channels(0).channel().group(), "239.1.1.1");
  EXPECT_EQ(subscribed.channels(0).channel().next_sequence(), 1u);
  EXPECT_NE(subscribed.channels(0).channel().epoch(), 0u);
  EXPECT_EQ(subscribed.options().lag_limit_bytes(), 4u << 20);
  EXPECT_EQ(kernel::GroupUsers("a0", kernel::Ip("239.1.1.1")), 1);
}

TEST_F(StreamTest, WhatIsSentComesBackNumberedWithItsMetadata) {
  const auto stream = Subscribe(Wish("a0", "239.1.1.1", 5000));
  ASSERT_NE(stream->ReadEvent(v1::Event::kSubscribed), nullptr);
  v1::SendRequest request = To("a0", "239.1.1.1", 5000, "hello");
  request.mutable_options()->set_hop_limit(7);
  request.mutable_options()->set_traffic_class(0xb8);
  v1::SendResponse response;
  ASSERT_TRUE(Send(request, &response).ok());
  ASSERT_EQ(response.results_size(), 1);
  EXPECT_EQ(response.results(0).interface_name(), "a0");
  EXPECT_EQ(response.results(0).source_address(), "10.0.0.1");
  ASSERT_TRUE(stream->ReadDatagrams(1));
  const v1::Datagram& datagram = stream->datagrams[0];
  EXPECT_EQ(datagram.payload(), "hello");
  EXPECT_EQ(datagram.sequence(), 1u);
  EXPECT_EQ(datagram.hop_limit(), 7u);
  EXPECT_EQ(datagram.traffic_class(), 0xb8u);
  EXPECT_EQ(datagram.source_address(), std::string("\x0a\0\0\x01", 4));
  EXPECT_EQ(datagram.source_port(), response.results(0).source_port());
  EXPECT_GT(datagram.receive_time_unix_ns(), 0);
}

TEST_F(StreamTest, ABatchingDelayIsReportedAsItIsKept) {
  struct Case {
    int64_t asked_ns;  // Below 0: not asked for.
    int64_t kept_ns;
  };
  for (const Case& each : {Case{-1, 200'000}, Case{0, 0}, Case{50'000, 50'000}, Case{5'000'000, 5'000'000},
                           Case{1'000'000'000, 10'000'000}}) {
    SCOPED_TRACE(each.asked_ns);
    v1::SubscribeRequest request;
    *request.add_memberships() = Wish("a0", "239.1.1.1", 5000);
    if (each.asked_ns >= 0) {
      google::protobuf::Duration* const delay = request.mutable_options()->mutable_max_batching_delay();
      delay->set_seconds(each.asked_ns / 1'000'000'000);
      delay->set_nanos(static_cast<int32_t>(each.asked_ns % 1'000'000'000));
    }
    const auto stream = Subscribe(request);
    ASSERT_TRUE(stream->ReadOne());
    const google::protobuf::Duration& kept = stream->events[0].subscribed().options().max_batching_delay();
    EXPECT_EQ(kept.seconds() * 1'000'000'000 + kept.nanos(), each.kept_ns);
    // Whatever the delay, a burst comes whole and in order, also beside streams with other delays.
    SendNumbered("239.1.1.1", 200);
    ASSERT_TRUE(stream->ReadDatagrams(200));
    for (int i = 0; i < 200; ++i) ASSERT_EQ(stream->datagrams[i].payload(), std::to_string(i));
  }
}

TEST_F(StreamTest, EmptyAndLargestDatagramsComeWhole) {
  for (const auto& [group, most] :
       std::vector<std::pair<std::string, size_t>>{{"239.1.1.1", 65507}, {"ff15::1", 65527}}) {
    const auto stream = Subscribe(Wish("a0", group, 5000));
    ASSERT_NE(stream->ReadEvent(v1::Event::kSubscribed), nullptr);
    const std::string large(most, 'x');
    v1::SendResponse response;
    ASSERT_TRUE(Send(To("a0", group, 5000, ""), &response).ok());
    ASSERT_TRUE(Send(To("a0", group, 5000, large), &response).ok());
    ASSERT_TRUE(stream->ReadDatagrams(2));
    EXPECT_EQ(stream->datagrams[0].payload(), "");
    EXPECT_EQ(stream->datagrams[1].payload(), large);
  }
}

TEST_F(StreamTest, OneStreamReadsManyChannelsOfBothFamilies) {
  v1::SubscribeRequest request;
  for (const char* group : {"239.1.1.1", "239.1.1.2", "ff15::1"}) *request.add_memberships() = Wish("a0", group, 5000);
  const auto stream = Subscribe(request);
  ASSERT_NE(stream->ReadEvent(v1::Event::kSubscribed), nullptr);
  for (const char* group : {"239.1.1.1", "239.1.1.2", "ff15::1"}) SendNumbered(group, 50);
  ASSERT_TRUE(stream->ReadDatagrams(150));
  std::map<uint64_t, uint64_t> last;
  for (const v1::Datagram& datagram : stream->datagrams) EXPECT_EQ(datagram.sequence(), ++last[datagram.channel_id()]);
  EXPECT_EQ(last.size(), 3u);
}

TEST_F(StreamTest, AStreamThatEndsLeavesItsGroups) {
  {
    const auto stream = Subscribe(Wish("a0", "239.1.1.1", 5000));
    ASSERT_NE(stream->ReadEvent(v1::Event::kSubscribed), nullptr);
    EXPECT_EQ(kernel::GroupUsers("a0", kernel::Ip("239.1.1.1")), 1);
  }
  // Leaving follows the client's cancel: another stream's opening comes after it on the control thread, or it is looked
  // for again.
  for (int i = 0; i < 1000 && kernel::GroupUsers("a0", kernel::Ip("239.1.1.1")) != 0; ++i) {
    const auto other = Subscribe(Wish("a0", "239.1.1.9", 5000));
    ASSERT_NE(other->ReadEvent(v1::Event::kSubscribed), nullptr);
  }
  EXPECT_EQ(kernel::GroupUsers("a0", kernel::Ip("239.1.1.1")), 0);
}

TEST_F(StreamTest, ASessionsStreamFollowsJoinAndLeave) {
  v1::JoinResponse joined;
  ASSERT_TRUE(Join(Wish("a0", "239.1.1.1", 5000), &joined).ok());
  EXPECT_TRUE(joined.has_lease_expire_time());
  v1::SubscribeRequest request;
  request.set_session_id(joined.session_id());
  const auto stream = Subscribe(request);
  ASSERT_NE(stream->ReadEvent(v1::Event::kSubscribed), nullptr);
  SendNumbered("239.1.1.1", 3);
  ASSERT_TRUE(stream->ReadDatagrams(3));

  v1::JoinResponse second;
  ASSERT_TRUE(Join(Wish("a0", "239.1.1.2", 5000), &second, joined.session_id()).ok());
  EXPECT_FALSE(second.has_lease_expire_time());  // The stream holds the lease.
  const v1::Event* event = stream->ReadEvent(v1::Event::kMembershipChanged);
  ASSERT_NE(event, nullptr);
  EXPECT_EQ(event->membership_changed().channel().channel().group(), "239.1.1.2");
  EXPECT_FALSE(event->membership_changed().left());
  SendNumbered("239.1.1.2", 2);
  ASSERT_TRUE(stream->ReadDatagrams(5));

  grpc::ClientContext context;
  v1::LeaveRequest leave;
  leave.set_session_id(joined.session_id());
  leave.mutable_whole_session();
  v1::LeaveResponse left;
  ASSERT_TRUE(gateway_->Leave(&context, leave, &left).ok());
  EXPECT_EQ(left.membership_ids_size(), 2);
  // A stream without memberships of its own ends with OK, its accounts last.
  EXPECT_TRUE(stream->Finish().ok());
  ASSERT_EQ(stream->events.back().kind_case(), v1::Event::kLedger);
  EXPECT_EQ(stream->events.back().ledger().written_datagrams(), 5u);
  EXPECT_EQ(stream->events.back().ledger().offered_datagrams(), 5u);
  EXPECT_EQ(kernel::GroupUsers("a0", kernel::Ip("239.1.1.1")), 0);
}

TEST_F(StreamTest, AnOldestStartReplaysWhatTheLogHolds) {
  v1::JoinResponse joined;
  ASSERT_TRUE(Join(Wish("a0", "239.1.1.1", 5000), &joined).ok());
  {
    const auto witness = Subscribe(Wish("a0", "239.1.1.1", 5000));
    ASSERT_NE(witness->ReadEvent(v1::Event::kSubscribed), nullptr);
    SendNumbered("239.1.1.1", 20);
    ASSERT_TRUE(witness->ReadDatagrams(20));
  }
  v1::SubscribeRequest request;
  request.set_session_id(joined.session_id());
  request.mutable_start()->mutable_oldest();
  const auto stream = Subscribe(request);
  SendNumbered("239.1.1.1", 5, 20);
  ASSERT_TRUE(stream->ReadDatagrams(25));
  for (int i = 0; i < 25; ++i) {
    EXPECT_EQ(stream->datagrams[i].payload(), std::to_string(i));
    EXPECT_EQ(stream->datagrams[i].sequence(), static_cast<uint64_t>(i + 1));
  }
}

TEST_F(StreamTest, PublishAnswersEachBatchWithFailuresByItem) {
  const auto subscriber = Subscribe(Wish("a0", "239.1.1.1", 5000));
  ASSERT_NE(subscriber->ReadEvent(v1::Event::kSubscribed), nullptr);
  grpc::ClientContext context;
  auto stream = gateway_->Publish(&context);
  constexpr int kBatches = 40;  // More than may be unanswered.
  for (int b = 0; b < kBatches; ++b) {
    v1::PublishRequest batch;
    batch.set_batch_id(1000 + b);
    v1::Burst* good = batch.add_bursts();
    *good->mutable_destination() = To("a0", "239.1.1.1", 5000, "").destination();
    good->add_payloads("first");
    good->add_payloads(std::string(65508, 'x'));
    good->add_payloads("second");
    v1::Burst* bad = batch.add_bursts();
    *bad->mutable_destination() = To("a0", "10.0.0.1", 5000, "").destination();
    bad->add_payloads("third");
    bad->add_payloads("fourth");
    ASSERT_TRUE(stream->Write(batch));
    v1::PublishResponse answer;
    ASSERT_TRUE(stream->Read(&answer));
    EXPECT_EQ(answer.batch_id(), 1000u + b);
    EXPECT_EQ(answer.accepted_items(), 2u);
    ASSERT_EQ(answer.failures_size(), 2);
    EXPECT_EQ(answer.failures(0).first_item(), 1u);
    EXPECT_EQ(answer.failures(0).item_count(), 1u);
    EXPECT_EQ(answer.failures(0).failure().reason(), v1::ERROR_REASON_PAYLOAD_TOO_LARGE);
    EXPECT_EQ(answer.failures(0).interface_name(), "a0");
    EXPECT_EQ(answer.failures(1).first_item(), 3u);
    EXPECT_EQ(answer.failures(1).item_count(), 2u);
    EXPECT_EQ(answer.failures(1).failure().reason(), v1::ERROR_REASON_NOT_A_MULTICAST_GROUP);
  }
  stream->WritesDone();
  EXPECT_TRUE(stream->Finish().ok());
  ASSERT_TRUE(subscriber->ReadDatagrams(2 * kBatches));
}

TEST_F(StreamTest, APublisherThatDoesNotReadItsAnswersLosesNone) {
  grpc::ClientContext context;
  auto stream = gateway_->Publish(&context);
  constexpr int kBatches = 100;
  std::thread writer([&] {
    for (int b = 0; b < kBatches; ++b) {
      v1::PublishRequest batch;
      batch.set_batch_id(b + 1);
      v1::Burst* const burst = batch.add_bursts();
      *burst->mutable_destination() = To("a0", "239.1.1.1", 5000, "").destination();
      burst->add_payloads("x");
      if (!stream->Write(batch)) return;
    }
    stream->WritesDone();
  });
  v1::PublishResponse answer;
  for (int b = 0; b < kBatches; ++b) {
    ASSERT_TRUE(stream->Read(&answer));
    EXPECT_EQ(answer.batch_id(), static_cast<uint64_t>(b + 1));
  }
  writer.join();
  EXPECT_TRUE(stream->Finish().ok());
}

TEST_F(StreamTest, AtTheEndStreamsHearOfItAndEveryGroupIsLeft) {
  v1::JoinResponse joined;
  ASSERT_TRUE(Join(Wish("a0", "239.1.1.1", 5000), &joined).ok());
  const auto stream = Subscribe(Wish("a0", "239.1.1.2", 5000));
  ASSERT_NE(stream->ReadEvent(v1::Event::kSubscribed), nullptr);
  grpc::ClientContext context;
  auto publish = gateway_->Publish(&context);
  v1::PublishRequest batch;
  v1::Burst* const burst = batch.add_bursts();
  *burst->mutable_destination() = To("a0", "239.1.1.1", 5000, "").destination();
  burst->add_payloads("x");
  ASSERT_TRUE(publish->Write(batch));
  v1::PublishResponse answer;
  ASSERT_TRUE(publish->Read(&answer));

  std::thread stop([this] { server_->Stop(absl::Milliseconds(100)); });
  EXPECT_NE(stream->ReadEvent(v1::Event::kDraining), nullptr);
  const Rich rich = Take(stream->Finish());
  EXPECT_EQ(rich.code, grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(rich.reason, "DRAINING");
  EXPECT_TRUE(rich.retry);
  EXPECT_FALSE(publish->Read(&answer));
  EXPECT_EQ(Take(publish->Finish()).reason, "DRAINING");
  stop.join();
  EXPECT_EQ(kernel::GroupUsers("a0", kernel::Ip("239.1.1.1")), 0);
  EXPECT_EQ(kernel::GroupUsers("a0", kernel::Ip("239.1.1.2")), 0);
}

TEST_F(StreamTest, AStalledReaderHoldsUpNobodyAndNotTheEnd) {
  const auto stalled = Subscribe(Wish("a0", "239.1.1.1", 5000));
  ASSERT_NE(stalled->ReadEvent(v1::Event::kSubscribed), nullptr);
  // A connection of its own, since the stalled stream fills the first one's window.
  grpc::ChannelArguments own;
  own.SetInt("test.own_connection", 1);
  const auto channel = grpc::CreateCustomChannel(config_.listen(0), grpc::InsecureChannelCredentials(), own);
  const auto stub = v1::MulticastGatewayService::NewStub(channel);
  Stream healthy;
  v1::SubscribeRequest request;
  *request.add_memberships() = Wish("a0", "239.1.1.1", 5000);
  healthy.reader = stub->Subscribe(&healthy.context, request);
  ASSERT_NE(healthy.ReadEvent(v1::Event::kSubscribed), nullptr);

  // 20 MB: more than the stalled stream's windows, buffers and log hold together.
  constexpr int kDatagrams = 2000;
  grpc::ClientContext context;
  auto publish = stub->Publish(&context);
  for (int i = 0; i < kDatagrams; i += 20) {
    v1::PublishRequest batch;
    v1::Burst* const burst = batch.add_bursts();
    *burst->mutable_destination() = To("a0", "239.1.1.1", 5000, "").destination();
    for (int j = 0; j < 20; ++j) burst->add_payloads(std::string(10000, 'x'));
    ASSERT_TRUE(publish->Write(batch));
    v1::PublishResponse answer;
    ASSERT_TRUE(publish->Read(&answer));
    ASSERT_EQ(answer.accepted_items(), 20u);
    ASSERT_TRUE(healthy.ReadDatagrams(i + 20));
  }
  publish->WritesDone();
  EXPECT_TRUE(publish->Finish().ok());
  for (const v1::Event& event : healthy.events) EXPECT_NE(event.kind_case(), v1::Event::kGap);

  // The stalled one goes on where it can, and is told exactly what it missed.
  uint64_t next = 1;
  size_t gaps = 0;
  while (next <= kDatagrams) {
    v1::SubscribeResponse response;
    ASSERT_TRUE(stalled->reader->Read(&response));
    for (const v1::Event& event : response.events()) {
      if (event.kind_case() != v1::Event::kGap) continue;
      EXPECT_EQ(event.gap().cause(), v1::GAP_CAUSE_LAGGED);
      EXPECT_EQ(event.gap().range().first(), next);
      next = event.gap().range().last() + 1;
      ++gaps;
    }
    for (const v1::Datagram& datagram : response.datagrams()) EXPECT_EQ(datagram.sequence(), next++);
  }
  EXPECT_GT(gaps, 0u);
}

TEST_F(StreamTest, AStalledReaderThatWishesToBeDisconnectedIsCutOff) {
  v1::SubscribeRequest request;
  *request.add_memberships() = Wish("a0", "239.1.1.1", 5000);
  request.mutable_options()->set_lag_policy(v1::LAG_POLICY_DISCONNECT);
  request.mutable_options()->set_lag_limit_bytes(65536);
  const auto stalled = Subscribe(request);
  ASSERT_NE(stalled->ReadEvent(v1::Event::kSubscribed), nullptr);
  grpc::ChannelArguments own;
  own.SetInt("test.own_connection", 1);
  const auto channel = grpc::CreateCustomChannel(config_.listen(0), grpc::InsecureChannelCredentials(), own);
  const auto stub = v1::MulticastGatewayService::NewStub(channel);
  const auto inspection = v1::InspectionService::NewStub(channel);
  // It does not read. Where its window is full, the reason that it is ended for cannot reach it either; it is
  // cancelled.
  v1::ListSubscribersResponse open;
  do {
    for (int i = 0; i < 100; ++i) {
      grpc::ClientContext context;
      v1::SendResponse response;
      ASSERT_TRUE(stub->Send(&context, To("a0", "239.1.1.1", 5000, std::string(10000, 'x')), &response).ok());
    }
    grpc::ClientContext context;
    ASSERT_TRUE(inspection->ListSubscribers(&context, {}, &open).ok());
  } while (open.subscribers_size() > 0);
  const Rich rich = Take(stalled->Finish());
  if (rich.code != grpc::StatusCode::CANCELLED) {
    EXPECT_EQ(rich.code, grpc::StatusCode::RESOURCE_EXHAUSTED) << rich.message;
    EXPECT_EQ(rich.reason, "SUBSCRIBER_TOO_SLOW");
  }
  // What it had not taken is not offered to it any more; all else adds up.
  grpc::ClientContext context;
  v1::GetLedgerResponse ledger;
  ASSERT_TRUE(inspection->GetLedger(&context, {}, &ledger).ok());
  const v1::SubscriberLedger& total = ledger.gateway().subscribers();
  EXPECT_EQ(total.offered_datagrams(),
            total.written_datagrams() + total.abandoned_datagrams() + total.lagged_datagrams());
  EXPECT_EQ(total.lagged_datagrams(), 0u);
  EXPECT_EQ(kernel::GroupUsers("a0", kernel::Ip("239.1.1.1")), 0);
}

TEST_F(StreamTest, StoppingDoesNotWaitForAReaderThatStalls) {
  const auto stalled = Subscribe(Wish("a0", "239.1.1.1", 5000));
  ASSERT_NE(stalled->ReadEvent(v1::Event::kSubscribed), nullptr);
  grpc::ChannelArguments own;
  own.SetInt("test.own_connection", 1);
  const auto channel = grpc::CreateCustomChannel(config_.listen(0), grpc::InsecureChannelCredentials(), own);
  const auto stub = v1::MulticastGatewayService::NewStub(channel);
  for (int i = 0; i < 1000; ++i) {
    grpc::ClientContext context;
    v1::SendResponse response;
    ASSERT_TRUE(stub->Send(&context, To("a0", "239.1.1.1", 5000, std::string(10000, 'x')), &response).ok());
  }
  server_->Stop(absl::ZeroDuration());  // Returns: the test's own time limit is the measure.
  EXPECT_EQ(kernel::GroupUsers("a0", kernel::Ip("239.1.1.1")), 0);
}

TEST_F(StreamTest, ListChannelsShowsWishAndFact) {
  v1::JoinResponse joined;
  v1::Membership wish = Wish("a0", "232.1.1.1", 5000);
  wish.mutable_source_filter()->set_mode(v1::SOURCE_FILTER_MODE_INCLUDE);
  wish.mutable_source_filter()->add_sources("10.0.0.2");
  ASSERT_TRUE(Join(wish, &joined).ok());
  const auto stream = Subscribe(Wish("a0", "239.1.1.1", 5000));
  ASSERT_NE(stream->ReadEvent(v1::Event::kSubscribed), nullptr);
  SendNumbered("239.1.1.1", 4);
  ASSERT_TRUE(stream->ReadDatagrams(4));
  v1::ListChannelsRequest request;
  request.set_page_size(1);
  std::map<std::string, v1::ChannelInfo> channels;
  do {
    grpc::ClientContext context;
    v1::ListChannelsResponse response;
    ASSERT_TRUE(inspection_->ListChannels(&context, request, &response).ok());
    ASSERT_EQ(response.channels_size(), 1);
    channels[response.channels(0).state().channel().group()] = response.channels(0);
    request.set_page_token(response.next_page_token());
  } while (!request.page_token().empty());
  ASSERT_EQ(channels.size(), 2u);
  const v1::ChannelInfo& specific = channels["232.1.1.1"];
  EXPECT_TRUE(specific.fact().joined());
  EXPECT_EQ(specific.fact().host_users(), 1u);
  EXPECT_EQ(specific.fact().source_filter().sources(0), "10.0.0.2");
  EXPECT_EQ(specific.wish().holders(0).kind(), v1::HOLDER_KIND_SESSION);
  EXPECT_EQ(specific.wish().holders(0).membership().interface(), "a0");
  const v1::ChannelInfo& any = channels["239.1.1.1"];
  EXPECT_EQ(any.wish().holders(0).kind(), v1::HOLDER_KIND_STREAM);
  EXPECT_EQ(any.ledger().logged_datagrams(), 4u);
  EXPECT_EQ(any.ledger().read_datagrams(), 4u);
  EXPECT_EQ(any.last_source_address(), "10.0.0.1");
  EXPECT_GT(any.fact().receive_buffer_bytes(), 0u);
  EXPECT_EQ(any.fact().socket_inodes_size(), 1);
  EXPECT_EQ(any.log().oldest_sequence(), 1u);
  EXPECT_GT(any.log().bytes(), 0u);
  EXPECT_EQ(any.log().oldest_time().seconds(), stream->datagrams[0].receive_time_unix_ns() / 1'000'000'000);
}

}  // namespace
}  // namespace mcgw
