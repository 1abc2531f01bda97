// What one more stream costs for each channel that it shares with others.

#include <memory>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "server/gateway/gateway.h"
#include "tests/gateway/gateway_fixture.h"
#include "tests/support/held_bytes.h"

namespace mcgw::gateway {
namespace {

constexpr int kChannels = 1000;
constexpr size_t kMostBytes = 450;  // For a cursor with its membership.

using SubscriptionMemoryTest = GatewayTest;

TEST_F(SubscriptionMemoryTest, OneMoreStreamTakesLittleForEachChannel) {
  std::vector<MembershipRequest> wishes;
  for (int i = 0; i < kChannels; ++i) {
    wishes.push_back(Request("a0", "239.1." + std::to_string(i / 256) + "." + std::to_string(i % 256)));
  }
  const auto first = Subscribe(wishes);
  Settle();
  const size_t before = testing::HeldBytes();
  const auto second = Subscribe(wishes);
  second->ForgetChannels();
  Deliver(second.get());
  EXPECT_LT(testing::HeldBytes() - before, kChannels * kMostBytes);
}

}  // namespace
}  // namespace mcgw::gateway
