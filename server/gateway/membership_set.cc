#include "server/gateway/membership_set.h"

#include <algorithm>
#include <set>
#include <utility>

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

constexpr char kEvery[] = "*";

// A channel that a membership means and cannot have.
ChannelStatus RefusedStatus(const MembershipKey& key, const InterfaceManager& manager, const absl::Status& status) {
  ChannelStatus refused;
  refused.interface_index = manager.index();
  refused.interface_name = manager.name();
  refused.group = key.group;
  refused.port = key.port;
  refused.phase = ChannelPhase::kFailed;
  refused.error = status;
  return refused;
}

}  // namespace

const InterfaceManager* MembershipSet::HeldOne(const Membership& membership) {
  return membership.holds.empty() ? nullptr : membership.holds.begin()->first;
}

std::string MembershipSet::StayingName(const MembershipKey& key, const InterfaceManager& held) const {
  const std::shared_ptr<const net::InterfaceTable> table = services_->registry->table();
  const uint32_t index = held.index();
  const Interface* const own = index == 0 ? nullptr : table->FindByIndex(index);
  if (const absl::StatusOr<net::IpAddress> address = net::IpAddress::Parse(key.selector); address.ok()) {
    const auto is_it = [&](const net::InterfaceAddress& each) { return each.address == *address; };
    const bool has_it = own != nullptr && std::any_of(own->addresses.begin(), own->addresses.end(), is_it);
    const Interface* const other = has_it ? nullptr : table->FindByAddress(*address);
    if (other != nullptr && services_->directory->IsPermitted(other->name)) return other->name;
  }
  return own == nullptr ? held.name() : own->name;
}

absl::StatusOr<std::vector<std::string>> MembershipSet::InterfacesOf(const MembershipKey& key,
                                                                     const Membership& membership, bool wait) const {
  if (key.selector != kEvery && !membership.holds.empty()) {
    return std::vector<std::string>{StayingName(key, *membership.holds.begin()->first)};
  }
  const absl::StatusOr<std::vector<Interface>> interfaces =
      services_->directory->ResolveIn(*services_->registry->table(), key.selector, key.group);
  std::vector<std::string> names;
  if (interfaces.ok()) {
    for (const Interface& interface : *interfaces) names.push_back(interface.name);
    return names;
  }
  if (!wait || net::ReasonOf(interfaces.status()) != Reason::kInterfaceNotFound) return interfaces.status();
  const absl::StatusOr<std::optional<std::string>> awaited = services_->directory->AwaitedName(key.selector);
  if (!awaited.ok()) return awaited.status();
  if (awaited->has_value()) names.push_back(**awaited);
  return names;
}

absl::StatusOr<MembershipSet::Hold*> MembershipSet::HoldOn(InterfaceManager* manager, const MembershipKey& key,
                                                           Membership* membership,
                                                           InterfaceManager::Patience patience) {
  Holder holder = owner_;
  holder.membership_id = membership->id;
  holder.selector = key.selector;
  holder.filter = membership->filter;
  absl::StatusOr<std::unique_ptr<Hold>> hold = manager->Acquire(key.group, key.port, std::move(holder), patience);
  if (!hold.ok()) return hold.status();
  Hold* const taken = hold->get();
  by_channel_.emplace(taken->channel_id(), taken);
  membership->holds.emplace(manager, *std::move(hold));
  return taken;
}

void MembershipSet::LetGo(Membership* membership, const InterfaceManager* manager) {
  const auto at = membership->holds.find(manager);
  const auto [begin, end] = by_channel_.equal_range(at->second->channel_id());
  by_channel_.erase(std::find_if(begin, end, [&](const auto& entry) { return entry.second == at->second.get(); }));
  membership->holds.erase(at);
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
  const Membership none;
  const absl::StatusOr<std::vector<std::string>> names =
      InterfacesOf(key, is_new ? none : at->second, request.wait_for_interface);
  if (!names.ok()) return names.status();
  if (is_new) {
    at = memberships_.emplace(key, Membership()).first;
    at->second.id = services_->next_membership_id.fetch_add(1);
    by_id_.emplace(at->second.id, at);
  }
  Membership& membership = at->second;
  const SourceFilter filter_before = membership.filter;
  membership.filter = request.filter;

  Added added{.membership_id = membership.id, .channels = {}, .touched = {}};
  const bool every = request.selector == kEvery;
  std::set<const InterfaceManager*> failed;
  const auto fail = [&](const InterfaceManager& manager, const absl::Status& status) {
    failed.insert(&manager);
    added.channels.push_back(RefusedStatus(key, manager, status));
  };
  for (const auto& [manager, hold] : membership.holds) {
    const absl::Status status = hold->SetFilter(request.filter);
    if (status.ok()) continue;
    if (!every) {
      membership.filter = filter_before;
      return status;
    }
    fail(*manager, status);
  }
  for (const std::string& name : *names) {
    const ManagerPtr manager = services_->registry->Manager(name);
    if (membership.holds.contains(manager.get())) continue;
    // What is held waits for its interface in any case.
    const InterfaceManager* const held = every || is_new ? nullptr : HeldOne(membership);
    if (held != nullptr && manager->index() == 0) continue;
    const bool wait = !every && (request.wait_for_interface || held != nullptr);
    const absl::Status status = HoldOn(manager.get(), key, &membership, {.wait = wait}).status();
    if (status.ok()) {
      if (held != nullptr) {
        added.touched.push_back(membership.holds.at(held)->log());
        LetGo(&membership, held);
      }
    } else if (every) {
      fail(*manager, status);
    } else {
      // One interface only: nothing is left to undo but the entry.
      if (is_new) {
        by_id_.erase(membership.id);
        memberships_.erase(at);
      }
      return status;
    }
  }
  membership.wait = request.wait_for_interface;
  for (const auto& [manager, hold] : membership.holds) {
    // One that is held and refused the new filter has been reported.
    if (!failed.contains(manager)) added.channels.push_back(hold->status());
    added.touched.push_back(hold->log());
  }
  return added;
}

