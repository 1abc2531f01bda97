#include "server/gateway/sessions/membership_set.h"

#include <algorithm>
#include <iterator>
#include <set>
#include <utility>

#include "server/net/invariant.h"
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
constexpr char kVrf[] = "vrf";

// A VRF device has no link: no datagram arrives on it, and no report leaves by it.
absl::Status JoinOnPorts(const net::InterfaceTable& table, const Interface& vrf) {
  std::vector<std::string> ports;
  for (const Interface& interface : table.interfaces()) {
    if (interface.master_index == vrf.index) ports.push_back(interface.name);
  }
  return Error(Reason::kInterfaceAmbiguous, "interface",
               ports.empty() ? net::StrCat(vrf.name,
                                           " is a VRF without ports: datagrams arrive on its ports, once it has "
                                           "some")
                             : net::StrCat(vrf.name, " is a VRF: datagrams arrive on its ports, so name one of them (",
                                           net::ListText(ports), ")"));
}

// A channel that a membership means but cannot get.
ChannelStatus RefusedStatus(const MembershipKey& key, const InterfaceChannels& channels, const absl::Status& status) {
  ChannelStatus refused;
  refused.interface_index = channels.index();
  refused.interface_name = channels.name();
  refused.group = key.group;
  refused.port = key.port;
  refused.phase = ChannelPhase::kFailed;
  refused.error = status;
  return refused;
}

}  // namespace

MembershipSet::Hold* MembershipSet::Membership::HoldOn(const InterfaceChannels* channels) const {
  const auto at = std::find_if(holds.begin(), holds.end(), [channels](const std::unique_ptr<Hold>& hold) {
    return hold->interface_channels() == channels;
  });
  return at == holds.end() ? nullptr : at->get();
}

MembershipFacts MembershipSet::NewFacts(const MembershipKey& key) {
  MembershipFacts facts{.holder = nullptr, .id = services_->next_membership_id.fetch_add(1)};
  // Memberships with the same selector are adjacent.
  const auto next = memberships_.lower_bound(key);
  if (next != memberships_.end() && (*next)->facts.holder->selector == key.selector) {
    facts.holder = (*next)->facts.holder;
  } else if (next != memberships_.begin() && (*std::prev(next))->facts.holder->selector == key.selector) {
    facts.holder = (*std::prev(next))->facts.holder;
  } else {
    facts.holder = std::make_shared<HolderFacts>(owner_, key.selector);
  }
  return facts;
}

const InterfaceChannels* MembershipSet::HeldOne(const Membership& membership) {
  return membership.holds.empty() ? nullptr : membership.holds.front()->interface_channels();
}

InterfaceTarget MembershipSet::Staying(const MembershipKey& key, const InterfaceChannels& held) const {
  const std::shared_ptr<const net::InterfaceTable> table = services_->registry->table();
  const uint32_t index = held.index();
  const Interface* own = index == 0 ? nullptr : table->FindByIndex(index);
  if (const absl::StatusOr<net::IpAddress> address = net::IpAddress::Parse(key.selector); address.ok()) {
    const auto is_it = [&](const net::InterfaceAddress& each) { return each.address == *address; };
    const bool has_it = own != nullptr && std::any_of(own->addresses.begin(), own->addresses.end(), is_it);
    std::vector<const Interface*> others = table->FindByAddress(*address);
    std::erase_if(others, [&](const Interface* other) { return !services_->directory->IsPermitted(*other); });
    // If several have it now, the selector is ambiguous.
    if (!has_it && others.size() == 1) own = others.front();
  }
  return own == nullptr ? InterfaceTarget{held.name()} : InterfaceTarget{own->name, own->index};
}

absl::StatusOr<std::vector<InterfaceTarget>> MembershipSet::InterfacesOf(const MembershipKey& key,
                                                                         const Membership* membership,
                                                                         bool wait) const {
  if (key.selector != kEvery && membership != nullptr && !membership->holds.empty()) {
    return std::vector<InterfaceTarget>{Staying(key, *HeldOne(*membership))};
  }
  const std::shared_ptr<const net::InterfaceTable> table = services_->registry->table();
  const absl::StatusOr<std::vector<Selected>> interfaces =
      services_->directory->ResolveIn(table, key.selector, key.group);
  std::vector<InterfaceTarget> targets;
  if (interfaces.ok()) {
    for (const Selected& selected : *interfaces) {
      if (selected.interface->kind == kVrf) return JoinOnPorts(*table, *selected.interface);
      targets.push_back({selected.interface->name, selected.interface->index});
    }
    return targets;
  }
  if (!wait || net::ReasonOf(interfaces.status()) != Reason::kInterfaceNotFound) return interfaces.status();
  const absl::StatusOr<std::optional<std::string>> awaited = services_->directory->AwaitedName(key.selector);
  if (!awaited.ok()) return awaited.status();
  if (awaited->has_value()) targets.push_back({**awaited});
  return targets;
}

