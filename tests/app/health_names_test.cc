#include "server/app/health_names.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

namespace mcgw::app {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::Pair;
using testing::SizeIs;

class HealthNamesTest : public testing::Test {
 protected:
  std::vector<std::pair<std::string, bool>> Update(const std::map<std::string, bool>& health) {
    return names_.Update(health, [this](const std::string& name) { return existing_.contains(name); });
  }
  static std::string Invented(size_t i) { return "a" + std::to_string(i); }

  std::set<std::string> existing_ = {"lo", "eth0"};
  HealthNames names_;
};

TEST_F(HealthNamesTest, OnlyWhatChangesIsTold) {
  EXPECT_THAT(Update({{"eth0", true}}), ElementsAre(Pair("eth0", true)));
  EXPECT_THAT(Update({{"eth0", true}}), IsEmpty());
  EXPECT_THAT(Update({{"eth0", false}, {"lo", true}}), ElementsAre(Pair("eth0", false), Pair("lo", true)));
  EXPECT_THAT(Update({{"eth0", true}, {"lo", true}}), ElementsAre(Pair("eth0", true)));
  // Without channels.
  EXPECT_THAT(Update({}), ElementsAre(Pair("eth0", false), Pair("lo", false)));
}

TEST_F(HealthNamesTest, InventedNamesTakeNoPlaceOfAnInterface) {
  std::map<std::string, bool> health;
  for (size_t i = 0; i < 5000; ++i) health[Invented(i)] = false;
  EXPECT_THAT(Update(health), SizeIs(HealthNames::kMostAwaited));
  health["lo"] = true;
  EXPECT_THAT(Update(health), ElementsAre(Pair("lo", true)));
}

TEST_F(HealthNamesTest, AnInterfaceThatWasWaitedForGivesItsPlaceBack) {
  std::map<std::string, bool> health;
  for (size_t i = 0; i < HealthNames::kMostAwaited; ++i) health[Invented(i)] = false;
  Update(health);
  health["zz"] = false;
  EXPECT_THAT(Update(health), IsEmpty());
  existing_.insert(Invented(7));
  health[Invented(7)] = true;
  EXPECT_THAT(Update(health), Contains(Pair(Invented(7), true)));
  Update(health);
  EXPECT_THAT(Update(health), IsEmpty());
}

TEST_F(HealthNamesTest, InterfacesAreBoundedToo) {
  std::map<std::string, bool> health;
  for (size_t i = 0; i < HealthNames::kMostInterfaces + 5; ++i) {
    existing_.insert(Invented(i));
    health[Invented(i)] = true;
  }
  EXPECT_THAT(Update(health), SizeIs(HealthNames::kMostInterfaces));
}

}  // namespace
}  // namespace mcgw::app
