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

namespace mcgw::net {

struct InterfaceAddress {
  IpAddress address;
  uint8_t prefix_length = 0;
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
  bool multicast = false;   // IFF_MULTICAST
  bool loopback = false;    // IFF_LOOPBACK
  uint32_t flags = 0;       // All of IFF_*, the three above among them.
  std::string mac_address;  // "02:00:00:00:00:01"; empty if it has none.
  uint32_t mtu_bytes = 0;
  uint32_t master_index = 0;  // The bridge, bond or VRF that it is enslaved to; 0 for none.
  // IFLA_INFO_SLAVE_KIND: as what the master has it, "bridge", "bond", "team", "openvswitch", "vrf"; empty if none.
  std::string port_kind;
  std::string kind;                      // IFLA_INFO_KIND: "veth", "bridge", "vlan"; empty for hardware.
  bool peer_in_other_namespace = false;  // IFLA_LINK_NETNSID present: for a veth, the host side of a container's.
  // Those that the host would send from: an IPv6 address still in duplicate detection is left out, and its end is
  // heard by InterfaceWatch.
  std::vector<InterfaceAddress> addresses;

  bool HasAddress(Family family) const;
  // The first address of the family: for IPv6 a link-local one only if there is no other. Nothing if there is none.
  std::optional<IpAddress> FirstAddress(Family family) const;
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
  const Interface* FindByName(std::string_view name) const;
  const Interface* FindByIndex(uint32_t index) const;
  const Interface* FindByAddress(const IpAddress& address) const;

 private:
  std::vector<Interface> interfaces_;
};

// The interface that the host's routes choose for a destination (rtnetlink RTM_GETROUTE): its index. NO_ROUTE where
// there is none.
absl::StatusOr<uint32_t> RouteInterface(const IpAddress& destination);

// The interface of the default route with the lowest metric (main table) of a family: its index. NO_ROUTE where none.
absl::StatusOr<uint32_t> DefaultRouteInterface(Family family);

// What the kernel has told of links and addresses. The table says how they are now; this says what it cannot show.
struct InterfaceChanges {
  bool any = false;  // Something changed, or messages were lost: the table is to be read again.
  // By index: links that were deleted, or were not up, at some moment. Either may be back in the table.
  std::set<uint32_t> deleted;
  std::set<uint32_t> down;
};

// Hears of changes to links and addresses. Used by one thread.
class InterfaceWatch {
 public:
  virtual ~InterfaceWatch() = default;
  // `receive_buffer_bytes`: of the netlink socket; what it cannot hold is lost, and known to be lost. 0: the default,
  // which is more than the host's where the process may raise it.
  static absl::StatusOr<std::unique_ptr<InterfaceWatch>> Create(size_t receive_buffer_bytes = 0);
  // Readable when something may have changed. Borrowed.
  virtual int fd() const = 0;
  // Takes in all queued messages without blocking and adds what they say. Lost messages (ENOBUFS) count as a change.
  virtual void Drain(InterfaceChanges* changes) = 0;
  // The same, for those who only want to know whether anything changed.
  bool Drain() {
    InterfaceChanges changes;
    Drain(&changes);
    return changes.any;
  }
};

}  // namespace mcgw::net

#endif  // MCGW_NET_INTERFACE_TABLE_H_
