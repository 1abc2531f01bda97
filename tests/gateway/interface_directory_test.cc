// What a selector means.

#include "server/gateway/interfaces/interface_directory.h"

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/net/status.h"
#include "server/net/text.h"
#include "tests/support/fake_host.h"

namespace mcgw::gateway {
namespace {

using net::Family;
using net::Reason;
using ::testing::ElementsAre;
using testing::FakeInterface;
using ::testing::HasSubstr;
using testing::Ip;
using ::testing::IsEmpty;
using ::testing::Not;
using Exclusion = InterfaceDirectory::Exclusion;

class InterfaceDirectoryTest : public ::testing::Test {
 protected:
  std::unique_ptr<InterfaceDirectory> New(std::vector<std::string> permitted = {}, std::string default_interface = "") {
    auto directory =
        std::make_unique<InterfaceDirectory>(host_.Source(), std::move(permitted), std::move(default_interface));
    EXPECT_TRUE(directory->Refresh().ok());
    return directory;
  }
  static std::vector<std::string> Names(InterfaceDirectory* directory, std::string_view selector,
                                        std::string_view group = "239.1.1.1") {
    const auto interfaces = directory->Resolve(selector, Ip(group));
    if (!interfaces.ok()) return {std::string(net::ReasonName(net::ReasonOf(interfaces.status())))};
    std::vector<std::string> names;
    for (const Selected& selected : *interfaces) names.push_back(selected.interface->name);
    return names;
  }
  std::vector<Exclusion> Exclusions(const net::Interface& interface, Family family = Family::kIpv4) {
    return New()->StarExclusions(interface, family);
  }

