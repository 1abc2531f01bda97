// Turns of clients whose calls block.

#include "server/net/work_pool.h"

#include <atomic>
#include <memory>
#include <semaphore>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace mcgw::net {
namespace {

using ::testing::ElementsAre;

// Calls that wait until they are let go.
class Gate {
 public:
  std::function<void()> Call() {
    return [this] {
      entered_.release();
      open_.acquire();
    };
  }
  void WaitUntilEntered(int count) {
    for (int i = 0; i < count; ++i) entered_.acquire();
  }
  void Open(int count) { open_.release(count); }

 private:
  std::counting_semaphore<> entered_{0};
  std::counting_semaphore<> open_{0};
};

TEST(WorkPool, AClientWhoseCallsAllBlockKeepsNobodyWaiting) {
  Gate gate;
  WorkPool pool("test", {.threads = 3, .running = 2});
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(pool.TryRun("slow", gate.Call()));
  gate.WaitUntilEntered(2);
  for (int i = 0; i < 10; ++i) {
    std::binary_semaphore served(0);
    ASSERT_TRUE(pool.TryRun("other", [&served] { served.release(); }));
    served.acquire();
  }
  gate.Open(100);
}

TEST(WorkPool, ClientsTakeTurnsAndEachKeepsItsOrder) {
  Gate gate;
  std::vector<std::string> order;  // Of the only thread.
  {
    WorkPool pool("test", {.threads = 1, .running = 1});
    ASSERT_TRUE(pool.TryRun("first", gate.Call()));
    gate.WaitUntilEntered(1);
    for (const char* call : {"a1", "a2", "a3"}) pool.Run("a", [&order, call] { order.emplace_back(call); });
    for (const char* call : {"b1", "b2"}) pool.Run("b", [&order, call] { order.emplace_back(call); });
    gate.Open(1);
  }
  EXPECT_THAT(order, ElementsAre("a1", "b1", "a2", "b2", "a3")) << "and its end waits for all";
}

TEST(WorkPool, WhatWaitsIsBounded) {
  Gate gate;
  WorkPool pool("test", {.threads = 1, .running = 1, .waiting = 2, .all_waiting = 3});
  ASSERT_TRUE(pool.TryRun("a", gate.Call()));
  gate.WaitUntilEntered(1);
  EXPECT_TRUE(pool.TryRun("a", [] {}));
  EXPECT_TRUE(pool.TryRun("a", [] {}));
  EXPECT_FALSE(pool.TryRun("a", [] {})) << "its own queue is full";
  EXPECT_TRUE(pool.TryRun("b", [] {}));
  EXPECT_FALSE(pool.TryRun("c", [] {})) << "all together";
  std::binary_semaphore served(0);
  pool.Run("c", [&served] { served.release(); });
  gate.Open(1);
  served.acquire();
}

}  // namespace
}  // namespace mcgw::net
