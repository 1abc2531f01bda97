#include "bench/target.h"

#include <gtest/gtest.h>

#include <set>
#include <string>
#include <utility>
#include <vector>

#include "bench/metrics.h"
#include "bench/names.h"

namespace mcgw::bench {
namespace {

Cell CellOf(double subscribers, double gateway_cpu, double tcp_cpu) {
  Round gateway, tcp;
  gateway.Set(kCpuPerDelivery, gateway_cpu);
  tcp.Set(kCpuPerDelivery, tcp_cpu);
  return {.case_name = kLiveCase,
          .title = "",
          .parameters = {{kSubscribers, subscribers}},
          .series = {{kGateway, {gateway}, {}}, {kTcp, {tcp}, {}}}};
}

Target RatioTarget() {
  return {.work = "",
          .case_name = kLiveCase,
          .row = {{kSubscribers, 8}},
          .metric = kCpuPerDelivery,
          .bound = 2,
          .stretch = 1,
          .reference = kTcp};
}

Verdict VerdictOn(const Target& target, const std::vector<Cell>& cells) {
  const std::vector<Target> targets = {target};
  return Judge(targets, cells).front().verdict;
}

TEST(JudgeTest, RatiosToAReference) {
  EXPECT_EQ(VerdictOn(RatioTarget(), {CellOf(8, 15, 10)}), Verdict::kMet);
  EXPECT_EQ(VerdictOn(RatioTarget(), {CellOf(8, 10, 10)}), Verdict::kStretchMet);
  EXPECT_EQ(VerdictOn(RatioTarget(), {CellOf(8, 21, 10)}), Verdict::kNotMet);
}

TEST(JudgeTest, WhatWasNotMeasuredIsNotJudged) {
  EXPECT_EQ(VerdictOn(RatioTarget(), {}), Verdict::kNotMeasured);
  EXPECT_EQ(VerdictOn(RatioTarget(), {CellOf(9, 10, 10)}), Verdict::kNotMeasured);
  Cell invalid = CellOf(8, 10, 10);
  invalid.series[1].rounds[0].Invalidate("");
  EXPECT_EQ(VerdictOn(RatioTarget(), {invalid}), Verdict::kNotMeasured);
  Cell without = CellOf(8, 10, 10);
  without.series.pop_back();
  EXPECT_EQ(VerdictOn(RatioTarget(), {without}), Verdict::kNotMeasured);
}

TEST(JudgeTest, GrowthIsBoundedOnBothSides) {
  Target growth = RatioTarget();
  growth.reference.clear();
  growth.base = {{kSubscribers, 1}};
  growth.bound = 1.2;
  growth.stretch = 0;
  growth.least_allowed = 0.8;
  EXPECT_EQ(VerdictOn(growth, {CellOf(1, 100, 1), CellOf(8, 119, 1)}), Verdict::kMet);
  EXPECT_EQ(VerdictOn(growth, {CellOf(1, 100, 1), CellOf(8, 121, 1)}), Verdict::kNotMet);
  EXPECT_EQ(VerdictOn(growth, {CellOf(1, 100, 1), CellOf(8, 70, 1)}), Verdict::kNotMet);
  EXPECT_EQ(VerdictOn(growth, {CellOf(8, 100, 1)}), Verdict::kNotMeasured);
}

TEST(JudgeTest, ValuesThatAreToBeLarge) {
  Target least = RatioTarget();
  least.reference.clear();
  least.at_least = true;
  least.bound = 100;
  least.stretch = 150;
  EXPECT_EQ(VerdictOn(least, {CellOf(8, 99, 1)}), Verdict::kNotMet);
  EXPECT_EQ(VerdictOn(least, {CellOf(8, 100, 1)}), Verdict::kMet);
  EXPECT_EQ(VerdictOn(least, {CellOf(8, 150, 1)}), Verdict::kStretchMet);
}

TEST(TargetsTest, EachNamesItsWorkOnceAndSomethingThatIsMeasured) {
  std::set<std::string> works, metrics;
  for (const Metric& metric : kMetrics) metrics.insert(metric.name);
  for (const Target& target : Targets()) {
    EXPECT_TRUE(works.insert(target.work).second) << target.work;
    EXPECT_TRUE(metrics.contains(target.metric)) << target.metric;
    EXPECT_GT(target.bound, 0) << target.work;
  }
}

TEST(BoundTextTest, SaysWhichSide) {
  EXPECT_EQ(BoundText(RatioTarget()), "at most 2, better 1");
  Target growth = RatioTarget();
  growth.stretch = 0;
  growth.bound = 1.2;
  growth.least_allowed = 0.8;
  EXPECT_EQ(BoundText(growth), "0.800 to 1.20");
}

}  // namespace
}  // namespace mcgw::bench
