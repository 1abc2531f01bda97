// One network interface of this host as the kernel describes it, and the source addresses that it sends from.

#ifndef MCGW_NET_INTERFACE_H_
#define MCGW_NET_INTERFACE_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "server/net/address.h"

namespace mcgw::net {

struct InterfaceAddress {
  IpAddress address;
  uint8_t prefix_length = 0;
  uint8_t scope = 0;        // ifa_scope: RT_SCOPE_UNIVERSE, RT_SCOPE_LINK, RT_SCOPE_HOST or a value between.
  bool secondary = false;   // IPv4: not the first address of its network.
  bool deprecated = false;  // IPv6: a source only if there is no other. Also set while optimistic (RFC 4429).
  bool temporary = false;   // IPv6 privacy extensions (RFC 8981).
  friend bool operator==(const InterfaceAddress&, const InterfaceAddress&) = default;
};

struct Interface {
  uint32_t index = 0;
  std::string name;
  bool up = false;  // IFF_UP: the administrative state.
  // IFLA_CARRIER; true if the driver does not report it. While the interface is up, also requires an operational link
  // (IFF_RUNNING and a queueing discipline). The kernel gets there up to a second after the carrier and silently drops
  // everything sent before.
  bool carrier = false;
  // How often the carrier has come or gone (IFLA_CARRIER_CHANGES); shows changes between two reads.
  uint32_t carrier_changes = 0;
  // IPv6 is on. The kernel turns it off if the MTU is below 1280, the administrator by disable_ipv6.
  bool ipv6 = true;
  bool multicast = false;  // IFF_MULTICAST
  // False for an ipvlan device in mode l3 or l3s: it drops multicast both ways, whatever its flags say.
  bool carries_multicast = true;
  bool loopback = false;    // IFF_LOOPBACK
  uint32_t flags = 0;       // All IFF_* flags, including the three above.
  std::string mac_address;  // "02:00:00:00:00:01"; empty if it has none.
  uint32_t mtu_bytes = 0;
  uint32_t master_index = 0;  // The bridge, bond or VRF that has it as a port; 0 if none.
  std::string master_name;    // The master's name; set by InterfaceTable.
  // IFLA_INFO_SLAVE_KIND, the kind of its master: "bridge", "bond", "team", "openvswitch", "vrf"; empty if none.
  std::string port_kind;
  bool forwarding = true;                // As a bridge port: the bridge passes frames through it (BR_STATE_FORWARDING).
  std::string kind;                      // IFLA_INFO_KIND: "veth", "bridge", "vlan"; empty for hardware.
  bool peer_in_other_namespace = false;  // IFLA_LINK_NETNSID present: for a veth, the host side of a container's.
  // The host's default route of a family leads through it, or it is the only interface that is up besides the loopback.
  bool uplink = false;
  std::vector<std::string> alternative_names;  // IFLA_ALT_IFNAME: `ip link property add dev eth0 altname enp5s0`.
  bool prefers_temporary = false;              // net.ipv6.conf.*.use_tempaddr is 2.
  // Usable source addresses in the kernel's order. An IPv6 address still in duplicate address detection is left out;
  // InterfaceWatch reports when that ends.
  std::vector<InterfaceAddress> addresses;

  bool IsCalled(std::string_view a_name) const;  // By its name or an alternative name.
  bool IsInVrf() const { return port_kind == "vrf"; }
  // Of a bridge: the ports that pass frames now, except those to containers and virtual machines. The network may be
  // behind any of them. Set by InterfaceTable.
  struct Port {
    uint32_t index = 0;
    uint32_t carrier_changes = 0;
    friend bool operator==(const Port&, const Port&) = default;
  };
  std::vector<Port> ports;

  // Whether its master takes everything it receives, as a bridge, bond, team or OVS datapath does; sockets on the
  // interface then receive nothing. A VRF or a B.A.T.M.A.N. mesh does not.
  bool ReceivesForMaster() const { return master_index != 0 && port_kind != "vrf" && port_kind != "batadv"; }
  // The source of IGMP reports that the kernel sends on it (inet_select_addr). Nothing: they are sent from 0.0.0.0.
  std::optional<IpAddress> IgmpSource() const;
  bool HasAddress(Family family) const;
  // The kernel's default source address on this interface for a group (IPv4 by scope and order, IPv6 by RFC 6724). If
  // no address has the group's scope, the kernel takes one of another interface; this returns the best one of this
  // interface. Nothing if it has no address of the family.
  std::optional<IpAddress> SourceFor(const IpAddress& group) const;
  // SourceFor a group of global scope.
  std::optional<IpAddress> DefaultSource(Family family) const;
  friend bool operator==(const Interface&, const Interface&) = default;
};

}  // namespace mcgw::net

#endif  // MCGW_NET_INTERFACE_H_
