// When a stream holds its next message back, and when it does not.

#include "server/rpc/linger.h"

#include <gtest/gtest.h>

namespace mcgw::rpc {
namespace {

constexpr int64_t kMostNs = 200'000;

class LingerTest : public ::testing::Test {
 protected:
  LingerTest() { linger_.SetMost(kMostNs); }

  // So many messages of `datagrams` each, one every `period_ns`.
  void Run(int messages, int64_t period_ns, uint32_t datagrams = 1) {
    for (int i = 0; i < messages; ++i) linger_.OnMessage(now_ns_ += period_ns, datagrams);
  }
  bool Holds() const { return linger_.until_ns() > now_ns_; }

  Linger linger_;
  int64_t now_ns_ = 1'000'000'000'000;
};

TEST_F(LingerTest, NothingIsHeldAtFirst) {
  EXPECT_LE(linger_.until_ns(), now_ns_);
  Run(1, 10'000'000);
  EXPECT_FALSE(Holds());
}

TEST_F(LingerTest, ABusyStreamKeepsItsMessagesApart) {
  Run(100, 20'000);
  EXPECT_EQ(linger_.until_ns(), now_ns_ + kMostNs);
}

TEST_F(LingerTest, AStreamThatIsHeldStaysSoAtTheSameRate) {
  Run(100, 20'000);
  Run(100, kMostNs, 10);  // Now ten share a message.
  EXPECT_TRUE(Holds());
}

TEST_F(LingerTest, NobodyWaitsWhenTooFewAreToBeExpected) {
  Run(1000, 200'000);  // 5,000/s: one in 200 us.
  EXPECT_FALSE(Holds());
  Run(1000, 140'000);
  EXPECT_FALSE(Holds());
  Run(1000, 140'000 * 2, 2);
  EXPECT_FALSE(Holds());
  Run(1000, 130'000);
  EXPECT_TRUE(Holds());
}

TEST_F(LingerTest, OnePauseEndsIt) {
  Run(100, 20'000);
  ASSERT_TRUE(Holds());
  Run(1, 60'000'000'000);
  EXPECT_FALSE(Holds());
}

TEST_F(LingerTest, ABurstAfterAPauseSoonBeginsItAgain) {
  Run(1, 60'000'000'000);
  Run(20, 10'000);
  EXPECT_TRUE(Holds());
}

TEST_F(LingerTest, ADelayOfZeroForbidsIt) {
  EXPECT_FALSE(linger_.forbidden());
  linger_.SetMost(0);
  EXPECT_TRUE(linger_.forbidden());
  Run(1000, 1000);
  EXPECT_FALSE(Holds());
}

TEST_F(LingerTest, ALongerDelayHoldsASlowerStream) {
  linger_.SetMost(10'000'000);
  Run(100, 500'000);  // 2,000/s: twenty in 10 ms.
  EXPECT_EQ(linger_.until_ns(), now_ns_ + 10'000'000);
  Run(1, 60'000'000'000);
  EXPECT_LE(linger_.until_ns(), now_ns_ + 10'000'000);
}

TEST_F(LingerTest, AShorterDelayNeedsAFasterStream) {
  linger_.SetMost(30'000);
  Run(1000, 21'000);
  EXPECT_FALSE(Holds());
  Run(1000, 19'000);
  EXPECT_EQ(linger_.until_ns(), now_ns_ + 30'000);
}

}  // namespace
}  // namespace mcgw::rpc