// ---- Interfaces that come and go ----

std::vector<MembershipSet::Followed> MembershipSet::Follow() {
  std::vector<Followed> followed;
  for (auto& [key, membership] : memberships_) FollowOne(key, &membership, &followed);
  return followed;
}

void MembershipSet::FollowOne(const MembershipKey& key, Membership* membership, std::vector<Followed>* followed) {
  const bool every = key.selector == kEvery;
  const InterfaceManager* const held = every ? nullptr : HeldOne(*membership);
  const absl::StatusOr<std::vector<std::string>> names = InterfacesOf(key, *membership, membership->wait);
  if (!names.ok()) return;
  std::set<const InterfaceManager*> meant;
  std::map<std::string, Reason> refused;
  for (const std::string& name : *names) {
    const ManagerPtr manager = services_->registry->Manager(name);
    // One place without an interface is as good as another.
    if (held != nullptr && manager->index() == 0) return;
    meant.insert(manager.get());
    if (membership->holds.contains(manager.get())) continue;
    const absl::StatusOr<Hold*> hold = HoldOn(manager.get(), key, membership, {.wait = !every, .quiet = true});
    if (hold.ok()) {
      followed->push_back({.log = (*hold)->log(), .start = (*hold)->start(), .refused = {}});
      continue;
    }
    if (held != nullptr) return;
    const Reason reason = net::ReasonOf(hold.status());
    refused.emplace(name, reason);
    const auto told = membership->refused.find(name);
    if (told != membership->refused.end() && told->second == reason) continue;
    followed->push_back({.log = nullptr,
                         .cause = fanout::ChangeCause::kRefused,
                         .start = std::nullopt,
                         .refused = RefusedStatus(key, *manager, hold.status())});
  }
  membership->refused = std::move(refused);
  std::vector<const InterfaceManager*> left;
  for (const auto& [manager, hold] : membership->holds) {
    if (!meant.contains(manager)) left.push_back(manager);
  }
  for (const InterfaceManager* manager : left) {
    Hold& hold = *membership->holds.at(manager);
    hold.EndQuietly();
    followed->push_back({.log = hold.log(), .cause = fanout::ChangeCause::kInterfaceGone, .start = {}, .refused = {}});
    LetGo(membership, manager);
  }
}

// ---- Leaving and looking ----

MembershipSet::Removed MembershipSet::Take(std::map<MembershipKey, Membership>::iterator at) {
  Removed removed;
  removed.membership_ids.push_back(at->second.id);
  for (const auto& [manager, hold] : at->second.holds) {
    removed.touched.push_back(hold->log());
    const auto [begin, end] = by_channel_.equal_range(hold->channel_id());
    const InterfaceManager::Hold* const gone = hold.get();
    by_channel_.erase(std::find_if(begin, end, [gone](const auto& entry) { return entry.second == gone; }));
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
    for (const auto& [manager, hold] : membership.holds) channels.emplace(hold->channel_id(), hold->log());
  }
  std::vector<ChannelPtr> result;
  for (auto& [id, log] : channels) result.push_back(std::move(log));
  return result;
}

std::vector<ChannelStatus> MembershipSet::ChannelStatuses() const {
  std::map<uint64_t, ChannelStatus> statuses;
  for (const auto& [key, membership] : memberships_) {
    for (const auto& [manager, hold] : membership.holds) statuses.emplace(hold->channel_id(), hold->status());
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
