// Interfaces that go and come over and over: nothing is left stuck, nothing grows. MCGW_LONG=1 makes it last.

#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

#include "server/net/clock.h"
#include "spdlog/sinks/base_sink.h"
#include "tests/kernel/heal_fixture.h"

namespace mcgw::kernel {
namespace {

bool IsLong() { return std::getenv("MCGW_LONG") != nullptr; }

size_t ResidentBytes() {
  std::ifstream file("/proc/self/statm");
  size_t size = 0;
  size_t resident = 0;
  file >> size >> resident;
  return resident * static_cast<size_t>(sysconf(_SC_PAGESIZE));
}

// Sanitizers keep freed memory for a while.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kResidentIsUsed = false;
#else
constexpr bool kResidentIsUsed = true;
#endif

class CountingSink : public spdlog::sinks::base_sink<std::mutex> {
 public:
  std::atomic<int> lines{0};

 protected:
  void sink_it_(const spdlog::details::log_msg&) override { ++lines; }
  void flush_() override {}
};

class HealEnduranceTest : public HealFixture, public testing::Test {};

TEST_F(HealEnduranceTest, DeletedAndMadeAnewOverAndOver) {
  const int cycles = IsLong() ? 100 : 5;
  LiveGateway gateway;
  {
    Talker talker(peer_, Ip("239.1.1.1"), 5000, Ip("10.0.0.2"));
    Listener named(&gateway, {kWishes[0].Request(), kWishes[4].Request()});
    Listener every(&gateway, {kWishes[1].Request(), kWishes[5].Request()});
    ASSERT_TRUE(named.WaitForData(talker.next()).has_value());
    const size_t descriptors = Descriptors();
    for (int i = 0; i < cycles; ++i) {
      Delete();
      Make(i % 2 == 0 ? 77 : 0);
      const uint64_t later = talker.next();
      ASSERT_TRUE(named.WaitForData(later).has_value()) << "cycle " << i;
      ASSERT_TRUE(every.WaitForData(later).has_value()) << "cycle " << i;
    }
    ASSERT_TRUE(gateway->reconciler().Follow().ok());
    EXPECT_EQ(GroupUsers("a0", Ip("239.1.1.1")), 1);
    EXPECT_EQ(gateway->inspector().ListChannels()->size(), 2u);
    EXPECT_EQ(GroupUsers("a0", Ip("ff15::1")), 1);
    // Sockets are closed by the shard, after the control path let go of them.
    EXPECT_LE(Descriptors(), descriptors + 2);
    std::printf("%d cycles, descriptors before %zu, after %zu\n", cycles, descriptors, Descriptors());
  }
  EXPECT_EQ(GroupUsers("a0", Ip("239.1.1.1")), 0);
  EXPECT_EQ(GroupUsers("a0", Ip("ff15::1")), 0);
}

TEST_F(HealEnduranceTest, FlappingInterfacesMakeNothingGrow) {
  constexpr int kLinks = 8;
  const int seconds = IsLong() ? 60 : 5;
  for (int i = 1; i < kLinks; ++i) peer_.AddLink(absl::StrCat("a", i), absl::StrCat("b", i));
  auto sink = std::make_shared<CountingSink>();
  const auto logger_before = spdlog::default_logger();
  spdlog::set_default_logger(std::make_shared<spdlog::logger>("test", sink));
  {
    LiveGateway gateways[2];
    std::vector<std::unique_ptr<Listener>> listeners;
    for (LiveGateway& gateway : gateways) {
      std::vector<gateway::MembershipRequest> requests = {kWishes[1].Request(), kWishes[5].Request()};
      for (int i = 0; i < kLinks; ++i) requests.push_back(kWishes[0].Request(absl::StrCat("a", i)));
      listeners.push_back(std::make_unique<Listener>(&gateway, requests));
    }
    std::string down;
    std::string up;
    for (int i = 0; i < kLinks; ++i) {
      absl::StrAppend(&down, "link set a", i, " down\n");
      absl::StrAppend(&up, "link set a", i, " up\n");
    }
    const auto flap = [&] { Shell(absl::StrCat("printf '", down, up, "' | ip -batch -")); };
    for (int i = 0; i < 100; ++i) flap();  // What is taken once is taken by now.
    const size_t descriptors = Descriptors();
    const size_t resident = ResidentBytes();
    int flaps = 0;
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(seconds);
    for (; std::chrono::steady_clock::now() < end; ++flaps) {
      flap();
      for (const auto& listener : listeners) listener->Forget();
    }
    GiveAddresses();
    Talker talker(peer_, Ip("239.1.1.1"), 5000, Ip("10.0.0.2"));
    for (const auto& listener : listeners) {
      EXPECT_TRUE(listener->WaitForData(talker.next()).has_value());
    }
    std::printf("%d flaps of %d links in %d s: descriptors %zu to %zu, resident %zu to %zu kB, %d log lines\n", flaps,
                kLinks, seconds, descriptors, Descriptors(), resident >> 10, ResidentBytes() >> 10, sink->lines.load());
    EXPECT_LE(Descriptors(), descriptors + 4);
    // A log keeps some thousand marks, a hundred bytes each; eight channels of two gateways.
    if (kResidentIsUsed) {
      EXPECT_LT(ResidentBytes(), resident + (16 << 20));
    }
    // Of two gateways in each minute, and a line for each membership.
    EXPECT_LE(sink->lines, 2 * 2 * gateway::InterfaceLog::kMostLines + 2 * (kLinks + 2 * kLinks));
  }
  spdlog::set_default_logger(logger_before);
}

}  // namespace
}  // namespace mcgw::kernel
