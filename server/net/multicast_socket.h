// The seam between the gateway and the kernel, at the level of meaning.
//
// ReceiveSocket is the kernel's side of one channel, (interface, group, port), or of several that share a socket.
// SendSocket sends to any group through any interface. MembershipSocket makes the host a member of groups.
// SocketFactory makes them all. LinuxSocketFactory (linux_multicast_socket.h) is the real thing; tests use a fake whose
// descriptor is an eventfd, so that the real event loop runs.

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

// Where datagrams are read to: storage for up to kMaxDatagrams of any size, reused from read to read. One per receive
// thread. After a read, datagrams() are valid until the next read.
class ReceiveBatch {
 public:
  virtual ~ReceiveBatch() = default;
  virtual absl::Span<const ReceivedDatagram> datagrams() const = 0;
  static constexpr size_t kMaxDatagrams = 64;
};

struct ReceiveSocketFacts {
  uint64_t inode = 0;               // As `ss -e` shows it.
  size_t receive_buffer_bytes = 0;  // Granted, in the kernel's own accounting (overhead included).
  size_t queued_bytes = 0;          // Waiting in it now, in the same accounting.
  uint64_t reads = 0;               // As ReceiveSocket::reads.
  uint32_t kernel_drops = 0;        // As ReceiveSocket::Drops.
};

// Receives one channel, or several of one interface and port: a socket whose spec names no group (the unspecified
// address) may be shared by up to kMostSharing groups. Join, SetFilter and Leave are control calls, made by one thread
// at a time, and may run at the same time as Receive and Drops, which belong to one receive thread. Destroying it
// closes the socket, which leaves its groups.
class ReceiveSocket {
 public:
  // Groups that a shared socket takes: the kernel's default for IPv4 (net.ipv4.igmp_max_memberships).
  static constexpr size_t kMostSharing = 20;

  virtual ~ReceiveSocket() = default;
  explicit ReceiveSocket(const IpAddress& group) : group_(group) {}
  ReceiveSocket(const ReceiveSocket&) = delete;
  ReceiveSocket& operator=(const ReceiveSocket&) = delete;

  // The one that it is bound to; unspecified if it is shared.
  const IpAddress& group() const { return group_; }
  bool shared() const { return group_.IsUnspecified(); }

  // Readable (level-triggered) while datagrams are queued. Borrowed.
  virtual int fd() const = 0;

  // Joins a group (the socket's own, or any of its family if it is shared) with a filter: INCLUDE{sources} joins
  // (source, group) for each source and must name at least one; EXCLUDE{} is any-source. Called before any other call
  // about the group; again only after it failed, or after Leave. On failure nothing is joined. IsTooManySources tells
  // that the kernel keeps fewer sources, HOST_LIMIT that it keeps fewer groups for a socket.
  virtual absl::Status Join(const IpAddress& group, FilterMode mode, absl::Span<const IpAddress> sources) = 0;
  absl::Status Join(FilterMode mode, absl::Span<const IpAddress> sources) { return Join(group_, mode, sources); }

  // Replaces the filter of a joined group (RFC 3678 MCAST_MSFILTER). While the mode stays the same, what both filters
  // want goes on unbroken. The kernel changes a mode in two steps, and a datagram that comes between them is lost,
  // though both filters want it. INCLUDE{} is refused: use Leave. On failure, as of Join, the filter stays as it was.
  virtual absl::Status SetFilter(const IpAddress& group, FilterMode mode, absl::Span<const IpAddress> sources) = 0;
  absl::Status SetFilter(FilterMode mode, absl::Span<const IpAddress> sources) {
    return SetFilter(group_, mode, sources);
  }

  // Leaves a group. Datagrams queued before are still read after it. Succeeds where the interface is gone, which took
  // the membership with it.
  virtual absl::Status Leave(const IpAddress& group) = 0;
  absl::Status Leave() { return Leave(group_); }

  // Reads what is queued, at most ReceiveBatch::kMaxDatagrams, into `batch` (made by the same factory). Never blocks:
  // returns 0 when nothing is queued. Datagrams of another interface or group are dropped and counted in mismatches();
  // of a shared socket, unicast and broadcast are, and the caller looks at the group. They do not count in the result,
  // so `*drained` says whether the queue is empty.
  virtual absl::StatusOr<size_t> Receive(ReceiveBatch* batch, bool* drained) = 0;

  // The kernel's count of datagrams it dropped because this socket's buffer was full, since the socket was made
  // (SO_MEMINFO, SK_MEMINFO_DROPS). May run ahead of what is still queued: exact only when the queue is drained.
  virtual uint32_t Drops() const = 0;

  // Datagrams taken from the kernel, whatever became of them; and those discarded by Receive's check of group and
  // interface.
  virtual uint64_t reads() const = 0;
  virtual uint64_t mismatches() const = 0;

  // What the kernel says of the socket. Any thread.
  virtual ReceiveSocketFacts Facts() const = 0;

 private:
  const IpAddress group_;
};

// Whether a Join or SetFilter failed because the kernel keeps fewer sources for a group of a socket
// (net.ipv4.igmp_max_msf, net.ipv6.mld_max_msf, net.core.optmem_max).
bool IsTooManySources(const absl::Status& status);

struct SendFailure {
  size_t index = 0;  // Into the span given to Send.
  absl::Status status;
};

