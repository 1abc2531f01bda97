// The channels of an interface on a fake kernel, with a real shard on a real event loop.

#ifndef MCGW_TESTS_GATEWAY_INTERFACE_CHANNELS_FIXTURE_H_
#define MCGW_TESTS_GATEWAY_INTERFACE_CHANNELS_FIXTURE_H_

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "server/gateway/channels/interface_channels.h"
#include "server/net/event_loop.h"
#include "server/net/status.h"
#include "tests/support/fakes.h"

namespace mcgw::gateway {

inline fanout::SourceFilter Include(const std::vector<std::string_view>& sources) {
  return fanout::SourceFilter::Include(testing::Ips(sources));
}

class InterfaceChannelsTest : public ::testing::Test {
 protected:
  using HoldPtr = std::unique_ptr<InterfaceChannels::Hold>;

  InterfaceChannelsTest() {
    services_.shards = {&shard_};
    services_.log_budget = log_budget_;
    services_.options.socket_buffer_bytes = 1 << 20;
  }
  ~InterfaceChannelsTest() override { Settle(); }

  absl::StatusOr<HoldPtr> TryAcquire(std::string_view group, fanout::SourceFilter filter = {}, uint16_t port = 5000) {
    return channels_.Acquire(testing::Ip(group), port, membership_, std::move(filter), {});
  }
  HoldPtr Acquire(std::string_view group, fanout::SourceFilter filter = {}, uint16_t port = 5000) {
    absl::StatusOr<HoldPtr> hold = TryAcquire(group, std::move(filter), port);
    EXPECT_TRUE(hold.ok()) << hold.status();
    return hold.ok() ? *std::move(hold) : nullptr;
  }
  std::vector<ChannelSnapshot> Snapshots() const { return channels_.Snapshot(channels_.ChannelIds({})); }
  // Runs what was posted to the shard.
  void Settle() {
    while (loop_->RunOnce(absl::ZeroDuration()) > 0) {
    }
  }

  const std::shared_ptr<testing::FakeKernel> kernel_ = std::make_shared<testing::FakeKernel>();
  testing::FakeSocketFactory factory_{kernel_};
  const std::shared_ptr<fanout::LogBudget> log_budget_ = fanout::LogBudget::Create(64 << 20);
  const std::unique_ptr<net::EventLoop> loop_ = net::EventLoop::Create().value();
  fanout::ReceiveShard shard_{loop_.get(), &factory_, log_budget_};
  ChannelServices services_{.sockets = &factory_};
  const MembershipFacts membership_{.holder = std::make_shared<HolderFacts>(Holder(), "")};
  const net::Interface a0_ = testing::FakeInterface(2, "a0", {"10.0.0.1/24"});
  InterfaceChannels channels_{&services_, "a0", &a0_};
};

}  // namespace mcgw::gateway

#endif  // MCGW_TESTS_GATEWAY_INTERFACE_CHANNELS_FIXTURE_H_
