#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

#include "mcgw/client.h"
#include "mcgw/publisher.h"
#include "mcgw/subscription.h"
#include "tests/client/fake_gateway.h"

namespace mcgw::client {
namespace {

using ::testing::ElementsAre;

v1::SubscribeResponse Message(uint64_t sequence) {
  v1::SubscribeResponse message;
  message.add_datagrams()->set_sequence(sequence);
  return message;
}

TEST(ClientTest, ListsAreReadPageByPage) {
  FakeGateway gateway;
  const auto interfaces = gateway.client().ListInterfaces();
  ASSERT_TRUE(interfaces.ok()) << interfaces.status();
  std::vector<uint32_t> indexes;
  for (const auto& interface : *interfaces) indexes.push_back(interface.index());
  EXPECT_THAT(indexes, ElementsAre(1, 2, 3));
}

TEST(ClientTest, HealthIsAsked) {
  FakeGateway gateway;
  EXPECT_EQ(gateway.client().CheckHealth().value(), ServingStatus::kServing);
  gateway.server().GetHealthCheckService()->SetServingStatus("interface/eth0", false);
  EXPECT_EQ(gateway.client().CheckHealth("interface/eth0").value(), ServingStatus::kNotServing);
  EXPECT_EQ(gateway.client().CheckHealth("nosuch").status().code(), absl::StatusCode::kNotFound);
}

TEST(ClientTest, WhatTheGatewayDoesNotServeIsUnimplemented) {
  FakeGateway gateway;
  EXPECT_EQ(gateway.client().Join({}).status().code(), absl::StatusCode::kUnimplemented);
}

TEST(SubscriptionTest, MessagesComeInOrderThenTheEnd) {
  FakeGateway gateway;
  gateway.service.on_subscribe = [](const v1::SubscribeRequest& request, const auto& write) {
    EXPECT_EQ(request.session_id(), "s");
    for (uint64_t sequence = 1; sequence <= 1000; ++sequence) EXPECT_TRUE(write(Message(sequence)));
    return grpc::Status::OK;
  };
  v1::SubscribeRequest request;
  request.set_session_id("s");
  Subscription subscription(gateway.client(), request);
  v1::SubscribeResponse message;
  for (uint64_t sequence = 1; sequence <= 1000; ++sequence) {
    ASSERT_TRUE(subscription.Read(&message));
    ASSERT_EQ(message.datagrams_size(), 1);
    EXPECT_EQ(message.datagrams(0).sequence(), sequence);
  }
  EXPECT_FALSE(subscription.Read(&message));
  EXPECT_FALSE(subscription.Read(&message));
  EXPECT_TRUE(subscription.Finish().ok());
}

TEST(SubscriptionTest, TheGatewaysErrorIsTheEnd) {
  FakeGateway gateway;
  gateway.service.on_subscribe = [](const auto&, const auto&) {
    return grpc::Status(grpc::NOT_FOUND, "no interface nosuch0");
  };
  Subscription subscription(gateway.client(), {});
  v1::SubscribeResponse message;
  EXPECT_EQ(subscription.Read(absl::InfiniteDuration(), &message), Subscription::ReadResult::kEnded);
  EXPECT_EQ(subscription.Finish(), absl::NotFoundError("no interface nosuch0"));
}

TEST(SubscriptionTest, AReadTimesOutAndTheStreamStands) {
  FakeGateway gateway;
  absl::Notification go;
  gateway.service.on_subscribe = [&go](const auto&, const auto& write) {
    go.WaitForNotification();
    write(Message(7));
    return grpc::Status::OK;
  };
  Subscription subscription(gateway.client(), {});
  v1::SubscribeResponse message;
  EXPECT_EQ(subscription.Read(absl::ZeroDuration(), &message), Subscription::ReadResult::kTimedOut);
  EXPECT_EQ(subscription.Read(absl::Milliseconds(1), &message), Subscription::ReadResult::kTimedOut);
  go.Notify();
  ASSERT_TRUE(subscription.Read(&message));
  EXPECT_EQ(message.datagrams(0).sequence(), 7u);
  EXPECT_FALSE(subscription.Read(&message));
}

TEST(SubscriptionTest, CancelFromAnotherThreadEndsABlockedRead) {
  FakeGateway gateway;
  absl::Notification ended;
  gateway.service.on_subscribe = [&ended](const auto&, const auto& write) {
    while (write(Message(1))) {
    }
    ended.Notify();
    return grpc::Status::OK;
  };
  Subscription subscription(gateway.client(), {});
  v1::SubscribeResponse message;
  ASSERT_TRUE(subscription.Read(&message));
  std::thread canceller([&subscription] { subscription.Cancel(); });
  while (subscription.Read(&message)) {
  }
  canceller.join();
  EXPECT_EQ(subscription.Finish().code(), absl::StatusCode::kCancelled);
  ended.WaitForNotification();
}

TEST(SubscriptionTest, DestructionEndsTheStreamAtTheGateway) {
  FakeGateway gateway;
  absl::Notification ended;
  gateway.service.on_subscribe = [&ended](const auto&, const auto& write) {
    while (write(Message(1))) {
    }
    ended.Notify();
    return grpc::Status::OK;
  };
  {
    Subscription subscription(gateway.client(), {});
    v1::SubscribeResponse message;
    ASSERT_TRUE(subscription.Read(&message));
  }
  ended.WaitForNotification();
}

v1::Destination Group(const std::string& group) {
  v1::Destination destination;
  destination.set_group(group);
  destination.set_port(5000);
  return destination;
}

TEST(PublisherTest, EverythingIsSentInOrderAndAccounted) {
  FakeGateway gateway;
  PublisherOptions options;
  options.session_id = "mine";
  Publisher publisher(gateway.client(), options);
  const auto target = publisher.AddTarget(Group("239.1.1.1"));
  for (int i = 0; i < 10'000; ++i) ASSERT_TRUE(publisher.Publish(target, std::to_string(i)).ok());
  EXPECT_TRUE(publisher.Finish().ok());
  int next = 0;
  uint64_t batch_id = 0;
  for (const v1::PublishRequest& batch : gateway.service.batches()) {
    EXPECT_EQ(batch.session_id(), batch_id == 0 ? "mine" : "");
    EXPECT_EQ(batch.batch_id(), ++batch_id);
    ASSERT_EQ(batch.bursts_size(), 1);
    EXPECT_EQ(batch.bursts(0).destination().group(), "239.1.1.1");
    for (const std::string& payload : batch.bursts(0).payloads()) EXPECT_EQ(payload, std::to_string(next++));
  }
  EXPECT_EQ(next, 10'000);
  EXPECT_EQ(publisher.totals().queued, 10'000u);
  EXPECT_EQ(publisher.totals().sent, 10'000u);
  EXPECT_EQ(publisher.totals().unknown, 0u);
}

TEST(PublisherTest, ChangesOfTargetMakeBursts) {
  FakeGateway gateway;
  PublisherOptions options;
  options.max_delay = absl::InfiniteDuration();
  Publisher publisher(gateway.client(), options);
  const auto one = publisher.AddTarget(Group("239.1.1.1"));
  v1::SendOptions send;
  send.set_hop_limit(9);
  const auto two = publisher.AddTarget(Group("239.1.1.2"), send);
  for (const auto target : {one, one, two, one}) ASSERT_TRUE(publisher.Publish(target, "x").ok());
  EXPECT_TRUE(publisher.Finish().ok());
  const auto batches = gateway.service.batches();
  ASSERT_EQ(batches.size(), 1u);
  ASSERT_EQ(batches[0].bursts_size(), 3);
  EXPECT_EQ(batches[0].bursts(0).payloads_size(), 2);
  EXPECT_EQ(batches[0].bursts(1).options().hop_limit(), 9u);
  EXPECT_EQ(batches[0].bursts(2).destination().group(), "239.1.1.1");
}

TEST(PublisherTest, BatchesKeepTheirLimits) {
  FakeGateway gateway;
  PublisherOptions options;
  options.max_delay = absl::InfiniteDuration();
  options.max_batch_datagrams = 10;
  options.max_batch_bytes = 64 * 1024;
  Publisher publisher(gateway.client(), options);
  const auto target = publisher.AddTarget(Group("239.1.1.1"));
  for (int i = 0; i < 25; ++i) ASSERT_TRUE(publisher.Publish(target, "x").ok());
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(publisher.Publish(target, std::string(65507, 'x')).ok());
  EXPECT_TRUE(publisher.Finish().ok());
  std::vector<int> sizes;
  for (const auto& batch : gateway.service.batches()) {
    sizes.push_back(batch.bursts(0).payloads_size());
    EXPECT_LT(batch.ByteSizeLong(), 1u << 20);
  }
  EXPECT_THAT(sizes, ElementsAre(10, 10, 6, 1, 1));
}

TEST(PublisherTest, FlushSendsWhatIsQueued) {
  FakeGateway gateway;
  PublisherOptions options;
  options.max_delay = absl::InfiniteDuration();
  Publisher publisher(gateway.client(), options);
  const auto target = publisher.AddTarget(Group("239.1.1.1"));
  ASSERT_TRUE(publisher.Publish(target, "x").ok());
  publisher.Flush();
  gateway.service.WaitForBatches(1);
  EXPECT_TRUE(publisher.Finish().ok());
}

TEST(PublisherTest, TheDelaySendsWhatIsQueued) {
  FakeGateway gateway;
  PublisherOptions options;
  options.max_delay = absl::Milliseconds(1);
  Publisher publisher(gateway.client(), options);
  ASSERT_TRUE(publisher.Publish(publisher.AddTarget(Group("239.1.1.1")), "x").ok());
  gateway.service.WaitForBatches(1);
  EXPECT_TRUE(publisher.Finish().ok());
}

TEST(PublisherTest, AtMostSixteenBatchesAreUnanswered) {
  FakeGateway gateway;
  gateway.service.HoldAnswers();
  PublisherOptions options;
  options.max_batch_datagrams = 1;
  options.max_unanswered_batches = 1000;  // Cut to 16.
  Publisher publisher(gateway.client(), options);
  const auto target = publisher.AddTarget(Group("239.1.1.1"));
  std::thread sender([&] {
    for (int i = 0; i < 100; ++i) EXPECT_TRUE(publisher.Publish(target, "x").ok());
  });
  gateway.service.WaitForBatches(16);
  for (size_t batches = 17; batches <= 100; ++batches) {
    gateway.service.AllowAnswers(1);
    gateway.service.WaitForBatches(batches);
  }
  sender.join();
  gateway.service.AllowAnswers(16);
  EXPECT_TRUE(publisher.Finish().ok());
  EXPECT_EQ(gateway.service.most_unanswered(), 16u);
  EXPECT_EQ(publisher.totals().sent, 100u);
}

TEST(PublisherTest, FailuresAreReportedByDatagram) {
  FakeGateway gateway;
  // Of each batch, the second item fails.
  gateway.service.on_batch = [](const v1::PublishRequest& batch) {
    v1::PublishResponse response;
    response.set_batch_id(batch.batch_id());
    response.set_accepted_items(static_cast<uint32_t>(batch.bursts(0).payloads_size()) - 1);
    auto* failure = response.add_failures();
    failure->set_first_item(1);
    failure->set_item_count(1);
    failure->set_interface_name("eth0");
    failure->mutable_failure()->set_reason(v1::ERROR_REASON_INTERFACE_DOWN);
    return response;
  };
  PublisherOptions options;
  options.max_delay = absl::InfiniteDuration();
  options.max_batch_datagrams = 3;
  std::vector<uint64_t> failed;
  Publisher publisher(gateway.client(), options, [&failed](const PublishFailureRun& run) {
    EXPECT_EQ(run.datagrams, 1u);
    EXPECT_EQ(run.interface_name, "eth0");
    EXPECT_EQ(run.failure.reason(), v1::ERROR_REASON_INTERFACE_DOWN);
    failed.push_back(run.first_datagram);
  });
  const auto target = publisher.AddTarget(Group("239.1.1.1"));
  for (int i = 0; i < 9; ++i) ASSERT_TRUE(publisher.Publish(target, "x").ok());
  EXPECT_TRUE(publisher.Finish().ok());
  EXPECT_THAT(failed, ElementsAre(1, 4, 7));
  EXPECT_EQ(publisher.totals().sent, 6u);
  EXPECT_EQ(publisher.totals().failed, 3u);
}

TEST(PublisherTest, APayloadThatNoDatagramHoldsIsRefusedAndNotCounted) {
  FakeGateway gateway;
  Publisher publisher(gateway.client(), {});
  const auto target = publisher.AddTarget(Group("239.1.1.1"));
  EXPECT_EQ(DetailsOf(publisher.Publish(target, std::string(65528, 'x'))).reason, "PAYLOAD_TOO_LARGE");
  EXPECT_TRUE(publisher.Publish(target, "").ok());
  EXPECT_TRUE(publisher.Finish().ok());
  EXPECT_EQ(publisher.totals().sent, 1u);
}

TEST(PublisherTest, CancelWakesABlockedPublishAndLeavesTheRestUnknown) {
  FakeGateway gateway;
  gateway.service.HoldAnswers();
  PublisherOptions options;
  options.max_batch_datagrams = 1;
  absl::Notification ended;
  Publisher publisher(gateway.client(), options, nullptr, [&ended] { ended.Notify(); });
  const auto target = publisher.AddTarget(Group("239.1.1.1"));
  absl::Status last;
  std::thread sender([&] {
    while (last.ok()) last = publisher.Publish(target, "x");
  });
  gateway.service.WaitForBatches(16);
  publisher.Cancel();
  sender.join();
  ended.WaitForNotification();
  EXPECT_EQ(last.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(publisher.Finish().code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(publisher.totals().sent, 0u);
  EXPECT_EQ(publisher.totals().unknown, publisher.totals().queued);
  gateway.service.AllowAnswers(1000);
}

TEST(PublisherTest, WithoutAGatewayTheEndIsClear) {
  const auto client = Client::Connect("unix:/nonexistent/mcgw.sock");
  Publisher publisher(**client, {});
  const auto target = publisher.AddTarget(Group("239.1.1.1"));
  while (publisher.Publish(target, "x").ok()) {
  }
  const absl::Status status = publisher.Finish();
  EXPECT_TRUE(IsUnreachable(status)) << status;
  EXPECT_EQ(publisher.Finish(), status);
}

}  // namespace
}  // namespace mcgw::client