// What all datagrams of a send socket have in common: Linux can set it for a socket only, not for a message.
struct SendSocketSpec {
  Family family = Family::kIpv4;
  bool loop = true;            // The host's own members get a copy.
  bool dont_fragment = false;  // What exceeds the MTU fails; IPv4 datagrams carry the DF bit. Otherwise none does.
  // The hop limit is 0, and loop is on. The kernel keeps such a datagram on the host only while the host is a member
  // of the group on the interface: a MembershipSocket must say so first.
  bool host_only = false;
  uint16_t source_port = 0;  // 0: the kernel chooses a free one.
  // The port is that of another send socket of this process, and shared with it. Without it no other socket holds the
  // port when this one takes it.
  bool shares_port = false;

  friend bool operator==(const SendSocketSpec&, const SendSocketSpec&) = default;
};

// How far one step of sending has come.
struct SendStep {
  enum class Wait : uint8_t {
    kNone,      // For nothing: the rest can follow at once.
    kWritable,  // Until the socket's buffer has room (POLLOUT).
    kMoment,    // A moment: an interface's queue is full, which tells nobody when it empties.
  };
  size_t done = 0;  // Datagrams at the front that the kernel took, or that failed.
  size_t sent = 0;  // Of these, what the kernel took.
  Wait wait = Wait::kNone;
};

// Sends datagrams, and takes none in. Thread-safe.
class SendSocket {
 public:
  virtual ~SendSocket() = default;
  SendSocket() = default;
  SendSocket(const SendSocket&) = delete;
  SendSocket& operator=(const SendSocket&) = delete;

  // Sends the first of `datagrams`, as many as go together, and never blocks. Each datagram is sent on its own; one
  // that fails does not keep the others back. A `patient` call leaves what meets a full buffer for the next one, and
  // says what to wait for; any other takes it for a failure. A full queue of the interface is met the same way, but
  // with loop on it is a failure at once: the host's own receivers have that datagram already, and would get it twice.
  // A run of datagrams of one size that differ in nothing but their payload costs little more than one of them. Appends
  // to `failures` in order of index.
  virtual SendStep TrySend(absl::Span<const OutgoingDatagram> datagrams, bool patient,
                           std::vector<SendFailure>* failures) = 0;

  // Sends all of them, and waits for what is full, up to a second in a row: this blocks. Returns how many the kernel
  // took.
  size_t Send(absl::Span<const OutgoingDatagram> datagrams, std::vector<SendFailure>* failures);

  // To be polled for POLLOUT. Borrowed.
  virtual int fd() const = 0;

  // Bytes that wait in the socket's buffer, in the kernel's accounting: fewer than before means that the link moves.
  virtual size_t queued_bytes() const = 0;

  // The port that datagrams leave from.
  virtual uint16_t source_port() const = 0;

  // How many wait for room in the buffer. Whoever comes later queues behind them.
  std::atomic<int>& waiting() { return waiting_; }

  // Nothing goes out for so long: what waits fails.
  static constexpr int64_t kPatienceNs = 1'000'000'000;
  // How long Wait::kMoment is.
  static constexpr int64_t kMomentNs = 1'000'000;

 private:
  std::atomic<int> waiting_{0};
};

// A membership of the host's, for its own sake.
struct HostMembership {
  uint32_t interface_index = 0;
  std::string interface_name;  // For messages.
  IpAddress group;
  IpAddress source;  // Where the group is source-specific, the only source wanted; otherwise not looked at.
};

// Joins groups and receives nothing. Used by one thread at a time. Destroying it leaves them all.
class MembershipSocket {
 public:
  virtual ~MembershipSocket() = default;
  MembershipSocket() = default;
  MembershipSocket(const MembershipSocket&) = delete;
  MembershipSocket& operator=(const MembershipSocket&) = delete;

  // When it succeeds, the host is a member. A group that the socket holds already may not be joined again, since the
  // kernel could not tell whether it still has it. INTERFACE_NOT_FOUND, NO_ADDRESS, HOST_LIMIT.
  virtual absl::Status Join(const HostMembership& membership) = 0;
  // Also of what the kernel has forgotten.
  virtual void Leave(const HostMembership& membership) = 0;

  // Groups that one socket holds: the kernel's default (net.ipv4.igmp_max_memberships).
  static constexpr size_t kMaxGroups = 20;
};

struct ReceiveSocketSpec {
  uint32_t interface_index = 0;
  std::string interface_name;  // For SO_BINDTODEVICE and messages.
  IpAddress group;             // Unspecified, of its family: the socket is shared.
  uint16_t port = 0;
  size_t receive_buffer_bytes = 0;  // Asked of the kernel, which caps it at net.core.rmem_max; 0 leaves the default.
};

class SocketFactory {
 public:
  virtual ~SocketFactory() = default;

  virtual std::unique_ptr<ReceiveBatch> NewReceiveBatch() = 0;

  // How many sources the kernel says it keeps for a group of a socket; at least 1. Where it does not say, its default.
  virtual size_t MostSources(Family family) const = 0;

  // A bound socket that has not joined. It shares its port with every socket that shares too (SO_REUSEADDR), and with
  // this process's send sockets. PORT_IN_USE if another process holds the port without sharing it (the text names the
  // process where /proc shows it), INTERFACE_NOT_FOUND if the interface has gone, HOST_LIMIT with ErrnoOf EMFILE or
  // ENFILE if there is no descriptor.
  virtual absl::StatusOr<std::unique_ptr<ReceiveSocket>> NewReceiveSocket(const ReceiveSocketSpec& spec) = 0;

  // PORT_IN_USE if another socket holds the port, with its process where /proc shows it.
  virtual absl::StatusOr<std::unique_ptr<SendSocket>> NewSendSocket(const SendSocketSpec& spec) = 0;

  virtual absl::StatusOr<std::unique_ptr<MembershipSocket>> NewMembershipSocket(Family family) = 0;
};

}  // namespace mcgw::net

#endif  // MCGW_NET_MULTICAST_SOCKET_H_
