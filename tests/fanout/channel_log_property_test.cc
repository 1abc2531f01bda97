// The log's story (log_story.h), told by dice.

#include <random>

#include "gtest/gtest.h"
#include "tests/fanout/log_story.h"

namespace mcgw::fanout {
namespace {

class ChannelLogPropertyTest : public ::testing::TestWithParam<int> {};

TEST_P(ChannelLogPropertyTest, EveryCursorHearsOfEachNumberOnceInOrder) {
  std::mt19937 random(static_cast<unsigned>(GetParam()));
  LogStory story([&](size_t n) { return std::uniform_int_distribution<size_t>(0, n - 1)(random); });
  for (int step = 0; step < 3000; ++step) ASSERT_NO_THROW(story.Step()) << "step " << step;
  ASSERT_NO_THROW(story.Finish());
}

INSTANTIATE_TEST_SUITE_P(Seeds, ChannelLogPropertyTest, ::testing::Range(1, 17));

}  // namespace
}  // namespace mcgw::fanout
