#include "server/gateway/inspection/diagnosis_facts.h"

#include <algorithm>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "server/net/mld_version.h"
#include "server/net/status.h"
#include "server/net/text.h"

namespace mcgw::gateway {
namespace {

using net::Error;
using net::Family;
using net::IpAddress;
using net::Reason;

constexpr Family kFamilies[] = {Family::kIpv4, Family::kIpv6};

int IndexOf(Family family) { return static_cast<int>(family); }

// A group of the family, of site-local scope; any would do.
IpAddress AnyGroup(Family family) { return *IpAddress::Parse(family == Family::kIpv4 ? "239.255.0.1" : "ff15::1"); }

bool Matches(const ChannelSnapshot& channel, const DiagnosisRequest& request) {
  return !request.group.has_value() ||
         (channel.status.group == *request.group && (request.port == 0 || channel.status.port == request.port));
}

bool IsClient(const Holder& holder) { return holder.kind != Holder::Kind::kGateway; }

// The finding for an empty selector that did not resolve.
Finding Unresolved(const absl::Status& status) {
  const Reason reason = net::ReasonOf(status);
  const FindingCode code = reason == Reason::kInterfaceNotAllowed ? FindingCode::kInterfacePermitted
                           : reason == Reason::kInterfaceNotFound ? FindingCode::kInterfaceExists
                                                                  : FindingCode::kRoute;
  return {code,
          Severity::kError,
          net::StrCat("no interface is named, and there is no default: ", net::ToStd(status.message())),
          net::StrCat("a join without an interface fails with ", net::ReasonName(reason)),
          "",
          "name an interface: GROUP:PORT%INTERFACE"};
}

Finding SharedAddress(const std::string& address, const std::vector<uint32_t>& indices,
                      const net::InterfaceTable& table) {
  std::vector<std::string> names;
  for (const uint32_t index : indices) names.push_back(table.FindByIndex(index)->name);
  return {FindingCode::kInterfaceExists,
          Severity::kError,
          net::StrCat("several interfaces have the address ", address, ": ", net::ListText(names)),
          net::StrCat("joins and sends by it fail with ", net::ReasonName(Reason::kInterfaceAmbiguous)),
          "",
          "give the name of one of them: GROUP:PORT%INTERFACE"};
}

// The table that routes are looked up in for datagrams on an interface: its VRF's, or the host's (0).
uint32_t VrfOf(const net::Interface& interface) { return interface.IsInVrf() ? interface.master_index : 0; }

// Looks up routes, each once.
class Routes {
 public:
  explicit Routes(const net::InterfaceTable* table) : table_(table) {}

  SourceFacts Back(const IpAddress& source, uint32_t vrf_index) {
    const auto [at, is_new] = back_.try_emplace({vrf_index, source});
    if (is_new) {
      at->second.source = source;
      const absl::StatusOr<net::Route> route = net::LookUpRoute(source, vrf_index);
      if (route.ok()) at->second.route = *route;
      const net::Interface* const interface = table_->FindByIndex(at->second.route.interface_index);
      if (interface != nullptr) at->second.route_interface = interface->name;
    }
    return at->second;
  }

