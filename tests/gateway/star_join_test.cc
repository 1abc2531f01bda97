// Joins by "*": on all interfaces of that moment, without following them where nothing has changed.

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/gateway/interfaces_fixture.h"

namespace mcgw::gateway {
namespace {

using ::testing::ElementsAre;
using ::testing::ElementsAreArray;

class StarJoinTest : public InterfacesTest {
 protected:
  void SetUp() override {
    host_.watched = true;
    InterfacesTest::SetUp();
    host_.memberships = [this] {
      ++comparisons_;
      return kernel_->Users();
    };
    gateway_ = NewGateway(options_);
    ForgetFollows();
  }
  void ForgetFollows() {
    host_.table_reads = 0;
    comparisons_ = 0;
  }
  // Each reads the interfaces and compares with what the kernel has joined.
  int follows() const {
    EXPECT_EQ(comparisons_, host_.table_reads.load());
    return comparisons_;
  }
  static std::string Group(int i) { return net::StrCat("239.1.", i / 250, ".", 1 + i % 250); }

 private:
  int comparisons_ = 0;
};

TEST_F(StarJoinTest, FollowsNothingWhereNothingHasChanged) {
  const std::string session = Join("", Request("*", Group(0))).session_id;
  for (int i = 1; i < 100; ++i) Join(session, Request("*", Group(i)));
  const auto stream = Subscribe({Request("*", Group(0)), Request("*", Group(200))});
  EXPECT_EQ(follows(), 0);
  EXPECT_THAT(JoinedOn(Group(99)), ElementsAre(2u, 3u));
  EXPECT_THAT(JoinedOn(Group(200)), ElementsAre(2u, 3u));
}

TEST_F(StarJoinTest, TakesAnInterfaceThatHasJustAppeared) {
  const std::string session = Join("", Request("*", Group(1))).session_id;
  Add(9, "b0", {"10.0.9.1/24"});
  host_.Announce();
  Join(session, Request("*", Group(2)));
  EXPECT_EQ(follows(), 1);
  EXPECT_THAT(JoinedOn(Group(2)), ElementsAre(2u, 3u, 9u));
  EXPECT_THAT(JoinedOn(Group(1)), ElementsAre(2u, 3u, 9u));
  Join(session, Request("*", Group(3)));
  EXPECT_EQ(follows(), 1);
  EXPECT_THAT(JoinedOn(Group(3)), ElementsAre(2u, 3u, 9u));
}

TEST_F(StarJoinTest, LeavesOutAnInterfaceThatHasJustGone) {
  const std::string session = Join("", Request("*", Group(1))).session_id;
  Delete("a1");
  host_.Announce();
  Join(session, Request("*", Group(2)));
  EXPECT_EQ(follows(), 1);
  EXPECT_THAT(JoinedOn(Group(2)), ElementsAre(2u));
}

TEST_F(StarJoinTest, FollowsWhatAnotherHasHeardOf) {
  const std::string session = Join("", Request("*", Group(1))).session_id;
  Add(9, "b0", {"10.0.9.1/24"});
  host_.Announce();
  ASSERT_TRUE(gateway_->inspector().ListInterfaces().ok());  // Reads the interfaces, and takes the news.
  ForgetFollows();
  Join(session, Request("*", Group(2)));
  EXPECT_EQ(follows(), 1);
  EXPECT_THAT(JoinedOn(Group(2)), ElementsAre(2u, 3u, 9u));
}

TEST_F(StarJoinTest, AChangeDuringAFollowIsFollowedByTheNext) {
  const std::string session = Join("", Request("*", Group(1))).session_id;
  host_.after_reading = [this] {
    host_.after_reading = nullptr;
    Add(9, "b0", {"10.0.9.1/24"});
    host_.Announce();
  };
  host_.Announce();
  Join(session, Request("*", Group(2)));  // Begun before the interface was there.
  Join(session, Request("*", Group(3)));
  EXPECT_EQ(follows(), 2);
  EXPECT_THAT(JoinedOn(Group(3)), ElementsAre(2u, 3u, 9u));
}

TEST_F(StarJoinTest, AFollowThatFailsIsDoneAgain) {
  const std::string session = Join("", Request("*", Group(1))).session_id;
  Add(9, "b0", {"10.0.9.1/24"});
  host_.Announce();
  host_.table_status = absl::ResourceExhaustedError("no descriptors");
  EXPECT_FALSE(TryJoin(session, Request("*", Group(2))).ok());
  host_.table_status = absl::OkStatus();
  Join(session, Request("*", Group(3)));
  EXPECT_THAT(JoinedOn(Group(3)), ElementsAre(2u, 3u, 9u));
}

TEST_F(StarJoinTest, WhereTheHostCannotBeWatchedEachFollows) {
  host_.watched = false;
  gateway_ = NewGateway(options_);
  ForgetFollows();
  const std::string session = Join("", Request("*", Group(1))).session_id;
  Add(9, "b0", {"10.0.9.1/24"});
  Join(session, Request("*", Group(2)));
  EXPECT_EQ(follows(), 2);
  EXPECT_THAT(JoinedOn(Group(2)), ElementsAre(2u, 3u, 9u));
}

// Whatever happens between them, each join takes the interfaces of its moment.
TEST_F(StarJoinTest, TakesTheInterfacesOfItsMomentWhateverHappens) {
  const unsigned seed = ::testing::UnitTest::GetInstance()->random_seed();
  SCOPED_TRACE(seed);
  std::minstd_rand random(seed);
  std::vector<uint32_t> there = {2, 3};
  uint32_t next = 10;
  const std::string session = Join("", Request("*", Group(0))).session_id;
  const auto change = [&] {
    if (there.empty() || random() % 2 == 0) {
      const std::string address = net::StrCat("10.1.", next, ".1/24");
      Add(next, net::StrCat("b", next), {address});
      there.push_back(next++);
    } else {
      const auto gone = there.begin() + static_cast<ptrdiff_t>(random() % there.size());
      const auto at = std::find_if(host_.interfaces.begin(), host_.interfaces.end(),
                                   [gone](const net::Interface& each) { return each.index == *gone; });
      Delete(std::string(at->name));
      there.erase(gone);
    }
    host_.Announce();
  };
  for (int i = 1; i < 200; ++i) {
    for (auto changes = random() % 3; changes > 0; --changes) change();
    if (random() % 4 == 0) {
      ASSERT_TRUE(gateway_->inspector().ListInterfaces().ok());
    }
    if (random() % 4 == 0) Follow();
    Join(session, Request("*", Group(i)));
    ASSERT_THAT(JoinedOn(Group(i)), ElementsAreArray(there)) << i;
  }
}

}  // namespace
}  // namespace mcgw::gateway
