// One InterfaceChannels for each interface that clients have asked for, and which interface each of them is.
//
// A manager is its interface's by index for as long as that exists, whatever it is called meanwhile. When the interface
// is deleted or moves to another network namespace, its manager keeps the last name, and is the next interface's that
// bears it and has no manager of its own: deleting and making anew keeps the channels. So:
//   a renamed to b, a new a made:     the manager goes on with b; the new a gets a manager of its own.
//   a deleted, a made again:          the manager goes on, also if the index is the same.
//   a deleted, b renamed to a:        b's manager, if there is one, goes on with its interface. The one of the old a is
//                                     left without; memberships of the name move (MembershipSet::Follow).
// A manager of a name that no interface has yet waits for it in the same way.

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

// Thread-safe, but for Follow, which one thread calls at a time. Its mutex is held for look-ups only, never while a
// manager works; it comes before a manager's.
class InterfaceRegistry {
 public:
  using ManagerPtr = std::shared_ptr<InterfaceChannels>;

  explicit InterfaceRegistry(ChannelServices* services) : services_(services) {}

  // The manager of the interface that bears this name; if none does, of the one that will. Made on first use.
  ManagerPtr Manager(std::string_view name);
  std::vector<ManagerPtr> All() const;
  // Drops the log that has been kept longest after its channel was left, on whatever interface, to make room for
  // another channel. False if none is kept.
  bool DropOldestLeft();

  // The interfaces as the managers know them. Never null.
  std::shared_ptr<const net::InterfaceTable> table() const;

  // Takes a new picture of the interfaces and passes it on. Managers that have neither interface nor channels go.
  // Answers what streams are to be told, in order of the managers' age.
  std::vector<InterfaceNotice> Follow(std::shared_ptr<const net::InterfaceTable> table,
                                      const net::InterfaceChanges& changes);

 private:
  struct Entry {
    std::string name;         // The last it had.
    uint32_t index = 0;       // 0: without an interface.
    uint64_t lost_order = 0;  // Grows with each interface that is lost.
    ManagerPtr manager;
  };

  // Drops managers that have neither interface nor channels.
  void Prune() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Detach(const net::InterfaceChanges& changes) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Attach() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool HasManager(uint32_t index) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Entry* Waiting(std::string_view name) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  ChannelServices* const services_;
  mutable net::Mutex mutex_;
  std::shared_ptr<const net::InterfaceTable> table_ ABSL_GUARDED_BY(mutex_) = std::make_shared<net::InterfaceTable>();
  uint64_t losses_ ABSL_GUARDED_BY(mutex_) = 0;
  std::vector<Entry> entries_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace mcgw::gateway

#endif  // MCGW_GATEWAY_INTERFACES_INTERFACE_REGISTRY_H_
