// Several clients change their source filters while several senders send: the whole gateway, without gRPC, against the
// real kernel. Each gets just what it wants, and loses nothing of what it goes on wanting.

#include <net/if.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "gtest/gtest.h"
#include "server/gateway/gateway.h"
#include "server/net/linux_socket_factory.h"
#include "spdlog/spdlog.h"
#include "tests/fanout/log_reader.h"
#include "tests/kernel/kernel_net.h"

namespace mcgw::kernel {
namespace {

using fanout::SourceFilter;
using net::IpAddress;

constexpr uint16_t kPort = 5000;
constexpr int kHolders = 4;

struct Case {
  const char* name;
  const char* group;
  int sources;  // More than the kernel keeps for one socket where the group is source-specific.
  unsigned seed;
};

class FilterTrafficTest : public testing::TestWithParam<Case> {
 protected:
  // One client: a session, the stream that reads it, and what it has got.
  struct Holder {
    std::string session;
    std::unique_ptr<gateway::Subscription> stream;
    std::set<int> wanted;
    std::map<int, std::vector<int>> got;  // By source, the numbers in order.
    int gaps = 0;
  };

  FilterTrafficTest() {
    StayOnOneProcessor();
    spdlog::set_level(spdlog::level::warn);
    const bool v4 = group().is_v4();
    for (int i = 0; i < GetParam().sources; ++i) {
      peer_.Shell(absl::StrCat("ip addr add ", Source(i).ToString(), v4 ? "/16 dev b0" : "/64 dev b0 nodad"));
    }
    if (v4) Shell("ip addr add 10.9.255.1/16 dev a0");
    gateway_ = gateway::Gateway::Create({}, net::NewLinuxSocketFactory()).value();
    peer_.Do([&] { sender_ = factory_->NewSendSocket({.family = group().family(), .loop = false}).value(); });
    loop_ = std::thread([this] {
      while (!stop_) gateway_->loop(0)->RunOnce(absl::Milliseconds(50));
    });
  }
  ~FilterTrafficTest() override {
    for (Holder& holder : holders_) holder.stream.reset();
    stop_ = true;
    loop_.join();
  }

  IpAddress group() const { return Ip(GetParam().group); }
  IpAddress Source(int i) const {
    return group().is_v4() ? Ip(absl::StrCat("10.9.1.", i + 1)) : Ip(absl::StrCat("fd00::9:", i + 1));
  }
  size_t Random(size_t n) { return std::uniform_int_distribution<size_t>(0, n - 1)(random_); }

  // A random request that still wants what `kept` holds.
  SourceFilter RandomFilter(const std::set<int>& kept, std::set<int>* wanted) {
    const bool include = group().IsSourceSpecific() || Random(2) == 0;
    *wanted = kept;
    for (int i = 0; i < GetParam().sources; ++i) {
      if (Random(2) == 0) wanted->insert(i);
    }
    std::vector<IpAddress> listed;
    for (int i = 0; i < GetParam().sources; ++i) {
      if (wanted->contains(i) == include) listed.push_back(Source(i));
    }
    return include ? SourceFilter::Include(listed) : SourceFilter::Exclude(listed);
  }

  void Join(Holder* holder, const SourceFilter& filter) {
    const auto joined =
        gateway_->Join(me_, holder->session, {.selector = "a0", .group = group(), .port = kPort, .filter = filter}, {});
    ASSERT_TRUE(joined.ok()) << joined.status();
    holder->session = joined->session_id;
  }

  // One datagram from each source, numbered.
  void SendRound() {
    const int round = round_++;
    for (int i = 0; i < GetParam().sources; ++i) {
      const std::string payload = absl::StrCat(i, " ", round);
      net::OutgoingDatagram datagram;
      datagram.group = group();
      datagram.port = kPort;
      datagram.interface_index = interface_;
      datagram.source = Source(i);
      datagram.payload = payload;
      std::vector<net::SendFailure> failures;
      ASSERT_EQ(sender_->Send({&datagram, 1}, &failures), 1u) << failures[0].status;
    }
  }

