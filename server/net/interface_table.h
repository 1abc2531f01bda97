// The network interfaces of this host: a snapshot, and a watch that says when it has changed.

#ifndef MCGW_NET_INTERFACE_TABLE_H_
#define MCGW_NET_INTERFACE_TABLE_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/net/address.h"
#include "server/net/mutex.h"

namespace mcgw::net {

struct InterfaceAddress {
  IpAddress address;
  uint8_t prefix_length = 0;
  uint8_t scope = 0;        // ifa_scope: RT_SCOPE_UNIVERSE, RT_SCOPE_LINK, RT_SCOPE_HOST, or between.
  bool secondary = false;   // IPv4: another address of the same network came first.
  bool deprecated = false;  // IPv6: to be sent from only where there is no other; also while optimistic (RFC 4429).
  bool temporary = false;   // IPv6 privacy extensions (RFC 8981).
  friend bool operator==(const InterfaceAddress&, const InterfaceAddress&) = default;
};

struct Interface {
  uint32_t index = 0;
  std::string name;
  bool up = false;  // IFF_UP: the administrator's wish
  // IFLA_CARRIER, true where the driver does not say; while up, only when the link is in operation too (IFF_RUNNING,
  // and a queueing discipline): the kernel gets there up to a second after the carrier came, and loses in silence what
  // is sent before.
  bool carrier = false;
  // How often the device's carrier has come or gone (IFLA_CARRIER_CHANGES): tells of what came and went between two
  // looks.
  uint32_t carrier_changes = 0;
  // Whether IPv6 is on: the kernel switches it off where the MTU is below 1280, the administrator by disable_ipv6.
  bool ipv6 = true;
  bool multicast = false;  // IFF_MULTICAST
  // False for an ipvlan device in its modes l3 and l3s, which drop multicast both ways whatever their flags say.
  bool carries_multicast = true;
  bool loopback = false;    // IFF_LOOPBACK
  uint32_t flags = 0;       // All of IFF_*, the three above among them.
  std::string mac_address;  // "02:00:00:00:00:01"; empty if it has none.
  uint32_t mtu_bytes = 0;
  uint32_t master_index = 0;  // The bridge, bond or VRF that it is a port of; 0 for none.
  std::string master_name;    // That device's; set by InterfaceTable.
  // IFLA_INFO_SLAVE_KIND: as what the master has it, "bridge", "bond", "team", "openvswitch", "vrf"; empty if none.
  std::string port_kind;
  bool forwarding = true;  // As a port of a bridge: the bridge passes frames through it (BR_STATE_FORWARDING).
  std::string kind;        // IFLA_INFO_KIND: "veth", "bridge", "vlan"; empty for hardware.
  bool peer_in_other_namespace = false;  // IFLA_LINK_NETNSID present: for a veth, the host side of a container's.
  // The host's default route of a family leads through it, or no other interface is up but the loopback.
  bool uplink = false;
  std::vector<std::string> alternative_names;  // IFLA_ALT_IFNAME: `ip link property add dev eth0 altname enp5s0`.
  bool prefers_temporary = false;              // net.ipv6.conf.*.use_tempaddr is 2.
  // Those that the host would send from, in the kernel's order: an IPv6 address still in duplicate detection is left
  // out, and its end is heard by InterfaceWatch.
  std::vector<InterfaceAddress> addresses;

  bool IsCalled(std::string_view a_name) const;  // By its name or an alternative one.
  bool IsInVrf() const { return port_kind == "vrf"; }
  // Of a bridge, the ports that pass frames now, but for those to containers and virtual machines: where the network
  // may be. Set by InterfaceTable.
  struct Port {
    uint32_t index = 0;
    uint32_t carrier_changes = 0;
    friend bool operator==(const Port&, const Port&) = default;
  };
  std::vector<Port> ports;