absl::StatusOr<MembershipSet::Hold*> MembershipSet::HoldOn(InterfaceChannels* channels, Membership* membership,
                                                           InterfaceChannels::Patience patience,
                                                           fanout::Cursor* start) {
  const auto acquire = [&] {
    return channels->Acquire(membership->group, membership->port, membership->facts, membership->filter, patience,
                             start);
  };
  absl::StatusOr<std::unique_ptr<Hold>> hold = acquire();
  // A wanted channel takes precedence over one that was left.
  while (net::ReasonOf(hold.status()) == Reason::kChannelLimit && services_->registry->DropOldestLeft()) {
    hold = acquire();
  }
  if (!hold.ok()) return hold.status();
  Hold* const taken = hold->get();
  by_channel_.insert(taken);
  membership->holds.push_back(*std::move(hold));
  return taken;
}

void MembershipSet::LetGo(Membership* membership, const InterfaceChannels* channels, bool quiet) {
  const auto at =
      std::find_if(membership->holds.begin(), membership->holds.end(),
                   [channels](const std::unique_ptr<Hold>& hold) { return hold->interface_channels() == channels; });
  ForgetChannel(at->get());
  if (quiet) (*at)->EndQuietly();
  membership->holds.erase(at);
}

void MembershipSet::ForgetChannel(const Hold* hold) {
  const auto [begin, end] = by_channel_.equal_range(hold->channel_id());
  const auto at = std::find(begin, end, hold);
  MCGW_INVARIANT(at != end);
  by_channel_.erase(at);
}

// ---- Limits ----

absl::Status MembershipSet::CountNew() {
  const Limits& limits = services_->limits;
  if (memberships_.size() >= limits.memberships_per_holder) {
    return Error(Reason::kMembershipLimit, "",
                 net::StrCat("more than ", limits.memberships_per_holder,
                             " memberships of one holder (max_memberships): leave some first, or use another session"));
  }
  if (services_->memberships.fetch_add(1) < limits.memberships) return absl::OkStatus();
  services_->memberships.fetch_sub(1);
  return Error(Reason::kMembershipLimit, "",
               net::StrCat("the gateway holds ", limits.memberships,
                           " memberships, its limit for all clients together (max_total_memberships): leave some"));
}

void MembershipSet::AssignAnyway(Membership* membership, const SourceFilter& filter) {
  const size_t before = membership->filter.sources().size();
  MCGW_INVARIANT(sources_ >= before);
  const size_t after = filter.sources().size();
  // If it shrinks, the difference wraps around, and the sum wraps back.
  sources_ += after - before;
  services_->sources.fetch_add(after - before);
  membership->filter = filter;
}

absl::Status MembershipSet::Assign(Membership* membership, const SourceFilter& filter) {
  const SourceFilter before = membership->filter;
  AssignAnyway(membership, filter);
  if (filter.sources().size() <= before.sources().size()) return absl::OkStatus();
  const Limits& limits = services_->limits;
  std::string full;
  if (sources_ > limits.sources_per_holder) {
    full =
        net::StrCat("more than ", limits.sources_per_holder,
                    " sources in all filters of one holder (max_holder_sources): list fewer, or use another session");
  } else if (services_->sources.load() > limits.sources) {
    full = net::StrCat("more than ", limits.sources,
                       " sources in the filters of all clients together (max_total_sources): list fewer");
  }
  if (full.empty()) return absl::OkStatus();
  AssignAnyway(membership, before);
  return Error(Reason::kSourceLimit, "source_filter.sources", full);
}

MembershipSet::~MembershipSet() {
  MCGW_INVARIANT(services_->memberships.load() >= memberships_.size() && services_->sources.load() >= sources_);
  services_->memberships.fetch_sub(memberships_.size());
  services_->sources.fetch_sub(sources_);
}

