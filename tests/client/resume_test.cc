// A stream that comes back, against a gateway that breaks it.

#include <algorithm>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "absl/synchronization/notification.h"
#include "gmock/gmock.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "gtest/gtest.h"
#include "mcgw/resuming_subscription.h"
#include "tests/client/fake_gateway.h"

namespace mcgw::client {
namespace {

using ::testing::ElementsAre;
using ::testing::SizeIs;

v1::SubscribeResponse Subscribed(uint64_t channel_id, uint64_t epoch, uint64_t next_sequence) {
  v1::SubscribeResponse message;
  v1::Subscribed* const subscribed = message.add_events()->mutable_subscribed();
  v1::Channel* const channel = subscribed->add_channels()->mutable_channel();
  channel->set_channel_id(channel_id);
  channel->set_interface_name("a0");
  channel->set_group("239.1.1.1");
  channel->set_port(5000);
  channel->set_epoch(epoch);
  channel->set_next_sequence(next_sequence);
  return message;
}

v1::SubscribeResponse Data(uint64_t channel_id, std::vector<uint64_t> sequences) {
  v1::SubscribeResponse message;
  for (const uint64_t sequence : sequences) {
    v1::Datagram* const datagram = message.add_datagrams();
    datagram->set_channel_id(channel_id);
    datagram->set_sequence(sequence);
    datagram->set_receive_time_unix_ns(static_cast<int64_t>(1000 + sequence));
  }
  return message;
}

class ResumeTest : public ::testing::Test {
 protected:
  using Script = std::function<grpc::Status(const v1::SubscribeRequest&, const FakeGatewayService::WriteMessage&)>;

  void Play(std::vector<Script> scripts) {
    scripts_ = std::move(scripts);
    gateway_.service.on_subscribe = [this](const v1::SubscribeRequest& request,
                                           const FakeGatewayService::WriteMessage& write) {
      requests_.push_back(request);
      return scripts_.at(requests_.size() - 1)(request, write);
    };
  }
  std::unique_ptr<ResumingSubscription> Open(v1::SubscribeRequest request = {}) {
    ResumeOptions options;
    options.first_wait = options.most_wait = absl::Milliseconds(1);
    return std::make_unique<ResumingSubscription>(
        gateway_.client(), std::move(request), options,
        [this](const absl::Status& why, absl::Duration) { breaks_.push_back(why); });
  }
  static std::vector<uint64_t> ReadAll(ResumingSubscription* stream) {
    std::vector<uint64_t> sequences;
    v1::SubscribeResponse message;
    while (stream->Read(&message)) {
      for (const v1::Datagram& datagram : message.datagrams()) sequences.push_back(datagram.sequence());
    }
    return sequences;
  }
  const v1::ResumePoint& PointOf(size_t attempt) { return requests_.at(attempt).start().resume().points(0); }

  static grpc::Status Broken() { return {grpc::StatusCode::UNAVAILABLE, "cut"}; }

