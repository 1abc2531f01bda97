#include "server/app/config_warnings.h"

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/fakes.h"

namespace mcgw::app {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

net::InterfaceTable Table() {
  std::vector<net::Interface> interfaces = mcgw::testing::FakeHostTable();
  interfaces.back().alternative_names = {"enp5s0"};
  return net::InterfaceTable(interfaces);
}

TEST(InterfaceWarnings, NoneForWhatTheHostHas) {
  Config config;
  EXPECT_THAT(InterfaceWarnings(config, Table()), IsEmpty());
  config.add_interfaces("a0");
  config.add_interfaces("enp5s0");
  for (const char* fallback : {"a0", "a1", "enp5s0", "10.0.1.1"}) {
    config.set_default_interface(fallback);
    EXPECT_THAT(InterfaceWarnings(config, Table()), IsEmpty()) << fallback;
  }
}

TEST(InterfaceWarnings, NameTheKeyAndWhatTheHostHas) {
  Config config;
  config.add_interfaces("eth7");
  config.add_interfaces("a0");
  config.set_default_interface("eth8");
  EXPECT_THAT(InterfaceWarnings(config, Table()),
              ElementsAre(HasSubstr("interfaces: the host has no interface eth7 (it has lo, a0, a1)"),
                          HasSubstr("default_interface: the host has no interface eth8 (it has lo, a0, a1)")));
}

TEST(InterfaceWarnings, OfADefaultThatIsNotPermitted) {
  Config config;
  config.add_interfaces("a0");
  config.set_default_interface("enp5s0");
  EXPECT_THAT(InterfaceWarnings(config, Table()),
              ElementsAre(HasSubstr("default_interface: enp5s0 is not among `interfaces`")));
}

}  // namespace
}  // namespace mcgw::app
