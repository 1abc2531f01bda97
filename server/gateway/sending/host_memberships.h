// Memberships of the gateway's own, which keep datagrams with hop limit 0 on the host.
//
// Linux lets such a datagram out unless the host is a member of the group on the interface it is sent by. So the host
// is made one first. It costs one IGMP or MLD report, which does leave; to send no more of them the membership is kept
// for a while after its last use.

#ifndef MCGW_GATEWAY_SENDING_HOST_MEMBERSHIPS_H_
#define MCGW_GATEWAY_SENDING_HOST_MEMBERSHIPS_H_

#include <cstdint>
#include <map>
#include <memory>
#include <tuple>
#include <vector>

#include "absl/status/statusor.h"
#include "server/gateway/channels/channel_sockets.h"
#include "server/net/interface_table.h"
#include "server/net/multicast_socket.h"
#include "server/net/mutex.h"

namespace mcgw::gateway {

// Thread-safe. Makes system calls under its mutex, which the data path never takes.
class HostMemberships {
 public:
  // `sockets` outlives it. What it opens counts in `budget`.
  explicit HostMemberships(net::SocketFactory* sockets, SocketBudget budget = {})
      : sockets_(sockets), budget_(std::move(budget)) {}
  HostMemberships(const HostMemberships&) = delete;
  HostMemberships& operator=(const HostMemberships&) = delete;

  // The host is a member from now on, and as long as the answer lives, which is what a send waits for and holds. The
  // kernel has just agreed to it on a socket of its own: one that has held the group for long may list what the kernel
  // has forgotten, with an interface that was made anew. `source` is what will be sent from; it matters where the group
  // is source-specific. INTERFACE_NOT_FOUND, NO_ADDRESS, HOST_LIMIT; the field is "interface".
  absl::StatusOr<std::shared_ptr<net::MembershipSocket>> Hold(const net::Interface& interface,
                                                              const net::IpAddress& group, const net::IpAddress& source,
                                                              int64_t now_ns);

  // Drops what nobody has sent to for kIdleNs, and what was held on interfaces that have gone. Once a second.
  void Sweep(const net::InterfaceTable& table, int64_t now_ns);

  struct Held {
    uint32_t interface_index = 0;
    net::IpAddress group;
    int64_t since_unix_ns = 0;
  };
  std::vector<Held> List() const;

  static constexpr int64_t kIdleNs = 60'000'000'000;
  static constexpr size_t kMostGroups = 1000;  // Past it, the one idle for longest goes.

 private:
  // Interface, group, and the source where the group is source-specific.
  using Key = std::tuple<uint32_t, net::IpAddress, net::IpAddress>;
  struct Entry {
    net::HostMembership membership;
    net::Interface interface;  // As it was when it was joined.
    std::shared_ptr<net::MembershipSocket> socket;
    int64_t since_unix_ns = 0;
    int64_t used_ns = 0;
  };

  absl::StatusOr<std::shared_ptr<net::MembershipSocket>> NewSocket(net::Family family);
  absl::Status Add(const Key& key, const net::HostMembership& membership, const net::Interface& interface)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Leaves, and closes the socket with its last group.
  void Drop(std::map<Key, Entry>::iterator at) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // A socket that may take one more group, or null.
  std::shared_ptr<net::MembershipSocket> WithRoom(const net::HostMembership& membership) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  net::SocketFactory* const sockets_;
  SocketBudget budget_;
  mutable net::Mutex mutex_;
  std::map<Key, Entry> entries_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace mcgw::gateway

#endif  // MCGW_GATEWAY_SENDING_HOST_MEMBERSHIPS_H_
