#include <linux/filter.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <cerrno>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/net/linux_send_batch.h"
#include "server/net/linux_send_error.h"
#include "server/net/linux_socket.h"
#include "server/net/status.h"
#include "server/net/text.h"

namespace mcgw::net {
namespace {

class LinuxSendSocket final : public SendSocket {
 public:
  LinuxSendSocket(OwnedFd fd, const SendSocketSpec& spec, uint16_t source_port, bool segments)
      : fd_(std::move(fd)), spec_(spec), source_port_(source_port), segments_(segments) {}

  SendStep TrySend(absl::Span<const OutgoingDatagram> datagrams, bool patient,
                   std::vector<SendFailure>* failures) override;
  int fd() const override { return fd_.get(); }
  size_t queued_bytes() const override;
  uint16_t source_port() const override { return source_port_; }

 private:
  // The state of one TrySend call.
  struct Attempt {
    const bool patient;
    std::vector<SendFailure>* const failures;
    SendStep step = {};

    bool waits() const { return step.wait != SendStep::Wait::kNone; }
    void Took(size_t count) {
      step.sent += count;
      step.done += count;
    }
  };

  absl::Status Check(const OutgoingDatagram& datagram) const;
  void Fill(absl::Span<const OutgoingDatagram> datagrams, SendScratch* scratch) const;
  void SendBatch(absl::Span<const OutgoingDatagram> batch, SendScratch* scratch, Attempt* attempt) const;
  void SendSingly(absl::Span<const OutgoingDatagram> datagrams, mmsghdr* message, Attempt* attempt) const;
  int SendOnce(mmsghdr* headers, size_t count) const;
  void Refused(int error, absl::Span<const OutgoingDatagram> datagrams, Attempt* attempt) const;
  void ClearErrors() const;
  absl::Status Failure(int error, const OutgoingDatagram& datagram) const {
    return SendError(fd_.get(), spec_, error, datagram);
  }