absl::StatusOr<MembershipSet::Added> MembershipSet::Add(const MembershipRequest& request) {
  if (absl::Status status = CheckMembership(request, services_->limits.sources_per_filter); !status.ok()) return status;
  const MembershipKey key{request.selector, request.group, request.port};
  const auto at = memberships_.find(key);
  const bool is_new = at == memberships_.end();
  const absl::StatusOr<std::vector<InterfaceTarget>> targets =
      InterfacesOf(key, is_new ? nullptr : at->get(), request.wait_for_interface);
  if (!targets.ok()) return targets.status();
  if (is_new) {
    if (absl::Status status = CountNew(); !status.ok()) return status;
  }
  Membership& membership =
      is_new ? **memberships_.insert(std::make_unique<Membership>(NewFacts(key), key)).first : **at;
  if (is_new) by_id_.insert(&membership);
  const SourceFilter filter_before = membership.filter;
  if (absl::Status status = Assign(&membership, request.filter); !status.ok()) {
    if (is_new) Erase(&membership);
    return status;
  }

  Added added{.membership_id = membership.facts.id, .channels = {}, .touched = {}};
  const bool every = request.selector == kEvery;
  std::set<const InterfaceChannels*> failed;
  const auto fail = [&](const InterfaceChannels& channels, const absl::Status& status) {
    failed.insert(&channels);
    added.channels.push_back(RefusedStatus(key, channels, status));
  };
  for (const std::unique_ptr<Hold>& hold : membership.holds) {
    const absl::Status status = hold->SetFilter(request.filter);
    if (status.ok()) continue;
    if (!every) {
      AssignAnyway(&membership, filter_before);
      return status;
    }
    fail(*hold->interface_channels(), status);
  }
  for (const InterfaceTarget& target : *targets) {
    const ChannelsPtr channels = services_->registry->ChannelsOn(target);
    if (membership.HoldOn(channels.get()) != nullptr) continue;
    // A held channel waits for its interface in any case.
    const InterfaceChannels* const held = every || is_new ? nullptr : HeldOne(membership);
    if (held != nullptr && channels->index() == 0) continue;
    const bool wait = !every && (request.wait_for_interface || held != nullptr);
    const absl::Status status = HoldOn(channels.get(), &membership, {.wait = wait}).status();
    if (status.ok()) {
      if (held != nullptr) {
        added.touched.push_back(membership.HoldOn(held)->log());
        LetGo(&membership, held, /*quiet=*/false);
      }
    } else if (every) {
      fail(*channels, status);
    } else {
      // One interface only: nothing is left to undo but the entry.
      if (is_new) Erase(&membership);
      return status;
    }
  }
  membership.wait = request.wait_for_interface;
  for (const std::unique_ptr<Hold>& hold : membership.holds) {
    // A held channel that refused the new filter was reported already.
    if (!failed.contains(hold->interface_channels())) added.channels.push_back(hold->status());
    added.touched.push_back(hold->log());
  }
  return added;
}

// ---- Interfaces that come and go ----

std::vector<MembershipSet::Followed> MembershipSet::Follow() {
  std::vector<Followed> followed;
  for (const std::unique_ptr<Membership>& membership : memberships_) FollowOne(membership.get(), &followed);
  return followed;
}

void MembershipSet::FollowOne(Membership* membership, std::vector<Followed>* followed) {
  const MembershipKey key = membership->key();
  const bool every = key.selector == kEvery;
  const InterfaceChannels* const held = every ? nullptr : HeldOne(*membership);
  const absl::StatusOr<std::vector<InterfaceTarget>> targets = InterfacesOf(key, membership, membership->wait);
  if (!targets.ok()) return;
  std::set<const InterfaceChannels*> meant;
  std::map<std::string, Reason> refused;
  const auto before = refused_.find(membership->facts.id);
  for (const InterfaceTarget& target : *targets) {
    const ChannelsPtr channels = services_->registry->ChannelsOn(target);
    // All places without an interface are equal.
    if (held != nullptr && channels->index() == 0) return;
    meant.insert(channels.get());
    if (membership->HoldOn(channels.get()) != nullptr) continue;
    fanout::Cursor start;
    const absl::StatusOr<Hold*> hold = HoldOn(channels.get(), membership, {.wait = !every, .quiet = true}, &start);
    if (hold.ok()) {
      followed->push_back({.log = (*hold)->log(), .start = start, .refused = {}});
      continue;
    }
    if (held != nullptr) return;
    const Reason reason = net::ReasonOf(hold.status());
    refused.emplace(target.name, reason);
    if (before != refused_.end()) {
      const auto told = before->second.find(target.name);
      if (told != before->second.end() && told->second == reason) continue;
    }
    followed->push_back({.log = nullptr,
                         .cause = fanout::ChangeCause::kRefused,
                         .start = std::nullopt,
                         .refused = RefusedStatus(key, *channels, hold.status())});
  }
  if (before != refused_.end()) refused_.erase(before);
  if (!refused.empty()) refused_.emplace(membership->facts.id, std::move(refused));
  std::vector<const InterfaceChannels*> left;
  for (const std::unique_ptr<Hold>& hold : membership->holds) {
    if (!meant.contains(hold->interface_channels())) left.push_back(hold->interface_channels());
  }
  for (const InterfaceChannels* channels : left) {
    followed->push_back({.log = membership->HoldOn(channels)->log(),
                         .cause = fanout::ChangeCause::kInterfaceGone,
                         .start = {},
                         .refused = {}});
    LetGo(membership, channels, /*quiet=*/true);
  }
}

