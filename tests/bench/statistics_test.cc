#include "bench/statistics.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <vector>

namespace mcgw::bench {
namespace {

TEST(SummarizeTest, NothingOfNothing) { EXPECT_FALSE(Summarize({}).has_value()); }

TEST(SummarizeTest, TheMiddleOfAnOddNumber) {
  const auto summary = Summarize({5, 1, 9});
  ASSERT_TRUE(summary.has_value());
  EXPECT_EQ(summary->median, 5);
  EXPECT_EQ(summary->least, 1);
  EXPECT_EQ(summary->most, 9);
  EXPECT_EQ(summary->values, 3U);
}

TEST(SummarizeTest, TheMeanOfTheMiddleTwoOfAnEvenNumber) { EXPECT_EQ(Summarize({4, 1, 2, 100})->median, 3); }

TEST(QuantileTest, IsTheSmallestValueThatThePartDoesNotExceed) {
  std::vector<uint32_t> values;
  for (uint32_t value = 100; value >= 1; --value) values.push_back(value);
  EXPECT_EQ(Quantile(&values, 0.5), 50U);
  EXPECT_EQ(Quantile(&values, 0.99), 99U);
  EXPECT_EQ(Quantile(&values, 0.999), 100U);
  EXPECT_EQ(Quantile(&values, 1), 100U);
  EXPECT_EQ(Quantile(&values, 0), 1U);
}

TEST(QuantileTest, OfOneValueAndOfNone) {
  std::vector<uint32_t> one = {7}, none;
  EXPECT_EQ(Quantile(&one, 0.01), 7U);
  EXPECT_EQ(Quantile(&none, 0.5), 0U);
}

TEST(NumberTextTest, ThreeDigitsOrMore) {
  EXPECT_EQ(NumberText(0), "0");
  EXPECT_EQ(NumberText(3), "3");
  EXPECT_EQ(NumberText(0.12345), "0.123");
  EXPECT_EQ(NumberText(5.1), "5.10");
  EXPECT_EQ(NumberText(42.04), "42.0");
  EXPECT_EQ(NumberText(31415.9), "31416");
  EXPECT_EQ(NumberText(-0.5), "-0.500");
}

TEST(SummaryTextTest, TellsTheRangeOfSeveral) {
  EXPECT_EQ(SummaryText(std::nullopt), "-");
  EXPECT_EQ(SummaryText(Summarize({2.5})), "2.50");
  EXPECT_EQ(SummaryText(Summarize({2.5, 1.5, 3.5})), "2.50 (1.50-3.50)");
}

}  // namespace
}  // namespace mcgw::bench
