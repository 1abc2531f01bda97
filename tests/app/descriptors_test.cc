// How the descriptors are divided.

#include "server/app/descriptors.h"

#include <sys/resource.h>

#include "gtest/gtest.h"

namespace mcgw::app {
namespace {

TEST(Descriptors, ConnectionsComeFirstThenSendingThenChannels) {
  const DescriptorSplit split = SplitDescriptors(20'000, 1, 1000);
  EXPECT_EQ(split.connections, 1000u);
  EXPECT_EQ(split.sends, 2239u);
  EXPECT_EQ(split.channels, 20'000u - 81 - 2000 - 2239);
}

TEST(Descriptors, WhereThereAreFewConnectionsAndChannelsHaveHalfEach) {
  const DescriptorSplit split = SplitDescriptors(1024, 2, 1000);
  EXPECT_EQ(split.connections, 235u);
  EXPECT_EQ(split.sends, 59u);
  EXPECT_EQ(split.channels, 413u);
}

TEST(Descriptors, NothingIsDividedWhereNothingIsLeft) {
  const DescriptorSplit split = SplitDescriptors(64, 1, 1000);
  EXPECT_EQ(split.connections, 0u);
  EXPECT_EQ(split.channels, 0u);
  EXPECT_EQ(split.sends, 0u);
}

TEST(Descriptors, NeverMoreThanThereAre) {
  for (size_t limit = 0; limit < 5000; limit += 7) {
    const DescriptorSplit split = SplitDescriptors(limit, 3, 1000);
    EXPECT_LE(2 * split.connections + split.channels + split.sends, limit);
  }
}

TEST(Descriptors, TheLimitIsRaisedAsFarAsItMay) {
  rlimit limit{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
  limit.rlim_cur = limit.rlim_max / 2;
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
  EXPECT_GE(RaiseDescriptorLimit(), limit.rlim_cur);
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
  EXPECT_EQ(limit.rlim_cur, limit.rlim_max);
}

}  // namespace
}  // namespace mcgw::app
