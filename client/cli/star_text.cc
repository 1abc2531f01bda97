#include "client/cli/star_text.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace mcgw::cli {
namespace {

namespace v1 = multicast::gateway::v1;

constexpr size_t kMostNamed = 10;

absl::string_view Words(int exclusion) {
  switch (exclusion) {
    case v1::STAR_EXCLUSION_NOT_PERMITTED:
      return "not permitted by the gateway's configuration";
    case v1::STAR_EXCLUSION_DOWN:
      return "down";
    case v1::STAR_EXCLUSION_NO_MULTICAST:
      return "without the MULTICAST flag";
    case v1::STAR_EXCLUSION_NO_ADDRESS:
      return "without an address of the family";
    case v1::STAR_EXCLUSION_ENSLAVED:
      return "enslaved to another device";
    case v1::STAR_EXCLUSION_LOOPBACK:
      return "the loopback";
    case v1::STAR_EXCLUSION_CONTAINER_VETH:
      return "the host's side of a container's veth pair";
    case v1::STAR_EXCLUSION_VRF:
      return "a VRF, not one of its ports";
    default:
      return "for a reason unknown to this version of mcgw";
  }
}

}  // namespace

std::string DescribeStar(const std::vector<v1::NetworkInterface>& interfaces, absl::string_view group) {
  const bool is_v6 = absl::StrContains(group, ':');
  std::vector<std::string> left_out;
  for (const v1::NetworkInterface& interface : interfaces) {
    if (interface.index() == 0) continue;  // The interface does not exist.
    const v1::InterfaceFamily& family = is_v6 ? interface.ipv6() : interface.ipv4();
    if (family.star_exclusions().empty()) return "";
    if (left_out.size() == kMostNamed) {
      left_out.push_back("and others, see mcgw interfaces --long");
      break;
    }
    left_out.push_back(
        absl::StrCat(interface.name(), " (",
                     absl::StrJoin(family.star_exclusions(), ", ",
                                   [](std::string* out, int exclusion) { absl::StrAppend(out, Words(exclusion)); }),
                     ")"));
  }
  return absl::StrCat("`*` takes no interface for ", is_v6 ? "IPv6" : "IPv4", "; it leaves out ",
                      absl::StrJoin(left_out, ", "));
}

}  // namespace mcgw::cli
