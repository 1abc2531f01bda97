// The seam between the gateway and the kernel.
//
// A ReceiveSocket receives one channel (interface, group, port), or several that share the socket. A SendSocket sends
// to any group through any interface. A MembershipSocket makes the host a member of groups. A SocketFactory makes all
// three. LinuxSocketFactory (linux_socket_factory.h) is the real one; the tests' fake has an eventfd as its descriptor,
// so that the real event loop runs.

#ifndef MCGW_NET_MULTICAST_SOCKET_H_
#define MCGW_NET_MULTICAST_SOCKET_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "server/net/address.h"
#include "server/net/datagram.h"

namespace mcgw::net {

enum class FilterMode : uint8_t { kInclude, kExclude };  // RFC 3376, 2

// Storage for one read: up to kMaxDatagrams of any size, reused for every read. One per receive thread. datagrams()
// stays valid until the next read.
class ReceiveBatch {
 public:
  virtual ~ReceiveBatch() = default;
  virtual absl::Span<const ReceivedDatagram> datagrams() const = 0;
  static constexpr size_t kMaxDatagrams = 64;
};

struct ReceiveSocketFacts {
  uint64_t inode = 0;               // As `ss -e` shows it.
  size_t receive_buffer_bytes = 0;  // Granted, in the kernel's own accounting (overhead included).
  size_t queued_bytes = 0;          // Waiting in the buffer now, in the same accounting.
  uint64_t reads = 0;               // As ReceiveSocket::reads.
  uint32_t kernel_drops = 0;        // As ReceiveSocket::Drops.
};

// Receives one channel, or several of one interface and port: up to kMostSharing groups share a socket whose spec names
// no group (the unspecified address). Join, SetFilter and Leave are control calls, made by one thread at a time.
// Receive and Drops belong to one receive thread and may run concurrently with control calls. The destructor closes the
// socket, which leaves its groups.
class ReceiveSocket {
 public:
  // Groups per shared socket: the kernel's default for IPv4 (net.ipv4.igmp_max_memberships).
  static constexpr size_t kMostSharing = 20;

  virtual ~ReceiveSocket() = default;
  explicit ReceiveSocket(const IpAddress& group) : group_(group) {}
  ReceiveSocket(const ReceiveSocket&) = delete;
  ReceiveSocket& operator=(const ReceiveSocket&) = delete;

  // The group that it is bound to; unspecified if it is shared.
  const IpAddress& group() const { return group_; }
  bool shared() const { return group_.IsUnspecified(); }

  // Readable (level-triggered) while datagrams are queued. Borrowed.
  virtual int fd() const = 0;

  // Joins a group (the socket's own, or any of its family if it is shared) with a filter. INCLUDE{sources} joins
  // (source, group) for each source and must name at least one; EXCLUDE{} is any-source. Must be the first call for the
  // group; call it again only after it failed or after Leave. On failure nothing is joined: IsTooManySources tells that
  // the kernel keeps fewer sources, HOST_LIMIT that it keeps fewer groups per socket.
  virtual absl::Status Join(const IpAddress& group, FilterMode mode, absl::Span<const IpAddress> sources) = 0;
  absl::Status Join(FilterMode mode, absl::Span<const IpAddress> sources) { return Join(group_, mode, sources); }

  // Replaces the filter of a joined group (RFC 3678 MCAST_MSFILTER). If the mode stays the same, sources that both
  // filters admit continue without a gap. The kernel changes the mode in two steps and loses datagrams that arrive
  // between them, even if both filters admit them. INCLUDE{} is refused: use Leave. Fails like Join; the old filter
  // then remains.
  virtual absl::Status SetFilter(const IpAddress& group, FilterMode mode, absl::Span<const IpAddress> sources) = 0;
  absl::Status SetFilter(FilterMode mode, absl::Span<const IpAddress> sources) {
    return SetFilter(group_, mode, sources);
  }

  // Leaves a group. Datagrams queued before Leave can still be read. Succeeds if the interface is gone, since the
  // membership went with it.
  virtual absl::Status Leave(const IpAddress& group) = 0;
  absl::Status Leave() { return Leave(group_); }

  // Reads queued datagrams, at most ReceiveBatch::kMaxDatagrams, into `batch` (made by the same factory). Never blocks;
  // returns 0 if nothing is queued. Datagrams for another interface or group are discarded and counted in mismatches().
  // A shared socket discards only unicast and broadcast; its caller checks the group. The result does not count
  // discarded datagrams, so `*drained` tells whether the queue is empty.
  virtual absl::StatusOr<size_t> Receive(ReceiveBatch* batch, bool* drained) = 0;

  // Datagrams that the kernel dropped because the socket's buffer was full, since the socket was created (SO_MEMINFO,
  // SK_MEMINFO_DROPS). Includes drops behind datagrams still queued: exact only when the queue is drained.
  virtual uint32_t Drops() const = 0;

  // reads(): datagrams taken from the kernel, including discarded ones. mismatches(): datagrams that Receive discarded
  // for their group or interface.
  virtual uint64_t reads() const = 0;
  virtual uint64_t mismatches() const = 0;

  // The kernel's view of the socket. Any thread.
  virtual ReceiveSocketFacts Facts() const = 0;

 private:
  const IpAddress group_;
};

// Whether a Join or SetFilter failed because the kernel limits the sources per group and socket (net.ipv4.igmp_max_msf,
// net.ipv6.mld_max_msf, net.core.optmem_max).
bool IsTooManySources(const absl::Status& status);

struct SendFailure {
  size_t index = 0;  // Into the span given to Send.
  absl::Status status;
};

// Properties that all datagrams of a send socket share, because Linux sets them per socket, not per message.
struct SendSocketSpec {
  Family family = Family::kIpv4;
  bool loop = true;            // The host's own members receive a copy.
  bool dont_fragment = false;  // Datagrams over the MTU fail, and IPv4 sets the DF bit. Otherwise neither.
  // Sends with hop limit 0; requires loop. The kernel keeps such a datagram on the host only while the host is a member
  // of the group on the interface: join it by a MembershipSocket first.
  bool host_only = false;
  uint16_t source_port = 0;  // 0: the kernel chooses a free one.
  // Shares the port of another send socket of this process. If false, no other socket may hold the port.
  bool shares_port = false;

