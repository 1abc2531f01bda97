// Hears the queriers of all links: routers and switches that ask for members.
//
// Two raw sockets, for IGMP and MLD. The kernel passes them nothing else, so datagrams on their way to receivers pay
// nothing. They need CAP_NET_RAW; a gateway without it has no listener. Queries that the kernel ignores
// (membership_query.h) do not count and are kept separately.

#ifndef MCGW_NET_QUERIER_LISTENER_H_
#define MCGW_NET_QUERIER_LISTENER_H_

#include <sys/socket.h>

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <utility>

#include "absl/status/statusor.h"
#include "server/net/address.h"
#include "server/net/membership_query.h"
#include "server/net/mutex.h"
#include "server/net/owned_fd.h"

namespace mcgw::net {

// A query that the kernel accepts, general or for a group.
struct Query {
  IpAddress querier;     // Its source address; 0.0.0.0 for a switch without an address.
  uint32_t version = 0;  // IGMP 1, 2 or 3; MLD 1 or 2.
  int64_t heard_ns = 0;  // Monotonic.
};

// The newest query of an interface and family that the kernel ignores.
struct InvalidQuery {
  IpAddress sender;
  std::string fault;     // "its hop limit is 64, not 1".
  int64_t heard_ns = 0;  // Monotonic.
  uint64_t count = 0;    // All such queries from any sender, since the listener started.
};

// A packet that a raw socket has received.
struct HeardPacket {
  uint32_t interface_index = 0;
  IpAddress source;
  QueryVerdict verdict;
};

// Judges a packet of `bytes` bytes as recvmsg(2) has filled `message`, with the sender in a sockaddr_storage. Nothing
// if it was cut or its interface is unknown. Any bytes may be in the packet and beside it.
std::optional<HeardPacket> JudgePacket(msghdr message, size_t bytes);

// Thread-safe. Never blocks.
class QuerierListener {
 public:
  // PERMISSION_DENIED without CAP_NET_RAW. On a host without IPv6 it hears IGMP only.
  static absl::StatusOr<std::unique_ptr<QuerierListener>> Create();
  QuerierListener(const QuerierListener&) = delete;
  QuerierListener& operator=(const QuerierListener&) = delete;

  // Takes in queued queries. The sockets hold some hundred queries, so once a second suffices.
  void Drain();

  // The newest query on an interface, optionally of one version. Nothing if none came.
  std::optional<Query> Last(uint32_t interface_index, Family family, uint32_t version = 0) const;

  // The newest query on an interface that the kernel ignores. Nothing if none came.
  std::optional<InvalidQuery> LastInvalid(uint32_t interface_index, Family family) const;

  // When the listener started, monotonic.
  int64_t since_ns() const { return since_ns_; }

 private:
  QuerierListener(OwnedFd igmp, OwnedFd mld);
  void DrainSocket(int fd);
  void Keep(HeardPacket heard);

  const OwnedFd igmp_;
  const OwnedFd mld_;  // May be invalid.
  const int64_t since_ns_;
  mutable Mutex mutex_;
  // By interface, family and version.
  std::map<std::tuple<uint32_t, Family, uint32_t>, Query> last_ ABSL_GUARDED_BY(mutex_);
  // By interface and family.
  std::map<std::pair<uint32_t, Family>, InvalidQuery> invalid_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace mcgw::net

#endif  // MCGW_NET_QUERIER_LISTENER_H_
