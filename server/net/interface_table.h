// The network interfaces of this host: a snapshot, and a watch that says when it has changed.

#ifndef MCGW_NET_INTERFACE_TABLE_H_
#define MCGW_NET_INTERFACE_TABLE_H_

#include <cstdint>
#include <memory>
#include <optional>
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
  // IFLA_CARRIER, true where the driver does not say; while up, IFF_RUNNING too: the kernel puts a link in operation up
  // to a second after its carrier came, and loses in silence what is sent before.
  bool carrier = false;
  bool multicast = false;   // IFF_MULTICAST
  bool loopback = false;    // IFF_LOOPBACK
  uint32_t flags = 0;       // All of IFF_*, the three above among them.
  std::string mac_address;  // "02:00:00:00:00:01"; empty if it has none.
  uint32_t mtu_bytes = 0;
  uint32_t master_index = 0;             // The bridge, bond or VRF that it is enslaved to; 0 for none.
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

// Hears of changes to links and addresses. Used by one thread.
class InterfaceWatch {
 public:
  virtual ~InterfaceWatch() = default;
  static absl::StatusOr<std::unique_ptr<InterfaceWatch>> Create();
  // Readable when something may have changed. Borrowed.
  virtual int fd() const = 0;
  // Takes in all queued messages without blocking. True if a link or an address changed, or if messages were lost
  // (ENOBUFS): either way the table is to be read again.
  virtual bool Drain() = 0;
};

}  // namespace mcgw::net

#endif  // MCGW_NET_INTERFACE_TABLE_H_
