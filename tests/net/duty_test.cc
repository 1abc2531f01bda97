#include "server/net/duty.h"

#include <algorithm>

#include "gtest/gtest.h"
#include "server/net/clock.h"
#include "server/net/event_loop.h"

namespace mcgw::net {
namespace {

TEST(Duty, CountsTurnsThatHaveEnded) {
  Duty duty;
  duty.End(5);  // No turn has begun.
  EXPECT_EQ(duty.Read().turns, 0u);
  duty.Begin(10);
  EXPECT_EQ(duty.Read().turns, 0u);
  duty.End(40);
  duty.End(90);  // The wait goes on.
  duty.Begin(100);
  duty.End(110);
  const Duty::Counts counts = duty.Read();
  EXPECT_EQ(counts.turns, 2u);
  EXPECT_EQ(counts.busy_ns, 40);
  EXPECT_EQ(counts.longest_ns, 30);
  EXPECT_EQ(counts.long_turns, 0u);
}

TEST(Duty, CountsLongTurns) {
  Duty duty;
  duty.Begin(1);
  duty.End(Duty::kLongTurnNs);  // One nanosecond less.
  EXPECT_EQ(duty.Read().long_turns, 0u);
  duty.Begin(1);
  duty.End(1 + Duty::kLongTurnNs);
  EXPECT_EQ(duty.Read().long_turns, 1u);
  EXPECT_EQ(duty.Read().last_long_ns, Duty::kLongTurnNs);
}

// Work that lasts until the clock says so, and how long it took by that clock.
int64_t Spin(int64_t ns) {
  const int64_t begin_ns = MonotonicNs();
  while (MonotonicNs() - begin_ns < ns) continue;
  return MonotonicNs() - begin_ns;
}

TEST(Duty, OfAnEventLoopHasWhatIsDoneBetweenTwoWaits) {
  const std::unique_ptr<EventLoop> loop = std::move(EventLoop::Create()).value();
  int64_t posted_ns = 0;
  loop->Post([&] { posted_ns = Spin(2'000'000); });
  loop->RunOnce(absl::InfiniteDuration());
  EXPECT_EQ(loop->duty().Read().turns, 0u);
  const int64_t after_ns = Spin(1'000'000);
  loop->RunOnce(absl::ZeroDuration());
  const Duty::Counts counts = loop->duty().Read();
  EXPECT_EQ(counts.turns, 1u);
  EXPECT_GE(counts.busy_ns, posted_ns + after_ns);
  EXPECT_EQ(counts.longest_ns, counts.busy_ns);
}

TEST(Duty, OfAnEventLoopLeavesOutTheWait) {
  const std::unique_ptr<EventLoop> loop = std::move(EventLoop::Create()).value();
  loop->RunOnce(absl::ZeroDuration());
  const int64_t begin_ns = MonotonicNs();
  loop->RunOnce(absl::Milliseconds(20));
  const int64_t waited_ns = MonotonicNs() - begin_ns;
  ASSERT_GE(waited_ns, 20'000'000);
  loop->RunOnce(absl::ZeroDuration());
  const Duty::Counts counts = loop->duty().Read();
  EXPECT_EQ(counts.turns, 2u);
  EXPECT_LE(counts.busy_ns, MonotonicNs() - begin_ns + waited_ns);
}

}  // namespace
}  // namespace mcgw::net
