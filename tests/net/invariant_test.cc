#include "server/net/invariant.h"

#include <thread>

#include "gtest/gtest.h"

namespace mcgw::net {
namespace {

TEST(Invariant, LetsPassWhatHolds) {
  int evaluated = 0;
  MCGW_INVARIANT(++evaluated == 1);
  EXPECT_EQ(evaluated, 1);
}

TEST(InvariantDeathTest, SaysWhatDoesNotHoldAndWhere) {
  const int in_flight = -1;
  EXPECT_DEATH(MCGW_INVARIANT(in_flight >= 0), "invariant_test.cc:[0-9]+: invariant does not hold: in_flight >= 0");
}

TEST(OneAtATime, PassesFromThreadToThread) {
  OneAtATime log;
  {
    const OneAtATime::Using outer(log);
    const OneAtATime::Using nested(log);
  }
  std::thread([&] { const OneAtATime::Using after(log); }).join();
  const OneAtATime::Using again(log);
}

TEST(OneAtATimeDeathTest, RefusesTwoThreads) {
  EXPECT_DEATH(
      {
        OneAtATime log;
        const OneAtATime::Using outer(log);
        { const OneAtATime::Using nested(log); }  // Its end does not end the outer use.
        std::thread([&] { const OneAtATime::Using other(log); }).join();
      },
      "one thread at a time");
}

}  // namespace
}  // namespace mcgw::net
