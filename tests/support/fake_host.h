// A host's interfaces and routes, for tests of the gateway's floor.

#ifndef MCGW_TESTS_SUPPORT_FAKE_HOST_H_
#define MCGW_TESTS_SUPPORT_FAKE_HOST_H_

#include <sys/eventfd.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "server/gateway/interfaces/interface_directory.h"
#include "server/net/interface_table.h"
#include "server/net/owned_fd.h"
#include "server/net/route_lookup.h"
#include "server/net/status.h"
#include "tests/support/fakes.h"

namespace mcgw::testing {

// Tells what a test says.
class FakeWatch : public net::InterfaceWatch {
 public:
  void Tell(net::InterfaceChanges changes) { queued_.Add(std::move(changes)); }
  int fd() const override { return -1; }

 protected:
  void Drain(net::InterfaceChanges* changes) override { changes->Add(std::exchange(queued_, {})); }

 private:
  net::InterfaceChanges queued_;
};

// Of one thread. Must outlive the directory that it is given to.
struct FakeHost {
  // An eventfd: readable while there is news.
  class Watch : public net::InterfaceWatch {
   public:
    explicit Watch(std::shared_ptr<net::OwnedFd> news) : news_(std::move(news)) {}
    int fd() const override { return news_->get(); }
    void Drain(net::InterfaceChanges* changes) override {
      uint64_t count = 0;
      changes->any |= read(news_->get(), &count, sizeof(count)) == sizeof(count);
    }

   private:
    const std::shared_ptr<net::OwnedFd> news_;
  };
  std::shared_ptr<net::OwnedFd> news = std::make_shared<net::OwnedFd>(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));

  std::vector<net::Interface> interfaces = FakeHostTable();
  uint32_t ipv4_route = 2;          // 0: none.
  uint32_t ipv6_default_route = 0;  // 0: none.
  absl::Status table_status;
  std::atomic<int> table_reads{0};
  std::atomic<int> route_lookups{0};
  std::optional<net::IpAddress> ipv4_route_source;  // What the route prefers to send from.
  std::map<uint32_t, uint32_t> vrf_routes;          // By the VRF's index: the port of its route.
  // Whether the directory can hear of changes; if so, it hears of those that Announce tells only.
  bool watched = false;
  void Announce() const {
    const uint64_t one = 1;
    if (write(news->get(), &one, sizeof(one)) != sizeof(one)) abort();
  }
  std::function<void()> after_reading;  // Happens when the kernel has answered, and before the gateway knows.
  std::function<void()> after_lookup;   // The same for routes.
  FakeWatch watch;
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
    return {.read_table = [this]() -> absl::StatusOr<net::InterfaceTable> {
              ++table_reads;
              if (!table_status.ok()) return table_status;
              net::InterfaceTable table(interfaces);
              if (after_reading) after_reading();
              return table;
            },
            .route = [this](const net::IpAddress&, uint32_t vrf_index) -> absl::StatusOr<net::Route> {
              ++route_lookups;
              const uint32_t index = vrf_index == 0 ? ipv4_route : vrf_routes[vrf_index];
              if (after_lookup) after_lookup();
              if (index == 0) return net::Route{};
              return net::Route{
                  .kind = net::Route::Kind::kThrough, .interface_index = index, .source = ipv4_route_source};
            },
            .default_route = [this](net::Family) -> absl::StatusOr<uint32_t> {
              ++route_lookups;
              if (ipv6_default_route == 0) return net::Error(net::Reason::kNoRoute, "", "no route");
              return ipv6_default_route;
            },
            .memberships = [this]() -> absl::StatusOr<net::KernelMemberships> {
              if (!memberships) return absl::UnavailableError("no memberships");
              return memberships();
            },
            .watch_changes = [this]() -> std::unique_ptr<net::InterfaceWatch> {
              if (!watched) return nullptr;
              return std::make_unique<Watch>(news);
            },
            .watch = &watch};
  }
};

}  // namespace mcgw::testing

#endif  // MCGW_TESTS_SUPPORT_FAKE_HOST_H_