  friend bool operator==(const SendSocketSpec&, const SendSocketSpec&) = default;
};

// The outcome of one TrySend.
struct SendStep {
  enum class Wait : uint8_t {
    kNone,      // Nothing: the rest can follow at once.
    kWritable,  // Room in the socket's buffer (POLLOUT).
    kMoment,    // kMomentNs: the interface's queue is full, and nothing signals when it empties.
  };
  size_t done = 0;  // Datagrams from the front that were sent or failed.
  size_t sent = 0;  // The sent ones among them.
  Wait wait = Wait::kNone;
};

// Sends datagrams and receives none. Thread-safe.
class SendSocket {
 public:
  virtual ~SendSocket() = default;
  SendSocket() = default;
  SendSocket(const SendSocket&) = delete;
  SendSocket& operator=(const SendSocket&) = delete;

  // Sends as many of the first datagrams as go together, and never blocks. Each is sent independently; a failure does
  // not hold back the others. If the buffer is full, a `patient` call leaves the rest for the next call and says what
  // to wait for; an impatient one reports a failure. A full interface queue is handled the same way, except that with
  // loop on it always fails: the host's own receivers already have the datagram, and a second attempt would duplicate
  // it. A run of equally sized datagrams that differ only in payload costs little more than a single one. Appends to
  // `failures` in index order.
  virtual SendStep TrySend(absl::Span<const OutgoingDatagram> datagrams, bool patient,
                           std::vector<SendFailure>* failures) = 0;

  // Sends all datagrams and blocks while a buffer or queue is full, for at most a second without progress. Returns how
  // many the kernel accepted.
  size_t Send(absl::Span<const OutgoingDatagram> datagrams, std::vector<SendFailure>* failures);

  // Poll it for POLLOUT. Borrowed.
  virtual int fd() const = 0;

  // Bytes waiting in the socket's buffer, in the kernel's accounting. A decrease means that the link is sending.
  virtual size_t queued_bytes() const = 0;

  // The source port of the datagrams.
  virtual uint16_t source_port() const = 0;

  // How many senders wait for room in the buffer. Later ones queue behind them.
  std::atomic<int>& waiting() { return waiting_; }

  // After this long without progress, waiting datagrams fail.
  static constexpr int64_t kPatienceNs = 1'000'000'000;
  // The length of Wait::kMoment.
  static constexpr int64_t kMomentNs = 1'000'000;

 private:
  std::atomic<int> waiting_{0};
};

// Membership of the host itself, not for receiving.
struct HostMembership {
  uint32_t interface_index = 0;
  std::string interface_name;  // For messages.
  IpAddress group;
  IpAddress source;  // The only source admitted, if the group is source-specific; otherwise ignored.
};

// Joins groups and receives nothing. Used by one thread at a time. The destructor leaves all groups.
class MembershipSocket {
 public:
  virtual ~MembershipSocket() = default;
  MembershipSocket() = default;
  MembershipSocket(const MembershipSocket&) = delete;
  MembershipSocket& operator=(const MembershipSocket&) = delete;

  // On success the host is a member. Do not join a group that the socket already holds: the kernel could not tell
  // whether the membership still exists. INTERFACE_NOT_FOUND, NO_ADDRESS, HOST_LIMIT.
  virtual absl::Status Join(const HostMembership& membership) = 0;
  // Also accepts a membership that the kernel has dropped.
  virtual void Leave(const HostMembership& membership) = 0;

  // Groups per socket: the kernel's default (net.ipv4.igmp_max_memberships).
  static constexpr size_t kMaxGroups = 20;
};

struct ReceiveSocketSpec {
  uint32_t interface_index = 0;
  std::string interface_name;  // For SO_BINDTODEVICE and messages.
  IpAddress group;             // Unspecified, of its family: a shared socket.
  uint16_t port = 0;
  size_t receive_buffer_bytes = 0;  // Requested; the kernel caps it at net.core.rmem_max. 0: its default.
};

class SocketFactory {
 public:
  virtual ~SocketFactory() = default;

  virtual std::unique_ptr<ReceiveBatch> NewReceiveBatch() = 0;

  // The kernel's limit of sources per group and socket, at least 1; the kernel's default where it shows no limit.
  virtual size_t MostSources(Family family) const = 0;

  // A bound socket that has joined nothing. It shares its port with sockets that set SO_REUSEADDR and with this
  // process's send sockets. PORT_IN_USE if another process holds the port without sharing (the message names the
  // process if /proc shows it), INTERFACE_NOT_FOUND if the interface is gone, HOST_LIMIT with ErrnoOf EMFILE or ENFILE
  // if descriptors ran out.
  virtual absl::StatusOr<std::unique_ptr<ReceiveSocket>> NewReceiveSocket(const ReceiveSocketSpec& spec) = 0;

  // PORT_IN_USE if another socket holds the port; the message names its process if /proc shows it.
  virtual absl::StatusOr<std::unique_ptr<SendSocket>> NewSendSocket(const SendSocketSpec& spec) = 0;

  virtual absl::StatusOr<std::unique_ptr<MembershipSocket>> NewMembershipSocket(Family family) = 0;
};

}  // namespace mcgw::net

#endif  // MCGW_NET_MULTICAST_SOCKET_H_
