// From sockets to logs, on the real event loop.

#include "server/fanout/receive_shard.h"

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/fanout/subscriber.h"
#include "server/net/clock.h"
#include "server/net/event_loop.h"
#include "tests/fanout/log_reader.h"
#include "tests/support/fakes.h"

namespace mcgw::fanout {
namespace {

using ::testing::ElementsAre;
using testing::FakeDatagram;
using testing::FakeKernel;
using testing::FakeReceiver;
using testing::FakeSocketFactory;

constexpr absl::Duration kPoll = absl::ZeroDuration();

class ReceiveShardTest : public ::testing::Test {
 protected:
  // A joined socket, its log and its counters.
  struct Channel {
    std::shared_ptr<net::ReceiveSocket> socket;
    std::shared_ptr<FakeReceiver> kernel;
    std::shared_ptr<ChannelLog> log;
    std::shared_ptr<ReceiveCounters> counters = std::make_shared<ReceiveCounters>();
  };

  std::shared_ptr<ChannelLog> NewLog(uint64_t id, size_t budget_bytes = 4 << 20) {
    return std::make_shared<ChannelLog>(ChannelLog::Options{.channel_id = id, .budget_bytes = budget_bytes}, budget_);
  }
  Channel NewChannel(std::shared_ptr<ChannelLog> log, std::string_view group = "239.1.1.1") {
    Channel channel;
    channel.socket =
        factory_.NewReceiveSocket({.interface_index = 2, .group = testing::Ip(group), .port = 5000}).value();
    EXPECT_TRUE(channel.socket->Join(net::FilterMode::kExclude, {}).ok());
    channel.kernel = kernel_->receivers().back();
    channel.log = std::move(log);
    return channel;
  }
  Channel Start(std::shared_ptr<ChannelLog> log) {
    Channel channel = NewChannel(std::move(log));
    shard_->Start({.socket = channel.socket, .log = channel.log, .counters = channel.counters});
    channel.socket.reset();  // The shard's alone, as after a Leave.
    loop_->RunOnce(kPoll);
    return channel;
  }
  // Runs the loop until it has nothing more to do.
  void Settle() {
    while (loop_->RunOnce(kPoll) > 0) {
    }
  }
  static void Inject(const Channel& channel, int count, size_t size = 10) {
    for (int i = 0; i < count; ++i) channel.kernel->Inject({.payload = std::string(size, 'x')});
  }
  static std::vector<Step> Read(const Channel& channel) {
    Cursor cursor;
    return ReadAll(*channel.log, &cursor);
  }

