// The buffers that sendmmsg(2) needs for one batch of datagrams, and the functions that fill them.

#ifndef MCGW_NET_LINUX_SEND_BATCH_H_
#define MCGW_NET_LINUX_SEND_BATCH_H_

#include <netinet/in.h>
#include <netinet/udp.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "absl/types/span.h"
#include "server/net/address.h"
#include "server/net/datagram.h"

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif

namespace mcgw::net {

inline constexpr size_t kBatchMessages = 64;
inline constexpr size_t kBatchDatagrams = 256;

// UDP_SEGMENT: the kernel cuts one message into datagrams of equal size, at a tenth of the cost of sending each. The
// bounds are the kernel's own and Ethernet's MTU: it refuses more than the MTU only after copying everything.
inline constexpr size_t kMaxSegments = 64;
inline constexpr size_t kMaxSegmentedBytes = 65'000;

inline size_t MaxSegmentBytes(Family family) { return family == Family::kIpv4 ? 1500 - 28 : 1500 - 48; }

// The buffers for one batch. Left uninitialised: it lives on the stack, and only the used part is written.
struct SendScratch {
  struct alignas(cmsghdr) Control {
    char bytes[128];
  };

  size_t messages = 0;
  size_t datagrams = 0;
  size_t counts[kBatchMessages];  // Datagrams per message.
  mmsghdr headers[kBatchMessages];
  sockaddr_storage names[kBatchMessages];
  Control controls[kBatchMessages];
  iovec vectors[kBatchDatagrams];  // One per datagram.
};

template <typename T>
size_t PutControl(char* at, int level, int type, const T& value) {
  cmsghdr header = {};
  header.cmsg_level = level;
  header.cmsg_type = type;
  header.cmsg_len = CMSG_LEN(sizeof(value));
  std::memcpy(at, &header, sizeof(header));
  std::memcpy(at + CMSG_LEN(0), &value, sizeof(value));
  std::memset(at + CMSG_LEN(sizeof(value)), 0, CMSG_SPACE(sizeof(value)) - CMSG_LEN(sizeof(value)));
  return CMSG_SPACE(sizeof(value));
}

inline size_t PutIpv4Controls(const OutgoingDatagram& datagram, char* at) {
  in_pktinfo info = {};
  info.ipi_ifindex = static_cast<int>(datagram.interface_index);
  if (!datagram.source.IsUnspecified()) info.ipi_spec_dst = datagram.source.ToV4();
  size_t used = PutControl(at, IPPROTO_IP, IP_PKTINFO, info);
  // The kernel refuses 0 here; on a host-only socket it is a socket option.
  if (datagram.hop_limit > 0) used += PutControl(at + used, IPPROTO_IP, IP_TTL, int{datagram.hop_limit});
  if (datagram.traffic_class) used += PutControl(at + used, IPPROTO_IP, IP_TOS, int{*datagram.traffic_class});
  return used;
}

inline size_t PutIpv6Controls(const OutgoingDatagram& datagram, char* at) {
  in6_pktinfo info = {};
  info.ipi6_ifindex = datagram.interface_index;
  if (!datagram.source.IsUnspecified()) info.ipi6_addr = datagram.source.ToV6();
  size_t used = PutControl(at, IPPROTO_IPV6, IPV6_PKTINFO, info);
  used += PutControl(at + used, IPPROTO_IPV6, IPV6_HOPLIMIT, int{datagram.hop_limit});
  if (datagram.traffic_class) used += PutControl(at + used, IPPROTO_IPV6, IPV6_TCLASS, int{*datagram.traffic_class});
  return used;
}

inline bool SameButForPayload(const OutgoingDatagram& a, const OutgoingDatagram& b) {
  return a.group == b.group && a.port == b.port && a.interface_index == b.interface_index && a.source == b.source &&
         a.hop_limit == b.hop_limit && a.traffic_class == b.traffic_class;
}

// How many of the first datagrams fit one message: all of one size, except that the last may be shorter.
inline size_t SegmentsInFront(absl::Span<const OutgoingDatagram> datagrams) {
  const OutgoingDatagram& first = datagrams[0];
  const size_t size = first.payload.size();
  if (size == 0 || size > MaxSegmentBytes(first.group.family())) return 1;
  const size_t most = std::min({datagrams.size(), kMaxSegments, kMaxSegmentedBytes / size});
  size_t count = 1;
  while (count < most) {
    const OutgoingDatagram& next = datagrams[count];
    if (next.payload.empty() || next.payload.size() > size || !SameButForPayload(first, next)) break;
    ++count;
    if (next.payload.size() < size) break;
  }
  return count;
}

// Adds one message that carries all of `datagrams`.
inline void AddMessage(absl::Span<const OutgoingDatagram> datagrams, SendScratch* scratch) {
  const OutgoingDatagram& first = datagrams[0];
  const size_t slot = scratch->messages++;
  scratch->counts[slot] = datagrams.size();
  char* const control = scratch->controls[slot].bytes;
  msghdr& header = scratch->headers[slot].msg_hdr;
  header.msg_name = &scratch->names[slot];
  header.msg_namelen = ToSockaddr(first.group, first.port, first.interface_index, &scratch->names[slot]);
  header.msg_iov = &scratch->vectors[scratch->datagrams];
  header.msg_iovlen = datagrams.size();
  header.msg_control = control;
  header.msg_controllen = first.group.is_v4() ? PutIpv4Controls(first, control) : PutIpv6Controls(first, control);
  header.msg_flags = 0;
  if (datagrams.size() > 1) {
    // Last, so that sending the datagrams one by one only has to shorten the control data.
    header.msg_controllen += PutControl(control + header.msg_controllen, IPPROTO_UDP, UDP_SEGMENT,
                                        static_cast<uint16_t>(first.payload.size()));
  }
  for (const OutgoingDatagram& datagram : datagrams) {
    // sendmsg only reads, but iovec has no const pointer.
    scratch->vectors[scratch->datagrams++] = {const_cast<char*>(datagram.payload.data()), datagram.payload.size()};
  }
}

}  // namespace mcgw::net

#endif  // MCGW_NET_LINUX_SEND_BATCH_H_
