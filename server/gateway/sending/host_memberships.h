// The gateway's own memberships, which keep datagrams with hop limit 0 on the host.
//
// Linux sends such a datagram out unless the host is a member of the group on the sending interface, so the gateway
// joins first. That costs one IGMP or MLD report, which does leave the host. To avoid repeated reports, a membership is
// kept for a while after its last use.

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
  // `sockets` outlives it. Its sockets count in `budget`.
  explicit HostMemberships(net::SocketFactory* sockets, SocketBudget budget = {})
      : sockets_(sockets), budget_(std::move(budget)) {}
  HostMemberships(const HostMemberships&) = delete;
  HostMemberships& operator=(const HostMemberships&) = delete;

  // Makes the host a member from now on, for as long as the result lives; a send waits for it and holds it. A new
  // socket joins, since a socket that has held the group for long may list a membership that the kernel lost when the
  // interface was deleted and created again. `source` is the address to send from; it matters if the group is
  // source-specific. INTERFACE_NOT_FOUND, NO_ADDRESS, HOST_LIMIT; the field is "interface".
  absl::StatusOr<std::shared_ptr<net::MembershipSocket>> Hold(const net::Interface& interface,
                                                              const net::IpAddress& group, const net::IpAddress& source,
                                                              int64_t now_ns);

  // Drops memberships that no send has used for kIdleNs, and those on interfaces that have gone. Call it once a second.
  void Sweep(const net::InterfaceTable& table, int64_t now_ns);

  struct Held {
    uint32_t interface_index = 0;
    net::IpAddress group;
    int64_t since_unix_ns = 0;
  };
  std::vector<Held> List() const;

  static constexpr int64_t kIdleNs = 60'000'000'000;
  static constexpr size_t kMostGroups = 1000;  // Beyond it, the longest idle one is dropped.

 private:
  // Interface, group, and the source if the group is source-specific.
  using Key = std::tuple<uint32_t, net::IpAddress, net::IpAddress>;
  struct Entry {
    net::HostMembership membership;
    net::Interface interface;  // At the time of the join.
    std::shared_ptr<net::MembershipSocket> socket;
    int64_t since_unix_ns = 0;
    int64_t used_ns = 0;
  };

  absl::StatusOr<std::shared_ptr<net::MembershipSocket>> NewSocket(net::Family family);
  absl::Status Add(const Key& key, const net::HostMembership& membership, const net::Interface& interface)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Leaves, and closes the socket after its last group.
  void Drop(std::map<Key, Entry>::iterator at) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // A socket with room for one more group, or null.
  std::shared_ptr<net::MembershipSocket> WithRoom(const net::HostMembership& membership) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  net::SocketFactory* const sockets_;
  SocketBudget budget_;
  mutable net::Mutex mutex_;
  std::map<Key, Entry> entries_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace mcgw::gateway

#endif  // MCGW_GATEWAY_SENDING_HOST_MEMBERSHIPS_H_
