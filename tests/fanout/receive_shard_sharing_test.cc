// Sockets that several channels share, and channels that have several sockets.

#include <memory>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/fanout/receive_shard.h"
#include "server/net/clock.h"
#include "server/net/event_loop.h"
#include "tests/fanout/log_reader.h"
#include "tests/support/fakes.h"

namespace mcgw::fanout {
namespace {

using ::testing::ElementsAre;
using testing::FakeKernel;
using testing::FakeReceiver;
using testing::FakeSocketFactory;
using testing::Ip;

class ReceiveShardSharingTest : public ::testing::Test {
 protected:
  struct Channel {
    std::string group;
    std::shared_ptr<ChannelLog> log;
    std::shared_ptr<ReceiveCounters> counters = std::make_shared<ReceiveCounters>();
  };

  ReceiveShardSharingTest() {
    for (const char* group : {"239.1.1.1", "239.1.1.2", "239.1.1.3"}) {
      channels_.push_back(
          {group, std::make_shared<ChannelLog>(ChannelLog::Options{.channel_id = channels_.size() + 1}, budget_)});
    }
  }

  // A socket that several channels share.
  std::shared_ptr<net::ReceiveSocket> NewShared() {
    return factory_
        .NewReceiveSocket(
            {.interface_index = 2, .group = net::IpAddress::Unspecified(net::Family::kIpv4), .port = 5000})
        .value();
  }
  std::shared_ptr<net::ReceiveSocket> NewOwn(const Channel& channel, std::string_view source) {
    std::shared_ptr<net::ReceiveSocket> socket =
        factory_.NewReceiveSocket({.interface_index = 2, .group = Ip(channel.group), .port = 5000}).value();
    EXPECT_TRUE(socket->Join(net::FilterMode::kInclude, {Ip(source)}).ok());
    return socket;
  }
  void Start(const std::shared_ptr<net::ReceiveSocket>& socket, const Channel& channel) {
    if (socket->shared()) {
      EXPECT_TRUE(socket->Join(Ip(channel.group), net::FilterMode::kExclude, {}).ok());
    }
    shard_.Start({.socket = socket,
                  .group = Ip(channel.group),
                  .log = channel.log,
                  .counters = channel.counters,
                  .socket_counters = counters_});
  }
  void Settle() {
    while (loop_->RunOnce(absl::ZeroDuration()) > 0) {
    }
  }
  std::vector<Step> Read(int i) const {
    Cursor cursor;
    return ReadAll(*channels_[i].log, &cursor);
  }
  static void Inject(FakeReceiver* kernel, const std::string& group, int count) {
    for (int i = 0; i < count; ++i) kernel->Inject({.payload = group, .group = group});
  }

