// What a selector means.

#include "server/gateway/interface_directory.h"

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/net/status.h"
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
    for (const net::Interface& interface : *interfaces) names.push_back(interface.name);
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
  EXPECT_TRUE(directory->IsPermitted("a1"));
  EXPECT_FALSE(directory->IsPermitted("a0"));
  EXPECT_TRUE(New()->IsPermitted("anything"));
}

// ---- The star ----

TEST_F(InterfaceDirectoryTest, TheStarMeansAllThatAreEligible) {
  const auto directory = New();
  EXPECT_THAT(Names(directory.get(), "*"), ElementsAre("a0", "a1"));
  host_.interfaces.push_back(FakeInterface(4, "a2", {"10.0.2.1/24"}));
  EXPECT_THAT(Names(directory.get(), "*"), ElementsAre("a0", "a1", "a2"));  // Looked up anew.
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
  interface.master_index = 9;
  EXPECT_THAT(Exclusions(interface), ElementsAre(Exclusion::kEnslaved));
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
  host_.interfaces.push_back(veth({"10.244.0.1/32"}));
  EXPECT_THAT(Names(New().get(), "*"), ElementsAre("a0", "a1"));
  EXPECT_THAT(Names(New().get(), "veth1"), ElementsAre("veth1"));
}

}  // namespace
}  // namespace mcgw::gateway