  const OwnedFd fd_;
  const SendSocketSpec spec_;
  const uint16_t source_port_;
  const bool segments_;  // The kernel supports UDP_SEGMENT.
};

SendStep LinuxSendSocket::TrySend(absl::Span<const OutgoingDatagram> datagrams, bool patient,
                                  std::vector<SendFailure>* failures) {
  Attempt attempt{.patient = patient, .failures = failures};
  if (absl::Status status = Check(datagrams[0]); !status.ok()) {
    failures->push_back({0, std::move(status)});
    attempt.step.done = 1;
    return attempt.step;
  }
  SendScratch scratch;
  Fill(datagrams, &scratch);
  SendBatch(datagrams.first(scratch.datagrams), &scratch, &attempt);
  return attempt.step;
}

size_t LinuxSendSocket::queued_bytes() const {
  int bytes = 0;
  return ioctl(fd_.get(), SIOCOUTQ, &bytes) == 0 ? static_cast<size_t>(bytes) : 0;
}

absl::Status LinuxSendSocket::Check(const OutgoingDatagram& datagram) const {
  const Family family = spec_.family;
  if (datagram.group.family() != family || (!datagram.source.IsUnspecified() && datagram.source.family() != family)) {
    return Error(Reason::kInvalidAddress, "", absl::StrCat("not an ", ToAbsl(FamilyName(family)), " address"));
  }
  if (datagram.interface_index == 0) return Error(Reason::kFieldRequired, "interface", "name the interface to send on");
  if ((datagram.hop_limit == 0) != spec_.host_only) {
    return Error(Reason::kInvalidHopLimit, "hop_limit",
                 "hop limit 0 is for host-only sockets: a datagram that leaves the host needs at least 1");
  }
  return absl::OkStatus();
}

// Fills the batch from the front. Takes at least one datagram, which the caller has checked.
void LinuxSendSocket::Fill(absl::Span<const OutgoingDatagram> datagrams, SendScratch* scratch) const {
  while (scratch->datagrams < datagrams.size() && scratch->messages < kBatchMessages) {
    const size_t room = kBatchDatagrams - scratch->datagrams;
    const absl::Span<const OutgoingDatagram> rest = datagrams.subspan(scratch->datagrams, room);
    if (room == 0 || !Check(rest[0]).ok()) return;
    AddMessage(rest.first(segments_ ? SegmentsInFront(rest) : 1), scratch);
  }
}

void LinuxSendSocket::SendBatch(absl::Span<const OutgoingDatagram> batch, SendScratch* scratch,
                                Attempt* attempt) const {
  size_t message = 0;
  while (message < scratch->messages && !attempt->waits()) {
    // sendmmsg hides the error of the message that stops it, and with loop on that message must not be sent again (see
    // Refused). So with loop on, send one message at a time.
    const size_t at_once = spec_.loop ? 1 : scratch->messages - message;
    const int result = SendOnce(&scratch->headers[message], at_once);
    for (int i = 0; i < result; ++i) attempt->Took(scratch->counts[message++]);
    if (result > 0) continue;
    const absl::Span<const OutgoingDatagram> refused = batch.subspan(attempt->step.done, scratch->counts[message]);
    if (refused.size() > 1 && result != -EAGAIN && result != -ENOBUFS) {
      SendSingly(refused, &scratch->headers[message], attempt);
    } else {
      Refused(-result, refused, attempt);
    }
    ++message;
  }
}

// Sends one by one the datagrams of a message that the kernel refused as a whole.
void LinuxSendSocket::SendSingly(absl::Span<const OutgoingDatagram> datagrams, mmsghdr* message,
                                 Attempt* attempt) const {
  message->msg_hdr.msg_iovlen = 1;
  message->msg_hdr.msg_controllen -= CMSG_SPACE(sizeof(uint16_t));  // UDP_SEGMENT.
  for (size_t i = 0; i < datagrams.size() && !attempt->waits(); ++i) {
    const int result = SendOnce(message, 1);
    if (result > 0) attempt->Took(1);
    if (result <= 0) Refused(-result, datagrams.subspan(i, 1), attempt);
    ++message->msg_hdr.msg_iov;
  }
}

// Either leaves the datagrams of one message for later or fails them.
void LinuxSendSocket::Refused(int error, absl::Span<const OutgoingDatagram> datagrams, Attempt* attempt) const {
  const bool queue_full = error == ENOBUFS;
  if (attempt->patient && (queue_full || error == EAGAIN)) {
    attempt->step.wait = queue_full ? SendStep::Wait::kMoment : SendStep::Wait::kWritable;
    // The interface's queue dropped it. With loop on, the host's own receivers already have it and would get a second
    // copy.
    if (!queue_full || !spec_.loop) return;
  }
  for (const OutgoingDatagram& datagram : datagrams) {
    attempt->failures->push_back({attempt->step.done++, Failure(error, datagram)});
  }
}

// Returns how many were sent, or minus the errno of the first one's failure.
int LinuxSendSocket::SendOnce(mmsghdr* headers, size_t count) const {
  bool repeated = false;
  while (true) {
    const int result = sendmmsg(fd_.get(), headers, static_cast<unsigned>(count), MSG_DONTWAIT);
    if (result > 0) return result;
    const int error = errno;
    if (error == EINTR) continue;
    // Queued errors would end the wait for room at once, every time.
    if (error == EAGAIN) ClearErrors();
    // An ICMP error for an earlier datagram fails the next send once. A failure that repeats is this datagram's own.
    if (error == EAGAIN || error == ENOBUFS || repeated) return -error;
    repeated = true;
    ClearErrors();
  }
}

void LinuxSendSocket::ClearErrors() const {
  char nothing = 0;
  iovec vector = {&nothing, sizeof(nothing)};
  msghdr header = {};
  header.msg_iov = &vector;
  header.msg_iovlen = 1;
  while (recvmsg(fd_.get(), &header, MSG_ERRQUEUE | MSG_DONTWAIT) >= 0) {
  }
}

absl::Status SetMulticast(int fd, const SendSocketSpec& spec) {
  const bool v4 = spec.family == Family::kIpv4;
  const int level = ProtocolLevel(spec.family);
  absl::Status status =
      SetOption(fd, level, v4 ? IP_MULTICAST_LOOP : IPV6_MULTICAST_LOOP, spec.loop ? 1 : 0, "set multicast loop");
  if (!status.ok() || !spec.host_only) return status;
  return SetOption(fd, level, v4 ? IP_MULTICAST_TTL : IPV6_MULTICAST_HOPS, 0, "set hop limit 0");
}

absl::Status SetFragmenting(int fd, const SendSocketSpec& spec) {
  if (spec.family == Family::kIpv6) {
    return SetOption(fd, IPPROTO_IPV6, IPV6_DONTFRAG, spec.dont_fragment ? 1 : 0, "set IPV6_DONTFRAG");
  }
  // By default the kernel sets the DF bit on everything that fits the first link. A router with a smaller link would
  // then drop it silently: multicast gets no ICMP error (RFC 1122, 3.2.2).
  return SetOption(fd, IPPROTO_IP, IP_MTU_DISCOVER, spec.dont_fragment ? IP_PMTUDISC_DO : IP_PMTUDISC_DONT,
                   "set IP_MTU_DISCOVER");
}

absl::Status SetUpSending(int fd, const SendSocketSpec& spec) {
  // Keeps a socket that only sends from receiving: on a well-known port it would collect what other sockets joined.
  sock_filter drop_all = {BPF_RET | BPF_K, 0, 0, 0};
  const sock_fprog program = {1, &drop_all};
  if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) != 0) {
    return ErrnoStatus(errno, "attach a socket filter");
  }
  absl::Status status = SetMulticast(fd, spec);
  if (status.ok()) status = SetFragmenting(fd, spec);
  if (!status.ok()) return status;
  // Otherwise the kernel hides that an interface's queue dropped a datagram.
  return SetOption(fd, ProtocolLevel(spec.family), spec.family == Family::kIpv4 ? IP_RECVERR : IPV6_RECVERR, 1,
                   "set IP_RECVERR");
}