  // Reads until the stream has a datagram of the round from every source that it wants.
  void ReadTo(Holder* holder, int round) {
    const auto complete = [&] {
      for (const int source : holder->wanted) {
        if (holder->got[source].empty() || holder->got[source].back() < round) return false;
      }
      return true;
    };
    const absl::Time deadline = absl::Now() + absl::Seconds(20);
    fanout::Message message;
    while (!complete() && absl::Now() < deadline) {
      if (!holder->stream->subscriber().Next(&message)) {
        std::this_thread::yield();
        continue;
      }
      for (const fanout::Event& event : message.events) {
        holder->gaps += std::holds_alternative<fanout::Gap>(event) ? 1 : 0;
      }
      for (const fanout::DecodedRecord& record : fanout::DecodeRecords({message.data, message.size_bytes})) {
        const std::vector<std::string> parts = absl::StrSplit(record.payload, ' ');
        int source = 0;
        int number = 0;
        ASSERT_TRUE(absl::SimpleAtoi(parts.at(0), &source) && absl::SimpleAtoi(parts.at(1), &number));
        std::vector<int>& numbers = holder->got[source];
        ASSERT_TRUE(numbers.empty() || numbers.back() < number) << "twice, or out of order";
        numbers.push_back(number);
      }
      holder->stream->subscriber().Written();
    }
    ASSERT_TRUE(complete()) << "round " << round;
  }

  Peer peer_;
  const uint32_t interface_ = peer_.IndexOf("b0");
  const std::unique_ptr<net::SocketFactory> factory_ = net::NewLinuxSocketFactory();
  std::unique_ptr<net::SendSocket> sender_;
  std::unique_ptr<gateway::Gateway> gateway_;
  std::atomic<bool> stop_{false};
  std::thread loop_;
  const gateway::Caller me_{"me"};
  Holder holders_[kHolders];
  int round_ = 0;
  std::mt19937 random_{GetParam().seed};
};

TEST_P(FilterTrafficTest, EachGetsWhatItWantsAndLosesNothingThatItGoesOnWanting) {
  for (int h = 0; h < kHolders; ++h) {
    Holder& holder = holders_[h];
    Join(&holder, RandomFilter({h}, &holder.wanted));
    holder.stream =
        gateway_->Subscribe(me_, {.session_id = holder.session}, std::make_shared<fanout::CountingDoorbell>()).value();
  }
  constexpr int kChanges = 40;
  for (int change = 0; change < kChanges; ++change) {
    // Another one's change, while datagrams come.
    const int first = round_;
    std::thread traffic([&] {
      for (int i = 0; i < 4; ++i) SendRound();
    });
    Holder& changed = holders_[Random(kHolders)];
    const std::set<int> before = changed.wanted;
    Join(&changed, RandomFilter({static_cast<int>(&changed - holders_)}, &changed.wanted));
    traffic.join();
    SendRound();  // All of this one are after the change.
    const int last = round_ - 1;
    for (Holder& holder : holders_) {
      ASSERT_NO_FATAL_FAILURE(ReadTo(&holder, last));
      for (int source = 0; source < GetParam().sources; ++source) {
        const std::vector<int>& numbers = holder.got[source];
        const bool wants = holder.wanted.contains(source);
        const bool wanted = &holder == &changed ? before.contains(source) : wants;
        const auto since = std::count_if(numbers.begin(), numbers.end(), [&](int number) { return number >= first; });
        if (wants && wanted) {
          EXPECT_EQ(since, last - first + 1) << "kept source " << source << ", change " << change;
        } else if (!wants && !wanted) {
          EXPECT_EQ(since, 0) << "unwanted source " << source << ", change " << change;
        }
        if (!wants && since > 0) {
          EXPECT_LT(numbers.back(), last);
        }
      }
      EXPECT_EQ(holder.gaps, 0);
    }
  }
  const std::vector<gateway::ChannelSnapshot> channels = gateway_->inspector().ListChannels().value();
  ASSERT_EQ(channels.size(), 1u);
  if (group().IsSourceSpecific()) {
    EXPECT_GT(channels[0].sockets.size(), 1u);
    EXPECT_EQ(channels[0].told, channels[0].wanted);
  }
  uint64_t read = 0;
  for (const gateway::SocketSnapshot& socket : channels[0].sockets) read += socket.read;
  EXPECT_LE(read, channels[0].account.read) << "sockets that went are in the channel's count only";
  EXPECT_EQ(channels[0].account.kernel_drops, 0u);
}

INSTANTIATE_TEST_SUITE_P(Groups, FilterTrafficTest,
                         testing::Values(Case{"Ipv4", "239.1.1.1", 6, 1}, Case{"Ipv4Ssm", "232.1.1.1", 25, 2},
                                         Case{"Ipv6Ssm", "ff35::1", 150, 3}),
                         [](const auto& each) { return std::string(each.param.name); });

}  // namespace
}  // namespace mcgw::kernel
