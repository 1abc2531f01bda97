// Whatever happens to an interface, reception resumes, and streams are notified.

#include <algorithm>
#include <cstdio>
#include <string>
#include <tuple>
#include <vector>

#include "server/net/clock.h"
#include "tests/kernel/heal_fixture.h"

namespace mcgw::kernel {
namespace {

// Something that befalls a0, and its end. `Host` is the test.
struct Happening {
  const char* name;
  std::string (*away)(const Peer&);  // Commands of this host.
  std::string (*peer_away)();        // Of the other one.
  std::string (*back)(const Peer&);
  std::string (*peer_back)();
  const char* lost;      // What a stream is told of it; null: it loses nothing by it.
  bool only_ipv6;        // IPv4 loses nothing by it.
  bool only_ineligible;  // Only `*` loses by it, since the interface is no longer eligible.
  bool joins_again;      // IPv4 leaves and joins, once it is noticed: its reports have another source.
};

constexpr char kAddresses[] =
    "ip addr replace 10.0.0.1/24 dev a0; ip addr replace fd00::1/64 dev a0 nodad; "
    "ip addr replace fe80::1/64 dev a0 nodad";
constexpr char kPeerAddresses[] =
    "sh -c 'ip addr replace 10.0.0.2/24 dev b0; ip addr replace fd00::2/64 dev b0 nodad; "
    "ip addr replace fe80::2/64 dev b0 nodad'";

std::string Make(const std::string& options) {
  return absl::StrCat("ip link add a0 ", options,
                      " type veth peer name b0 netns peer && ip link set a0 addrgenmode none up && ", kAddresses);
}
std::string PeerMake() {
  return absl::StrCat("sh -c 'ip link set b0 addrgenmode none up' && ip netns exec peer ", kPeerAddresses);
}

const Happening kHappenings[] = {
    {"DownAndUp", [](const Peer&) -> std::string { return "ip link set a0 down"; }, nullptr,
     [](const Peer&) { return absl::StrCat("ip link set a0 up && ", kAddresses); }, nullptr, "lost a0 down", false,
     false, false},
    {"CarrierLostAndBack", nullptr, []() -> std::string { return "ip link set b0 down"; }, nullptr,
     [] { return absl::StrCat("ip link set b0 up && ip netns exec peer ", kPeerAddresses); }, "lost a0 no-carrier",
     false, false, false},
    {"PortOfABridge",
     [](const Peer&) -> std::string {
       return "ip link add br0 type bridge && ip link set br0 addrgenmode none up && ip link set a0 master br0";
     },
     nullptr, [](const Peer&) -> std::string { return "ip link set a0 nomaster && ip link del br0"; }, nullptr,
     "lost a0 enslaved", false, false, false},
    {"Renamed", [](const Peer&) -> std::string { return "ip link set a0 name r0"; }, nullptr,
     [](const Peer&) -> std::string { return "ip link set r0 name a0"; }, nullptr, nullptr, false, false, false},
    {"AddressesRemovedAndAdded", [](const Peer&) -> std::string { return "ip addr flush dev a0"; }, nullptr,
     [](const Peer&) -> std::string { return kAddresses; }, nullptr, nullptr, false, true, true},
    {"AddressesChanged",
     [](const Peer&) -> std::string {
       // Without this the kernel takes the second address of a network away with the first.
       return "echo 1 > /proc/sys/net/ipv4/conf/a0/promote_secondaries && ip addr add 10.0.0.9/24 dev a0 && ip addr "
              "add fd00::9/64 dev a0 nodad && ip addr del 10.0.0.1/24 dev "
              "a0 && ip addr del fd00::1/64 dev a0; ip addr replace 10.0.0.9/24 dev a0";
     },
     nullptr, [](const Peer&) -> std::string { return kAddresses; }, nullptr, nullptr, false, false, true},
    {"Ipv6SwitchedOffAndOn",
     [](const Peer&) -> std::string { return "echo 1 > /proc/sys/net/ipv6/conf/a0/disable_ipv6"; }, nullptr,
     [](const Peer&) { return absl::StrCat("echo 0 > /proc/sys/net/ipv6/conf/a0/disable_ipv6 && ", kAddresses); },
     nullptr, "lost a0 membership", true, false, false},
    {"MtuBelow1280AndBack", [](const Peer&) -> std::string { return "ip link set a0 mtu 1200"; }, nullptr,
     [](const Peer&) { return absl::StrCat("ip link set a0 mtu 1500 && ", kAddresses); }, nullptr, "lost a0 membership",
     true, false, false},
    {"DeletedAndMadeAnew", [](const Peer&) -> std::string { return "ip link del a0"; }, nullptr,
     [](const Peer&) { return Make(""); }, PeerMake, "lost a0 deleted", false, false, false},
    {"DeletedAndMadeAnewWithTheSameIndex", [](const Peer&) -> std::string { return "ip link del a0"; }, nullptr,
     [](const Peer&) { return Make("index 77"); }, PeerMake, "lost a0 deleted", false, false, false},
};

using Case = std::tuple<size_t, size_t>;  // Into kHappenings and kWishes.

class HealTest : public HealFixture, public testing::TestWithParam<Case> {
 protected:
  const Happening& happening() const { return kHappenings[std::get<0>(GetParam())]; }
  const Wish& wish() const { return kWishes[std::get<1>(GetParam())]; }
  bool joins_again() const { return happening().joins_again && wish().is_v4(); }
  // The stream loses something, which it must be told of.
  bool loses() const {
    if (happening().only_ipv6 && wish().is_v4()) return false;
    if (joins_again()) return true;
    return happening().lost != nullptr || (happening().only_ineligible && wish().every);
  }
  void Do(std::string (*here)(const Peer&), std::string (*there)()) const {
    if (here != nullptr) Shell(here(peer_));
    if (there != nullptr) peer_.Shell(there());
  }
  static size_t Find(const Listener::Story& story, const std::string& beginning) {
    size_t at = 0;
    while (at < story.size() && (story[at].is_data || story[at].what.rfind(beginning, 0) != 0)) ++at;
    return at;
  }
  static std::string Events(const Listener::Story& story) {
    std::string events;
    for (const Listener::Heard& heard : story) {
      if (!heard.is_data) absl::StrAppend(&events, heard.what, "; ");
    }
    return events;
  }
  // The events come before the first datagram that was sent after the end of it.
  void ExpectTold(const Listener::Story& story, size_t first_later) const {
    const size_t gap = Find(story, "gap ");
    EXPECT_LT(gap, first_later) << Events(story);
    if (happening().lost == nullptr) return;
    const size_t lost = Find(story, happening().lost);
    EXPECT_LT(lost, first_later) << Events(story);
    if (!wish().every) {
      EXPECT_LE(lost, gap) << Events(story);
    }
  }
  // Numbers are missing at gaps and nowhere else.
  static void ExpectMissingOnlyAtGaps(const Listener::Story& story) {
    uint64_t expected = 0;
    for (const Listener::Heard& heard : story) {
      if (heard.what.rfind("gap ", 0) == 0) expected = 0;
      if (!heard.is_data) continue;
      const uint64_t number = std::stoull(heard.what);
      if (expected != 0) {
        ASSERT_EQ(number, expected) << Events(story);
      }
      expected = number + 1;
    }
  }
  static void ExpectUnbroken(const Listener::Story& story) {
    uint64_t expected = 0;
    for (const Listener::Heard& heard : story) {
      EXPECT_TRUE(heard.is_data || heard.what.find(" is now ") != std::string::npos ||
                  heard.what.rfind("left", 0) == 0 || heard.what.rfind("joined", 0) == 0)
          << heard.what;
      if (!heard.is_data) continue;
      const uint64_t number = std::stoull(heard.what);
      if (expected != 0) {
        ASSERT_EQ(number, expected);
      }
      expected = number + 1;
    }
  }
};

TEST_P(HealTest, ReceptionGoesOn) {
  if (happening().name == std::string("DeletedAndMadeAnewWithTheSameIndex")) {
    Delete();
    Make(77);
  }
  peer_.WaitUntilUp("a0", "b0");
  LiveGateway gateway;
  {
    Talker talker(peer_, Ip(wish().group), 5000, Ip(wish().source));
    Listener listener(&gateway, {wish().Request()});
    ASSERT_TRUE(listener.WaitForData(talker.next()).has_value());

    Do(happening().away, happening().peer_away);
    if (happening().lost != nullptr ? loses() : happening().only_ineligible && wish().every) {
      const std::string told = happening().lost == nullptr ? "left a0" : happening().lost;
      EXPECT_TRUE(listener.Hears(told)) << told << ": " << Events(listener.story());
    }
    if (happening().only_ineligible) {
      // What is back before anybody looks was never away.
      ASSERT_TRUE(gateway->reconciler().Follow().ok());
    }
    const int64_t back_ns = net::MonotonicNs();
    Do(happening().back, happening().peer_back);
    const int64_t done_ns = net::MonotonicNs();
    if (joins_again()) {
      // Until the gateway has noticed and joins again, it receives as before.
      EXPECT_TRUE(listener.WaitUntil([](const auto& so_far) { return Find(so_far, "gap ") < so_far.size(); }))
          << Events(listener.story());
    }
    const uint64_t later = talker.next();
    const std::optional<size_t> first_later = listener.WaitForData(later);
    const Listener::Story story = listener.story();
    ASSERT_TRUE(first_later.has_value()) << "deaf after: " << Events(story);
    if (loses()) {
      ExpectTold(story, *first_later);
      if (happening().lost != nullptr) {
        EXPECT_TRUE(listener.Hears("back a0")) << Events(listener.story());
      } else if (!happening().only_ineligible) {
        ExpectMissingOnlyAtGaps(story);
      }
    } else {
      ExpectUnbroken(story);
    }
    // The first datagram that came after the begin of the commands that bring the interface back.
    const auto first = std::find_if(story.begin(), story.end(), [&](const Listener::Heard& heard) {
      return heard.is_data && heard.at_ns > back_ns;
    });
    std::printf("recovery %-36s %-26s %7.1f ms, of which the commands %7.1f ms\n", happening().name,
                NameOf(wish()).c_str(), static_cast<double>(first->at_ns - back_ns) / 1e6,
                static_cast<double>(done_ns - back_ns) / 1e6);
    // What has just joined may join again, because of the addresses that came after the link.
    ASSERT_TRUE(gateway->reconciler().Follow().ok());
    EXPECT_EQ(GroupUsers("a0", Ip(wish().group)), 1);
    EXPECT_EQ(gateway->inspector().ListChannels()->size(), 1u) << "the same channel, also after it came back";
  }
  EXPECT_EQ(GroupUsers("a0", Ip(wish().group)), 0);
}

INSTANTIATE_TEST_SUITE_P(Matrix, HealTest,
                         testing::Combine(testing::Range<size_t>(0, std::size(kHappenings)),
                                          testing::Range<size_t>(0, std::size(kWishes))),
                         [](const testing::TestParamInfo<Case>& each) {
                           return absl::StrCat(kHappenings[std::get<0>(each.param)].name,
                                               NameOf(kWishes[std::get<1>(each.param)]));
                         });

// ---- An interface that is not there yet ----

class AppearTest : public HealFixture, public testing::TestWithParam<size_t> {};

TEST_P(AppearTest, IsJoinedWhenItComesAfterTheJoin) {
  const Wish& wish = kWishes[GetParam()];
  Delete();
  LiveGateway gateway;
  gateway::MembershipRequest request = wish.Request();
  request.wait_for_interface = true;
  Listener listener(&gateway, {request});
  Make();
  Talker talker(peer_, Ip(wish.group), 5000, Ip(wish.source));
  EXPECT_TRUE(listener.Hears("joined a0"));
  EXPECT_TRUE(listener.WaitForData(talker.next()).has_value());
  ASSERT_TRUE(gateway->reconciler().Follow().ok());
  EXPECT_EQ(GroupUsers("a0", Ip(wish.group)), 1);
}

INSTANTIATE_TEST_SUITE_P(Wishes, AppearTest, testing::Range<size_t>(0, std::size(kWishes)),
                         [](const testing::TestParamInfo<size_t>& each) { return NameOf(kWishes[each.param]); });

// ---- Identity ----

class HealIdentityTest : public HealFixture, public testing::Test {};

TEST_F(HealIdentityTest, AnInterfaceThatMovesAwayAndBackGoesOn) {
  LiveGateway gateway;
  Listener listener(&gateway, {kWishes[0].Request()});
  Shell("ip link set a0 netns peer");
  EXPECT_TRUE(listener.Hears("lost a0 deleted"));
  // It comes home with its old index, which is free.
  Shell("ip -n peer link set a0 netns 1");
  Shell("ip link set a0 addrgenmode none up");
  GiveAddresses();
  Talker talker(peer_, Ip("239.1.1.1"), 5000, Ip("10.0.0.2"));
  EXPECT_TRUE(listener.WaitForData(talker.next()).has_value());
  EXPECT_EQ(gateway->inspector().ListChannels()->size(), 1u);
}

TEST_F(HealIdentityTest, WhereMessagesAreLostTheInterfacesAreReadAgain) {
  LiveGateway gateway(/*watch_buffer_bytes=*/1);  // As good as none: the kernel's least.
  Listener listener(&gateway, {kWishes[0].Request(), kWishes[4].Request()});
  std::string commands;
  for (int i = 0; i < 500; ++i) absl::StrAppend(&commands, "addr add 10.9.", i / 250, ".", i % 250 + 1, "/32 dev a0\n");
  for (int i = 0; i < 20; ++i) absl::StrAppend(&commands, "link set a0 down\nlink set a0 up\n");
  Shell(absl::StrCat("printf '", commands, "' | ip -batch -"));
  Delete();
  Make();
  Talker talker(peer_, Ip("239.1.1.1"), 5000, Ip("10.0.0.2"));
  EXPECT_TRUE(listener.WaitForData(talker.next()).has_value());
  ASSERT_TRUE(gateway->reconciler().Follow().ok());
  EXPECT_EQ(GroupUsers("a0", Ip("239.1.1.1")), 1);
  EXPECT_EQ(GroupUsers("a0", Ip("ff15::1")), 1);
}

TEST_F(HealIdentityTest, AnInterfaceThatHasJustBeenMadeWasNotLost) {
  std::vector<gateway::MembershipRequest> every;
  for (int i = 0; i < 8; ++i) {
    gateway::MembershipRequest request = kWishes[1].Request();
    request.group = Ip(absl::StrCat("239.1.2.", i));
    every.push_back(request);
  }
  LiveGateway gateway;
  Listener listener(&gateway, every);
  std::string commands;
  for (int i = 0; i < 100; ++i) {
    absl::StrAppend(&commands, "link add m", i, " link a0 type macvlan mode bridge\naddr add 10.9.", i, ".1/24 dev m",
                    i, "\nlink set m", i, " up\n");
  }
  Shell(absl::StrCat("printf '", commands, "' | ip -batch -"));
  const auto joined = [](const Listener::Story& story) {
    return std::count_if(story.begin(), story.end(),
                         [](const Listener::Heard& heard) { return heard.what.rfind("joined m", 0) == 0; });
  };
  EXPECT_TRUE(listener.WaitUntil([&](const Listener::Story& story) { return joined(story) == 800; }))
      << joined(listener.story());
  for (const Listener::Heard& heard : listener.story()) {
    EXPECT_NE(heard.what.rfind("lost ", 0), 0u) << heard.what;
    EXPECT_NE(heard.what.rfind("gap ", 0), 0u) << heard.what;
  }
}

TEST_F(HealIdentityTest, WhatAPassthroughDeviceIsMadeOnGoesOnReceiving) {
  LiveGateway gateway;
  Listener listener(&gateway, {kWishes[0].Request(), kWishes[4].Request()});
  Shell("ip link add m0 link a0 type macvlan mode passthru && ip link set m0 up");
  {
    Talker talker(peer_, Ip("239.1.1.1"), 5000, Ip("10.0.0.2"));
    EXPECT_TRUE(listener.WaitForData(talker.next()).has_value());
  }
  listener.Forget();
  Talker talker(peer_, Ip("ff15::1"), 5000, Ip("fd00::2"));
  EXPECT_TRUE(listener.WaitForData(talker.next()).has_value());
}

TEST_F(HealIdentityTest, EveryInterfaceLeavesTheHostSidesOfContainersAlone) {
  std::string commands;
  for (int i = 0; i < 200; ++i) {
    absl::StrAppend(&commands, "link add veth", i, " type veth peer name eth", i, " netns peer\n");
    absl::StrAppend(&commands, "link set veth", i, " up\naddr add fe80::1:", i + 1, "/64 dev veth", i, " nodad\n");
  }
  LiveGateway gateway;
  Listener listener(&gateway, {kWishes[1].Request(), kWishes[5].Request()});
  timespec before{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &before);
  const int64_t began_ns = net::MonotonicNs();
  Shell(absl::StrCat("printf '", commands, "' | ip -batch -"));
  ASSERT_TRUE(gateway->reconciler().Follow().ok());
  timespec after{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &after);
  EXPECT_GE(gateway->inspector().ListInterfaces()->size(), 202u);
  EXPECT_EQ(gateway->inspector().ListChannels()->size(), 2u);
  for (int i = 0; i < 200; ++i) EXPECT_EQ(GroupUsers(absl::StrCat("veth", i), Ip("239.1.1.1")), 0) << i;
  std::printf("200 container links: %.0f ms of processor time in %.0f ms\n",
              static_cast<double>(after.tv_sec - before.tv_sec) * 1e3 +
                  static_cast<double>(after.tv_nsec - before.tv_nsec) / 1e6,
              static_cast<double>(net::MonotonicNs() - began_ns) / 1e6);
  commands.clear();
  for (int i = 0; i < 200; ++i) absl::StrAppend(&commands, "link del veth", i, "\n");
  Shell(absl::StrCat("printf '", commands, "' | ip -batch -"));
}

}  // namespace
}  // namespace mcgw::kernel
