// One InterfaceChannels for each interface that clients have asked for, and which interface each of them is.
//
// Channels belong to an interface by index while the interface exists, whatever its name. When the interface is deleted
// or moves to another network namespace, its channels keep the last name and wait. They go to the next interface that
// has the name and no channels of its own, so a deleted and recreated interface keeps its channels:
//   a renamed to b, a new a made:  the channels stay with b; the new a gets its own.
//   a deleted, a made again:       the channels go to the new a, even if the index is the same.
//   a deleted, b renamed to a:     b's channels, if it has any, stay with it. The channels of the old a stay without an
//                                  interface; memberships of the name move to b's (MembershipSet::Follow).
// Channels of a name that no interface has had yet wait in the same way.

#ifndef MCGW_GATEWAY_INTERFACES_INTERFACE_REGISTRY_H_
#define MCGW_GATEWAY_INTERFACES_INTERFACE_REGISTRY_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "server/gateway/channels/interface_channels.h"
#include "server/net/interface_table.h"
#include "server/net/mutex.h"

namespace mcgw::gateway {

// An interface that a membership means: one of the table or, with index 0, the one that will have the name.
struct InterfaceTarget {
  std::string name;
  uint32_t index = 0;
};

// Thread-safe, except Follow, which one thread calls at a time. Its mutex is held for look-ups only, never while an
// InterfaceChannels works, and comes before the mutex of one.
class InterfaceRegistry {
 public:
  using ChannelsPtr = std::shared_ptr<InterfaceChannels>;

  explicit InterfaceRegistry(ChannelServices* services) : services_(services) {}

  // The channels of an interface. If it is not there, those of the interface with the name or, if there is none, of the
  // one that will have it. Made on first use.
  ChannelsPtr ChannelsOn(const InterfaceTarget& target);
  std::vector<ChannelsPtr> All() const;
  // Drops the log of the channel that was left longest ago, on any interface, to make room for another channel. False
  // if no log is kept.
  bool DropOldestLeft();

  // The interfaces as the channels know them. Never null.
  std::shared_ptr<const net::InterfaceTable> table() const;

  // Takes a new table and has the channels of each interface follow it. Removes entries that have neither an interface
  // nor channels. Returns the notices for streams, oldest entry first.
  std::vector<InterfaceNotice> Follow(std::shared_ptr<const net::InterfaceTable> table,
                                      const net::InterfaceChanges& changes);

 private:
  struct Entry {
    std::string name;         // The last one it had.
    uint32_t index = 0;       // 0: no interface now.
    uint64_t lost_order = 0;  // Greater for one that lost its interface later.
    ChannelsPtr channels;
  };

  // Removes entries that have neither an interface nor channels.
  void Prune() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Detach(const net::InterfaceChanges& changes) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Attach() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool HasChannels(uint32_t index) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Entry* Waiting(std::string_view name) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  ChannelServices* const services_;
  mutable net::Mutex mutex_;
  std::shared_ptr<const net::InterfaceTable> table_ ABSL_GUARDED_BY(mutex_) = std::make_shared<net::InterfaceTable>();
  uint64_t losses_ ABSL_GUARDED_BY(mutex_) = 0;
  std::vector<Entry> entries_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace mcgw::gateway

#endif  // MCGW_GATEWAY_INTERFACES_INTERFACE_REGISTRY_H_
