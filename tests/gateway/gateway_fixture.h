// A whole gateway on a fake host and kernel. Its shards' loops are run by the test: one, or as many as
// MCGW_TEST_SHARDS says.

#ifndef MCGW_TESTS_GATEWAY_GATEWAY_FIXTURE_H_
#define MCGW_TESTS_GATEWAY_GATEWAY_FIXTURE_H_

#include <cstdlib>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "gtest/gtest.h"
#include "server/gateway/gateway.h"
#include "server/net/clock.h"
#include "server/net/status.h"
#include "tests/fanout/log_reader.h"
#include "tests/support/fake_host.h"
#include "tests/support/fakes.h"
#include "tests/support/settle.h"

namespace mcgw::gateway {

class GatewayTest : public ::testing::Test {
 protected:
  GatewayTest() {
    // NOLINTNEXTLINE(concurrency-mt-unsafe): no thread writes the environment.
    if (const char* const shards = std::getenv("MCGW_TEST_SHARDS"); shards != nullptr) {
      options_.shards = std::stoi(shards);
    }
  }
  void SetUp() override {
    host_.memberships = [kernel = kernel_] { return kernel->Users(); };
    gateway_ = NewGateway(options_);
  }

  std::unique_ptr<Gateway> NewGateway(const Options& options) {
    return Gateway::Create(options, std::make_unique<testing::FakeSocketFactory>(kernel_), host_.Source()).value();
  }

  static MembershipRequest Request(std::string selector, std::string_view group,
                                   const fanout::SourceFilter& filter = {}, uint16_t port = 5000) {
    return {.selector = std::move(selector), .group = testing::Ip(group), .port = port, .filter = filter};
  }
  absl::StatusOr<JoinResult> TryJoin(const std::string& session, const MembershipRequest& request,
                                     std::optional<absl::Duration> lease = std::nullopt) {
    return gateway_->Join(me_, session, request, lease);
  }
  JoinResult Join(const std::string& session, const MembershipRequest& request,
                  std::optional<absl::Duration> lease = std::nullopt) {
    absl::StatusOr<JoinResult> joined = TryJoin(session, request, lease);
    EXPECT_TRUE(joined.ok()) << joined.status();
    return joined.ok() ? *std::move(joined) : JoinResult();
  }
  absl::StatusOr<std::unique_ptr<Subscription>> TrySubscribe(std::vector<MembershipRequest> memberships,
                                                             std::string session = "", Start start = Start::kLive) {
    return gateway_->Subscribe(
        me_, {.memberships = std::move(memberships), .session_id = std::move(session), .start = start, .options = {}},
        std::make_shared<fanout::CountingDoorbell>());
  }
  std::unique_ptr<Subscription> Subscribe(std::vector<MembershipRequest> memberships, std::string session = "",
                                          Start start = Start::kLive) {
    auto subscription = TrySubscribe(std::move(memberships), std::move(session), start);
    EXPECT_TRUE(subscription.ok()) << subscription.status();
    return subscription.ok() ? *std::move(subscription) : nullptr;
  }

  void Settle() { testing::Settle(gateway_.get()); }
  void SweepAfter(absl::Duration time) { gateway_->Sweep(net::MonotonicNs() + absl::ToInt64Nanoseconds(time)); }
  // A datagram to a group, received at once.
  void Receive(std::string_view group, const std::string& payload, const std::string& source = "10.0.0.2") {
    kernel_->receiver(group)->Inject({.payload = payload, .source = source});
    Settle();
  }
  // What a stream delivers: payloads, and "joined GROUP FILTER", "left GROUP", "unknown gap", "draining".
  static std::vector<std::string> Deliver(Subscription* subscription) {
    std::vector<std::string> story;
    fanout::Message message;
    while (subscription->subscriber().Next(&message)) {
      for (const fanout::Event& event : message.events) {
        if (const auto* changed = std::get_if<fanout::MembershipChanged>(&event)) {
          const std::string group = changed->channel.group.ToString();
          story.push_back(changed->left ? "left " + group : "joined " + group + " " + changed->filter.ToString());
        } else if (std::holds_alternative<fanout::Gap>(event)) {
          story.push_back("gap");
        } else if (std::holds_alternative<fanout::Draining>(event)) {
          story.push_back("draining");
        }
      }
      for (const fanout::DecodedRecord& record : fanout::DecodeRecords({message.data, message.size_bytes})) {
        story.push_back(record.payload);
      }
      subscription->subscriber().Written();
    }
    return story;
  }

  testing::FakeHost host_;
  const std::shared_ptr<testing::FakeKernel> kernel_ = std::make_shared<testing::FakeKernel>();
  Options options_;
  std::unique_ptr<Gateway> gateway_;
  const Caller me_{"me"};
};

}  // namespace mcgw::gateway

#endif  // MCGW_TESTS_GATEWAY_GATEWAY_FIXTURE_H_
