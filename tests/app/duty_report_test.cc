#include "server/app/duty_report.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace mcgw::app {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr int64_t kMs = 1'000'000;
constexpr int64_t kSecond = 1000 * kMs;

void Turn(net::Duty* duty, int64_t begin_ns, int64_t ns) {
  duty->Begin(begin_ns);
  duty->End(begin_ns + ns);
}

TEST(DutyReport, TellsOfOneLongTurnOnce) {
  net::Duty shard;
  net::Duty control;
  DutyReport report;
  report.Watch("shard 0", &shard);
  report.Watch("control", &control);
  Turn(&control, kSecond, 99 * kMs);
  EXPECT_THAT(report.NewLines(2 * kSecond), IsEmpty());
  Turn(&shard, kSecond, 230 * kMs);
  EXPECT_THAT(report.NewLines(2 * kSecond), ElementsAre("shard 0 was busy for 230 ms in one turn"));
  EXPECT_THAT(report.NewLines(60 * kSecond), IsEmpty());
}

TEST(DutyReport, FoldsLongTurnsOfTheSameInterval) {
  net::Duty shard;
  DutyReport report;
  report.Watch("shard 1", &shard);
  Turn(&shard, kSecond, 100 * kMs);
  EXPECT_THAT(report.NewLines(2 * kSecond), ElementsAre("shard 1 was busy for 100 ms in one turn"));
  Turn(&shard, 3 * kSecond, 150 * kMs);
  Turn(&shard, 4 * kSecond, 120 * kMs);
  EXPECT_THAT(report.NewLines(5 * kSecond), IsEmpty());
  EXPECT_THAT(report.NewLines(2 * kSecond + DutyReport::kIntervalNs),
              ElementsAre("shard 1 was busy for 100 ms or more in each of 2 turns, for 120 ms in the last of them"));
}

TEST(DutyReport, SumsUp) {
  net::Duty shard;
  DutyReport report;
  report.Watch("shard 0", &shard);
  Turn(&shard, kSecond, 200 * kMs);
  Turn(&shard, 2 * kSecond, 50 * kMs);
  EXPECT_THAT(report.Summary(3 * kSecond, 1 * kSecond),
              ElementsAre("shard 0 was busy for 12.5 % of the time, in 2 turns, the longest of 200.0 ms"));
}

}  // namespace
}  // namespace mcgw::app