// ---- Leaving and reading ----

MembershipSet::Removed MembershipSet::Take(Membership* membership) {
  Removed removed;
  removed.membership_ids.push_back(membership->facts.id);
  for (const std::unique_ptr<Hold>& hold : membership->holds) {
    removed.touched.push_back(hold->log());
    ForgetChannel(hold.get());
  }
  Erase(membership);
  return removed;
}

void MembershipSet::Erase(Membership* membership) {
  AssignAnyway(membership, SourceFilter::AnySource());
  services_->memberships.fetch_sub(1);
  by_id_.erase(membership);
  refused_.erase(membership->facts.id);
  memberships_.erase(memberships_.find(membership->key()));
  MCGW_INVARIANT(by_id_.size() == memberships_.size());
  MCGW_INVARIANT(!memberships_.empty() || (by_channel_.empty() && sources_ == 0 && refused_.empty()));
}

absl::StatusOr<MembershipSet::Removed> MembershipSet::Remove(const MembershipKey& key) {
  const auto at = memberships_.find(key);
  if (at != memberships_.end()) return Take(at->get());
  return Error(Reason::kNotJoined, "membership",
               net::StrCat("the session holds no membership of ", net::ToString(key.group, key.port), " with ",
                           key.selector.empty() ? std::string("the default interface")
                                                : net::StrCat("interface ", net::Shortened(key.selector)),
                           ": leave what Join answered, with the same selector"));
}

absl::StatusOr<MembershipSet::Removed> MembershipSet::Remove(uint64_t membership_id) {
  if (const auto at = by_id_.find(membership_id); at != by_id_.end()) return Take(*at);
  return Error(Reason::kNotJoined, "membership_id",
               net::StrCat("the session holds no membership with id ", membership_id));
}

MembershipSet::Removed MembershipSet::RemoveAll() {
  Removed all;
  while (!memberships_.empty()) {
    Removed one = Take(memberships_.begin()->get());
    all.membership_ids.insert(all.membership_ids.end(), one.membership_ids.begin(), one.membership_ids.end());
    all.touched.insert(all.touched.end(), one.touched.begin(), one.touched.end());
  }
  return all;
}

void MembershipSet::Retain(int64_t expires_unix_ns) {
  for (const std::unique_ptr<Membership>& membership : memberships_) {
    membership->facts.holder->retained_until_unix_ns.store(expires_unix_ns, std::memory_order_relaxed);
  }
}

void MembershipSet::CollectFilters(uint64_t channel_id, std::vector<SourceFilter>* filters) const {
  const auto [begin, end] = by_channel_.equal_range(channel_id);
  for (auto at = begin; at != end; ++at) filters->push_back((*at)->filter());
}

std::vector<MembershipSet::ChannelPtr> MembershipSet::Channels() const {
  std::vector<ChannelPtr> channels;
  for (auto at = by_channel_.begin(); at != by_channel_.end(); at = by_channel_.upper_bound((*at)->channel_id())) {
    channels.push_back((*at)->log());
  }
  return channels;
}

std::vector<ChannelStatus> MembershipSet::ChannelStatuses() const {
  std::vector<ChannelStatus> statuses;
  for (auto at = by_channel_.begin(); at != by_channel_.end(); at = by_channel_.upper_bound((*at)->channel_id())) {
    statuses.push_back((*at)->status());
  }
  return statuses;
}

std::optional<ChannelStatus> MembershipSet::StatusOf(uint64_t channel_id) const {
  const auto at = by_channel_.find(channel_id);
  if (at == by_channel_.end()) return std::nullopt;
  return (*at)->status();
}

}  // namespace mcgw::gateway
