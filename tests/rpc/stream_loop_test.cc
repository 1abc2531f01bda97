// Doorbells of a loop that has gone.

#include "server/rpc/stream_loop.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>
#include <memory>
#include <new>

#include "gtest/gtest.h"
#include "server/net/event_loop.h"

namespace mcgw::rpc {
namespace {

TEST(StreamLoop, ARingThatOutlivesItDoesNotTouchIt) {
  const auto events = net::EventLoop::Create().value();
  alignas(StreamLoop) std::array<std::byte, sizeof(StreamLoop)> memory;
  auto* const loop = new (memory.data()) StreamLoop(events.get(), nullptr, nullptr);
  loop->Start();
  loop->Stop();
  const auto rung_before = std::make_shared<StreamDoorbell>(loop, nullptr);
  const auto rung_after = std::make_shared<StreamDoorbell>(loop, nullptr);
  rung_before->Ring();
  loop->~StreamLoop();
  memory.fill(std::byte{0xa5});
  rung_after->Ring();
  EXPECT_EQ(events->RunOnce(absl::ZeroDuration()), 2);
  EXPECT_TRUE(std::all_of(memory.begin(), memory.end(), [](std::byte each) { return each == std::byte{0xa5}; }));
}

}  // namespace
}  // namespace mcgw::rpc
