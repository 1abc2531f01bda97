#include "server/net/bridge_state.h"

#include <linux/if_bridge.h>
#include <linux/if_link.h>
#include <sys/socket.h>

#include <string_view>

#include "server/net/netlink.h"
#include "server/net/status.h"
#include "server/net/text.h"

namespace mcgw::net {
namespace {

bool IsSet(const nlattr* attribute) { return attribute != nullptr && mnl_attr_get_u8(attribute) != 0; }

// `timer`: time left until the other querier counts as gone; absent if there is no other querier.
bool Runs(const nlattr* timer) { return timer != nullptr && mnl_attr_get_u64(timer) != 0; }

}  // namespace

absl::StatusOr<BridgeState> ReadBridgeState(uint32_t interface_index) {
  const absl::StatusOr<netlink::MnlSocket> socket = netlink::Open(0, 0);
  if (!socket.ok()) return socket.status();
  alignas(nlmsghdr) char buffer[MNL_NLMSG_HDRLEN + 64] = {};
  nlmsghdr* const request = mnl_nlmsg_put_header(buffer);
  request->nlmsg_type = RTM_GETLINK;
  request->nlmsg_flags = NLM_F_REQUEST;
  auto* const header = static_cast<ifinfomsg*>(mnl_nlmsg_put_extra_header(request, sizeof(ifinfomsg)));
  header->ifi_family = AF_UNSPEC;
  header->ifi_index = static_cast<int>(interface_index);

  BridgeState state;
  bool is_bridge = false;
  const int error = netlink::Ask(socket->get(), request, [&](const nlmsghdr& message) {
    if (message.nlmsg_type != RTM_NEWLINK) return;
    const auto attributes = netlink::AttributesOf<IFLA_LINKINFO>(message, sizeof(ifinfomsg));
    const auto info = netlink::AttributesIn<IFLA_INFO_DATA>(attributes[IFLA_LINKINFO]);
    is_bridge = info[IFLA_INFO_KIND] != nullptr && std::string_view(mnl_attr_get_str(info[IFLA_INFO_KIND])) == "bridge";
    if (!is_bridge) return;
    const auto bridge = netlink::AttributesIn<IFLA_BR_MCAST_QUERIER_STATE>(info[IFLA_INFO_DATA]);
    state.snooping = IsSet(bridge[IFLA_BR_MCAST_SNOOPING]);
    state.querier = IsSet(bridge[IFLA_BR_MCAST_QUERIER]);
    const auto others = netlink::AttributesIn<BRIDGE_QUERIER_MAX>(bridge[IFLA_BR_MCAST_QUERIER_STATE]);
    state.hears_querier[0] = Runs(others[BRIDGE_QUERIER_IP_OTHER_TIMER]);
    state.hears_querier[1] = Runs(others[BRIDGE_QUERIER_IPV6_OTHER_TIMER]);
  });
  if (error != 0) return ErrnoStatus(error, StrCat("ask for interface ", interface_index));
  if (!is_bridge) return absl::InvalidArgumentError(absl::StrCat("interface ", interface_index, " is not a bridge"));
  return state;
}

}  // namespace mcgw::net
