// What the kernel says of links, addresses, routes, bridges and counters: a sequence of rtnetlink messages, as answers
// to the gateway's questions and as news of its watch.

#include <linux/rtnetlink.h>

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "server/net/bridge_state.h"
#include "server/net/device_counters.h"
#include "server/net/interface_messages.h"
#include "server/net/interface_table.h"
#include "server/net/netlink.h"
#include "server/net/route_lookup.h"
#include "tests/fuzz/fuzz_target.h"

namespace mcgw::net {
namespace {

void UseTable(std::vector<Interface> interfaces) {
  const InterfaceTable table(std::move(interfaces));
  const IpAddress groups[] = {*IpAddress::ParseIfAny("239.1.1.1"), *IpAddress::ParseIfAny("ff12::1"),
                              *IpAddress::ParseIfAny("ff1e::1")};
  for (const Interface& interface : table.interfaces()) {
    FUZZ_CHECK(table.FindByIndex(interface.index) != nullptr);
    FUZZ_CHECK(table.FindByName(interface.name) != nullptr);
    for (const InterfaceAddress& address : interface.addresses) {
      FUZZ_CHECK(!table.FindByAddress(address.address).empty());
    }
    interface.IgmpSource();
    interface.DefaultSource(Family::kIpv4);
    interface.DefaultSource(Family::kIpv6);
    for (const IpAddress& group : groups) {
      const std::optional<IpAddress> source = interface.SourceFor(group);
      FUZZ_CHECK(!source.has_value() || source->family() == group.family());
    }
  }
}

}  // namespace

FUZZ_TARGET(netlink) {
  // A copy of its own, for the alignment that the kernel's messages have.
  const std::unique_ptr<char[]> copy(new char[input.size()]);
  std::copy(input.begin(), input.end(), copy.get());

  InterfaceChanges changes;
  netlink::NoteChanges({copy.get(), input.size()}, &changes);
  FUZZ_CHECK(changes.any || (changes.deleted.empty() && changes.down.empty() && changes.enslaved.empty()));

  std::vector<Interface> interfaces;
  std::map<uint32_t, DeviceCounters> counters;
  netlink::BestRoute best;
  netlink::ForEachMessage({copy.get(), input.size()}, [&](const nlmsghdr& message) {
    if (message.nlmsg_type == RTM_NEWLINK) {
      if (auto link = netlink::ReadLink(message)) interfaces.push_back(*std::move(link));
      ReadDeviceCounters(message, &counters);
      ReadBridgeState(message);
    } else if (message.nlmsg_type == RTM_NEWADDR) {
      netlink::ReadAddress(message, &interfaces);
    } else if (message.nlmsg_type == RTM_NEWROUTE) {
      ReadRoute(message);
      netlink::ConsiderDefaultRoute(message, &best);
    }
  });
  for (const auto& [index, counter] : counters) FUZZ_CHECK(Since(counter, counter) == DeviceCounters{});
  UseTable(std::move(interfaces));
}

}  // namespace mcgw::net
