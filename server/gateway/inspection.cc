// What the gateway shows of itself and of its host: the part of Gateway that only looks.

#include <algorithm>
#include <array>
#include <map>
#include <utility>

#include "server/gateway/gateway.h"
#include "server/net/device_counters.h"
#include "server/net/host_settings.h"
#include "server/net/membership_protocol.h"

namespace mcgw::gateway {
namespace {

// Interfaces that exist are listed by index, which has 32 bits.
constexpr uint64_t kAbsentFrom = uint64_t{1} << 32;

// How old a reading of the kernel's memberships may be for the second and later pages of a list.
constexpr int64_t kOldestReadingNs = 10'000'000'000;

uint32_t MldVersionOn(const net::Interface& interface, const net::QuerierListener* queriers) {
  std::optional<bool> v1_heard;
  if (queriers != nullptr) {
    const int64_t long_ago_ns = net::MonotonicNs() - net::kOlderQuerierPresentNs;
    const std::optional<net::Query> v1 = queriers->Last(interface.index, net::Family::kIpv6, 1);
    if (v1.has_value() && v1->heard_ns >= long_ago_ns) {
      v1_heard = true;
    } else if (queriers->since_ns() <= long_ago_ns) {
      v1_heard = false;
    }
  }
  return net::MldVersion(net::ReadMldCounters(interface.name),
                         net::ReadInterfaceSettings(interface.name).force_mld_version, v1_heard);
}

}  // namespace

std::shared_ptr<const Gateway::KernelReading> Gateway::ReadKernel(bool further_page, int64_t since_ns) const {
  const int64_t now_ns = net::MonotonicNs();
  if (further_page) {
    net::MutexLock lock(&reading_mutex_);
    const int64_t oldest_ns = std::max(since_ns, now_ns - kOldestReadingNs);
    if (reading_ != nullptr && reading_->begun_ns > oldest_ns) return reading_;
  }
  absl::StatusOr<net::KernelMemberships> memberships = kernel_memberships_();
  if (!memberships.ok()) return nullptr;
  auto reading = std::make_shared<const KernelReading>(KernelReading{*std::move(memberships), now_ns});
  net::MutexLock lock(&reading_mutex_);
  reading_ = reading;
  return reading;
}

absl::StatusOr<std::vector<ChannelSnapshot>> Gateway::ListChannels(const ChannelQuery& query) const {
  const std::vector<HostMemberships::Held> host_only = sender_.host_memberships().List();
  // A page looks closely at its own channels only.
  std::vector<std::pair<uint64_t, InterfaceRegistry::ManagerPtr>> wanted;
  for (const InterfaceRegistry::ManagerPtr& manager : registry_.All()) {
    if (!query.interfaces.empty() && !query.interfaces.contains(manager->name())) continue;
    for (const uint64_t id : manager->ChannelIds(query)) wanted.emplace_back(id, manager);
  }
  std::sort(wanted.begin(), wanted.end());
  if (wanted.size() > query.most) wanted.resize(query.most);
  std::vector<ChannelSnapshot> all;
  int64_t opened_ns = 0;
  for (const auto& [id, manager] : wanted) {
    for (ChannelSnapshot& snapshot : manager->Snapshot({id})) {
      opened_ns = std::max(opened_ns, snapshot.opened_ns);
      all.push_back(std::move(snapshot));
    }
  }
  const std::shared_ptr<const KernelReading> kernel = ReadKernel(query.after_id > 0, opened_ns);
  for (ChannelSnapshot& snapshot : all) {
    if (kernel != nullptr) {
      const auto& users = kernel->memberships.users;
      const auto at = users.find({snapshot.status.interface_index, snapshot.status.group});
      snapshot.host_users = at == users.end() ? 0 : at->second;
      snapshot.joined = snapshot.joined && *snapshot.host_users > 0;
    }
    for (const HostMemberships::Held& held : host_only) {
      if (held.interface_index != snapshot.status.interface_index || held.group != snapshot.status.group) continue;
      snapshot.holders.push_back({.kind = Holder::Kind::kGateway,
                                  .selector = snapshot.status.interface_name,
                                  .since_unix_ns = held.since_unix_ns});
    }
  }
  return all;
}

InterfaceRegistry::ManagerPtr Gateway::ManagerOf(uint32_t interface_index) const {
  for (InterfaceRegistry::ManagerPtr& manager : registry_.All()) {
    if (manager->index() == interface_index) return std::move(manager);
  }
  return nullptr;
}

std::map<net::IpAddress, uint32_t> Gateway::SocketsOn(uint32_t interface_index) const {
  std::map<net::IpAddress, uint32_t> sockets;
  if (const InterfaceRegistry::ManagerPtr manager = ManagerOf(interface_index); manager != nullptr) {
    sockets = manager->Sockets();
  }
  for (const HostMemberships::Held& held : sender_.host_memberships().List()) {
    if (held.interface_index == interface_index) ++sockets[held.group];
  }
  return sockets;
}

uint32_t Gateway::ProtocolVersion(const net::Interface& interface, net::Family family,
                                  const net::KernelMemberships& kernel) const {
  if (family == net::Family::kIpv6) return MldVersionOn(interface, queriers_.get());
  const auto at = kernel.igmp_version.find(interface.index);
  return at == kernel.igmp_version.end() ? 0 : at->second;
}

InterfaceSnapshot Gateway::SnapshotOf(const net::Interface& interface, const InterfaceManager* manager,
                                      const HostSnapshot& host) const {
  const net::KernelMemberships& kernel = host.memberships;
  InterfaceSnapshot snapshot{
      .interface = interface, .order = interface.index, .permitted = directory_.IsPermitted(interface)};
  if (manager != nullptr) {
    snapshot.lost = !manager->empty() && manager->lost();
    snapshot.losses = manager->losses();
    // Those that do not exist come last.
    if (interface.index == 0) snapshot.order = kAbsentFrom + manager->id();
  }
  for (const net::Family family : {net::Family::kIpv4, net::Family::kIpv6}) {
    const bool is_v6 = family == net::Family::kIpv6;
    InterfaceSnapshot::PerFamily& entry = snapshot.families[is_v6];
    entry.exclusions = directory_.StarExclusions(interface, family);
    entry.is_default = interface.index != 0 && host.defaults[is_v6] == interface.index;
    if (manager != nullptr) entry.memberships = manager->Holds(family);
    if (interface.index != 0) entry.protocol_version = ProtocolVersion(interface, family, kernel);
  }
  if (const auto at = host.devices.find(interface.index); at != host.devices.end()) snapshot.device = at->second;
  if (manager != nullptr) snapshot.received = manager->Totals();
  if (interface.index == 0) return snapshot;
  snapshot.sends = sender_.account().Of(interface.index);
  const std::map<net::IpAddress, uint32_t> sockets = SocketsOn(interface.index);
  for (auto at = kernel.users.lower_bound({interface.index, net::IpAddress()});
       at != kernel.users.end() && at->first.first == interface.index; ++at) {
    const net::IpAddress& group = at->first.second;
    const auto ours = sockets.find(group);
    snapshot.families[!group.is_v4()].kernel.push_back({group, at->second, ours == sockets.end() ? 0 : ours->second});
  }
  return snapshot;
}

absl::StatusOr<std::vector<InterfaceSnapshot>> Gateway::ListInterfaces() {
  if (absl::Status status = directory_.Refresh(); !status.ok()) return status;
  absl::StatusOr<net::KernelMemberships> memberships = kernel_memberships_();
  if (!memberships.ok()) return memberships.status();
  absl::StatusOr<std::map<uint32_t, net::DeviceCounters>> devices = net::ReadDeviceCounters();
  if (!devices.ok()) return devices.status();
  if (queriers_ != nullptr) queriers_->Drain();
  const HostSnapshot host{
      .memberships = *std::move(memberships),
      .devices = *std::move(devices),
      .defaults = {directory_.DefaultIndex(net::Family::kIpv4), directory_.DefaultIndex(net::Family::kIpv6)}};
  std::vector<InterfaceSnapshot> all;
  const std::shared_ptr<const net::InterfaceTable> table = directory_.table();
  for (const net::Interface& interface : table->interfaces()) {
    all.push_back(SnapshotOf(interface, ManagerOf(interface.index).get(), host));
  }
  for (const InterfaceRegistry::ManagerPtr& manager : registry_.All()) {
    // Also one whose interface has just gone, of which the gateway is still to hear.
    if (table->FindByIndex(manager->index()) != nullptr || manager->empty()) continue;
    net::Interface gone;
    gone.name = manager->name();
    all.push_back(SnapshotOf(gone, manager.get(), host));
  }
  return all;
}

}  // namespace mcgw::gateway
