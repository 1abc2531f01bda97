// The data path's bound of an event's size, against the messages of the API.

#include <limits>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "server/fanout/event_size.h"
#include "server/net/status.h"
#include "server/rpc/write_response.h"
#include "tests/support/fakes.h"

namespace mcgw::rpc {
namespace {

constexpr uint64_t kMost = std::numeric_limits<uint64_t>::max();
constexpr int64_t kLatest = std::numeric_limits<int64_t>::max();

fanout::SourceFilter SourcesOf(size_t count) {
  std::vector<net::IpAddress> sources;
  for (size_t i = 0; i < count; ++i) {
    sources.push_back(testing::Ip("fe80:1111:2222:3333:4444:5555:6666:" + std::to_string(1000 + i)));
  }
  return fanout::SourceFilter::Exclude(std::move(sources));
}

TEST(EventSizeTest, NoEventIsLargerThanItsBound) {
  const fanout::ChannelStatus channel = {
      .channel_id = kMost,
      .interface_index = std::numeric_limits<uint32_t>::max(),
      .interface_name = std::string(15, 'x'),
      .group = testing::Ip("ff15:1111:2222:3333:4444:5555:6666:7777"),
      .port = 65535,
      .phase = fanout::ChannelPhase::kFailed,
      .error = net::Error(net::Reason::kHostLimit, "membership.source_filter", std::string(500, 'y')),
      .epoch = kMost,
      .next_sequence = kMost};
  fanout::LedgerEntry ledger{.channel_id = kMost,
                             .offered = kMost,
                             .written = kMost,
                             .filtered = kMost,
                             .in_flight = kMost,
                             .pending = kMost,
                             .abandoned = kMost,
                             .range_gaps = kMost,
                             .unknown_gaps = kMost,
                             .written_bytes = kMost};
  for (uint64_t& skipped : ledger.skipped) skipped = kMost;
  const std::string name(15, 'x');
  const std::vector<fanout::Event> events = {
      fanout::Gap{.channel_id = kMost,
                  .first_sequence = kMost / 2,
                  .count = kMost / 2,
                  .from_time_unix_ns = kLatest,
                  .to_time_unix_ns = kLatest},
      fanout::Gap{.channel_id = kMost,
                  .cause = fanout::GapCause::kNotJoined,
                  .first_sequence = kMost,
                  .at_most = kMost,
                  .from_time_unix_ns = kLatest,
                  .to_time_unix_ns = kLatest},
      fanout::Position{.channel_id = kMost, .epoch = kMost, .next_sequence = kMost, .filtered = kMost},
      fanout::MembershipChanged{.channel = channel, .cause = fanout::ChangeCause::kRefused},
      fanout::MembershipChanged{.channel = channel, .filter = SourcesOf(1)},
      fanout::MembershipChanged{.channel = channel, .filter = SourcesOf(1000)},
      ledger,
      fanout::Draining{.grace_ns = kLatest},
      fanout::InterfaceLost{.interface_name = name, .interface_index = 0xffffffff, .time_unix_ns = kLatest},
      fanout::InterfaceRestored{.interface_name = name, .interface_index = 0xffffffff, .time_unix_ns = kLatest},
      fanout::InterfaceRenamed{.interface_index = 0xffffffff, .old_name = name, .new_name = name},
  };
  for (const fanout::Event& event : events) {
    v1::SubscribeResponse response;
    WriteEvent(event, /*subscriber_id=*/kMost, response.add_events());
    EXPECT_LE(response.ByteSizeLong(), fanout::MostBytesOf(event)) << response.ShortDebugString().substr(0, 500);
  }
}

}  // namespace
}  // namespace mcgw::rpc
