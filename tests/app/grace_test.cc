#include "server/app/grace.h"

#include <gtest/gtest.h>

namespace mcgw::app {
namespace {

TEST(GraceTest, TheEndingsAreWithinTheGrace) {
  for (const absl::Duration grace : {absl::Milliseconds(500), absl::Seconds(1), absl::Seconds(5), absl::Seconds(300)}) {
    const Grace divided = DivideGrace(grace);
    EXPECT_EQ(divided.serving + divided.ending, grace);
    EXPECT_GE(divided.ending, absl::Milliseconds(500));
    EXPECT_LE(divided.ending, absl::Seconds(2));
  }
  EXPECT_EQ(DivideGrace(absl::Seconds(5)).serving, absl::Seconds(3));
}

TEST(GraceTest, WithoutAGraceStreamsEndAtOnce) {
  EXPECT_EQ(DivideGrace(absl::ZeroDuration()).serving, absl::ZeroDuration());
  EXPECT_EQ(DivideGrace(absl::ZeroDuration()).ending, absl::Milliseconds(500));
}

}  // namespace
}  // namespace mcgw::app
