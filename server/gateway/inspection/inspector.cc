#include "server/gateway/inspection/inspector.h"

#include <algorithm>
#include <map>
#include <utility>

#include "server/gateway/inspection/diagnosis_facts.h"
#include "server/net/device_counters.h"

namespace mcgw::gateway {
namespace {

// Interfaces that exist are listed by index, which has 32 bits.
constexpr uint64_t kAbsentFrom = uint64_t{1} << 32;

}  // namespace

absl::StatusOr<std::vector<ChannelSnapshot>> Inspector::ListChannels(const ChannelQuery& query) const {
  const std::vector<HostMemberships::Held> host_only = view_.sender().host_memberships().List();
  // Only the page's own channels are read in full.
  std::vector<std::pair<uint64_t, InterfaceRegistry::ChannelsPtr>> wanted;
  for (const InterfaceRegistry::ChannelsPtr& channels : view_.registry().All()) {
    if (!query.interfaces.empty() && !query.interfaces.contains(channels->name())) continue;
    for (const uint64_t id : channels->ChannelIds(query)) wanted.emplace_back(id, channels);
  }
  std::sort(wanted.begin(), wanted.end());
  if (wanted.size() > query.most) wanted.resize(query.most);
  std::vector<ChannelSnapshot> all;
  int64_t opened_ns = 0;
  for (const auto& [id, channels] : wanted) {
    for (ChannelSnapshot& snapshot : channels->Snapshot({id})) {
      opened_ns = std::max(opened_ns, snapshot.opened_ns);
      all.push_back(std::move(snapshot));
    }
  }
  const std::shared_ptr<const HostView::KernelReading> kernel = view_.ReadKernelForPage(query.after_id > 0, opened_ns);
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

InterfaceSnapshot Inspector::SnapshotOf(const net::Interface& interface, const InterfaceChannels* channels,
                                        const HostSnapshot& host) const {
  const net::KernelMemberships& kernel = host.memberships;
  InterfaceSnapshot snapshot{
      .interface = interface, .order = interface.index, .permitted = view_.directory().IsPermitted(interface)};
  if (channels != nullptr) {
    snapshot.lost = !channels->empty() && channels->lost();
    snapshot.losses = channels->losses();
    // Missing interfaces come last.
    if (interface.index == 0) snapshot.order = kAbsentFrom + channels->id();
  }
  for (const net::Family family : {net::Family::kIpv4, net::Family::kIpv6}) {
    const bool is_v6 = family == net::Family::kIpv6;
    InterfaceSnapshot::PerFamily& entry = snapshot.families[is_v6];
    entry.exclusions = view_.directory().StarExclusions(interface, family);
    entry.is_default = interface.index != 0 && host.defaults[is_v6] == interface.index;
    if (channels != nullptr) entry.memberships = channels->Holds(family);
    if (interface.index != 0) entry.protocol_version = view_.ProtocolVersion(interface, family, kernel);
  }
  if (const auto at = host.devices.find(interface.index); at != host.devices.end()) snapshot.device = at->second;
  if (channels != nullptr) snapshot.received = channels->Totals();
  if (interface.index == 0) return snapshot;
  snapshot.sends = view_.sender().account().Of(interface.index);
  const std::map<net::IpAddress, uint32_t> sockets = view_.SocketsOn(interface.index);
  for (auto at = kernel.users.lower_bound({interface.index, net::IpAddress()});
       at != kernel.users.end() && at->first.first == interface.index; ++at) {
    const net::IpAddress& group = at->first.second;
    const auto ours = sockets.find(group);
    snapshot.families[!group.is_v4()].kernel.push_back({group, at->second, ours == sockets.end() ? 0 : ours->second});
  }
  return snapshot;
}

absl::StatusOr<std::vector<InterfaceSnapshot>> Inspector::ListInterfaces() const {
  if (absl::Status status = view_.directory().Refresh(); !status.ok()) return status;
  absl::StatusOr<net::KernelMemberships> memberships = view_.ReadKernel();
  if (!memberships.ok()) return memberships.status();
  absl::StatusOr<std::map<uint32_t, net::DeviceCounters>> devices = net::ReadDeviceCounters();
  if (!devices.ok()) return devices.status();
  if (view_.queriers() != nullptr) view_.queriers()->Drain();
  const HostSnapshot host{.memberships = *std::move(memberships),
                          .devices = *std::move(devices),
                          .defaults = {view_.directory().DefaultIndex(net::Family::kIpv4),
                                       view_.directory().DefaultIndex(net::Family::kIpv6)}};
  std::vector<InterfaceSnapshot> all;
  const std::shared_ptr<const net::InterfaceTable> table = view_.directory().table();
  for (const net::Interface& interface : table->interfaces()) {
    all.push_back(SnapshotOf(interface, view_.ChannelsOn(interface.index).get(), host));
  }
  for (const InterfaceRegistry::ChannelsPtr& channels : view_.registry().All()) {
    // Includes a channel whose interface has just gone, before the gateway has noticed.
    if (table->FindByIndex(channels->index()) != nullptr || channels->empty()) continue;
    net::Interface gone;
    gone.name = channels->name();
    all.push_back(SnapshotOf(gone, channels.get(), host));
  }
  return all;
}

absl::StatusOr<std::vector<Finding>> Inspector::Diagnose(const DiagnosisRequest& request) const {
  if (absl::Status status = CheckRequest(request); !status.ok()) return status;
  if (absl::Status status = view_.directory().Refresh(); !status.ok()) return status;
  absl::StatusOr<std::vector<ChannelSnapshot>> channels = ListChannels();
  if (!channels.ok()) return channels.status();
  absl::StatusOr<std::map<uint32_t, net::DeviceCounters>> devices = net::ReadDeviceCounters();
  if (!devices.ok()) return devices.status();
  if (view_.queriers() != nullptr) view_.queriers()->Drain();
  FactGatherer gatherer(&view_, &request, *std::move(channels), *std::move(devices));
  const DiagnosisFacts facts = gatherer.Gather();
  return Judge(facts, gatherer.TakeFindings());
}

std::vector<SubscriberSnapshot> Inspector::ListSubscribers(const SubscriberQuery& query) const {
  std::vector<SubscriberSnapshot> page;
  streams_->ReadAfter(query.after_id, [&](const Subscription& stream) {
    if (page.size() >= query.most) return false;
    if (query.channel_id == 0 || stream.subscriber().LagIn(query.channel_id).has_value()) {
      page.push_back(stream.Snapshot(query.channel_id));
    }
    return true;
  });
  return page;
}

std::optional<ChannelLedger> Inspector::LedgerOfChannel(uint64_t channel_id) const {
  for (const InterfaceRegistry::ChannelsPtr& channels : view_.registry().All()) {
    if (std::optional<ChannelLedger> ledger = channels->LedgerOf(channel_id); ledger.has_value()) return ledger;
  }
  return std::nullopt;
}

std::vector<SubscriberLedger> Inspector::LedgersInChannel(const SubscriberQuery& query) const {
  std::vector<SubscriberLedger> page;
  streams_->ReadAfter(query.after_id, [&](const Subscription& stream) {
    if (page.size() >= query.most) return false;
    const std::optional<fanout::LedgerEntry> entry = stream.subscriber().LedgerIn(query.channel_id);
    if (entry.has_value()) page.push_back({stream.id(), *entry});
    return true;
  });
  return page;
}

std::optional<fanout::LedgerEntry> Inspector::LedgerOfSubscriber(uint64_t subscriber_id, uint64_t after_channel,
                                                                 size_t most,
                                                                 std::vector<fanout::LedgerEntry>* entries) const {
  std::optional<fanout::LedgerEntry> total;
  streams_->ReadOne(subscriber_id, [&](const Subscription& stream) {
    *entries = stream.subscriber().Ledger(after_channel, most);
    total = stream.subscriber().Total();
  });
  return total;
}

GatewayAccount Inspector::Account() const {
  GatewayAccount account;
  for (const InterfaceRegistry::ChannelsPtr& channels : view_.registry().All())
    account.channels.Add(channels->Account());
  account.channels.Add(closed_->channels());
  account.subscribers = streams_->Total();
  return account;
}

void Inspector::Sweep() {
  if (view_.queriers() != nullptr) view_.queriers()->Drain();
}

}  // namespace mcgw::gateway