// SO_REUSEPORT admits only other sockets of this user. If the port must be free, set it after the bind: otherwise the
// kernel checks only the first socket that shares, and would take a port that another user's socket also holds.
absl::Status BindSending(int fd, const SendSocketSpec& spec) {
  absl::Status status;
  if (spec.shares_port) status = SetOption(fd, SOL_SOCKET, SO_REUSEPORT, 1, "set SO_REUSEPORT");
  if (status.ok()) status = BindSocket(fd, IpAddress::Unspecified(spec.family), spec.source_port, 0);
  if (ErrnoOf(status) == EADDRINUSE) {
    return ErrnoError(EADDRINUSE, Reason::kPortInUse, "source_port",
                      absl::StrCat("UDP port ", spec.source_port, " to send from is held by ",
                                   DescribePortHolder(IpAddress::Unspecified(spec.family), spec.source_port),
                                   ": stop it, or choose another source_port"));
  }
  if (status.ok() && !spec.shares_port) status = SetOption(fd, SOL_SOCKET, SO_REUSEPORT, 1, "set SO_REUSEPORT");
  return status;
}

}  // namespace

absl::StatusOr<std::unique_ptr<SendSocket>> NewLinuxSendSocket(const SendSocketSpec& spec) {
  if (spec.host_only && !spec.loop) return Error(Reason::kLoopRequired, "loop", "hop limit 0 without loop");
  absl::StatusOr<OwnedFd> fd = OpenUdpSocket(spec.family);
  if (!fd.ok()) return fd.status();
  absl::Status status = SetUpSending(fd->get(), spec);
  if (status.ok()) status = BindSending(fd->get(), spec);
  if (!status.ok()) return status;
  sockaddr_storage name;
  socklen_t length = sizeof(name);
  if (getsockname(fd->get(), reinterpret_cast<sockaddr*>(&name), &length) != 0) {
    return ErrnoStatus(errno, "getsockname");
  }
  const uint16_t port =
      ntohs(reinterpret_cast<const sockaddr_in&>(name).sin_port);  // At the same offset in both families.
  int segment = 0;
  socklen_t segment_length = sizeof(segment);
  const bool segments = getsockopt(fd->get(), IPPROTO_UDP, UDP_SEGMENT, &segment, &segment_length) == 0;
  return std::make_unique<LinuxSendSocket>(*std::move(fd), spec, port, segments);
}

}  // namespace mcgw::net
