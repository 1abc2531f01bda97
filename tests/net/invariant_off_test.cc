// Compiled with MCGW_INVARIANTS off, whatever the rest of the build has.

#include <thread>

#include "gtest/gtest.h"
#include "server/net/invariant.h"

namespace mcgw::net {
namespace {

TEST(InvariantOff, EvaluatesNothing) {
  int evaluated = 0;
  MCGW_INVARIANT(++evaluated < 0);
  EXPECT_EQ(evaluated, 0);
}

TEST(InvariantOff, LeavesAlonePassingAndNesting) {
  OneAtATime log;
  const OneAtATime::Using outer(log);
  std::thread([&] { const OneAtATime::Using other(log); }).join();
  static_assert(sizeof(OneAtATime) == 1);
}

}  // namespace
}  // namespace mcgw::net
