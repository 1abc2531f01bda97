// What each change of an interface means for streams and sockets: one row for each transition.

#include "server/gateway/channels/interface_state.h"

#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/net/status.h"
#include "server/net/text.h"
#include "tests/support/event_story.h"
#include "tests/support/fakes.h"

namespace mcgw::gateway {
namespace {

using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

// One look at the interface; nothing: it does not exist.
struct Look {
  std::optional<net::Interface> interface;
  InterfaceInterim interim;
};

// a0, up and with carrier, but for what `change` changes.
Look With(const std::function<void(net::Interface*)>& change, const InterfaceInterim& interim = {}) {
  net::Interface a0 = testing::FakeInterface(2, "a0", {"10.0.0.1/24"});
  a0.mac_address = "02:00:00:00:00:01";
  a0.carrier_changes = 5;
  change(&a0);
  return {a0, interim};
}
const Look kA0 = With([](net::Interface*) {});
const Look kGone;
const Look kDown = With([](net::Interface* a0) { a0->up = false; });
const Look kNoCarrier = With([](net::Interface* a0) { a0->carrier = false; });
const Look kNoIpv6 = With([](net::Interface* a0) { a0->ipv6 = false; });
const Look kNoAddresses = With([](net::Interface* a0) { a0->addresses.clear(); });
const Look kMacOnly = With([](net::Interface* a0) { a0->mac_address = "02:00:00:00:00:02"; });
const Look kRenamed = With([](net::Interface* a0) { a0->name = "b0"; });
const Look kOtherIndex = With([](net::Interface* a0) { a0->index = 9; });
const Look kOtherIndexDown = With([](net::Interface* a0) { a0->index = 9, a0->up = false; });
const Look kCarrierBack = With([](net::Interface* a0) { a0->carrier_changes = 7; });
const Look kCountFromZero = With([](net::Interface* a0) { a0->carrier_changes = 1; });
const Look kNoMulticast = With([](net::Interface* a0) { a0->carries_multicast = false; });
Look PortOf(const std::string& kind, bool up = true) {
  return With([&](net::Interface* a0) { a0->master_index = 7, a0->port_kind = kind, a0->up = up; });
}
Look BridgeWith(std::vector<net::Interface::Port> ports) {
  return With([&](net::Interface* a0) { a0->ports = std::move(ports); });
}
Look WithIpv4(const std::string& address) {
  return With([&](net::Interface* a0) { a0->addresses = testing::FakeInterface(2, "a0", {address}).addresses; });
}
Look After(Look look, const InterfaceInterim& interim) {
  look.interim = interim;
  return look;
}

// Of a step, in words: the events, then "mark" if the logs are to say so, then what becomes of the sockets.
std::string Story(const InterfaceState::Step& step) {
  std::string story;
  const auto add = [&story](const std::string& word) { story += (story.empty() ? "" : ", ") + word; };
  for (const fanout::Event& event : step.events) add(testing::EventStory(event));
  if (step.lost) add("mark");
  const char* const kVerbs[] = {"keep", "renew", "close"};
  if (step.ipv4 == step.ipv6 && step.ipv4 != InterfaceState::Sockets::kKeep) {
    add(kVerbs[static_cast<int>(step.ipv4)]);
  } else {
    if (step.ipv4 != InterfaceState::Sockets::kKeep) add(net::StrCat(kVerbs[static_cast<int>(step.ipv4)], " IPv4"));
    if (step.ipv6 != InterfaceState::Sockets::kKeep) add(net::StrCat(kVerbs[static_cast<int>(step.ipv6)], " IPv6"));
  }
  if (step.only_ipv6_off) add("IPv6 off");
  return story;
}

struct Transition {
  std::string what;
  std::vector<Look> looks;  // The first is the one that the state begins with.
  std::string story;        // Of the last.
};

const std::vector<Transition>& Transitions() {
  static const std::vector<Transition> kTransitions = {
      {"nothing changes", {kA0, kA0}, ""},
      // Comes and goes.
      {"it never was there and is not", {kGone, kGone}, "close"},
      {"it appears for the first time", {kGone, kA0}, ""},
      {"it appears down", {kGone, kDown}, ""},
      {"it appeared down and comes up", {kGone, kDown, kA0}, "back a0, renew IPv4"},
      {"it is deleted", {kA0, kGone}, "lost a0 deleted, mark, close"},
      {"it stays away", {kA0, kGone, kGone}, "close"},
      {"it comes back", {kA0, kGone, kA0}, "back a0, renew IPv4"},
      {"it comes back with another index", {kA0, kGone, kOtherIndex}, "back a0, renew IPv4"},
      {"it comes back down", {kA0, kGone, kDown}, ""},
      {"it came back down and comes up", {kA0, kGone, kDown, kA0}, "back a0, renew IPv4"},
      {"it was down and is deleted", {kA0, kDown, kGone}, "close"},
      // Another device.
      {"the index changes", {kA0, kOtherIndex}, "lost a0 deleted, back a0, mark, renew"},
      {"the index changes, and the new one is down", {kA0, kOtherIndexDown}, "lost a0 deleted, mark, close"},
      {"the index changes while it is down", {kDown, kOtherIndex}, "back a0, renew"},
      {"the index changes while it stays down", {kDown, kOtherIndexDown}, "close"},
      {"deleted and made again between two looks",
       {kA0, After(kA0, {.deleted = true})},
       "lost a0 deleted, back a0, mark, renew"},
      {"the count of carrier changes begins again", {kA0, kCountFromZero}, "lost a0 deleted, back a0, mark, renew"},
      {"made again without IPv6",
       {kA0, After(kNoIpv6, {.deleted = true})},
       "lost a0 deleted, back a0, mark, renew IPv4, close IPv6"},
      // The name.
      {"it is renamed", {kA0, kRenamed}, "a0 is now b0"},
      {"it is renamed while it is down", {kDown, kRenamed}, "a0 is now b0, back b0, renew IPv4"},
      {"it comes back under another name", {kA0, kGone, kRenamed}, "back b0, renew IPv4"},
      // Down, up.
      {"it goes down", {kA0, kDown}, "lost a0 down, mark"},
      {"it stays down", {kA0, kDown, kDown}, ""},
      {"it comes up", {kA0, kDown, kA0}, "back a0, renew IPv4"},
      {"down and up between two looks", {kA0, After(kA0, {.down = true})}, "lost a0 down, back a0, mark, renew IPv4"},
      {"up and down between two looks", {kDown, After(kDown, {.down = true})}, ""},
      {"it was down before it appeared", {kGone, After(kA0, {.down = true})}, ""},
      // Carrier.
      {"the carrier goes", {kA0, kNoCarrier}, "lost a0 no-carrier, mark"},
      {"the carrier comes back", {kA0, kNoCarrier, kCarrierBack}, "back a0, renew IPv4"},
      {"the carrier goes and comes between two looks",
       {kA0, kCarrierBack},
       "lost a0 no-carrier, back a0, mark, renew IPv4"},
      {"no carrier, and then down", {kA0, kNoCarrier, kDown}, ""},
      {"deleted, down and a port between two looks: the gravest is told",
       {kA0, After(kCarrierBack, {.deleted = true, .down = true, .enslaved = true})},
       "lost a0 deleted, back a0, mark, renew"},
      {"down and a port between two looks",
       {kA0, After(kA0, {.down = true, .enslaved = true})},
       "lost a0 down, back a0, mark, renew"},
      // A port of another device.
      {"it becomes a port of a bridge", {kA0, PortOf("bridge")}, "lost a0 enslaved, mark"},
      {"it becomes a port of a VRF", {kA0, PortOf("vrf")}, ""},
      {"it becomes a port of a mesh", {kA0, PortOf("batadv")}, ""},
      {"it becomes a port while it is down", {kA0, kDown, PortOf("bond")}, "lost a0 enslaved"},
      {"it is a port and stays down", {kA0, kDown, PortOf("bond", /*up=*/false)}, ""},
      {"it is freed", {kA0, PortOf("bridge"), kA0}, "back a0, renew"},
      {"a port for a moment between two looks",
       {kA0, After(kA0, {.enslaved = true})},
       "lost a0 enslaved, back a0, mark, renew"},
      {"it appears as a port", {kGone, PortOf("bridge")}, ""},
      {"a port goes down", {kA0, PortOf("bridge"), PortOf("bridge", /*up=*/false)}, ""},
      {"down for a moment on the way to a port",
       {kA0, After(PortOf("bridge"), {.down = true})},
       "lost a0 enslaved, mark"},
      // What the network hears of it.
      {"the first IPv4 address comes", {kNoAddresses, kA0}, "renew IPv4"},
      {"the last IPv4 address goes", {kA0, kNoAddresses}, ""},
      {"another IPv4 address", {kA0, WithIpv4("10.0.0.9/24")}, "renew IPv4"},
      {"an IPv6 address comes", {kNoAddresses, WithIpv4("fd00::1/64")}, ""},
      {"another MAC address", {kA0, kMacOnly}, "renew"},
      {"another MAC address while it has no carrier", {kA0, kNoCarrier, kMacOnly}, "back a0, renew"},
      {"a port of the bridge comes", {BridgeWith({}), BridgeWith({{4, 1}})}, "renew"},
      {"a port of the bridge goes", {BridgeWith({{4, 1}}), BridgeWith({})}, ""},
      {"a port of the bridge went and came", {BridgeWith({{4, 1}}), BridgeWith({{4, 3}})}, "renew"},
      // What it can do.
      {"IPv6 is switched off", {kA0, kNoIpv6}, "close IPv6, IPv6 off"},
      {"IPv6 is switched on", {kNoIpv6, kA0}, ""},
      {"IPv6 is switched off while it is down", {kDown, kNoIpv6}, "back a0, renew IPv4, close IPv6, IPv6 off"},
      {"it carries multicast no more", {kA0, kNoMulticast}, ""},
  };
  return kTransitions;
}

const net::Interface* PointerTo(const Look& look) { return look.interface ? &*look.interface : nullptr; }

TEST(InterfaceStateTest, EachTransition) {
  for (const Transition& transition : Transitions()) {
    InterfaceState state("a0", PointerTo(transition.looks.front()));
    InterfaceState::Step step;
    for (size_t i = 1; i < transition.looks.size(); ++i) {
      const Look& look = transition.looks[i];
      step = state.Update(PointerTo(look), look.interim, 1'000 + static_cast<int64_t>(i));
      EXPECT_EQ(state.index(), look.interface ? look.interface->index : 0) << transition.what;
    }
    EXPECT_EQ(Story(step), transition.story) << transition.what;
  }
}

TEST(InterfaceStateTest, ALossNamesTheInterfaceAsItWasAndBearsTheTime) {
  InterfaceState state("a0", PointerTo(kA0));
  const InterfaceState::Step step = state.Update(PointerTo(kOtherIndex), {}, 77);
  const auto& lost = std::get<fanout::InterfaceLost>(step.events.at(0));
  EXPECT_EQ(lost.interface_index, 2u);
  EXPECT_EQ(lost.time_unix_ns, 77);
  EXPECT_EQ(std::get<fanout::InterfaceRestored>(step.events.at(1)).interface_index, 9u);
}

TEST(InterfaceStateTest, LossesAreCountedOnceEach) {
  InterfaceState state("a0", PointerTo(kA0));
  for (const Look& look : {kDown, kDown, kGone, kA0, After(kA0, {.down = true}), PortOf("bridge"), kA0}) {
    state.Update(PointerTo(look), look.interim, 1);
  }
  EXPECT_EQ(state.losses(), 3u);
}

TEST(InterfaceStateTest, LostMembershipsAreALossUntilTheyAreRestored) {
  InterfaceState state("a0", PointerTo(kA0));
  EXPECT_EQ(testing::EventStory(state.LoseMemberships({4, 7}, 1)), "lost a0 membership");
  EXPECT_THAT(state.lost_memberships(), UnorderedElementsAre(4u, 7u));
  EXPECT_FALSE(state.lost().has_value());
  EXPECT_EQ(Story(state.Update(PointerTo(kA0), {}, 2)), "");
  EXPECT_THAT(state.lost_memberships(), UnorderedElementsAre(4u, 7u));
  EXPECT_EQ(testing::EventStory(state.RestoreMemberships(3)), "back a0");
  EXPECT_THAT(state.lost_memberships(), IsEmpty());
  EXPECT_EQ(state.losses(), 1u);
}

TEST(InterfaceStateTest, AnInterfaceThatIsLostTakesItsLostMembershipsIn) {
  InterfaceState state("a0", PointerTo(kA0));
  state.LoseMemberships({4}, 1);
  EXPECT_EQ(Story(state.Update(PointerTo(kDown), {}, 2)), "") << "the streams know that it is lost";
  EXPECT_THAT(state.lost_memberships(), IsEmpty());
  EXPECT_EQ(Story(state.Update(PointerTo(kA0), {}, 3)), "back a0, renew IPv4");
}

TEST(InterfaceStateTest, SaysWhyItCannotBeJoinedOn) {
  using net::Family;
  using net::Reason;
  const auto reason = [](const Look& look, Family family) {
    return net::ReasonOf(InterfaceState("a0", PointerTo(look)).Usable(family));
  };
  EXPECT_EQ(reason(kGone, Family::kIpv4), Reason::kInterfaceNotFound);
  EXPECT_EQ(reason(kDown, Family::kIpv4), Reason::kInterfaceDown);
  EXPECT_EQ(reason(PortOf("bridge"), Family::kIpv4), Reason::kInterfaceEnslaved);
  EXPECT_EQ(reason(kNoMulticast, Family::kIpv6), Reason::kNoMulticast);
  EXPECT_EQ(reason(kNoIpv6, Family::kIpv6), Reason::kNoAddress);
  EXPECT_TRUE(InterfaceState("a0", PointerTo(kNoIpv6)).Usable(Family::kIpv4).ok());
  EXPECT_TRUE(InterfaceState("a0", PointerTo(kNoCarrier)).Usable(Family::kIpv4).ok()) << "a carrier comes";
  EXPECT_FALSE(InterfaceState("a0", PointerTo(kNoCarrier)).Unjoinable());
  EXPECT_TRUE(InterfaceState("a0", PointerTo(kDown)).Unjoinable());
}

}  // namespace
}  // namespace mcgw::gateway