  testing::FakeHost host_;
};

TEST_F(InterfaceDirectoryTest, FindsANameOrAnAddress) {
  const auto directory = New();
  EXPECT_THAT(Names(directory.get(), "a1"), ElementsAre("a1"));
  EXPECT_THAT(Names(directory.get(), "10.0.1.1"), ElementsAre("a1"));
  EXPECT_THAT(Names(directory.get(), "fd00::1"), ElementsAre("a0"));
  EXPECT_THAT(Names(directory.get(), "fe80::1"), ElementsAre("a0"));
  EXPECT_THAT(Names(directory.get(), "lo"), ElementsAre("lo"));
  EXPECT_THAT(Names(directory.get(), "127.0.0.1"), ElementsAre("lo"));
}

TEST_F(InterfaceDirectoryTest, SaysWhatThereIsWhereThereIsNone) {
  const auto directory = New();
  for (const std::string_view selector : {"nosuch", "10.9.9.9", "fd09::1", "a0 ", "A0"}) {
    const absl::Status status = directory->Resolve(selector, Ip("239.1.1.1")).status();
    EXPECT_EQ(net::ReasonOf(status), Reason::kInterfaceNotFound) << selector;
    EXPECT_EQ(net::FieldOf(status), "interface");
    EXPECT_THAT(std::string(status.message()), HasSubstr("lo, a0, a1"));
  }
}

TEST_F(InterfaceDirectoryTest, FindsAnInterfaceAsSoonAsItExists) {
  const auto directory = New();
  EXPECT_THAT(Names(directory.get(), "a2"), ElementsAre("INTERFACE_NOT_FOUND"));
  host_.interfaces.push_back(FakeInterface(4, "a2", {"10.0.2.1/24"}));
  EXPECT_THAT(Names(directory.get(), "a2"), ElementsAre("a2"));
  const int reads = host_.table_reads.load();
  EXPECT_THAT(Names(directory.get(), "a2"), ElementsAre("a2"));
  EXPECT_EQ(host_.table_reads.load(), reads);
}

TEST_F(InterfaceDirectoryTest, ATableThatCannotBeReadIsAnError) {
  const auto directory = New();
  host_.table_status = absl::InternalError("netlink");
  EXPECT_EQ(directory->Resolve("nosuch", Ip("239.1.1.1")).status().code(), absl::StatusCode::kInternal);
  EXPECT_EQ(directory->Resolve("*", Ip("239.1.1.1")).status().code(), absl::StatusCode::kInternal);
  EXPECT_THAT(Names(directory.get(), "a0"), ElementsAre("a0"));
}

// ---- The default ----

TEST_F(InterfaceDirectoryTest, TheDefaultForIpv4IsTheRoutes) {
  const auto directory = New();
  EXPECT_THAT(Names(directory.get(), ""), ElementsAre("a0"));
  host_.ipv4_route = 3;
  EXPECT_THAT(Names(directory.get(), ""), ElementsAre("a1"));
  host_.ipv4_route = 0;
  EXPECT_THAT(Names(directory.get(), ""), ElementsAre("NO_ROUTE"));
  host_.ipv4_route = 99;
  EXPECT_THAT(Names(directory.get(), ""), ElementsAre("INTERFACE_NOT_FOUND"));
}

TEST_F(InterfaceDirectoryTest, TheDefaultForIpv6IsTheOnlyEligibleOne) {
  host_.Find("a1").addresses.pop_back();  // Its IPv6 address.
  EXPECT_THAT(Names(New().get(), "", "ff15::1"), ElementsAre("a0"));
}

TEST_F(InterfaceDirectoryTest, AmongSeveralTheDefaultForIpv6IsTheDefaultRoutes) {
  const auto directory = New();
  EXPECT_THAT(Names(directory.get(), "", "ff15::1"), ElementsAre("INTERFACE_AMBIGUOUS"));
  EXPECT_THAT(std::string(directory->Resolve("", Ip("ff15::1")).status().message()), HasSubstr("a0, a1"));
  host_.ipv6_default_route = 3;
  EXPECT_THAT(Names(directory.get(), "", "ff15::1"), ElementsAre("a1"));
}

TEST_F(InterfaceDirectoryTest, WithNoneEligibleTheDefaultForIpv6IsAmbiguous) {
  host_.interfaces.resize(1);
  EXPECT_THAT(Names(New().get(), "", "ff15::1"), ElementsAre("INTERFACE_AMBIGUOUS"));
}

TEST_F(InterfaceDirectoryTest, AConfiguredDefaultGoesBeforeTheRoutes) {
  const auto directory = New({}, "a1");
  EXPECT_THAT(Names(directory.get(), ""), ElementsAre("a1"));
  EXPECT_THAT(Names(directory.get(), "", "ff15::1"), ElementsAre("a1"));
  EXPECT_THAT(Names(directory.get(), "a0"), ElementsAre("a0"));
  EXPECT_THAT(Names(New({}, "nosuch").get(), ""), ElementsAre("INTERFACE_NOT_FOUND"));
}

// ---- The permitted ----

TEST_F(InterfaceDirectoryTest, OnlyPermittedInterfacesAreUsed) {
  const auto directory = New({"a1"});
  EXPECT_THAT(Names(directory.get(), "a1"), ElementsAre("a1"));
  EXPECT_THAT(Names(directory.get(), "a0"), ElementsAre("INTERFACE_NOT_ALLOWED"));
  EXPECT_THAT(Names(directory.get(), "10.0.0.1"), ElementsAre("INTERFACE_NOT_ALLOWED"));
  EXPECT_THAT(Names(directory.get(), ""), ElementsAre("INTERFACE_NOT_ALLOWED"));
  EXPECT_THAT(Names(directory.get(), "*"), ElementsAre("a1"));
  EXPECT_THAT(Names(directory.get(), "", "ff15::1"), ElementsAre("a1"));
  EXPECT_TRUE(directory->IsPermitted(host_.Find("a1")));
  EXPECT_FALSE(directory->IsPermitted(host_.Find("a0")));
  EXPECT_TRUE(New()->IsPermitted(host_.Find("lo")));
}

// ---- The star ----

TEST_F(InterfaceDirectoryTest, TheStarMeansAllThatAreEligible) {
  const auto directory = New();
  EXPECT_THAT(Names(directory.get(), "*"), ElementsAre("a0", "a1"));
  host_.interfaces.push_back(FakeInterface(4, "a2", {"10.0.2.1/24"}));
  EXPECT_THAT(Names(directory.get(), "*"), ElementsAre("a0", "a1", "a2"));  // Looked up again.
  EXPECT_THAT(Names(directory.get(), "*", "ff15::1"), ElementsAre("a0", "a1"));
}

TEST_F(InterfaceDirectoryTest, TheStarMayMeanNone) {
  host_.interfaces.resize(1);
  EXPECT_THAT(Names(New().get(), "*"), IsEmpty());
}

TEST_F(InterfaceDirectoryTest, TheStarLeavesOutForAReason) {
  const net::Interface fine = FakeInterface(4, "a2", {"10.0.2.1/24"});
  EXPECT_THAT(Exclusions(fine), IsEmpty());
  EXPECT_THAT(Exclusions(fine, Family::kIpv6), ElementsAre(Exclusion::kNoAddress));
  net::Interface interface = fine;
  interface.up = false;
  EXPECT_THAT(Exclusions(interface), ElementsAre(Exclusion::kDown));
  interface = fine;
  interface.multicast = false;
  EXPECT_THAT(Exclusions(interface), ElementsAre(Exclusion::kNoMulticast));
  interface = fine;
  interface.carries_multicast = false;
  EXPECT_THAT(Exclusions(interface), ElementsAre(Exclusion::kNoMulticast));
  interface = fine;
  interface.master_index = 9;
  for (const char* kind : {"bridge", "bond", "team", "openvswitch", "of a later kernel"}) {
    interface.port_kind = kind;
    EXPECT_THAT(Exclusions(interface), ElementsAre(Exclusion::kEnslaved)) << kind;
  }
  interface = fine;
  interface.kind = "vrf";
  EXPECT_THAT(Exclusions(interface), ElementsAre(Exclusion::kVrf));
  interface = fine;
  interface.loopback = true;
  EXPECT_THAT(Exclusions(interface), ElementsAre(Exclusion::kLoopback));
  interface.up = false;
  interface.addresses.clear();
  EXPECT_THAT(Exclusions(interface), ElementsAre(Exclusion::kDown, Exclusion::kNoAddress, Exclusion::kLoopback));
  EXPECT_THAT(New({"a0"})->StarExclusions(fine, Family::kIpv4), ElementsAre(Exclusion::kNotPermitted));
}

TEST_F(InterfaceDirectoryTest, AnInterfaceWithoutCarrierIsEligible) {
  net::Interface interface = FakeInterface(4, "a2", {"10.0.2.1/24"});
  interface.carrier = false;
  EXPECT_THAT(Exclusions(interface), IsEmpty());
}

TEST_F(InterfaceDirectoryTest, TheStarLeavesOutTheHostsSideOfAContainer) {
  const auto veth = [](const std::vector<std::string_view>& addresses, bool peer_elsewhere = true) {
    net::Interface interface = FakeInterface(4, "veth1", addresses);
    interface.kind = "veth";
    interface.peer_in_other_namespace = peer_elsewhere;
    return interface;
  };
  EXPECT_THAT(Exclusions(veth({"169.254.1.1/32"})), ElementsAre(Exclusion::kContainerVeth));
  EXPECT_THAT(Exclusions(veth({"10.244.0.1/32"})), ElementsAre(Exclusion::kContainerVeth));
  EXPECT_THAT(Exclusions(veth({"fe80::1/64"}), Family::kIpv6), ElementsAre(Exclusion::kContainerVeth));
  EXPECT_THAT(Exclusions(veth({"fe80::1/64", "fd00::1/128"}), Family::kIpv6), ElementsAre(Exclusion::kContainerVeth));
  // A veth with a network of its own is one, wherever its peer is.
  EXPECT_THAT(Exclusions(veth({"10.0.0.1/24"})), IsEmpty());
  EXPECT_THAT(Exclusions(veth({"10.0.0.1/32"}, false)), IsEmpty());
  // Nor is one that leads to the rest of the world: the own end of a pod with a host address.
  net::Interface pod = veth({"10.42.0.5/32"});
  pod.uplink = true;
  EXPECT_THAT(Exclusions(pod), IsEmpty());
  host_.interfaces.push_back(veth({"10.244.0.1/32"}));
  EXPECT_THAT(Names(New().get(), "*"), ElementsAre("a0", "a1"));
  EXPECT_THAT(Names(New().get(), "veth1"), ElementsAre("veth1"));
}

TEST_F(InterfaceDirectoryTest, TheStarTakesThePodsOnlyInterface) {
  net::Interface eth0 = FakeInterface(2, "eth0", {"10.42.0.5/32"});
  eth0.kind = "veth";
  eth0.peer_in_other_namespace = true;
  host_.interfaces = {host_.Find("lo"), eth0};
  EXPECT_THAT(Names(New().get(), "*"), ElementsAre("eth0"));
}

TEST_F(InterfaceDirectoryTest, SaysWhatTheStarLeavesOutAndWhy) {
  host_.Find("a1").up = false;
  const auto directory = New({"lo", "a1"});
  EXPECT_EQ(directory->LeftOut(*directory->table(), Family::kIpv4),
            "lo (it lacks the MULTICAST flag and it is the loopback), "
            "a0 (the configuration does not permit it), a1 (it is down)");
}

// ---- Names and addresses that are not unique, or not the only ones ----

TEST_F(InterfaceDirectoryTest, AnAddressOfSeveralInterfacesIsAmbiguous) {
  host_.Find("lo").addresses.push_back({Ip("10.0.0.1"), 32});
  const auto directory = New();
  const absl::Status status = directory->Resolve("10.0.0.1", Ip("239.1.1.1")).status();
  EXPECT_EQ(net::ReasonOf(status), Reason::kInterfaceAmbiguous);
  EXPECT_EQ(net::FieldOf(status), "interface");
  EXPECT_THAT(std::string(status.message()), HasSubstr("10.0.0.1 (lo, a0)"));
  EXPECT_THAT(Names(directory.get(), "a0"), ElementsAre("a0"));
  // Among those that the gateway may use there is but one.
  EXPECT_THAT(Names(New({"a0"}).get(), "10.0.0.1"), ElementsAre("a0"));
  EXPECT_THAT(Names(New({"a1"}).get(), "10.0.0.1"), ElementsAre("INTERFACE_NOT_ALLOWED"));
}

TEST_F(InterfaceDirectoryTest, AnAlternativeNameIsAName) {
  host_.Find("a1").alternative_names = {"enp5s0", "a-name-that-is-longer-than-15-bytes"};
  for (const std::string name : {"enp5s0", "a-name-that-is-longer-than-15-bytes"}) {
    EXPECT_THAT(Names(New().get(), name), ElementsAre("a1"));
    const auto directory = New({name}, name);
    EXPECT_THAT(Names(directory.get(), ""), ElementsAre("a1"));
    EXPECT_THAT(Names(directory.get(), "*"), ElementsAre("a1"));
    EXPECT_THAT(Names(directory.get(), "a1"), ElementsAre("a1"));
    EXPECT_THAT(Names(directory.get(), "a0"), ElementsAre("INTERFACE_NOT_ALLOWED"));
    EXPECT_EQ(directory->AwaitedName(name).value(), name);
  }
  EXPECT_FALSE(New()->AwaitedName(std::string(128, 'x')).ok());
}

// ---- VRF ----

TEST_F(InterfaceDirectoryTest, TheStarTakesThePortsOfAVrf) {
  net::Interface red = FakeInterface(9, "red", {});
  red.kind = "vrf";
  red.multicast = false;
  host_.interfaces.push_back(red);
  host_.Find("a1").master_index = 9;
  host_.Find("a1").port_kind = "vrf";
  EXPECT_THAT(Names(New().get(), "*"), ElementsAre("a0", "a1"));
  // Only by name where others are there, as for programs that know of no VRF.
  EXPECT_THAT(Names(New().get(), "", "ff15::1"), ElementsAre("a0"));
  host_.Remove("a0");
  EXPECT_THAT(Names(New().get(), "", "ff15::1"), ElementsAre("a1"));
}

TEST_F(InterfaceDirectoryTest, WithoutARouteItNamesThoseOfVrfs) {
  net::Interface red = FakeInterface(9, "red", {});
  red.kind = "vrf";
  host_.interfaces.push_back(red);
  host_.ipv4_route = 0;
  const auto directory = New();
  const absl::Status none = directory->Resolve("", Ip("239.1.1.1")).status();
  EXPECT_EQ(net::ReasonOf(none), Reason::kNoRoute);
  EXPECT_THAT(std::string(none.message()), Not(HasSubstr("VRF")));
  host_.vrf_routes[9] = 3;
  const absl::Status status = directory->Resolve("", Ip("239.1.1.1")).status();
  EXPECT_EQ(net::ReasonOf(status), Reason::kNoRoute);
  EXPECT_THAT(std::string(status.message()), HasSubstr("in VRF red it leads through a1"));
}

// ---- What is asked once ----

TEST_F(InterfaceDirectoryTest, TheStarReadsTheInterfacesOnceUntilSomethingChanges) {
  host_.watched = true;
  const auto directory = New();
  const int reads = host_.table_reads.load();
  for (int i = 0; i < 3; ++i) EXPECT_THAT(Names(directory.get(), "*"), ElementsAre("a0", "a1"));
  EXPECT_EQ(host_.table_reads.load(), reads);
  host_.interfaces.push_back(FakeInterface(4, "a2", {"10.0.2.1/24"}));
  host_.Announce();
  for (int i = 0; i < 3; ++i) EXPECT_THAT(Names(directory.get(), "*"), ElementsAre("a0", "a1", "a2"));
  EXPECT_EQ(host_.table_reads.load(), reads + 1);
}

TEST_F(InterfaceDirectoryTest, RoutesAreAskedOnceUntilSomethingChanges) {
  host_.watched = true;
  host_.ipv6_default_route = 3;
  const auto directory = New();
  for (int i = 0; i < 3; ++i) {
    EXPECT_THAT(Names(directory.get(), ""), ElementsAre("a0"));
    EXPECT_THAT(Names(directory.get(), "", "239.1.1.2"), ElementsAre("a0"));
    EXPECT_THAT(Names(directory.get(), "", "ff15::1"), ElementsAre("a1"));
  }
  EXPECT_EQ(host_.route_lookups.load(), 3);  // One for each group of IPv4, and one for IPv6.
  host_.ipv4_route = 3;
  host_.Announce();
  EXPECT_THAT(Names(directory.get(), ""), ElementsAre("a1"));
  EXPECT_THAT(Names(directory.get(), "", "239.1.1.2"), ElementsAre("a1"));
  EXPECT_EQ(host_.route_lookups.load(), 5);
}

TEST_F(InterfaceDirectoryTest, ARouteThatChangesWhileItIsAskedForIsNotRemembered) {
  host_.watched = true;
  const auto directory = New();
  host_.after_lookup = [&] {
    if (host_.ipv4_route == 3) return;
    host_.ipv4_route = 3;
    host_.Announce();
    EXPECT_FALSE(directory->IsCurrent(directory->table()));  // Another call hears of the change.
  };
  EXPECT_THAT(Names(directory.get(), ""), ElementsAre("a0"));
  EXPECT_THAT(Names(directory.get(), ""), ElementsAre("a1"));
}

TEST_F(InterfaceDirectoryTest, ANewReadingAsksForRoutesAgainWhateverWasHeard) {
  host_.watched = true;
  const auto directory = New();
  EXPECT_THAT(Names(directory.get(), ""), ElementsAre("a0"));
  host_.ipv4_route = 3;
  ASSERT_TRUE(directory->Refresh().ok());
  EXPECT_THAT(Names(directory.get(), ""), ElementsAre("a1"));
}

TEST_F(InterfaceDirectoryTest, AHostThatCannotBeWatchedIsAskedEachTime) {
  const auto directory = New();
  for (int i = 0; i < 3; ++i) EXPECT_THAT(Names(directory.get(), ""), ElementsAre("a0"));
  EXPECT_EQ(host_.route_lookups.load(), 3);
}

// ---- Errors on hosts with very many interfaces ----

TEST_F(InterfaceDirectoryTest, ErrorsStayShortHoweverManyInterfacesThereAre) {
  for (uint32_t i = 10; i < 1000; ++i) {
    host_.interfaces.push_back(FakeInterface(i, "cali" + std::string(8, 'f') + std::to_string(i), {"10.9.0.1/24"}));
    host_.interfaces.back().addresses.push_back({Ip("fd09::1"), 64});
  }
  const auto directory = New();
  for (const std::string& selector : {std::string("nosuch"), std::string("10.9.9.9"), std::string(100'000, 'x'),
                                      std::string("10.9.0.1"), std::string("fd09::1")}) {
    const absl::Status status = directory->Resolve(selector, Ip("239.1.1.1")).status();
    EXPECT_FALSE(status.ok());
    EXPECT_LE(status.message().size(), net::kMostMessageBytes) << status.message();
    EXPECT_THAT(std::string(status.message()), HasSubstr(" more"));
  }
  const absl::Status default_of_ipv6 = directory->Resolve("", Ip("ff15::1")).status();
  EXPECT_EQ(net::ReasonOf(default_of_ipv6), Reason::kInterfaceAmbiguous);
  EXPECT_LE(default_of_ipv6.message().size(), net::kMostMessageBytes);
  const auto limited = New(Names(directory.get(), "*"));
  EXPECT_LE(limited->Resolve("lo", Ip("239.1.1.1")).status().message().size(), net::kMostMessageBytes);
  EXPECT_LE(directory->LeftOut(*directory->table(), Family::kIpv6).size(), net::kMostMessageBytes);
}

}  // namespace
}  // namespace mcgw::gateway
