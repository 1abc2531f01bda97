#include "client/cli/pacer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>

namespace mcgw::cli {
namespace {

constexpr int64_t kSecondNs = 1'000'000'000;

struct Outcome {
  int64_t end_ns = 0;
  int largest_burst = 0;
};

// Sends `count` datagrams of `units` by the pacer on a clock of its own, each sleep longer by `late_ns`.
Outcome Send(Pacer& pacer, int count, double units, int64_t late_ns, int64_t begin_ns = 0) {
  Outcome run;
  int64_t now_ns = begin_ns;
  int burst = 0;
  for (int sent = 0; sent < count;) {
    const int64_t wait_ns = pacer.WaitNs(now_ns);
    if (wait_ns > 0) {
      now_ns += wait_ns + late_ns;
      burst = 0;
      continue;
    }
    pacer.Sent(units);
    ++sent;
    run.largest_burst = std::max(run.largest_burst, ++burst);
  }
  run.end_ns = now_ns;
  return run;
}

TEST(PacerTest, TheFirstDatagramGoesAtOnce) {
  Pacer pacer(1);
  EXPECT_EQ(pacer.WaitNs(12345), 0);
}

TEST(PacerTest, SlowRatesAreExact) {
  Pacer pacer(10);
  const Outcome run = Send(pacer, 101, 1, 0);
  EXPECT_EQ(run.end_ns, 10 * kSecondNs);
  EXPECT_EQ(run.largest_burst, 1);
}

TEST(PacerTest, LateWakeUpsAreMadeUpFor) {
  for (const double rate : {100.0, 5'000.0, 100'000.0, 1'000'000.0}) {
    Pacer pacer(rate);
    const int count = static_cast<int>(rate * 2);
    const Outcome run = Send(pacer, count + 1, 1, 80'000);
    EXPECT_NEAR(static_cast<double>(run.end_ns), 2e9, 2e6) << rate;
  }
}

TEST(PacerTest, BurstsAreAtMostAMillisecondWorth) {
  Pacer pacer(100'000);
  EXPECT_LE(Send(pacer, 100'000, 1, 3'000'000).largest_burst, 100);
}

TEST(PacerTest, BitsCountByTheSizeOfTheDatagrams) {
  Pacer pacer(4e6);
  const Outcome run = Send(pacer, 3801, 1316 * 8, 60'000);
  EXPECT_NEAR(static_cast<double>(run.end_ns), 3800 * 1316 * 8 / 4e6 * 1e9, 5e6);
}

TEST(PacerTest, EmptyDatagramsDoNotRunAway) {
  Pacer pacer(1000);
  const Outcome run = Send(pacer, 11, 0, 0);
  EXPECT_EQ(run.end_ns, 0);  // No bits, no time.
}

TEST(PacerTest, APauseOfTheInputIsNotMadeUpFor) {
  Pacer pacer(1000);
  Outcome run = Send(pacer, 1000, 1, 0);
  const int64_t resumed_ns = run.end_ns + 60 * kSecondNs;
  run = Send(pacer, 1001, 1, 0, resumed_ns);
  EXPECT_NEAR(static_cast<double>(run.end_ns - resumed_ns), 1e9, 2e6);
}

TEST(PacerTest, OneDatagramLargerThanABurstStillGoes) {
  Pacer pacer(1000);  // A bit a millisecond.
  const Outcome run = Send(pacer, 3, 8000, 0);
  EXPECT_EQ(run.end_ns, 16 * kSecondNs);
}

}  // namespace
}  // namespace mcgw::cli