 private:
  const net::InterfaceTable* const table_;
  std::map<std::pair<uint32_t, IpAddress>, SourceFacts> back_;
};

void FindMaster(const net::Interface& interface, const net::InterfaceTable& table, InterfaceFacts* facts) {
  const net::Interface* bridge = interface.kind == "bridge" ? &interface : nullptr;
  if (const net::Interface* const master = table.FindByIndex(interface.master_index); master != nullptr) {
    facts->master_name = master->name;
    facts->master_kind = master->kind;
    if (master->kind == "bridge") bridge = master;
  }
  if (bridge == nullptr) return;
  if (const absl::StatusOr<net::BridgeState> state = net::ReadBridgeState(bridge->index); state.ok()) {
    facts->bridge = BridgeFacts{bridge->name, *state};
  }
}

std::vector<SourceFacts> SourcesOf(const ChannelFacts& channel, uint32_t vrf_index, Routes* routes) {
  std::vector<SourceFacts> sources;
  if (channel.asked_source.has_value()) {
    sources.push_back(routes->Back(*channel.asked_source, vrf_index));
  } else if (channel.snapshot.has_value()) {
    const ChannelSnapshot& snapshot = *channel.snapshot;
    if (snapshot.wanted.mode() == net::FilterMode::kInclude) {
      for (const IpAddress& source : snapshot.wanted.sources()) sources.push_back(routes->Back(source, vrf_index));
    }
    const absl::StatusOr<IpAddress> last = IpAddress::Parse(snapshot.last_source);
    if (last.ok()) sources.push_back(routes->Back(*last, vrf_index));
  }
  return sources;
}

// The families that a request about an interface concerns: the group's; else those of its channels; else those of its
// addresses; else the host's.
void SetConcern(const DiagnosisRequest& request, const std::vector<ChannelFacts>& channels, bool has_ipv6,
                InterfaceFacts* facts) {
  bool concerned[2] = {false, false};
  if (request.group.has_value()) concerned[IndexOf(request.group->family())] = true;
  for (const ChannelFacts& channel : channels) {
    if (channel.interface_name != facts->interface.name) continue;
    const int family = IndexOf(channel.group.family());
    concerned[family] = true;
    const bool wants = channel.group.IsSourceSpecific() ||
                       (channel.snapshot.has_value() && channel.snapshot->wanted.mode() == net::FilterMode::kInclude &&
                        !channel.snapshot->wanted.sources().empty());
    facts->families[family].wants_sources |= wants;
  }
  if (!concerned[0] && !concerned[1]) {
    for (const Family family : kFamilies) concerned[IndexOf(family)] = facts->interface.HasAddress(family);
  }
  const bool any = concerned[0] || concerned[1];
  for (const Family family : kFamilies) {
    const bool exists = family == Family::kIpv4 || has_ipv6;
    facts->families[IndexOf(family)].concerned = concerned[IndexOf(family)] || (!any && exists);
  }
}

}  // namespace

absl::Status CheckRequest(const DiagnosisRequest& request) {
  if (request.group.has_value() && !request.group->IsMulticast()) {
    return Error(Reason::kNotAMulticastGroup, "group",
                 net::StrCat(request.group->ToString(), " is not a multicast group (224.0.0.0/4, ff00::/8)"));
  }
  if (request.port != 0 && !request.group.has_value()) {
    return Error(Reason::kConflictingFields, "port",
                 net::StrCat("port ", request.port, " has no group: name the group too, or leave the port out"));
  }
  if (!request.source.has_value()) return absl::OkStatus();
  const IpAddress& source = *request.source;
  if (source.IsMulticast() || source.IsUnspecified() || source.IsBroadcast()) {
    return Error(Reason::kInvalidSource, "source_address",
                 net::StrCat(source.ToString(), " is not a sender's unicast address"));
  }
  if (request.group.has_value() && source.family() != request.group->family()) {
    return Error(Reason::kInvalidSource, "source_address",
                 net::StrCat(source.ToString(), " is not an ", net::FamilyName(request.group->family()),
                             " address, as the group is"));
  }
  return absl::OkStatus();
}

FactGatherer::FactGatherer(const HostView* view, const DiagnosisRequest* request, std::vector<ChannelSnapshot> channels,
                           std::map<uint32_t, net::DeviceCounters> devices)
    : view_(*view),
      request_(*request),
      table_(view->directory().table()),
      channels_(std::move(channels)),
      devices_(std::move(devices)) {
  if (absl::StatusOr<net::KernelMemberships> kernel = view_.ReadKernel(); kernel.ok()) kernel_ = *std::move(kernel);
}

FactGatherer::Subject FactGatherer::OfChannels() const {
  Subject subject;
  for (const ChannelSnapshot& channel : channels_) {
    if (!Matches(channel, request_)) continue;
    if (table_->FindByIndex(channel.status.interface_index) != nullptr) {
      subject.indices.push_back(channel.status.interface_index);
    } else {
      subject.gone.push_back(channel.status.interface_name);
    }
  }
  std::sort(subject.indices.begin(), subject.indices.end());
  subject.indices.erase(std::unique(subject.indices.begin(), subject.indices.end()), subject.indices.end());
  std::sort(subject.gone.begin(), subject.gone.end());
  subject.gone.erase(std::unique(subject.gone.begin(), subject.gone.end()), subject.gone.end());
  return subject;
}

FactGatherer::Subject FactGatherer::OfStar() {
  Subject subject;
  for (const net::Interface& interface : table_->interfaces()) {
    const bool taken = std::any_of(std::begin(kFamilies), std::end(kFamilies), [&](Family family) {
      return (!request_.group.has_value() || request_.group->family() == family) &&
             view_.directory().StarExclusions(interface, family).empty();
    });
    if (taken) subject.indices.push_back(interface.index);
  }
  if (subject.indices.empty()) {
    const Family family = request_.group.has_value() ? request_.group->family() : Family::kIpv4;
    findings_.push_back({FindingCode::kInterfacePermitted, Severity::kError,
                         net::StrCat("`*` takes no interface of this host for ", net::FamilyName(family),
                                     "; it leaves out ", view_.directory().LeftOut(*table_, family)),
                         "a membership on `*` receives nothing until it takes one", "",
                         "name an interface, GROUP:PORT%INTERFACE, or remove what keeps it out"});
  }
  return subject;
}

FactGatherer::Subject FactGatherer::FindSubject() {
  if (request_.selector == "*") return OfStar();
  Subject subject;
  if (!request_.selector.empty()) {
    // All interfaces with that address; a finding says that joins by it are ambiguous.
    for (const net::Interface* found : table_->FindBySelector(request_.selector)) {
      subject.indices.push_back(found->index);
    }
    if (subject.indices.empty()) subject.gone.push_back(request_.selector);
    if (subject.indices.size() > 1) {
      findings_.push_back(SharedAddress(request_.selector, subject.indices, *table_));
    }
    return subject;
  }
  subject = OfChannels();
  if (request_.group.has_value() && subject.indices.empty() && subject.gone.empty()) {
    const absl::StatusOr<std::vector<Selected>> resolved = view_.directory().Resolve("", *request_.group);
    if (resolved.ok()) {
      subject.indices.push_back(resolved->front().interface->index);
    } else {
      findings_.push_back(Unresolved(resolved.status()));
    }
  }
  return subject;
}

DiagnosisFacts FactGatherer::Gather() {
  const Subject subject = FindSubject();
  DiagnosisFacts facts;
  facts.host = GatherHost();
  Routes routes(table_.get());
  for (const uint32_t index : subject.indices) {
    const net::Interface* const interface = table_->FindByIndex(index);
    if (interface == nullptr) continue;
    std::vector<ChannelFacts> channels = GatherChannels(*interface);
    for (ChannelFacts& channel : channels) channel.sources = SourcesOf(channel, VrfOf(*interface), &routes);
    InterfaceFacts of_interface = GatherInterface(*interface);
    SetConcern(request_, channels, facts.host.settings.has_ipv6, &of_interface);
    facts.interfaces.push_back(std::move(of_interface));
    facts.channels.insert(facts.channels.end(), std::make_move_iterator(channels.begin()),
                          std::make_move_iterator(channels.end()));
  }
  for (const std::string& name : subject.gone) {
    InterfaceFacts missing;
    missing.exists = false;
    missing.interface.name = name;
    facts.interfaces.push_back(std::move(missing));
  }
  if (!request_.group.has_value() && request_.selector.empty() && channels_.empty()) {
    findings_.push_back({FindingCode::kMembershipWished, Severity::kInfo,
                         "no client of the gateway has joined anything", "there is nothing to receive", "",
                         "name a channel to look into it: mcgw doctor GROUP:PORT%INTERFACE"});
  }
  return facts;
}

HostFacts FactGatherer::GatherHost() const {
  const int64_t now_ns = net::MonotonicNs();
  std::optional<size_t> granted_bytes;
  for (const ChannelSnapshot& channel : channels_) {
    if (channel.joined) granted_bytes = std::max(granted_bytes.value_or(0), GrantedBufferBytes(channel));
  }
  size_t held = 0;
  for (const InterfaceRegistry::ChannelsPtr& channels : view_.registry().All()) held += channels->HeldChannels();
  return {.settings = net::ReadHostSettings(),
          .counters = net::ReadHostCounters(),
          .counters_before = view_.counters_before(),
          .channels = held,
          .channels_limit = view_.options().limits.channels,
          .asked_buffer_bytes = view_.options().socket_buffer_bytes,
          .granted_buffer_bytes = granted_bytes,
          .listens_to_queriers = view_.queriers() != nullptr,
          .listened_ns = view_.queriers() == nullptr ? 0 : now_ns - view_.queriers()->since_ns(),
          .now_monotonic_ns = now_ns,
          .now_unix_ns = net::UnixNs()};
}

InterfaceFacts FactGatherer::GatherInterface(const net::Interface& interface) const {
  InterfaceFacts facts;
  facts.interface = interface;
  facts.permitted = view_.directory().IsPermitted(interface);
  FindMaster(interface, *table_, &facts);
  facts.settings = net::ReadInterfaceSettings(interface.name);
  facts.mld = net::ReadMldCounters(interface.name);
  if (const auto now = devices_.find(interface.index); now != devices_.end()) {
    const auto before = view_.devices_before().find(interface.index);
    facts.device = Since(before == view_.devices_before().end() ? net::DeviceCounters() : before->second, now->second);
  }
  facts.sends = view_.sender().account().Of(interface.index);
  for (const Family family : kFamilies) {
    FamilyFacts& of_family = facts.families[IndexOf(family)];
    of_family.star_exclusions = view_.directory().StarExclusions(interface, family);
    of_family.protocol_version = view_.ProtocolVersion(interface, family, kernel_.value_or(net::KernelMemberships()));
    of_family.forced_version =
        family == Family::kIpv4 ? facts.settings.force_igmp_version : facts.settings.force_mld_version;
    if (view_.queriers() != nullptr) {
      of_family.last_query = view_.queriers()->Last(interface.index, family);
      of_family.invalid_query = view_.queriers()->LastInvalid(interface.index, family);
    }
    const std::optional<IpAddress>& asked = request_.group;
    const IpAddress group = asked.has_value() && asked->family() == family ? *asked : AnyGroup(family);
    const uint32_t within = family == Family::kIpv4 ? VrfOf(interface) : interface.index;
    if (const absl::StatusOr<net::Route> route = net::LookUpRoute(group, within); route.ok()) of_family.route = *route;
  }
  return facts;
}

std::vector<ChannelFacts> FactGatherer::GatherChannels(const net::Interface& interface) const {
  const std::map<IpAddress, uint32_t> sockets = view_.SocketsOn(interface.index);
  std::vector<ChannelFacts> channels;
  const auto add = [&](const IpAddress& group, uint16_t port) -> ChannelFacts& {
    ChannelFacts& facts = channels.emplace_back();
    facts.group = group;
    facts.port = port;
    facts.interface_name = interface.name;
    facts.named_interface = !request_.selector.empty();
    if (request_.source.has_value() && request_.source->family() == group.family())
      facts.asked_source = request_.source;
    if (kernel_.has_value()) {
      const auto users = kernel_->users.find({interface.index, group});
      facts.host_users = users == kernel_->users.end() ? 0 : users->second;
    }
    const auto ours = sockets.find(group);
    if (ours != sockets.end()) facts.gateway_sockets = ours->second;
    return facts;
  };
  for (const ChannelSnapshot& snapshot : channels_) {
    if (snapshot.status.interface_index != interface.index || !Matches(snapshot, request_)) continue;
    // Only clients request channels; the gateway's own holds (hop limit 0) say nothing about this one.
    const bool is_held = std::any_of(snapshot.holders.begin(), snapshot.holders.end(), IsClient);
    // A channel that was left is not a fault, unless the request names it.
    if (!is_held && !request_.group.has_value()) continue;
    ChannelFacts& facts = add(snapshot.status.group, snapshot.status.port);
    facts.named_interface = true;  // It was resolved.
    facts.snapshot = snapshot;
    std::erase_if(facts.snapshot->holders, [](const Holder& holder) { return !IsClient(holder); });
    if (snapshot.status.phase != fanout::ChannelPhase::kJoined)
      facts.bind = view_.TryBind(interface, facts.group, facts.port);
  }
  if (request_.group.has_value() && channels.empty()) {
    ChannelFacts& facts = add(*request_.group, request_.port);
    if (request_.port != 0) facts.bind = view_.TryBind(interface, facts.group, facts.port);
  }
  return channels;
}

}  // namespace mcgw::gateway