  // Whether its master takes all that it receives, as a bridge, bond, team or OVS datapath does: then no socket of its
  // own gets any. A VRF and a B.A.T.M.A.N. mesh leave it what it has.
  bool ReceivesForMaster() const { return master_index != 0 && port_kind != "vrf" && port_kind != "batadv"; }
  // The source of the IGMP reports that the kernel sends by it (its inet_select_addr); nothing: they come from 0.0.0.0.
  std::optional<IpAddress> IgmpSource() const;
  bool HasAddress(Family family) const;
  // The address of this interface that the kernel would send to a group from if it is not told (IPv4 by scope and
  // order, IPv6 by RFC 6724). The kernel takes one of another interface where this has none for the group's scope; here
  // it is the best of its own. Nothing if it has none of the family.
  std::optional<IpAddress> SourceFor(const IpAddress& group) const;
  // The same for a group of wide scope.
  std::optional<IpAddress> DefaultSource(Family family) const;
  friend bool operator==(const Interface&, const Interface&) = default;
};

// Interfaces in order of index. A value.
class InterfaceTable {
 public:
  InterfaceTable() = default;
  explicit InterfaceTable(std::vector<Interface> interfaces);

  // Asks the kernel (rtnetlink, RTM_GETLINK and RTM_GETADDR). Blocks for the kernel's answer only.
  static absl::StatusOr<InterfaceTable> Read();

  const std::vector<Interface>& interfaces() const { return interfaces_; }
  // Null where there is none; valid as long as this table.
  // By name or alternative name; no two interfaces share one.
  const Interface* FindByName(std::string_view name) const;
  const Interface* FindByIndex(uint32_t index) const;
  // All that have the address: several links may share one.
  std::vector<const Interface*> FindByAddress(const IpAddress& address) const;
  // All that a name or an address means; none for what is neither.
  std::vector<const Interface*> FindBySelector(std::string_view name_or_address) const;

 private:
  std::vector<Interface> interfaces_;
};

// The interface of the default route with the lowest metric (main table) of a family: its index. NO_ROUTE where none.
absl::StatusOr<uint32_t> DefaultRouteInterface(Family family);

// What the kernel has told of links and addresses. The table says how they are now; this says what it cannot show.
struct InterfaceChanges {
  bool any = false;  // Something changed, or messages were lost: the table is to be read again.
  // By index: links that were deleted, went down, or were ports of a device that takes what they receive, at some
  // moment. Each may be as before in the table.
  std::set<uint32_t> deleted;
  std::set<uint32_t> down;
  std::set<uint32_t> enslaved;

  void Add(InterfaceChanges other);
};

// Hears of changes to links and addresses, and to routes if asked to, and keeps them until somebody takes them.
// Thread-safe.
//
// What is told is older than any table whose reading began after it was heard. So whoever takes the changes and reads
// the table after it knows that none of them is news about what the table shows first.
class InterfaceWatch {
 public:
  enum class Scope : uint8_t { kInterfaces, kInterfacesAndRoutes };

  virtual ~InterfaceWatch() = default;
  InterfaceWatch() = default;
  InterfaceWatch(const InterfaceWatch&) = delete;
  InterfaceWatch& operator=(const InterfaceWatch&) = delete;
  // `receive_buffer_bytes`: of the netlink socket; what it cannot hold is lost, and known to be lost. 0: the default,
  // which is more than the host's where the process may raise it.
  static absl::StatusOr<std::unique_ptr<InterfaceWatch>> Create(size_t receive_buffer_bytes = 0,
                                                                Scope scope = Scope::kInterfaces);
  // Readable when something may have changed. Borrowed.
  virtual int fd() const = 0;
  // Takes in all queued messages without blocking. Lost messages (ENOBUFS) count as a change. True if something is to
  // be taken.
  bool Hear();
  // What was heard since the last time, with what is queued now.
  InterfaceChanges Take();

 protected:
  // Adds what the queued messages say. Called by one thread at a time.
  virtual void Drain(InterfaceChanges* changes) = 0;

 private:
  Mutex mutex_;
  InterfaceChanges heard_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace mcgw::net

#endif  // MCGW_NET_INTERFACE_TABLE_H_
