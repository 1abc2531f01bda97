// A host's interfaces and routes, for tests of the gateway's floor.

#ifndef MCGW_TESTS_SUPPORT_FAKE_HOST_H_
#define MCGW_TESTS_SUPPORT_FAKE_HOST_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <string_view>
#include <utility>
#include <vector>

#include "server/gateway/interface_directory.h"
#include "server/net/interface_table.h"
#include "server/net/status.h"
#include "tests/support/fakes.h"

namespace mcgw::testing {

// Of one thread. Must outlive the directory that it is given to.
struct FakeHost {
  std::vector<net::Interface> interfaces = FakeHostTable();
  uint32_t ipv4_route = 2;          // 0: none.
  uint32_t ipv6_default_route = 0;  // 0: none.
  absl::Status table_status;
  std::atomic<int> table_reads{0};
  // What the kernel says that it has joined; without it, it does not say.
  std::function<net::KernelMemberships()> memberships;

  void Remove(std::string_view name) {
    std::erase_if(interfaces, [&](const net::Interface& interface) { return interface.name == name; });
  }
  net::Interface& Find(std::string_view name) {
    for (net::Interface& interface : interfaces) {
      if (interface.name == name) return interface;
    }
    return interfaces.emplace_back();
  }

  gateway::HostInterfaces Source() {
    const auto index_or_no_route = [](uint32_t index) -> absl::StatusOr<uint32_t> {
      if (index == 0) return net::Error(net::Reason::kNoRoute, "", "no route");
      return index;
    };
    return {.read_table = [this]() -> absl::StatusOr<net::InterfaceTable> {
              ++table_reads;
              if (!table_status.ok()) return table_status;
              return net::InterfaceTable(interfaces);
            },
            .route = [=, this](const net::IpAddress&) { return index_or_no_route(ipv4_route); },
            .default_route = [=, this](net::Family) { return index_or_no_route(ipv6_default_route); },
            .memberships = [this]() -> absl::StatusOr<net::KernelMemberships> {
              if (!memberships) return absl::UnavailableError("no memberships");
              return memberships();
            }};
  }
};

}  // namespace mcgw::testing

#endif  // MCGW_TESTS_SUPPORT_FAKE_HOST_H_
