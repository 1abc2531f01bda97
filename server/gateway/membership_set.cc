#include "server/gateway/membership_set.h"

#include <algorithm>

#include "server/net/status.h"
#include "server/net/text.h"

namespace mcgw::gateway {
namespace {

using fanout::ChannelPhase;
using fanout::ChannelStatus;
using fanout::SourceFilter;
using net::Error;
using net::Interface;
using net::Reason;

}  // namespace

absl::StatusOr<std::vector<Interface>> MembershipSet::Resolve(const MembershipRequest& request,
                                                              const Membership* existing) {
  if (existing != nullptr && request.selector.empty() && !existing->holds.empty()) {
    // The default interface is resolved once.
    const std::shared_ptr<const net::InterfaceTable> table = services_->directory->table();
    const Interface* const held = table->FindByIndex(existing->holds.begin()->first);
    if (held != nullptr) return std::vector<Interface>{*held};
  }
  absl::StatusOr<std::vector<Interface>> interfaces = services_->directory->Resolve(request.selector, request.group);
  if (!interfaces.ok()) {
    if (request.wait_for_interface && net::ReasonOf(interfaces.status()) == Reason::kInterfaceNotFound) {
      return Error(Reason::kNotImplemented, "wait_for_interface",
                   net::StrCat("there is no interface ", request.selector,
                               " yet, and this version does not wait for interfaces: join when it is there"));
    }
    return interfaces.status();
  }
  for (const Interface& interface : *interfaces) {
    if (interface.up || request.wait_for_interface) continue;
    return Error(Reason::kInterfaceDown, "interface",
                 net::StrCat("interface ", interface.name, " is down: ip link set ", interface.name, " up"));
  }
  return interfaces;
}

absl::Status MembershipSet::HoldOn(const Interface& interface, const MembershipRequest& request, Membership* membership,
                                   std::vector<uint32_t>* fresh) {
  const auto at = membership->holds.find(interface.index);
  if (at != membership->holds.end()) return at->second->SetFilter(request.filter);
  Holder holder = owner_;
  holder.membership_id = membership->id;
  holder.selector = request.selector;
  holder.filter = request.filter;
  absl::StatusOr<std::unique_ptr<InterfaceManager::Hold>> hold =
      services_->registry->Manager(interface)->Acquire(request.group, request.port, std::move(holder));
  if (!hold.ok()) return hold.status();
  by_channel_.emplace((*hold)->channel_id(), hold->get());
  membership->holds.emplace(interface.index, *std::move(hold));
  fresh->push_back(interface.index);
  return absl::OkStatus();
}

absl::StatusOr<MembershipSet::Added> MembershipSet::Add(const MembershipRequest& request) {
  if (absl::Status status = CheckMembership(request, services_->limits.sources_per_filter); !status.ok()) return status;
  const MembershipKey key{request.selector, request.group, request.port};
  auto at = memberships_.find(key);
  const bool is_new = at == memberships_.end();
  if (is_new && memberships_.size() >= services_->limits.memberships_per_holder) {
    return Error(Reason::kMembershipLimit, "",
                 net::StrCat("more than ", services_->limits.memberships_per_holder,
                             " memberships of one holder (max_memberships): leave some first, or use another session"));
  }
  const absl::StatusOr<std::vector<Interface>> interfaces = Resolve(request, is_new ? nullptr : &at->second);
  if (!interfaces.ok()) return interfaces.status();
  if (is_new) {
    at = memberships_.emplace(key, Membership()).first;
    at->second.id = services_->next_membership_id.fetch_add(1);
    by_id_.emplace(at->second.id, at);
  }
  Membership& membership = at->second;

  Added added{.membership_id = membership.id, .channels = {}, .touched = {}};
  std::vector<uint32_t> fresh;
  for (const Interface& interface : *interfaces) {
    const absl::Status status = HoldOn(interface, request, &membership, &fresh);
    if (status.ok()) continue;
    if (request.selector == "*") {
      added.channels.push_back({.interface_index = interface.index,
                                .interface_name = interface.name,
                                .group = request.group,
                                .port = request.port,
                                .phase = ChannelPhase::kFailed,
                                .error = status});
      continue;
    }
    // One interface only: either a fresh hold failed, or a filter did not change. Nothing is left to undo but the
    // entry.
    if (is_new) {
      by_id_.erase(membership.id);
      memberships_.erase(at);
    }
    return status;
  }
  for (const auto& [index, hold] : membership.holds) {
    // One that is held and refused the new filter has been reported.
    const bool failed = std::any_of(added.channels.begin(), added.channels.end(), [index = index](const auto& channel) {
      return channel.phase == ChannelPhase::kFailed && channel.interface_index == index;
    });
    if (!failed) added.channels.push_back(hold->status());
    added.touched.push_back(hold->log());
  }
  return added;
}

MembershipSet::Removed MembershipSet::Take(std::map<MembershipKey, Membership>::iterator at) {
  Removed removed;
  removed.membership_ids.push_back(at->second.id);
  for (const auto& [index, hold] : at->second.holds) {
    removed.touched.push_back(hold->log());
    const auto [begin, end] = by_channel_.equal_range(hold->channel_id());
    by_channel_.erase(std::find_if(begin, end, [&](const auto& entry) { return entry.second == hold.get(); }));
  }
  by_id_.erase(at->second.id);
  memberships_.erase(at);
  return removed;
}

absl::StatusOr<MembershipSet::Removed> MembershipSet::Remove(const MembershipKey& key) {
  const auto at = memberships_.find(key);
  if (at != memberships_.end()) return Take(at);
  return Error(
      Reason::kNotJoined, "membership",
      net::StrCat("the session holds no membership of ", net::ToString(key.group, key.port), " with ",
                  key.selector.empty() ? std::string("the default interface") : net::StrCat("interface ", key.selector),
                  ": leave what Join answered, with the same selector"));
}

absl::StatusOr<MembershipSet::Removed> MembershipSet::Remove(uint64_t membership_id) {
  if (const auto at = by_id_.find(membership_id); at != by_id_.end()) return Take(at->second);
  return Error(Reason::kNotJoined, "membership_id",
               net::StrCat("the session holds no membership with id ", membership_id));
}

MembershipSet::Removed MembershipSet::RemoveAll() {
  Removed all;
  while (!memberships_.empty()) {
    Removed one = Take(memberships_.begin());
    all.membership_ids.insert(all.membership_ids.end(), one.membership_ids.begin(), one.membership_ids.end());
    all.touched.insert(all.touched.end(), one.touched.begin(), one.touched.end());
  }
  return all;
}

void MembershipSet::Retain(int64_t expires_unix_ns) {
  for (const auto& [key, membership] : memberships_) {
    for (const auto& [index, hold] : membership.holds) hold->Retain(expires_unix_ns);
  }
}

void MembershipSet::CollectFilters(uint64_t channel_id, std::vector<SourceFilter>* filters) const {
  const auto [begin, end] = by_channel_.equal_range(channel_id);
  for (auto at = begin; at != end; ++at) filters->push_back(at->second->filter());
}

std::vector<MembershipSet::ChannelPtr> MembershipSet::Channels() const {
  std::map<uint64_t, ChannelPtr> channels;
  for (const auto& [key, membership] : memberships_) {
    for (const auto& [index, hold] : membership.holds) channels.emplace(hold->channel_id(), hold->log());
  }
  std::vector<ChannelPtr> result;
  for (auto& [id, log] : channels) result.push_back(std::move(log));
  return result;
}

std::vector<ChannelStatus> MembershipSet::ChannelStatuses() const {
  std::map<uint64_t, ChannelStatus> statuses;
  for (const auto& [key, membership] : memberships_) {
    for (const auto& [index, hold] : membership.holds) statuses.emplace(hold->channel_id(), hold->status());
  }
  std::vector<ChannelStatus> result;
  for (auto& [id, status] : statuses) result.push_back(std::move(status));
  return result;
}

std::optional<ChannelStatus> MembershipSet::StatusOf(uint64_t channel_id) const {
  const auto at = by_channel_.find(channel_id);
  if (at == by_channel_.end()) return std::nullopt;
  return at->second->status();
}

}  // namespace mcgw::gateway