  const std::shared_ptr<LogBudget> budget_ = LogBudget::Create(2 << 20);
  const std::shared_ptr<FakeKernel> kernel_ = std::make_shared<FakeKernel>();
  FakeSocketFactory factory_{kernel_};
  const std::unique_ptr<net::EventLoop> loop_ = net::EventLoop::Create().value();
  std::unique_ptr<ReceiveShard> shard_ = std::make_unique<ReceiveShard>(loop_.get(), &factory_, budget_);
};

TEST_F(ReceiveShardTest, LogsWhatIsReceivedAndCountsIt) {
  const Channel channel = Start(NewLog(1));
  channel.kernel->Inject({.payload = "hello", .source = "10.0.0.9", .receive_time_unix_ns = 42});
  channel.kernel->Inject({.payload = "", .source = "10.0.0.8", .receive_time_unix_ns = 43});
  Settle();
  EXPECT_THAT(Read(channel), ElementsAre(Datagrams(1, 2)));
  EXPECT_EQ(channel.counters->read.load(), 2u);
  EXPECT_EQ(channel.counters->payload_bytes.load(), 5u);
  EXPECT_EQ(channel.counters->last_receive_unix_ns.load(), 43);
  EXPECT_EQ(channel.counters->last_source(), testing::Ip("10.0.0.8"));
  EXPECT_EQ(channel.counters->errors.load(), 0u);
}

TEST_F(ReceiveShardTest, ForeignDatagramsAreCountedAndNotLogged) {
  const Channel channel = Start(NewLog(1));
  channel.kernel->Inject({.payload = "other", .foreign = true});
  Inject(channel, 1);
  channel.kernel->Inject({.payload = "other", .foreign = true});
  Settle();
  EXPECT_THAT(Read(channel), ElementsAre(Datagrams(1, 1)));
  EXPECT_EQ(channel.counters->mismatches.load(), 2u);
  EXPECT_EQ(channel.counters->read.load(), 3u);  // Taken from the kernel all the same.
}

TEST_F(ReceiveShardTest, ChannelsDoNotMix) {
  const Channel first = Start(NewLog(1));
  const Channel second = Start(NewLog(2));
  Inject(first, 300);
  Inject(second, 2);
  Settle();
  EXPECT_THAT(Read(second), ElementsAre(Datagrams(1, 2)));
  EXPECT_EQ(first.log->logged(), 300u);
}

TEST_F(ReceiveShardTest, ABusyChannelGivesWayToOthers) {
  const Channel busy = Start(NewLog(1));
  const Channel quiet = Start(NewLog(2));
  Inject(busy, 10'000);
  Inject(quiet, 1);
  loop_->RunOnce(kPoll);
  EXPECT_EQ(quiet.log->logged(), 1u);
  EXPECT_LT(busy.log->logged(), 1000u);
}

TEST_F(ReceiveShardTest, ADropIsLoggedAtItsPlace) {
  const Channel channel = Start(NewLog(1));
  Inject(channel, 2);
  channel.kernel->Drop(3);
  Inject(channel, 1);
  channel.kernel->Drop(1);
  Inject(channel, 1);
  Settle();
  EXPECT_THAT(Read(channel), ElementsAre(Datagrams(1, 2), Lost(3, 5), Datagrams(6, 6), Lost(7, 7), Datagrams(8, 8)));
  EXPECT_EQ(channel.counters->kernel_drops.load(), 4u);
}

TEST_F(ReceiveShardTest, TrailingDropsAreFoundWhenTheQueueIsEmpty) {
  const Channel channel = Start(NewLog(1));
  Inject(channel, 1);
  channel.kernel->Drop(3);
  Settle();
  EXPECT_THAT(Read(channel), ElementsAre(Datagrams(1, 1), Lost(2, 4)));
  Inject(channel, 1);  // It tells of the same drops again.
  Settle();
  EXPECT_THAT(Read(channel), ElementsAre(Datagrams(1, 1), Lost(2, 4), Datagrams(5, 5)));
}

TEST_F(ReceiveShardTest, ASweepFindsDropsThatNoDatagramTellsOf) {
  const Channel channel = Start(NewLog(1));
  Inject(channel, 1);
  Settle();
  channel.kernel->Drop(2);
  Settle();
  EXPECT_THAT(Read(channel), ElementsAre(Datagrams(1, 1)));
  shard_->Sweep();
  Settle();
  EXPECT_THAT(Read(channel), ElementsAre(Datagrams(1, 1), Lost(2, 3)));
  shard_->Sweep();
  Settle();
  EXPECT_EQ(channel.counters->kernel_drops.load(), 2u);
}

TEST_F(ReceiveShardTest, DropsBehindDatagramsQueuedMeanwhileAreToldBehindThem) {
  const Channel channel = Start(NewLog(1));
  channel.kernel->BeforeDropsAreAsked([&] {
    Inject(channel, 2);
    channel.kernel->Drop(5);
  });
  Inject(channel, 3);
  Settle();
  Inject(channel, 1);
  Settle();
  EXPECT_THAT(Read(channel), ElementsAre(Datagrams(1, 5), Lost(6, 10), Datagrams(11, 11)));
  EXPECT_EQ(channel.counters->kernel_drops.load(), 5u);
}

TEST_F(ReceiveShardTest, DropsBehindAFullReadAreNotToldTooEarly) {
  // The socket's count runs ahead of what is still queued: it says nothing while something is.
  const Channel channel = Start(NewLog(1));
  Inject(channel, 600);
  channel.kernel->Drop(5);
  loop_->RunOnce(kPoll);
  ASSERT_GT(channel.kernel->queued(), 0u);
  EXPECT_EQ(channel.log->kernel_drops(), 0u);
  Settle();
  const std::vector<Step> steps = Read(channel);
  EXPECT_EQ(steps.back(), Lost(601, 605));
}

TEST_F(ReceiveShardTest, TheCountOfDropsMayWrap) {
  const Channel channel = Start(NewLog(1));
  // Two steps of less than 2^31 each bring the count near its end.
  for (int i = 0; i < 2; ++i) {
    channel.kernel->Drop(0x7fff'ffff);
    Inject(channel, 1);
  }
  Settle();
  const uint64_t next = channel.log->next_sequence();
  EXPECT_EQ(next, 2 * 0x7fff'ffffull + 3);
  channel.kernel->Drop(5);  // 0xfffffffe + 5: past zero.
  Inject(channel, 1);
  Settle();
  channel.kernel->Drop(2);
  shard_->Sweep();
  Settle();
  Cursor cursor = channel.log->AtSequence(next);
  EXPECT_THAT(ReadAll(*channel.log, &cursor),
              ElementsAre(Lost(next, next + 4), Datagrams(next + 5, next + 5), Lost(next + 6, next + 7)));
}

TEST_F(ReceiveShardTest, AFailedReadIsCountedAndReadingGoesOn) {
  const Channel channel = Start(NewLog(1));
  channel.kernel->FailNextRead(absl::InternalError("recvmmsg"));
  Inject(channel, 2);
  Settle();
  EXPECT_EQ(channel.counters->errors.load(), 1u);
  EXPECT_THAT(Read(channel), ElementsAre(Datagrams(1, 2)));
}

TEST_F(ReceiveShardTest, StopReadsAllThatIsQueuedAndItsDrops) {
  Channel channel = NewChannel(NewLog(1));
  shard_->Start({.socket = channel.socket, .log = channel.log, .counters = channel.counters});
  loop_->RunOnce(kPoll);
  Inject(channel, 1000);
  channel.kernel->Drop(7);
  bool done = false;
  shard_->Stop(std::move(channel.socket), [&] {
    done = true;
    EXPECT_TRUE(channel.kernel->closed());
  });
  loop_->RunOnce(kPoll);
  EXPECT_TRUE(done);
  EXPECT_EQ(channel.log->logged(), 1000u);
  EXPECT_EQ(Read(channel).back(), Lost(1001, 1007));
}

TEST_F(ReceiveShardTest, StopReadsWhatIsQueuedBehindAnError) {
  Channel channel = NewChannel(NewLog(1));
  shard_->Start({.socket = channel.socket, .log = channel.log, .counters = channel.counters});
  loop_->RunOnce(kPoll);
  Inject(channel, 1000);
  channel.kernel->FailNextRead(absl::ResourceExhaustedError("recvmmsg"));
  shard_->Stop(std::move(channel.socket), nullptr);
  loop_->RunOnce(kPoll);
  EXPECT_EQ(channel.counters->errors.load(), 1u);
  EXPECT_EQ(channel.log->logged(), 1000u);
}

TEST_F(ReceiveShardTest, StopClosesTheSocketOnTheLoopsThread) {
  Channel channel = NewChannel(NewLog(1));
  shard_->Start({.socket = channel.socket, .log = channel.log, .counters = channel.counters});
  std::thread control([&] { shard_->Stop(std::move(channel.socket), nullptr); });
  control.join();
  EXPECT_FALSE(channel.kernel->closed());
  Settle();
  EXPECT_TRUE(channel.kernel->closed());
  EXPECT_EQ(channel.kernel->closed_by(), std::this_thread::get_id());
}

TEST_F(ReceiveShardTest, StopOfAnUnknownSocketOnlyClosesIt) {
  Channel channel = NewChannel(NewLog(1));
  bool done = false;
  shard_->Stop(std::move(channel.socket), [&] { done = true; });
  Settle();
  EXPECT_TRUE(done);
  EXPECT_TRUE(channel.kernel->closed());
}

TEST_F(ReceiveShardTest, ARestartGoesOnInTheSameLogBehindAnUnknownGap) {
  const auto log = NewLog(1);
  Channel first = NewChannel(log);
  shard_->Start({.socket = first.socket, .log = log, .counters = first.counters});
  loop_->RunOnce(kPoll);
  Inject(first, 2);
  shard_->Stop(std::move(first.socket), nullptr);
  Channel second = NewChannel(log);
  shard_->Start({.socket = second.socket,
                 .log = log,
                 .counters = first.counters,
                 .interruption = GapCause::kNotJoined,
                 .interrupted_unix_ns = 77});
  Inject(second, 1);
  Settle();
  EXPECT_THAT(Read(second), ElementsAre(Datagrams(1, 2), Unknown(), Datagrams(3, 3)));
  fanout::Run run;
  Gap gap;
  Cursor at_mark = log->AtSequence(1);
  ASSERT_EQ(log->Read(at_mark, 64 << 10, kToTheEnd, &run, &gap), ChannelLog::ReadResult::kRun);
  ASSERT_EQ(log->Read(run.next, 64 << 10, kToTheEnd, &run, &gap), ChannelLog::ReadResult::kMark);
  EXPECT_EQ(gap.cause, GapCause::kNotJoined);
  EXPECT_EQ(gap.from_time_unix_ns, 77);
  EXPECT_GT(gap.to_time_unix_ns, 77);
}

TEST_F(ReceiveShardTest, TheDropsOfANewSocketAreCountedFromZero) {
  const auto log = NewLog(1);
  Channel first = NewChannel(log);
  shard_->Start({.socket = first.socket, .log = log, .counters = first.counters});
  first.kernel->Drop(10);
  Inject(first, 1);
  shard_->Stop(std::move(first.socket), nullptr);
  Channel second = NewChannel(log);
  shard_->Start({.socket = second.socket, .log = log, .counters = first.counters});
  second.kernel->Drop(3);
  Inject(second, 1);
  Settle();
  EXPECT_THAT(Read(second), ElementsAre(Lost(1, 10), Datagrams(11, 11), Lost(12, 14), Datagrams(15, 15)));
}

TEST_F(ReceiveShardTest, PastTheSharedBudgetTheLargestLogGivesWay) {
  const Channel small = Start(NewLog(1));
  const Channel large = Start(NewLog(2));
  Inject(small, 100, 1000);
  Settle();
  const size_t small_bytes = small.log->footprint_bytes();
  Inject(large, 4000, 1000);
  Settle();
  EXPECT_FALSE(budget_->spent());
  EXPECT_EQ(small.log->footprint_bytes(), small_bytes);
  EXPECT_EQ(small.log->evicted(), 0u);
  EXPECT_GT(large.log->evicted(), 0u);
}

TEST_F(ReceiveShardTest, MoreNewestSlabsThanTheBudgetHoldsGiveWayWhereNothingComes) {
  std::vector<Channel> channels;
  for (uint64_t id = 1; id <= 500; ++id) {
    channels.push_back(Start(NewLog(id)));
    Inject(channels.back(), 1);
    Settle();
  }
  ASSERT_TRUE(budget_->spent());
  // Who reads has had no time yet.
  shard_->Sweep();
  Settle();
  for (const Channel& channel : channels) ASSERT_EQ(channel.log->evicted(), 0u);
  shard_->Sweep(net::MonotonicNs() + 2'000'000'000);
  Settle();
  EXPECT_FALSE(budget_->spent());
  uint64_t evicted = 0;
  for (const Channel& channel : channels) {
    evicted += channel.log->evicted();
    EXPECT_EQ(channel.log->next_sequence(), 2u);
    Inject(channel, 1);
  }
  EXPECT_GT(evicted, 0u);
  EXPECT_LT(evicted, 500u);
  Settle();
  for (const Channel& channel : channels) EXPECT_EQ(channel.log->next_sequence(), 3u);
}

TEST_F(ReceiveShardTest, WhatMessagesPinDoesNotEmptyTheLogs) {
  const Channel channel = Start(NewLog(1));
  std::vector<SlabRef> pinned;
  while (!budget_->spent()) pinned.push_back(budget_->pool()->Acquire(3));
  Inject(channel, 500, 1000);
  Settle();
  EXPECT_EQ(channel.log->evicted(), 0u);
}

TEST_F(ReceiveShardTest, ASweepExpiresWhatIsTooOld) {
  const auto log = std::make_shared<ChannelLog>(ChannelLog::Options{.channel_id = 1, .age_limit_ns = 1}, budget_);
  const Channel channel = Start(log);
  Inject(channel, 3);
  Settle();
  EXPECT_EQ(log->Oldest().sequence, 1u);
  shard_->Sweep();
  Settle();
  EXPECT_EQ(log->evicted(), 3u);
  EXPECT_EQ(log->Oldest().sequence, 4u);
}

TEST_F(ReceiveShardTest, ASecondSocketAddsToTheCountsOfTheFirst) {
  const auto log = NewLog(1);
  Channel first = NewChannel(log);
  shard_->Start({.socket = first.socket, .log = log, .counters = first.counters});
  first.kernel->Inject({.payload = "other", .foreign = true});
  Inject(first, 2);
  shard_->Stop(std::move(first.socket), nullptr);
  Channel second = NewChannel(log);
  shard_->Start({.socket = second.socket, .log = log, .counters = first.counters});
  Inject(second, 1);
  Settle();
  EXPECT_EQ(first.counters->read.load(), 4u);
  EXPECT_EQ(first.counters->mismatches.load(), 1u);
}

TEST_F(ReceiveShardTest, ASocketThatTheHostDoesNotWatchIsReadOnceASecondAndSaysSo) {
  kernel_->set_unwatchable(true);
  Channel channel = NewChannel(NewLog(1));
  const auto socket_counters = std::make_shared<SocketCounters>();
  shard_->Start(
      {.socket = channel.socket, .log = channel.log, .counters = channel.counters, .socket_counters = socket_counters});
  Settle();
  EXPECT_NE(socket_counters->watch_errno.load(), 0);
  Inject(channel, 2);
  Settle();
  EXPECT_EQ(channel.log->logged(), 0u);
  shard_->Sweep();
  Settle();
  EXPECT_EQ(channel.log->logged(), 2u);
  kernel_->set_unwatchable(false);
  shard_->Sweep();
  Settle();
  EXPECT_EQ(socket_counters->watch_errno.load(), 0);
  Inject(channel, 1);
  Settle();
  EXPECT_EQ(channel.log->logged(), 3u);
}

TEST_F(ReceiveShardTest, WhoBeginsAtTheHeadDoesNotHearOfWhatWasInterruptedBefore) {
  const auto log = NewLog(1);
  const auto told_of = [&log](const ChannelStart& start) {
    Subscriber subscriber({.ledger_interval_ns = 0}, SlabPool::Create(), std::make_shared<CountingDoorbell>());
    subscriber.AddChannel(log, SourceFilter::AnySource(), start, std::nullopt);
    int gaps = 0;
    for (Message message; subscriber.Next(&message); subscriber.Written()) {
      for (const Event& event : message.events) gaps += std::holds_alternative<Gap>(event) ? 1 : 0;
    }
    return gaps;
  };
  const ChannelStart before = ChannelStart::Live(*log);
  Channel channel = NewChannel(log);
  shard_->Start({.socket = channel.socket,
                 .log = log,
                 .counters = channel.counters,
                 .interruption = GapCause::kNotJoined,
                 .interrupted_unix_ns = 77});
  shard_->Interrupt(log, GapCause::kInterfaceLost, 78);
  // The shard has not come to either yet.
  const ChannelStart live = ChannelStart::Live(*log);
  shard_->Interrupt(log, GapCause::kInterfaceLost, 79);
  Settle();
  EXPECT_EQ(told_of(before), 3);
  EXPECT_EQ(told_of(live), 1);
  EXPECT_EQ(told_of(ChannelStart::Live(*log)), 0);
}

TEST_F(ReceiveShardTest, AKeptLogGivesWayThoughNobodyWritesIt) {
  Channel kept = NewChannel(NewLog(1));
  shard_->Start({.socket = kept.socket, .log = kept.log, .counters = kept.counters});
  Inject(kept, 900, 1000);
  shard_->Stop(std::move(kept.socket), nullptr);
  Settle();
  ASSERT_EQ(kept.log->evicted(), 0u);
  const Channel live = Start(NewLog(2));
  Inject(live, 400, 1000);
  Settle();
  EXPECT_FALSE(budget_->spent());
  EXPECT_GT(kept.log->evicted(), 0u);
  EXPECT_EQ(live.log->evicted(), 0u);
}

TEST_F(ReceiveShardTest, ItsEndReadsWhatIsQueuedAndClosesAllSockets) {
  const Channel channel = Start(NewLog(1));
  Inject(channel, 500);
  shard_.reset();
  EXPECT_TRUE(channel.kernel->closed());
  EXPECT_EQ(channel.log->logged(), 500u);
}

TEST_F(ReceiveShardTest, ControlThreadsMayStartAndStopWhileTheLoopRuns) {
  std::atomic<bool> stop{false};
  std::thread loop_thread([&] {
    while (!stop.load()) loop_->RunOnce(absl::Milliseconds(100));
  });
  std::vector<std::thread> control;
  std::vector<std::shared_ptr<ChannelLog>> logs;
  for (uint64_t id = 1; id <= 3; ++id) logs.push_back(NewLog(id, 64 << 10));
  for (const auto& log : logs) {
    control.emplace_back([&] {
      for (int i = 0; i < 100; ++i) {
        std::shared_ptr<net::ReceiveSocket> socket =
            factory_.NewReceiveSocket({.interface_index = 2, .group = testing::Ip("239.1.1.1"), .port = 5000}).value();
        shard_->Start({.socket = socket, .log = log, .counters = std::make_shared<ReceiveCounters>()});
        shard_->Sweep();
        shard_->Stop(std::move(socket), nullptr);
        log->Head();
      }
    });
  }
  for (std::thread& thread : control) thread.join();
  shard_->Stop(nullptr, [&] { stop.store(true); });
  loop_thread.join();
  for (const auto& receiver : kernel_->receivers()) EXPECT_TRUE(receiver->closed());
}

}  // namespace
}  // namespace mcgw::fanout
