#include "server/gateway/interfaces/interface_registry.h"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <utility>

namespace mcgw::gateway {

bool InterfaceRegistry::HasChannels(uint32_t index) const {
  return std::any_of(entries_.begin(), entries_.end(), [&](const Entry& entry) { return entry.index == index; });
}

// If several entries have the name, the one that lost its interface last.
InterfaceRegistry::Entry* InterfaceRegistry::Waiting(std::string_view name) {
  Entry* found = nullptr;
  for (Entry& entry : entries_) {
    if (entry.index != 0 || entry.name != name) continue;
    if (found == nullptr || entry.lost_order > found->lost_order) found = &entry;
  }
  return found;
}

InterfaceRegistry::ChannelsPtr InterfaceRegistry::ChannelsOn(const InterfaceTarget& target) {
  net::MutexLock lock(&mutex_);
  const net::Interface* interface = target.index == 0 ? nullptr : table_->FindByIndex(target.index);
  // The table may be newer than the target.
  if (interface == nullptr) interface = table_->FindByName(target.name);
  for (const Entry& entry : entries_) {
    if (interface != nullptr && entry.index == interface->index) return entry.channels;
  }
  // Follow has given each interface to the entry that waited for it, so an interface in the table has no entry yet.
  if (interface == nullptr) {
    if (const Entry* const waiting = Waiting(target.name); waiting != nullptr) return waiting->channels;
  }
  if (interface == nullptr) Prune();
  auto channels = std::make_shared<InterfaceChannels>(services_, target.name, interface);
  entries_.push_back({.name = target.name,
                      .index = interface == nullptr ? 0 : interface->index,
                      .lost_order = 0,
                      .channels = channels});
  return channels;
}

void InterfaceRegistry::Prune() {
  // Only this list may refer to an entry that is removed. Other references were taken here under the mutex, or belong
  // to a hold, whose channel keeps the entry from being empty.
  std::erase_if(entries_, [](const Entry& entry) {
    return entry.index == 0 && entry.channels.use_count() == 1 && entry.channels->empty();
  });
}

std::vector<InterfaceRegistry::ChannelsPtr> InterfaceRegistry::All() const {
  net::MutexLock lock(&mutex_);
  std::vector<ChannelsPtr> all;
  all.reserve(entries_.size());
  for (const Entry& entry : entries_) all.push_back(entry.channels);
  return all;
}

bool InterfaceRegistry::DropOldestLeft() {
  while (true) {
    ChannelsPtr oldest;
    int64_t oldest_ns = INT64_MAX;
    for (const ChannelsPtr& channels : All()) {
      const std::optional<int64_t> left_ns = channels->OldestLeftNs();
      if (!left_ns.has_value() || *left_ns >= oldest_ns) continue;
      oldest_ns = *left_ns;
      oldest = channels;
    }
    if (oldest == nullptr) return false;
    if (oldest->DropOldestLeft()) return true;  // Otherwise it was joined again meanwhile.
  }
}

std::shared_ptr<const net::InterfaceTable> InterfaceRegistry::table() const {
  net::MutexLock lock(&mutex_);
  return table_;
}

void InterfaceRegistry::Detach(const net::InterfaceChanges& changes) {
  for (Entry& entry : entries_) {
    if (entry.index == 0) continue;
    const net::Interface* const interface = table_->FindByIndex(entry.index);
    // An interface with the index of a deleted one is another interface, even with the same name.
    if (interface == nullptr || changes.deleted.contains(entry.index)) {
      entry.index = 0;
      entry.lost_order = ++losses_;
    } else {
      entry.name = interface->name;
    }
  }
}

void InterfaceRegistry::Attach() {
  for (const net::Interface& interface : table_->interfaces()) {
    if (HasChannels(interface.index)) continue;
    Entry* waiting = Waiting(interface.name);
    for (const std::string& name : interface.alternative_names) {
      if (waiting == nullptr) waiting = Waiting(name);
    }
    if (waiting != nullptr) waiting->index = interface.index;
  }
}

std::vector<InterfaceNotice> InterfaceRegistry::Follow(std::shared_ptr<const net::InterfaceTable> table,
                                                       const net::InterfaceChanges& changes) {
  struct Step {
    ChannelsPtr channels;
    const net::Interface* interface = nullptr;
    InterfaceInterim interim;
  };
  std::vector<Step> steps;
  {
    net::MutexLock lock(&mutex_);
    table_ = table;
    Prune();
    std::vector<uint32_t> before;
    before.reserve(entries_.size());
    for (const Entry& entry : entries_) before.push_back(entry.index);
    Detach(changes);
    Attach();
    for (size_t i = 0; i < entries_.size(); ++i) {
      const Entry& entry = entries_[i];
      steps.push_back({.channels = entry.channels,
                       .interface = entry.index == 0 ? nullptr : table->FindByIndex(entry.index),
                       .interim = {.deleted = before[i] != 0 && changes.deleted.contains(before[i]),
                                   .down = before[i] != 0 && changes.down.contains(before[i]),
                                   .enslaved = before[i] != 0 && changes.enslaved.contains(before[i])}});
    }
  }
  std::vector<InterfaceNotice> notices;
  for (const Step& step : steps) {
    std::optional<InterfaceNotice> notice = step.channels->Follow(step.interface, step.interim);
    if (notice.has_value()) notices.push_back(*std::move(notice));
  }
  return notices;
}

}  // namespace mcgw::gateway
