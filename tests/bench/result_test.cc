#include "bench/result.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "bench/metrics.h"
#include "bench/names.h"
#include "bench/report.h"

namespace mcgw::bench {
namespace {

using ::testing::HasSubstr;

Round Measured(double cpu) {
  Round round;
  round.Set(kCpuPerDelivery, cpu);
  return round;
}

Round Invalid(double cpu) {
  Round round = Measured(cpu);
  round.Invalidate("it was \"loud\"");
  return round;
}

Series SeriesOf(const std::string& subject, std::vector<Round> rounds) { return {subject, std::move(rounds), {}}; }

TEST(RoundTest, SetReplaces) {
  Round round = Measured(1);
  round.Set(kCpuPerDelivery, 2);
  EXPECT_EQ(round.Get(kCpuPerDelivery), 2);
  EXPECT_EQ(round.values().size(), 1U);
  EXPECT_EQ(round.Get(kP50), std::nullopt);
}

TEST(RoundTest, OnlyADisturbanceIsNotTheSubjectsOwn) {
  Round round;
  round.Invalidate("lost some");
  EXPECT_FALSE(round.valid());
  EXPECT_FALSE(round.disturbed());
  round.Disturb("others");
  EXPECT_TRUE(round.disturbed());
  EXPECT_EQ(round.invalid().size(), 2U);
}

TEST(SummaryOfTest, InvalidRoundsDoNotCount) {
  const auto summary = SummaryOf(SeriesOf(kGateway, {Measured(10), Invalid(1000), Measured(20)}), kCpuPerDelivery);
  ASSERT_TRUE(summary.has_value());
  EXPECT_EQ(summary->median, 15);
  EXPECT_EQ(summary->values, 2U);
  EXPECT_FALSE(SummaryOf(SeriesOf(kGateway, {Invalid(1)}), kCpuPerDelivery).has_value());
}

TEST(RatioOfTest, OnlyRoundsCountInWhichBothAreValid) {
  const Series gateway = SeriesOf(kGateway, {Measured(10), Measured(30), Invalid(1), Measured(8)});
  const Series reference = SeriesOf(kTcp, {Measured(10), Measured(10), Measured(10), Invalid(1)});
  const auto ratio = RatioOf(gateway, reference, kCpuPerDelivery);
  ASSERT_TRUE(ratio.has_value());
  EXPECT_EQ(ratio->values, 2U);
  EXPECT_EQ(ratio->median, 2);
}

TEST(RatioOfTest, AReferenceOfZeroGivesNone) {
  EXPECT_FALSE(RatioOf(SeriesOf(kGateway, {Measured(1)}), SeriesOf(kTcp, {Measured(0)}), kCpuPerDelivery).has_value());
}

TEST(ComparisonsTest, TheGatewayWithEachReferenceAndItsOtherWaysWithItself) {
  const Cell cell = {.case_name = kLiveCase,
                     .title = "",
                     .parameters = {},
                     .series = {SeriesOf(kTcp, {}), SeriesOf(kGateway, {}), SeriesOf(kGatewayUnix, {})}};
  std::vector<std::string> names;
  for (const auto& [series, reference] : Comparisons(cell)) names.push_back(series->subject + "/" + reference->subject);
  EXPECT_EQ(names, (std::vector<std::string>{"mcgw/tcp", "mcgw-unix/tcp", "mcgw-unix/mcgw"}));
}

TEST(MatchesTest, EachParameterMustBeThere) {
  const Cell cell = {
      .case_name = kLiveCase, .title = "", .parameters = {{kSubscribers, 8}, {kRate, 1000}}, .series = {}};
  EXPECT_TRUE(Matches(cell, {}));
  EXPECT_TRUE(Matches(cell, {{kRate, 1000}}));
  EXPECT_FALSE(Matches(cell, {{kRate, 1001}}));
  EXPECT_FALSE(Matches(cell, {{kPayloadBytes, 200}}));
}

TEST(CellTableTest, SaysWhyRoundsDoNotCountAndShowsRatios) {
  const Cell cell = {
      .case_name = kLiveCase,
      .title = "",
      .parameters = {},
      .series = {SeriesOf(kTcp, {Measured(10), Invalid(5)}), SeriesOf(kGateway, {Measured(25), Measured(7)})}};
  const std::string table = CellTable(cell);
  EXPECT_THAT(table, HasSubstr("CPU ns/delivery"));
  EXPECT_THAT(table, HasSubstr("1 of 2: it was \"loud\""));
  EXPECT_THAT(table, HasSubstr("mcgw / tcp"));
  EXPECT_THAT(table, HasSubstr("2.50"));
}

TEST(ToJsonTest, HoldsRoundsSummariesAndReasons) {
  Report report;
  report.mode = "full";
  report.cells = {{.case_name = kLiveCase,
                   .title = "200 B",
                   .parameters = {{kSubscribers, 8}},
                   .series = {SeriesOf(kTcp, {Measured(10)}), SeriesOf(kGateway, {Measured(20)})}}};
  const std::string json = ToJson(report, {});
  EXPECT_THAT(json, HasSubstr(R"("parameters":{"subscribers":8})"));
  EXPECT_THAT(json, HasSubstr(R"({"valid":true,"invalid":[],"cpu_ns_per_delivery":20})"));
  EXPECT_THAT(json, HasSubstr(R"({"of":"mcgw","to":"tcp","metric":"cpu_ns_per_delivery","ratio":{"median":2,)"));
}

}  // namespace
}  // namespace mcgw::bench
