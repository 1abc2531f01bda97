// Clients, streams, the sweep and the shards at once. Run it under ThreadSanitizer.

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/gateway/gateway_fixture.h"

namespace mcgw::gateway {
namespace {

using fanout::SourceFilter;
using ::testing::IsEmpty;

constexpr int kRounds = 100;

class GatewayThreadsTest : public GatewayTest, public ::testing::WithParamInterface<int> {
 protected:
  GatewayThreadsTest() { options_.shards = GetParam(); }

  // Runs the shards, the sweep and the inspection until `clients` are done.
  void RunWith(std::vector<std::thread> clients) {
    std::atomic<bool> stop{false};
    std::vector<std::thread> shards;
    for (size_t i = 0; i < gateway_->shards(); ++i) {
      shards.emplace_back([&, i] {
        while (!stop.load()) gateway_->loop(i)->RunOnce(absl::Milliseconds(10));
      });
    }
    std::thread housekeeper([&] {
      while (!stop.load()) {
        gateway_->Sweep();
        EXPECT_TRUE(gateway_->inspector().ListChannels().ok());
        EXPECT_TRUE(gateway_->inspector().ListInterfaces().ok());
        for (const auto& receiver : kernel_->receivers()) {
          if (receiver->joined()) receiver->Inject({.payload = "hello"});
        }
      }
    });
    for (std::thread& client : clients) client.join();
    stop.store(true);
    housekeeper.join();
    for (std::thread& shard : shards) shard.join();
  }
};

INSTANTIATE_TEST_SUITE_P(Shards, GatewayThreadsTest, ::testing::Values(1, 2, 4));

TEST_P(GatewayThreadsTest, ClientsShareChannels) {
  std::vector<std::thread> clients;
  for (int client = 0; client < 3; ++client) {
    clients.emplace_back([this, client] {
      for (int round = 0; round < kRounds; ++round) {
        const std::string group = "239.1.1." + std::to_string(1 + (client + round) % 3);
        const SourceFilter filter =
            round % 2 == 0 ? SourceFilter() : SourceFilter::Include(testing::Ips({"10.0.0.2", "10.0.0.3"}));
        const std::string session = Join("", Request("a0", group, filter)).session_id;
        const auto stream = Subscribe({Request("*", "239.1.1.1", filter)}, session);
        Join(session, Request("*", "239.1.1.2"));
        Deliver(stream.get());
        EXPECT_TRUE(gateway_->Leave(me_, session, WholeSession()).ok());
        Deliver(stream.get());
      }
    });
  }
  RunWith(std::move(clients));
  EXPECT_THAT(kernel_->Memberships(), IsEmpty());
  EXPECT_EQ(gateway_->session_count(), 0u);
  EXPECT_EQ(gateway_->subscription_count(), 0u);
}

TEST_P(GatewayThreadsTest, ClientsShareASession) {
  const std::string session = Join("", Request("a0", "239.1.1.9")).session_id;
  std::vector<std::thread> clients;
  for (int client = 0; client < 3; ++client) {
    clients.emplace_back([this, client, session] {
      const std::string group = "239.1.1." + std::to_string(1 + client);
      for (int round = 0; round < kRounds; ++round) {
        Join(session, Request("a0", group));
        const auto stream = Subscribe({}, session);
        Deliver(stream.get());
        EXPECT_TRUE(gateway_->Leave(me_, session, MembershipKey{"a0", testing::Ip(group), 5000}).ok());
      }
    });
  }
  RunWith(std::move(clients));
  EXPECT_EQ(kernel_->Memberships().size(), 1u);
  EXPECT_EQ(gateway_->session_count(), 1u);
}

TEST_P(GatewayThreadsTest, OfTwoThatLeaveASessionOneFindsIt) {
  constexpr int kLeaving = 2;
  constexpr int kMemberships = 20;  // So that the first one takes a while.
  for (int round = 0; round < kRounds; ++round) {
    const std::string session = Join("", Request("a0", "239.1.1.1")).session_id;
    for (int i = 2; i <= kMemberships; ++i) Join(session, Request("a0", "239.1.1." + std::to_string(i)));
    std::atomic<int> ready{0};
    std::atomic<size_t> ended{0};
    std::atomic<int> refused{0};
    std::vector<std::thread> leaving;
    for (int i = 0; i < kLeaving; ++i) {
      leaving.emplace_back([&] {
        ready.fetch_add(1);
        while (ready.load() < kLeaving) std::this_thread::yield();
        const absl::StatusOr<std::vector<uint64_t>> left = gateway_->Leave(me_, session, WholeSession());
        if (left.ok()) {
          ended.fetch_add(left->size());
        } else {
          EXPECT_EQ(net::ReasonOf(left.status()), net::Reason::kSessionNotFound);
          refused.fetch_add(1);
        }
      });
    }
    for (std::thread& each : leaving) each.join();
    EXPECT_EQ(ended.load(), size_t{kMemberships});
    ASSERT_EQ(refused.load(), kLeaving - 1) << "round " << round;
  }
}

}  // namespace
}  // namespace mcgw::gateway