  const std::shared_ptr<LogBudget> budget_ = LogBudget::Create(2 << 20);
  const std::shared_ptr<FakeKernel> kernel_ = std::make_shared<FakeKernel>();
  FakeSocketFactory factory_{kernel_};
  const std::unique_ptr<net::EventLoop> loop_ = net::EventLoop::Create().value();
  ReceiveShard shard_{loop_.get(), &factory_, budget_};
  const std::shared_ptr<SocketCounters> counters_ = std::make_shared<SocketCounters>();
  std::vector<Channel> channels_;
};

TEST_F(ReceiveShardSharingTest, EachChannelOfASharedSocketGetsItsOwnGroup) {
  const auto socket = NewShared();
  for (const Channel& channel : channels_) Start(socket, channel);
  FakeReceiver* const kernel = kernel_->receivers().back().get();
  for (int turn = 0; turn < 3; ++turn) {
    for (int i = 0; i < 3; ++i) Inject(kernel, channels_[i].group, i + 1);
  }
  Settle();
  for (int i = 0; i < 3; ++i) {
    const uint64_t count = 3 * (i + 1);
    EXPECT_THAT(Read(i), ElementsAre(Datagrams(1, count)));
    EXPECT_EQ(channels_[i].counters->read.load(), count);
    EXPECT_EQ(channels_[i].counters->payload_bytes.load(), count * 9);
    EXPECT_EQ(channels_[i].log->logged_payload_bytes(), count * 9);
  }
  EXPECT_EQ(counters_->read.load(), 18u) << "the channels' sum";
}

TEST_F(ReceiveShardSharingTest, WhatASharedSocketDropsMayBeAnyChannelsLoss) {
  const auto socket = NewShared();
  Start(socket, channels_[0]);
  Start(socket, channels_[1]);
  FakeReceiver* const kernel = kernel_->receivers().back().get();
  Inject(kernel, channels_[0].group, 2);
  kernel->Drop(5);
  Inject(kernel, channels_[0].group, 1);
  Settle();
  EXPECT_THAT(Read(0), ElementsAre(Datagrams(1, 2), Unknown(), Datagrams(3, 3)));
  EXPECT_THAT(Read(1), ElementsAre(Unknown())) << "told though nothing comes after it";
  Inject(kernel, channels_[1].group, 1);
  kernel->Drop(1);
  Settle();
  EXPECT_THAT(Read(0), ElementsAre(Datagrams(1, 2), Unknown(), Datagrams(3, 3), Unknown()));
  EXPECT_THAT(Read(1), ElementsAre(Unknown(), Datagrams(1, 1), Unknown()));
  EXPECT_EQ(counters_->kernel_drops.load(), 6u);
  EXPECT_EQ(channels_[0].log->kernel_drops(), 0u) << "none has a number";
  EXPECT_EQ(channels_[0].counters->kernel_drops.load(), 0u);
}

TEST_F(ReceiveShardSharingTest, TheGapOfASharedSocketSaysItsCauseAndTimes) {
  const auto socket = NewShared();
  Start(socket, channels_[0]);
  FakeReceiver* const kernel = kernel_->receivers().back().get();
  const auto inject = [&](int64_t time) {
    kernel->Inject({.payload = "x", .receive_time_unix_ns = time, .group = channels_[0].group});
  };
  inject(100);
  kernel->Drop(1);
  inject(200);
  Settle();
  fanout::Run run;
  Gap gap;
  ASSERT_EQ(channels_[0].log->Read(channels_[0].log->AtSequence(1), 1 << 10, kToTheEnd, &run, &gap),
            ChannelLog::ReadResult::kRun);
  ASSERT_EQ(channels_[0].log->Read(run.next, 1 << 10, kToTheEnd, &run, &gap), ChannelLog::ReadResult::kMark);
  EXPECT_EQ(gap.cause, GapCause::kKernelDrop);
  EXPECT_EQ(gap.count, 0u);
  EXPECT_EQ(gap.from_time_unix_ns, 100);
  EXPECT_EQ(gap.to_time_unix_ns, 200);
}

TEST_F(ReceiveShardSharingTest, AChannelLeavesASharedSocketAndTheOthersStay) {
  auto socket = NewShared();
  Start(socket, channels_[0]);
  Start(socket, channels_[1]);
  const std::shared_ptr<FakeReceiver> kernel = kernel_->receivers().back();
  Settle();
  const int64_t later = net::UnixNs() + 60'000'000'000;
  kernel->Inject({.payload = "queued", .group = channels_[0].group});
  shard_.Stop(socket, nullptr, channels_[0].log);
  kernel->Inject({.payload = "late", .receive_time_unix_ns = later, .group = channels_[0].group});
  Settle();
  EXPECT_EQ(channels_[0].log->logged(), 2u) << "all that was queued before it was taken off";
  EXPECT_FALSE(kernel->closed());
  Inject(kernel.get(), channels_[0].group, 1);
  Inject(kernel.get(), channels_[1].group, 2);
  Settle();
  EXPECT_EQ(channels_[0].log->logged(), 2u);
  EXPECT_THAT(Read(1), ElementsAre(Datagrams(1, 2)));
  EXPECT_EQ(counters_->mismatches.load(), 1u);
  EXPECT_EQ(counters_->read.load(), 5u);
  shard_.Stop(std::move(socket), nullptr, channels_[1].log);
  Settle();
  EXPECT_TRUE(kernel->closed());
}

TEST_F(ReceiveShardSharingTest, AChannelLeavesABusySharedSocketWithoutWaitingForSilence) {
  const auto socket = NewShared();
  Start(socket, channels_[0]);
  Start(socket, channels_[1]);
  FakeReceiver* const kernel = kernel_->receivers().back().get();
  Settle();
  const int64_t later = net::UnixNs() + 60'000'000'000;
  for (int i = 0; i < 20'000; ++i) {
    kernel->Inject({.payload = "x", .receive_time_unix_ns = later, .group = channels_[1].group});
  }
  bool stopped = false;
  shard_.Stop(
      socket, [&] { stopped = true; }, channels_[0].log);
  while (!stopped) loop_->RunOnce(absl::ZeroDuration());
  EXPECT_GT(kernel->queued(), 15'000u);
  Settle();
  EXPECT_EQ(channels_[1].log->next_sequence(), 20'001u);
}

TEST_F(ReceiveShardSharingTest, UnicastAndStrangersAtASharedSocketAreCountedAtTheSocketOnly) {
  const auto socket = NewShared();
  Start(socket, channels_[0]);
  FakeReceiver* const kernel = kernel_->receivers().back().get();
  kernel->Inject({.payload = "unicast", .foreign = true});
  Inject(kernel, "239.9.9.9", 1);
  Inject(kernel, channels_[0].group, 1);
  Settle();
  EXPECT_THAT(Read(0), ElementsAre(Datagrams(1, 1)));
  EXPECT_EQ(counters_->mismatches.load(), 2u);
  EXPECT_EQ(counters_->read.load(), 3u);
  EXPECT_EQ(channels_[0].counters->mismatches.load(), 0u);
  EXPECT_EQ(channels_[0].counters->read.load(), 1u);
}

TEST_F(ReceiveShardSharingTest, TheSocketsOfOneChannelFeedOneLog) {
  const auto first = NewOwn(channels_[0], "10.0.0.2");
  const auto second = NewOwn(channels_[0], "10.0.0.3");
  const auto receivers = kernel_->receivers();
  Start(first, channels_[0]);
  const auto second_counters = std::make_shared<SocketCounters>();
  shard_.Start({.socket = second,
                .group = Ip(channels_[0].group),
                .log = channels_[0].log,
                .counters = channels_[0].counters,
                .socket_counters = second_counters});
  Inject(receivers[0].get(), "", 2);
  Settle();
  Inject(receivers[1].get(), "", 3);
  Settle();
  receivers[1]->Drop(4);
  Inject(receivers[1].get(), "", 1);
  receivers[1]->Inject({.payload = "other", .foreign = true});
  Settle();
  receivers[0]->Drop(1);
  Inject(receivers[0].get(), "", 1);
  receivers[0]->Inject({.payload = "other", .foreign = true});
  Settle();
  // A drop stands where its socket was read.
  EXPECT_THAT(Read(0), ElementsAre(Datagrams(1, 5), Lost(6, 9), Datagrams(10, 10), Lost(11, 11), Datagrams(12, 12)));
  EXPECT_EQ(channels_[0].counters->read.load(), 9u);
  EXPECT_EQ(channels_[0].counters->mismatches.load(), 2u);
  EXPECT_EQ(channels_[0].counters->kernel_drops.load(), 5u);
  EXPECT_EQ(counters_->read.load(), 4u);
  EXPECT_EQ(counters_->kernel_drops.load(), 1u);
  EXPECT_EQ(second_counters->read.load(), 5u);
  EXPECT_EQ(second_counters->kernel_drops.load(), 4u);
}

TEST_F(ReceiveShardSharingTest, ASiblingThatGoesIsReadToItsEndAndTheOtherGoesOn) {
  auto first = NewOwn(channels_[0], "10.0.0.2");
  const auto second = NewOwn(channels_[0], "10.0.0.3");
  const auto receivers = kernel_->receivers();
  Start(first, channels_[0]);
  Start(second, channels_[0]);
  Settle();
  Inject(receivers[0].get(), "", 500);
  shard_.Stop(std::move(first), nullptr, channels_[0].log);
  Settle();
  EXPECT_TRUE(receivers[0]->closed());
  EXPECT_EQ(channels_[0].log->logged(), 500u);
  Inject(receivers[1].get(), "", 1);
  Settle();
  EXPECT_EQ(channels_[0].log->logged(), 501u);
}

}  // namespace
}  // namespace mcgw::fanout
