// A gateway whose interface a0 is taken from it and given back, while the other host sends.

#ifndef MCGW_TESTS_KERNEL_HEAL_FIXTURE_H_
#define MCGW_TESTS_KERNEL_HEAL_FIXTURE_H_

#include <net/if.h>

#include <cstdint>
#include <filesystem>
#include <iterator>
#include <string>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "spdlog/spdlog.h"
#include "tests/kernel/live_gateway.h"

namespace mcgw::kernel {

// What is received, and by which selector.
struct Wish {
  const char* group;
  const char* source;
  bool only_source;  // Source-specific.
  bool every;        // By `*`; else by name.

  bool is_v4() const { return Ip(group).is_v4(); }
  gateway::MembershipRequest Request(const std::string& name = "a0") const {
    gateway::MembershipRequest request;
    request.selector = every ? "*" : name;
    request.group = Ip(group);
    request.port = 5000;
    if (only_source) request.filter = fanout::SourceFilter::Include({Ip(source)});
    return request;
  }
};

inline constexpr Wish kWishes[] = {
    {"239.1.1.1", "10.0.0.2", false, false}, {"239.1.1.1", "10.0.0.2", false, true},
    {"232.1.1.1", "10.0.0.2", true, false},  {"232.1.1.1", "10.0.0.2", true, true},
    {"ff15::1", "fd00::2", false, false},    {"ff15::1", "fd00::2", false, true},
    {"ff35::1", "fd00::2", true, false},     {"ff35::1", "fd00::2", true, true},
};

inline std::string NameOf(const Wish& wish) {
  return absl::StrCat(wish.is_v4() ? "IPv4" : "IPv6", wish.only_source ? "SourceSpecific" : "AnySource",
                      wish.every ? "Every" : "Named");
}

class HealFixture {
 protected:
  HealFixture() { spdlog::set_level(spdlog::level::warn); }

  // IPv6 addresses go with the link; IPv4 ones stay.
  static void GiveAddresses(const std::string& name = "a0") {
    Shell(absl::StrCat("ip addr replace 10.0.0.1/24 dev ", name, " && ip addr replace fd00::1/64 dev ", name,
                       " nodad && ip addr replace fe80::1/64 dev ", name, " nodad"));
  }
  void GivePeerAddresses() const {
    peer_.Shell(
        "sh -c 'ip addr replace 10.0.0.2/24 dev b0 && ip addr replace fd00::2/64 dev b0 nodad && ip addr replace "
        "fe80::2/64 dev b0 nodad'");
  }
  static void Delete() { Shell("ip link del a0"); }
  // Both ends, with their addresses; `index` 0: what the kernel gives.
  void Make(uint32_t index = 0) const {
    Shell(absl::StrCat("ip link add a0 ", index == 0 ? "" : absl::StrCat("index ", index),
                       " type veth peer name b0 netns peer && ip link set a0 addrgenmode none up"));
    peer_.Shell("ip link set b0 addrgenmode none up");
    GiveAddresses();
    GivePeerAddresses();
  }
  static size_t Descriptors() {
    const std::filesystem::directory_iterator files("/proc/self/fd");
    return static_cast<size_t>(std::distance(begin(files), end(files)));
  }

  Peer peer_;
};

}  // namespace mcgw::kernel

#endif  // MCGW_TESTS_KERNEL_HEAL_FIXTURE_H_
