#include "server/net/kernel_memberships.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/resource.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <string>

#include "server/net/status.h"

namespace mcgw::net {
namespace {

IpAddress Ip(const char* text) { return *IpAddress::Parse(text); }

TEST(KernelMembershipsTest, IgmpNamesGroupsUnderTheirInterfaceInHostOrder) {
  KernelMemberships memberships;
  ParseIgmp(
      "Idx\tDevice    : Count Querier\tGroup    Users Timer\tReporter\n"
      "1\tlo        :     1      V3\n"
      "\t\t\t\t010000E0     1 0:00000000\t\t0\n"
      "12\tlongname0 :     2      V2\n"
      "\t\t\t\t020101EF     3 0:00000000\t\t0\n"
      "\t\t\t\t010000E0     1 0:00000000\t\t0\n",
      &memberships);
  EXPECT_EQ(memberships.users.size(), 3u);
  EXPECT_EQ((memberships.users.at({1, Ip("224.0.0.1")})), 1u);
  EXPECT_EQ((memberships.users.at({12, Ip("239.1.1.2")})), 3u);
  EXPECT_EQ(memberships.igmp_version.at(1), 3u);
  EXPECT_EQ(memberships.igmp_version.at(12), 2u);
}

TEST(KernelMembershipsTest, Igmp6HasALineForEachGroup) {
  KernelMemberships memberships;
  ParseIgmp6(
      "1    lo              ff020000000000000000000000000001     1 0000000C 0\n"
      "2    a0              ff150000000000000000000000000041    20 00000004 0\n",
      &memberships);
  EXPECT_EQ(memberships.users.size(), 2u);
  EXPECT_EQ((memberships.users.at({1, Ip("ff02::1")})), 1u);
  EXPECT_EQ((memberships.users.at({2, Ip("ff15::41")})), 20u);
}

TEST(KernelMembershipsTest, LinesThatMakeNoSenseAreSkipped) {
  KernelMemberships memberships;
  ParseIgmp("\n\n\t\t\tnonsense\n\t\t\t010000E0\nx : y\n", &memberships);
  ParseIgmp6("\nnonsense\n2 a0 ff15 1\n2 a0 zz150000000000000000000000000041 1 0 0\n", &memberships);
  EXPECT_TRUE(memberships.users.empty());
}

TEST(KernelMembershipsTest, TheKernelHasAnAnswer) { EXPECT_TRUE(ReadKernelMemberships().ok()); }

TEST(KernelMembershipsTest, AFileThatCannotBeReadIsNoListWithoutMemberships) {
  char name[] = "/tmp/mcgw-test-XXXXXX";
  const std::filesystem::path directory = mkdtemp(name);
  const auto read = [&directory] { return ReadKernelMembershipsIn(directory.string()).status(); };
  EXPECT_EQ(ErrnoOf(read()), ENOENT);
  std::ofstream(directory / "igmp") << "Idx\n";
  EXPECT_TRUE(read().ok()) << "a kernel without IPv6: " << read();
  std::filesystem::create_directory(directory / "igmp6");
  EXPECT_EQ(ErrnoOf(read()), EISDIR);
  std::filesystem::remove(directory / "igmp6");
  std::ofstream(directory / "igmp6") << "";
  EXPECT_TRUE(read().ok());

  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  const rlimit none{.rlim_cur = 0, .rlim_max = before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
  const absl::Status exhausted = read();
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_EQ(ReasonOf(exhausted), Reason::kHostLimit) << exhausted;
  EXPECT_NE(exhausted.message().find("igmp"), absl::string_view::npos) << exhausted;
  std::filesystem::remove_all(directory);
}

}  // namespace
}  // namespace mcgw::net
