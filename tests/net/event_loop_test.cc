#include "server/net/event_loop.h"

#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <functional>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace mcgw::net {
namespace {

constexpr absl::Duration kLong = absl::Seconds(20);  // Never waited out unless a test fails.

class Pipe {
 public:
  Pipe() {
    int ends[2] = {-1, -1};
    EXPECT_EQ(pipe2(ends, O_NONBLOCK | O_CLOEXEC), 0);
    read_ = OwnedFd(ends[0]);
    write_ = OwnedFd(ends[1]);
  }
  int fd() const { return read_.get(); }
  void Fill() { EXPECT_EQ(write(write_.get(), "x", 1), 1); }
  void Empty() {
    char byte;
    EXPECT_EQ(read(read_.get(), &byte, 1), 1);
  }
  void Hangup() { write_.Reset(); }

 private:
  OwnedFd read_;
  OwnedFd write_;
};

class CallingHandler : public EventLoop::Handler {
 public:
  explicit CallingHandler(std::function<void()> call) : call_(std::move(call)) {}
  void OnReadable() override {
    ++calls;
    call_();
  }
  int calls = 0;

 private:
  std::function<void()> call_;
};

std::unique_ptr<EventLoop> NewLoop() { return std::move(EventLoop::Create()).value(); }

TEST(EventLoop, DoesNothingWhenNothingIsReady) {
  const std::unique_ptr<EventLoop> loop = NewLoop();
  EXPECT_EQ(loop->RunOnce(absl::ZeroDuration()), 0);
}

TEST(EventLoop, WaitsForItsTimeout) {
  const std::unique_ptr<EventLoop> loop = NewLoop();
  for (const absl::Duration timeout : {absl::Microseconds(200), absl::Milliseconds(5)}) {
    const absl::Time before = absl::Now();
    EXPECT_EQ(loop->RunOnce(timeout), 0);
    EXPECT_GE(absl::Now() - before, timeout * 0.9);
  }
}

TEST(EventLoop, CallsAHandlerAsLongAsItsDescriptorIsReadable) {
  const std::unique_ptr<EventLoop> loop = NewLoop();
  Pipe pipe;
  CallingHandler handler([] {});
  ASSERT_TRUE(loop->Add(pipe.fd(), &handler).ok());
  EXPECT_EQ(loop->RunOnce(absl::ZeroDuration()), 0);
  pipe.Fill();
  EXPECT_EQ(loop->RunOnce(kLong), 1);
  EXPECT_EQ(loop->RunOnce(kLong), 1);
  pipe.Empty();
  EXPECT_EQ(loop->RunOnce(absl::ZeroDuration()), 0);
  EXPECT_EQ(handler.calls, 2);
  loop->Remove(pipe.fd(), &handler);
}

TEST(EventLoop, TellsAHandlerOfAHangup) {
  const std::unique_ptr<EventLoop> loop = NewLoop();
  Pipe pipe;
  CallingHandler handler([] {});
  ASSERT_TRUE(loop->Add(pipe.fd(), &handler).ok());
  pipe.Hangup();
  EXPECT_EQ(loop->RunOnce(kLong), 1);
  loop->Remove(pipe.fd(), &handler);
}

TEST(EventLoop, RefusesADescriptorTwiceOrNone) {
  const std::unique_ptr<EventLoop> loop = NewLoop();
  Pipe pipe;
  CallingHandler handler([] {});
  EXPECT_TRUE(loop->Add(pipe.fd(), &handler).ok());
  EXPECT_FALSE(loop->Add(pipe.fd(), &handler).ok());
  EXPECT_FALSE(loop->Add(-1, &handler).ok());
  loop->Remove(pipe.fd(), &handler);
}

TEST(EventLoop, DoesNotCallARemovedHandler) {
  const std::unique_ptr<EventLoop> loop = NewLoop();
  Pipe pipe;
  CallingHandler handler([] {});
  ASSERT_TRUE(loop->Add(pipe.fd(), &handler).ok());
  pipe.Fill();
  loop->Remove(pipe.fd(), &handler);
  EXPECT_EQ(loop->RunOnce(absl::ZeroDuration()), 0);
  EXPECT_TRUE(loop->Add(pipe.fd(), &handler).ok()) << "a removed descriptor may come back";
  EXPECT_EQ(loop->RunOnce(kLong), 1);
  loop->Remove(pipe.fd(), &handler);
}

TEST(EventLoop, LetsAHandlerRemoveItself) {
  const std::unique_ptr<EventLoop> loop = NewLoop();
  Pipe pipe;
  CallingHandler* self = nullptr;
  auto handler = std::make_unique<CallingHandler>([&] { loop->Remove(pipe.fd(), self); });
  self = handler.get();
  ASSERT_TRUE(loop->Add(pipe.fd(), self).ok());
  pipe.Fill();
  EXPECT_EQ(loop->RunOnce(kLong), 1);
  EXPECT_EQ(loop->RunOnce(absl::ZeroDuration()), 0);
}

TEST(EventLoop, DoesNotCallAHandlerThatAnotherDestroyedInTheSameRound) {
  const std::unique_ptr<EventLoop> loop = NewLoop();
  Pipe pipes[2];
  std::unique_ptr<CallingHandler> handlers[2];
  int calls = 0;
  for (int i = 0; i < 2; ++i) {
    // Whichever runs first destroys the other.
    handlers[i] = std::make_unique<CallingHandler>([&, i] {
      ++calls;
      const int other = 1 - i;
      loop->Remove(pipes[other].fd(), handlers[other].get());
      handlers[other].reset();
    });
    ASSERT_TRUE(loop->Add(pipes[i].fd(), handlers[i].get()).ok());
    pipes[i].Fill();
  }
  EXPECT_EQ(loop->RunOnce(kLong), 1);
  EXPECT_EQ(calls, 1);
}

TEST(EventLoop, RunsPostedWorkInOrderInTheNextRound) {
  const std::unique_ptr<EventLoop> loop = NewLoop();
  std::vector<int> order;
  loop->Post([&] {
    order.push_back(1);
    loop->Post([&] { order.push_back(3); });
  });
  loop->Post([&] { order.push_back(2); });
  EXPECT_EQ(loop->RunOnce(kLong), 2);
  EXPECT_THAT(order, testing::ElementsAre(1, 2));
  EXPECT_EQ(loop->RunOnce(kLong), 1);
  EXPECT_THAT(order, testing::ElementsAre(1, 2, 3));
  EXPECT_EQ(loop->RunOnce(absl::ZeroDuration()), 0) << "the wake-up is spent";
}

TEST(EventLoop, IsWokenByWorkFromAnotherThread) {
  const std::unique_ptr<EventLoop> loop = NewLoop();
  bool ran = false;
  std::thread poster([&] { loop->Post([&] { ran = true; }); });
  EXPECT_EQ(loop->RunOnce(absl::InfiniteDuration()), 1);
  EXPECT_TRUE(ran);
  poster.join();
}

TEST(EventLoop, RunsAllWorkOfManyThreadsOnce) {
  constexpr int kThreads = 4;
  constexpr int kPerThread = 1000;
  const std::unique_ptr<EventLoop> loop = NewLoop();
  int ran = 0;  // Of this thread alone: the loop runs the work here.
  std::vector<std::thread> posters;
  for (int i = 0; i < kThreads; ++i) {
    posters.emplace_back([&] {
      for (int each = 0; each < kPerThread; ++each) loop->Post([&] { ++ran; });
    });
  }
  int counted = 0;
  while (counted < kThreads * kPerThread) {
    const int round = loop->RunOnce(kLong);
    ASSERT_GT(round, 0);
    counted += round;
  }
  for (std::thread& poster : posters) poster.join();
  EXPECT_EQ(ran, kThreads * kPerThread);
  EXPECT_EQ(loop->RunOnce(absl::ZeroDuration()), 0);
}

TEST(EventLoop, PostedWorkMayRemoveAHandler) {
  const std::unique_ptr<EventLoop> loop = NewLoop();
  Pipe pipe;
  auto handler = std::make_unique<CallingHandler>([] {});
  ASSERT_TRUE(loop->Add(pipe.fd(), handler.get()).ok());
  pipe.Fill();
  loop->Post([&] {
    loop->Remove(pipe.fd(), handler.get());
    handler.reset();
  });
  EXPECT_GE(loop->RunOnce(kLong), 1);
  EXPECT_EQ(loop->RunOnce(absl::ZeroDuration()), 0);
}

TEST(EventLoop, RunsWorkStillQueuedWhenItEnds) {
  int ran = 0;
  {
    const std::unique_ptr<EventLoop> loop = NewLoop();
    EventLoop* const borrowed = loop.get();
    loop->Post([&ran, borrowed] {
      ++ran;
      borrowed->Post([&ran] { ++ran; });
    });
  }
  EXPECT_EQ(ran, 2);
}

TEST(EventLoop, ServesMoreDescriptorsThanOneRoundHolds) {
  const std::unique_ptr<EventLoop> loop = NewLoop();
  std::vector<Pipe> pipes(200);
  std::vector<std::unique_ptr<CallingHandler>> handlers;
  for (Pipe& pipe : pipes) {
    handlers.push_back(std::make_unique<CallingHandler>([&pipe] { pipe.Empty(); }));
    ASSERT_TRUE(loop->Add(pipe.fd(), handlers.back().get()).ok());
    pipe.Fill();
  }
  int called = 0;
  while (const int round = loop->RunOnce(absl::ZeroDuration())) called += round;
  EXPECT_EQ(called, 200);
  for (const auto& handler : handlers) EXPECT_EQ(handler->calls, 1);
}

}  // namespace
}  // namespace mcgw::net
