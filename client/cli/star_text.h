// Why a membership on `*` has no channel.

#ifndef MCGW_CLIENT_CLI_STAR_TEXT_H_
#define MCGW_CLIENT_CLI_STAR_TEXT_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "multicast/gateway/v1/network_interface.pb.h"

namespace mcgw::cli {

// "`*` takes no interface for IPv4; it leaves out lo (the loopback), eth0 (down)". `group` is the membership's. Long
// lists are cut. Empty if `*` takes an interface.
std::string DescribeStar(const std::vector<multicast::gateway::v1::NetworkInterface>& interfaces,
                         absl::string_view group);

}  // namespace mcgw::cli

#endif  // MCGW_CLIENT_CLI_STAR_TEXT_H_
