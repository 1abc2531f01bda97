#include "server/net/bridge_state.h"

#include <linux/if_bridge.h>
#include <linux/if_link.h>
#include <sys/socket.h>

#include "server/net/netlink.h"
#include "server/net/status.h"
#include "server/net/text.h"

namespace mcgw::net {
namespace {

bool IsSet(const nlattr* attribute) { return netlink::NumberIn<uint8_t>(attribute).value_or(0) != 0; }

// `timer`: time left until the other querier counts as gone; absent if there is no other querier.
bool Runs(const nlattr* timer) { return netlink::NumberIn<uint64_t>(timer).value_or(0) != 0; }

}  // namespace

std::optional<BridgeState> ReadBridgeState(const nlmsghdr& message) {
  const auto attributes = netlink::AttributesOf<IFLA_LINKINFO>(message, sizeof(ifinfomsg));
  const auto info = netlink::AttributesIn<IFLA_INFO_DATA>(attributes[IFLA_LINKINFO]);
  if (netlink::TextIn(info[IFLA_INFO_KIND]) != "bridge") return std::nullopt;
  const auto bridge = netlink::AttributesIn<IFLA_BR_MCAST_QUERIER_STATE>(info[IFLA_INFO_DATA]);
  const auto others = netlink::AttributesIn<BRIDGE_QUERIER_MAX>(bridge[IFLA_BR_MCAST_QUERIER_STATE]);
  return BridgeState{
      .snooping = IsSet(bridge[IFLA_BR_MCAST_SNOOPING]),
      .querier = IsSet(bridge[IFLA_BR_MCAST_QUERIER]),
      .hears_querier = {Runs(others[BRIDGE_QUERIER_IP_OTHER_TIMER]), Runs(others[BRIDGE_QUERIER_IPV6_OTHER_TIMER])}};
}

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

  std::optional<BridgeState> state;
  const int error = netlink::Ask(socket->get(), request, [&](const nlmsghdr& message) {
    if (message.nlmsg_type == RTM_NEWLINK) state = ReadBridgeState(message);
  });
  if (error != 0) return ErrnoStatus(error, StrCat("ask for interface ", interface_index));
  if (!state.has_value())
    return absl::InvalidArgumentError(absl::StrCat("interface ", interface_index, " is not a bridge"));
  return *state;
}

}  // namespace mcgw::net
