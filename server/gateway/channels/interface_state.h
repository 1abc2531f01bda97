// The state of an interface as its channels see it: a value, without locks or system calls.
//
// Update compares two readings of the interface and decides what the streams are told and what happens to the sockets.
// InterfaceChannels carries out the decision.

#ifndef MCGW_GATEWAY_CHANNELS_INTERFACE_STATE_H_
#define MCGW_GATEWAY_CHANNELS_INTERFACE_STATE_H_

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "server/fanout/event.h"
#include "server/net/interface.h"

namespace mcgw::gateway {

// What happened to an interface between two readings, even if neither shows it.
struct InterfaceInterim {
  bool deleted = false;
  bool down = false;
  bool enslaved = false;
};

class InterfaceState {
 public:
  // What happens to a family's open sockets.
  enum class Sockets : uint8_t {
    kKeep,
    kRenew,  // The kernel or the network may have forgotten the memberships: leave and join again.
    kClose,  // They receive nothing, now or later.
  };
  struct Step {
    std::vector<fanout::Event> events;  // For the streams that read its channels, in order.
    Sockets ipv4 = Sockets::kKeep;
    Sockets ipv6 = Sockets::kKeep;
    bool lost = false;           // Channels that keep their sockets have missed datagrams.
    bool only_ipv6_off = false;  // Closing the IPv6 sockets is a loss of their memberships alone (LoseMemberships).
  };

  // `interface`: null while it does not exist; `name` is then the one to wait for.
  InterfaceState(std::string name, const net::Interface* interface);

  // Takes the interface as it is now.
  Step Update(const net::Interface* interface, const InterfaceInterim& interim, int64_t now_unix_ns);
  // The kernel has lost the memberships of these channels only, while the interface is not lost.
  fanout::Event LoseMemberships(std::set<uint64_t> channel_ids, int64_t now_unix_ns);
  // These channels are all joined again; lost_memberships() is then empty.
  fanout::Event RestoreMemberships(int64_t now_unix_ns);

  const std::string& name() const { return name_; }
  uint32_t index() const { return index_; }  // 0 while it does not exist.
  // Why nothing can be received on it.
  std::optional<fanout::LostCause> lost() const { return lost_; }
  // Nothing can be joined on it, even if the kernel accepts it.
  bool Unjoinable() const { return lost_.has_value() && *lost_ != fanout::LostCause::kNoCarrier; }
  // OK if the interface can be joined on; else INTERFACE_NOT_FOUND, INTERFACE_DOWN, INTERFACE_ENSLAVED, NO_MULTICAST or
  // NO_ADDRESS.
  absl::Status Usable(net::Family family) const;
  // The channels, by id, that LoseMemberships named and that are not all joined again.
  const std::set<uint64_t>& lost_memberships() const { return lost_memberships_; }
  uint64_t losses() const { return losses_; }  // How often it was lost, or memberships were.

 private:
  // What the network identifies the host's reports by, at the time of the last reports.
  struct Reporting {
    std::optional<net::IpAddress> igmp_source;
    std::string mac_address;
    std::vector<net::Interface::Port> ports;
  };

  void TakeOn(const net::Interface* interface);
  // Why the earlier device was away between the two readings, or is another device now (kDeleted).
  std::optional<fanout::LostCause> CauseBetween(const InterfaceState& before, const InterfaceInterim& interim) const;
  // Whether the MAC address has changed, or the bridge has a new port or one that passes frames again.
  bool HasMoved(const InterfaceState& before) const;
  // Whether IGMP reports now have another source than the last ones.
  bool HasNewIgmpSource(const InterfaceState& before) const;
  fanout::Event Lose(fanout::LostCause cause, const std::string& name, uint32_t index, int64_t now_unix_ns);

  std::string name_;
  std::string master_name_;  // Of the device that it is a port of.
  uint32_t index_ = 0;
  uint32_t carrier_changes_ = 0;
  bool ipv6_ = true;
  bool carries_multicast_ = true;
  Reporting reporting_;
  std::optional<fanout::LostCause> lost_;
  bool lost_told_ = false;
  std::set<uint64_t> lost_memberships_;
  uint64_t losses_ = 0;
};

}  // namespace mcgw::gateway

#endif  // MCGW_GATEWAY_CHANNELS_INTERFACE_STATE_H_
