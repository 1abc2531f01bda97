#include "server/net/route_lookup.h"

#include <cerrno>

#include "server/net/netlink.h"
#include "server/net/status.h"
#include "server/net/text.h"

namespace mcgw::net {

Route ReadRoute(const nlmsghdr& message) {
  Route route;
  const auto* const header = netlink::HeaderOf<rtmsg>(message);
  if (header == nullptr) return route;
  switch (header->rtm_type) {
    case RTN_UNREACHABLE:
    case RTN_BLACKHOLE:
    case RTN_PROHIBIT:
    case RTN_THROW:
      route.kind = Route::Kind::kRefused;
      return route;
    case RTN_LOCAL:
      route.kind = Route::Kind::kLocal;
      break;
    default:
      route.kind = Route::Kind::kThrough;
      break;
  }
  const auto attributes = netlink::AttributesOf<RTA_PREFSRC>(message, sizeof(rtmsg));
  route.interface_index = netlink::NumberIn<uint32_t>(attributes[RTA_OIF]).value_or(0);
  route.source = netlink::AddressIn(attributes[RTA_PREFSRC]);
  return route;
}

absl::StatusOr<Route> LookUpRoute(const IpAddress& destination, uint32_t interface_index) {
  const absl::StatusOr<netlink::MnlSocket> socket = netlink::Open(0, 0);
  if (!socket.ok()) return socket.status();
  alignas(nlmsghdr) char buffer[MNL_NLMSG_HDRLEN + 64] = {};
  nlmsghdr* const request = mnl_nlmsg_put_header(buffer);
  request->nlmsg_type = RTM_GETROUTE;
  request->nlmsg_flags = NLM_F_REQUEST;
  auto* const header = static_cast<rtmsg*>(mnl_nlmsg_put_extra_header(request, sizeof(rtmsg)));
  header->rtm_family = static_cast<unsigned char>(netlink::AddressFamily(destination.family()));
  header->rtm_dst_len = static_cast<unsigned char>(destination.bytes().size() * 8);
  mnl_attr_put(request, RTA_DST, destination.bytes().size(), destination.bytes().data());
  if (interface_index != 0) mnl_attr_put_u32(request, RTA_OIF, interface_index);

  Route route;
  const int error = netlink::Ask(socket->get(), request, [&](const nlmsghdr& message) {
    if (message.nlmsg_type == RTM_NEWROUTE) route = ReadRoute(message);
  });
  switch (error) {
    case 0:
      return route;
    case ENETUNREACH:
    case ENODEV:
      return Route{};
    case EHOSTUNREACH:  // An unreachable route.
    case EACCES:        // A prohibit route.
    case EINVAL:        // A blackhole.
      return Route{.kind = Route::Kind::kRefused};
    default:
      return ErrnoStatus(error, StrCat("look up the route to ", destination.ToString()));
  }
}

}  // namespace mcgw::net
