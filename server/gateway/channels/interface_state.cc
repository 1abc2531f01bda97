#include "server/gateway/channels/interface_state.h"

#include <algorithm>
#include <utility>

#include "server/gateway/rules/policy.h"
#include "server/net/status.h"
#include "server/net/text.h"

namespace mcgw::gateway {

using fanout::LostCause;
using net::Error;
using net::Reason;

namespace {

std::optional<LostCause> CauseOfLoss(const net::Interface* interface) {
  if (interface == nullptr) return LostCause::kDeleted;
  if (!interface->up) return LostCause::kDown;
  if (interface->ReceivesForMaster()) return LostCause::kEnslaved;
  if (!interface->carrier) return LostCause::kNoCarrier;
  return std::nullopt;
}

}  // namespace

InterfaceState::InterfaceState(std::string name, const net::Interface* interface) : name_(std::move(name)) {
  TakeOn(interface);
}

void InterfaceState::TakeOn(const net::Interface* interface) {
  index_ = interface == nullptr ? 0 : interface->index;
  lost_ = CauseOfLoss(interface);
  ipv6_ = interface == nullptr || interface->ipv6;
  carries_multicast_ = interface == nullptr || interface->carries_multicast;
  if (interface == nullptr) return;
  name_ = interface->name;
  master_name_ = interface->master_name;
  carrier_changes_ = interface->carrier_changes;
  // Reports sent while it is lost are not heard.
  if (!lost_) reporting_ = {interface->IgmpSource(), interface->mac_address, interface->ports};
}

std::optional<LostCause> InterfaceState::CauseBetween(const InterfaceState& before,
                                                      const InterfaceInterim& interim) const {
  if (before.index_ == 0 || index_ == 0) return std::nullopt;
  if (interim.deleted || index_ != before.index_ || carrier_changes_ < before.carrier_changes_) {
    return LostCause::kDeleted;
  }
  if (interim.down) return LostCause::kDown;
  if (interim.enslaved) return LostCause::kEnslaved;
  if (carrier_changes_ != before.carrier_changes_) return LostCause::kNoCarrier;
  return std::nullopt;
}

bool InterfaceState::HasMoved(const InterfaceState& before) const {
  // A switch that sends a group to the MAC addresses of its members knows the old one. Behind a bridge port that passes
  // frames again, the device that tracks the members may have forgotten them or never have learned of them.
  const Reporting& last = before.reporting_;
  return (!last.mac_address.empty() && last.mac_address != reporting_.mac_address) ||
         std::any_of(reporting_.ports.begin(), reporting_.ports.end(), [&](const net::Interface::Port& port) {
           return std::find(last.ports.begin(), last.ports.end(), port) == last.ports.end();
         });
}

bool InterfaceState::HasNewIgmpSource(const InterfaceState& before) const {
  // IGMP reports without a source are dropped, and those with another source may be. The kernel does not repeat them
  // when an address is added. It does repeat MLD reports, which come from a link-local address.
  return reporting_.igmp_source.has_value() && before.reporting_.igmp_source != reporting_.igmp_source;
}

fanout::Event InterfaceState::Lose(LostCause cause, const std::string& name, uint32_t index, int64_t now_unix_ns) {
  ++losses_;
  lost_told_ = true;
  return fanout::InterfaceLost{name, index, cause, now_unix_ns};
}

InterfaceState::Step InterfaceState::Update(const net::Interface* interface, const InterfaceInterim& interim,
                                            int64_t now_unix_ns) {
  const InterfaceState before = *this;
  TakeOn(interface);
  const bool was_there = before.index_ != 0;
  const std::optional<LostCause> between = CauseBetween(before, interim);
  const bool remade = between == LostCause::kDeleted;
  const bool interrupted = between.has_value() && !before.lost_ && !lost_;

  Step step;
  if (was_there && index_ != 0 && name_ != before.name_) {
    step.events.push_back(fanout::InterfaceRenamed{index_, before.name_, name_});
  }
  step.lost = was_there && !before.lost_ && before.lost_memberships_.empty() && (lost_ || interrupted);
  if (step.lost) {
    step.events.push_back(Lose(remade || !lost_ ? *between : *lost_, before.name_, before.index_, now_unix_ns));
  } else if (was_there && lost_ == LostCause::kEnslaved && before.lost_ != lost_) {
    // A bond takes a port while it is down. The down state passes; the enslavement stays.
    step.events.push_back(fanout::InterfaceLost{name_, index_, *lost_, now_unix_ns});
    lost_told_ = true;
  }
  const bool restored = !lost_ && (before.lost_ || interrupted) && (was_there || lost_told_);
  if (restored) {
    step.events.push_back(fanout::InterfaceRestored{name_, index_, now_unix_ns});
    lost_told_ = false;
  }
  if (lost_ || restored) lost_memberships_.clear();

  if (index_ == 0 || (remade && lost_)) {
    step.ipv4 = step.ipv6 = Sockets::kClose;
    return step;
  }
  // A new device knows nothing of the socket's membership. When a carrier comes back, the kernel repeats MLD reports
  // but not IGMP reports, so a switch may have forgotten the group. A port of another device heard no query either.
  const bool freed = before.lost_ == LostCause::kEnslaved || interim.enslaved;
  const bool moved = was_there && !lost_ && HasMoved(before);
  const bool new_source = was_there && !lost_ && HasNewIgmpSource(before);
  if (remade || restored || moved || new_source) step.ipv4 = Sockets::kRenew;
  if (remade || (restored && freed) || moved) step.ipv6 = Sockets::kRenew;
  // With IPv6 off the kernel drops IPv6 memberships, or what they receive.
  if (!ipv6_) step.ipv6 = Sockets::kClose;
  step.only_ipv6_off = !ipv6_ && !remade && !lost_;
  return step;
}

fanout::Event InterfaceState::LoseMemberships(std::set<uint64_t> channel_ids, int64_t now_unix_ns) {
  lost_memberships_ = std::move(channel_ids);
  return Lose(LostCause::kMembershipLost, name_, index_, now_unix_ns);
}

fanout::Event InterfaceState::RestoreMemberships(int64_t now_unix_ns) {
  lost_memberships_.clear();
  lost_told_ = false;
  return fanout::InterfaceRestored{name_, index_, now_unix_ns};
}

absl::Status InterfaceState::Usable(net::Family family) const {
  if (index_ == 0) {
    return Error(Reason::kInterfaceNotFound, "interface",
                 net::StrCat("the gateway's host has no interface ", name_, " now"));
  }
  if (lost_ == LostCause::kDown) {
    return Error(Reason::kInterfaceDown, "interface",
                 net::StrCat("interface ", name_, " is down: ip link set ", name_, " up"));
  }
  if (lost_ == LostCause::kEnslaved) {
    return Error(Reason::kInterfaceEnslaved, "interface",
                 net::StrCat("interface ", name_, " is a port of ", master_name_,
                             ", which takes all that it receives: join on ", master_name_, " instead"));
  }
  if (!carries_multicast_) return NoMulticast(name_, "interface");
  if (family == net::Family::kIpv6 && !ipv6_) {
    return Error(
        Reason::kNoAddress, "",
        net::StrCat("IPv6 is off on ", name_, ": the kernel lacks it, the MTU is below 1280, or disable_ipv6 is set"));
  }
  return absl::OkStatus();
}

}  // namespace mcgw::gateway