  FakeGateway gateway_;
  std::vector<Script> scripts_;
  std::vector<v1::SubscribeRequest> requests_;
  std::vector<absl::Status> breaks_;
};

TEST_F(ResumeTest, GoesOnAtTheNumberAfterTheLastOne) {
  Play({[](const auto&, const auto& write) {
          write(Subscribed(7, 99, 1));
          write(Data(7, {1, 2, 3}));
          return Broken();
        },
        [](const auto&, const auto& write) {
          write(Subscribed(8, 99, 4));
          write(Data(8, {4}));
          return grpc::Status::OK;
        }});
  const auto stream = Open();
  EXPECT_THAT(ReadAll(stream.get()), ElementsAre(1, 2, 3, 4));
  EXPECT_TRUE(stream->Finish().ok());
  ASSERT_THAT(requests_, SizeIs(2));
  EXPECT_FALSE(requests_[0].has_start());
  EXPECT_EQ(requests_[0].options().retain().seconds(), 10);
  EXPECT_EQ(PointOf(1).next_sequence(), 4u);
  EXPECT_EQ(PointOf(1).epoch(), 99u);
  EXPECT_EQ(PointOf(1).interface_name(), "a0");
  EXPECT_EQ(PointOf(1).group(), "239.1.1.1");
  EXPECT_EQ(PointOf(1).port(), 5000u);
  EXPECT_EQ(PointOf(1).last_receive_time_unix_ns(), 1003);
  EXPECT_THAT(breaks_, SizeIs(1));
}

TEST_F(ResumeTest, GapsAndPositionsMoveThePlaceOn) {
  Play({[](const auto&, const auto& write) {
          write(Subscribed(1, 5, 1));
          v1::SubscribeResponse message;
          v1::Gap* const gap = message.add_events()->mutable_gap();
          gap->set_channel_id(1);
          gap->mutable_range()->set_first(1);
          gap->mutable_range()->set_last(9);
          write(message);
          return Broken();
        },
        [](const auto&, const auto& write) {
          write(Subscribed(1, 5, 10));
          v1::SubscribeResponse message;
          message.add_events()->mutable_position()->set_channel_id(1);
          message.mutable_events(0)->mutable_position()->set_next_sequence(50);
          write(message);
          return Broken();
        },
        [](const auto&, const auto&) { return grpc::Status::OK; }});
  ReadAll(Open().get());
  EXPECT_EQ(PointOf(1).next_sequence(), 10u);
  EXPECT_EQ(PointOf(2).next_sequence(), 50u);
}

TEST_F(ResumeTest, AnotherEpochTakesOverAndKeepsTheTime) {
  Play({[](const auto&, const auto& write) {
          write(Subscribed(1, 5, 1));
          write(Data(1, {1, 2, 3}));
          return Broken();
        },
        [](const auto&, const auto& write) {
          write(Subscribed(1, 6, 1));
          return Broken();
        },
        [](const auto&, const auto&) { return grpc::Status::OK; }});
  ReadAll(Open().get());
  EXPECT_EQ(PointOf(2).epoch(), 6u);
  EXPECT_EQ(PointOf(2).next_sequence(), 1u);
  EXPECT_EQ(PointOf(2).last_receive_time_unix_ns(), 1003);
}

TEST_F(ResumeTest, ALeftChannelIsNotResumed) {
  Play({[](const auto&, const auto& write) {
          write(Subscribed(1, 5, 1));
          v1::SubscribeResponse message;
          v1::MembershipChanged* const changed = message.add_events()->mutable_membership_changed();
          *changed->mutable_channel() = Subscribed(1, 5, 1).events(0).subscribed().channels(0);
          changed->set_left(true);
          write(message);
          return Broken();
        },
        [](const auto&, const auto&) { return grpc::Status::OK; }});
  ReadAll(Open().get());
  EXPECT_EQ(requests_[1].start().resume().points_size(), 0);
}

TEST_F(ResumeTest, ARenamedInterfaceIsResumedByItsNewName) {
  Play({[](const auto&, const auto& write) {
          write(Subscribed(1, 5, 1));
          v1::SubscribeResponse message = Data(1, {1});
          message.add_events()->mutable_interface_renamed()->set_old_name("a0");
          message.mutable_events(0)->mutable_interface_renamed()->set_new_name("lan");
          write(message);
          return Broken();
        },
        [](const auto&, const auto&) { return grpc::Status::OK; }});
  ReadAll(Open().get());
  EXPECT_EQ(PointOf(1).interface_name(), "lan");
  EXPECT_EQ(PointOf(1).next_sequence(), 2u);
}

// Channel ids are a stream's own: one that the stream before used for another channel must not move that one's point.
TEST_F(ResumeTest, ABreakBetweenTwoSubscribedLeavesNoIdOfThatStream) {
  const auto with_group = [](v1::SubscribeResponse message, const char* group, bool continued) {
    v1::Subscribed* const subscribed = message.mutable_events(0)->mutable_subscribed();
    subscribed->mutable_channels(0)->mutable_channel()->set_group(group);
    subscribed->set_continued(continued);
    return message;
  };
  Play({[&](const auto&, const auto& write) {
          write(with_group(Subscribed(1, 5, 10), "239.1.1.1", /*continued=*/true));
          return Broken();
        },
        [&](const auto&, const auto& write) {
          write(with_group(Subscribed(2, 6, 20), "239.1.1.2", /*continued=*/false));
          write(Data(1, {500}));  // Of a channel that this stream has not named.
          return Broken();
        },
        [](const auto&, const auto&) { return grpc::Status::OK; }});
  ReadAll(Open().get());
  ASSERT_THAT(requests_, SizeIs(3));
  ASSERT_EQ(requests_[2].start().resume().points_size(), 2);
  EXPECT_EQ(PointOf(2).group(), "239.1.1.1");
  EXPECT_EQ(PointOf(2).next_sequence(), 10u);
}

TEST_F(ResumeTest, WhatTheRequestSaysOfRetainHolds) {
  Play({[](const auto&, const auto&) { return grpc::Status::OK; }});
  v1::SubscribeRequest request;
  request.mutable_options()->mutable_retain();
  ReadAll(Open(request).get());
  EXPECT_EQ(requests_[0].options().retain().seconds(), 0);
}

TEST_F(ResumeTest, AStreamThatNeverStoodIsNotTriedAgain) {
  Play({[](const auto&, const auto&) { return Broken(); }});
  const auto stream = Open();
  ReadAll(stream.get());
  EXPECT_EQ(stream->Finish().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(requests_, SizeIs(1));
}

TEST_F(ResumeTest, WhatABreakIsAndWhatIsTheEnd) {
  const auto stands_then = [](const grpc::Status& status) {
    return [status](const auto&, const auto& write) {
      write(Subscribed(1, 5, 1));
      return status;
    };
  };
  Play({stands_then({grpc::StatusCode::CANCELLED, ""}), stands_then({grpc::StatusCode::UNKNOWN, "Stream removed"}),
        stands_then({grpc::StatusCode::UNAVAILABLE, "the gateway is stopping"}),
        stands_then({grpc::StatusCode::NOT_FOUND, "no such session"})});
  const auto stream = Open();
  ReadAll(stream.get());
  EXPECT_EQ(stream->Finish().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(requests_, SizeIs(4));
}

TEST_F(ResumeTest, TheWaitGrowsToItsLimitAndIsPartlyRandom) {
  constexpr absl::Duration kFirst = absl::Microseconds(100), kMost = absl::Microseconds(1600);
  constexpr size_t kAttempts = 100;
  const Script refuses = [](const auto&, const auto&) { return Broken(); };
  std::vector<Script> scripts(kAttempts, refuses);
  const Script stands = [](const auto&, const auto& write) {
    write(Subscribed(1, 5, 1));
    return Broken();
  };
  scripts.front() = stands;
  scripts.push_back(stands);
  scripts.push_back([](const auto&, const auto&) { return grpc::Status::OK; });
  Play(scripts);
  ResumeOptions options;
  options.first_wait = kFirst;
  options.most_wait = kMost;
  std::vector<absl::Duration> waits;
  ResumingSubscription stream(gateway_.client(), {}, options,
                              [&](const absl::Status&, absl::Duration wait) { waits.push_back(wait); });
  ReadAll(&stream);
  ASSERT_THAT(waits, SizeIs(kAttempts + 1));
  std::set<absl::Duration> different;
  for (size_t i = 0; i < kAttempts; ++i) {
    const absl::Duration whole = std::min(kFirst * (int64_t{1} << std::min<size_t>(i, 10)), kMost);
    EXPECT_GE(waits[i], whole / 2) << i;
    EXPECT_LE(waits[i], whole) << i;
    if (whole == kMost) different.insert(waits[i]);
  }
  EXPECT_GT(different.size(), kAttempts / 2);  // So that many clients do not come back at once.
  EXPECT_LE(waits.back(), kFirst);             // A stream has stood again.
}

TEST_F(ResumeTest, ARefusalForLackOfRoomIsTriedAgainAfterTheDelayThatItNames) {
  const absl::Duration delay = absl::Milliseconds(20);
  const auto exhausted = [](const std::string& reason, std::optional<absl::Duration> retry) {
    google::rpc::Status rich;
    google::rpc::ErrorInfo info;
    info.set_reason(reason);
    rich.add_details()->PackFrom(info);
    if (retry.has_value()) {
      google::rpc::RetryInfo detail;
      detail.mutable_retry_delay()->set_nanos(static_cast<int32_t>(absl::ToInt64Nanoseconds(*retry)));
      rich.add_details()->PackFrom(detail);
    }
    return grpc::Status(grpc::StatusCode::RESOURCE_EXHAUSTED, "full", rich.SerializeAsString());
  };
  const Script refuses = [&](const auto&, const auto&) { return exhausted("SUBSCRIBER_LIMIT", delay); };
  Play({[](const auto&, const auto& write) {
          write(Subscribed(1, 5, 1));
          return Broken();
        },
        refuses, refuses,
        // As the transport says it of a message that is too large: no delay.
        [&](const auto&, const auto&) { return exhausted("", std::nullopt); }});
  ResumeOptions options;
  options.first_wait = options.most_wait = absl::Milliseconds(1);
  std::vector<absl::Duration> waits;
  ResumingSubscription stream(gateway_.client(), {}, options,
                              [&](const absl::Status&, absl::Duration wait) { waits.push_back(wait); });
  const absl::Time begin = absl::Now();
  ReadAll(&stream);
  EXPECT_GE(absl::Now() - begin, 2 * delay);
  EXPECT_EQ(stream.Finish().code(), absl::StatusCode::kResourceExhausted);
  ASSERT_THAT(waits, SizeIs(3));
  EXPECT_LE(waits[0], options.most_wait);
  for (const size_t refused : {1, 2}) {
    EXPECT_GE(waits[refused], delay);
    EXPECT_LE(waits[refused], 2 * delay);
  }
}

TEST_F(ResumeTest, CancelEndsAlsoAWait) {
  Play({[](const auto&, const auto& write) {
    write(Subscribed(1, 5, 1));
    return Broken();
  }});
  absl::Notification waiting;
  ResumeOptions options;
  options.first_wait = options.most_wait = absl::Hours(1);
  ResumingSubscription stream(gateway_.client(), {}, options,
                              [&](const absl::Status&, absl::Duration) { waiting.Notify(); });
  std::thread canceller([&] {
    waiting.WaitForNotification();
    stream.Cancel();
  });
  ReadAll(&stream);
  canceller.join();
  EXPECT_EQ(stream.Finish().code(), absl::StatusCode::kCancelled);
}

TEST_F(ResumeTest, ATimeoutLeavesItWaiting) {
  Play({[](const auto&, const auto& write) {
    write(Subscribed(1, 5, 1));
    return Broken();
  }});
  ResumeOptions options;
  options.first_wait = options.most_wait = absl::Hours(1);
  ResumingSubscription stream(gateway_.client(), {}, options);
  v1::SubscribeResponse message;
  ASSERT_TRUE(stream.Read(&message));
  ResumingSubscription::ReadResult result = stream.Read(absl::ZeroDuration(), &message);
  while (result == ResumingSubscription::ReadResult::kMessage) result = stream.Read(absl::ZeroDuration(), &message);
  EXPECT_EQ(result, ResumingSubscription::ReadResult::kTimedOut);
}

}  // namespace
}  // namespace mcgw::client
