// ReceiveBatch on Linux: the buffers that recvmmsg(2) fills, and the parser of its ancillary data.

#ifndef MCGW_NET_LINUX_RECEIVE_BATCH_H_
#define MCGW_NET_LINUX_RECEIVE_BATCH_H_

#include <netinet/in.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <array>
#include <cstdint>
#include <ctime>
#include <new>
#include <string_view>

#include "absl/types/span.h"
#include "server/net/address.h"
#include "server/net/control_message.h"
#include "server/net/datagram.h"
#include "server/net/multicast_socket.h"

namespace mcgw::net {

// Belongs to one receive thread, like ReceiveBatch.
class LinuxReceiveBatch final : public ReceiveBatch {
 public:
  LinuxReceiveBatch() {
    // Anonymous pages cost nothing until a datagram fills them.
    void* const memory = mmap(nullptr, kMaxDatagrams * kSlotBytes, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) throw std::bad_alloc();
    payloads_ = static_cast<char*>(memory);
    for (size_t i = 0; i < kMaxDatagrams; ++i) {
      vectors_[i] = {payloads_ + i * kSlotBytes, kSlotBytes};
      msghdr& header = headers_[i].msg_hdr;
      header.msg_name = &names_[i];
      header.msg_iov = &vectors_[i];
      header.msg_iovlen = 1;
      header.msg_control = controls_[i].bytes;
    }
  }
  ~LinuxReceiveBatch() override { munmap(payloads_, kMaxDatagrams * kSlotBytes); }

  absl::Span<const ReceivedDatagram> datagrams() const override {
    return absl::MakeConstSpan(datagrams_.data(), count_);
  }

  // Discards the previous read. Returns how many messages were read, or -1 with errno.
  int Read(int fd) {
    count_ = 0;
    for (mmsghdr& header : headers_) {
      header.msg_hdr.msg_namelen = sizeof(sockaddr_storage);
      header.msg_hdr.msg_controllen = kControlBytes;
    }
    return recvmmsg(fd, headers_.data(), kMaxDatagrams, MSG_DONTWAIT | MSG_TRUNC, nullptr);
  }
  const mmsghdr& header(size_t i) const { return headers_[i]; }
  void Append(const ReceivedDatagram& datagram) { datagrams_[count_++] = datagram; }

 private:
  static constexpr size_t kSlotBytes = 65'536;  // More than the largest UDP payload.
  static constexpr size_t kControlBytes = 256;  // Our ancillary data takes about 150 bytes.
  struct alignas(cmsghdr) Control {
    char bytes[kControlBytes];
  };

  char* payloads_ = nullptr;
  std::array<mmsghdr, kMaxDatagrams> headers_{};
  std::array<iovec, kMaxDatagrams> vectors_;
  std::array<sockaddr_storage, kMaxDatagrams> names_;
  std::array<Control, kMaxDatagrams> controls_;
  std::array<ReceivedDatagram, kMaxDatagrams> datagrams_;
  size_t count_ = 0;
};

namespace receive_batch_internal {

inline void ReadSocketControl(int type, std::string_view bytes, ReceivedDatagram* datagram) {
  if (timespec stamp; type == SCM_TIMESTAMPNS && ReadControl(bytes, &stamp)) {
    // Unsigned, for which no time is too great.
    datagram->receive_time_unix_ns = static_cast<int64_t>(static_cast<uint64_t>(stamp.tv_sec) * 1'000'000'000 +
                                                          static_cast<uint64_t>(stamp.tv_nsec));
  } else if (type == SO_RXQ_OVFL) {
    ReadControl(bytes, &datagram->drops_so_far);
  }
}

inline void ReadIpv4Control(int type, std::string_view bytes, ReceivedDatagram* datagram) {
  int number = 0;
  if (in_pktinfo info; type == IP_PKTINFO && ReadControl(bytes, &info)) {
    datagram->destination = IpAddress::FromV4(info.ipi_addr);
    datagram->interface_index = static_cast<uint32_t>(info.ipi_ifindex);
  } else if (type == IP_TTL && ReadControl(bytes, &number)) {
    datagram->hop_limit = static_cast<uint8_t>(number);
  } else if (type == IP_TOS) {
    ReadControl(bytes, &datagram->traffic_class);
  }
}

inline void ReadIpv6Control(int type, std::string_view bytes, ReceivedDatagram* datagram) {
  int number = 0;
  if (in6_pktinfo info; type == IPV6_PKTINFO && ReadControl(bytes, &info)) {
    datagram->destination = IpAddress::FromV6(info.ipi6_addr);
    datagram->interface_index = info.ipi6_ifindex;
  } else if (type == IPV6_HOPLIMIT && ReadControl(bytes, &number)) {
    datagram->hop_limit = static_cast<uint8_t>(number);
  } else if (type == IPV6_TCLASS && ReadControl(bytes, &number)) {
    datagram->traffic_class = static_cast<uint8_t>(number);
  }
}

}  // namespace receive_batch_internal

// Parses one message. The payload is borrowed from it.
inline ReceivedDatagram ReadDatagram(const mmsghdr& message) {
  msghdr header = message.msg_hdr;
  ReceivedDatagram datagram;
  datagram.payload = std::string_view(static_cast<const char*>(header.msg_iov->iov_base), message.msg_len);
  const auto& name = *static_cast<const sockaddr_storage*>(header.msg_name);
  datagram.source = IpAddress::FromSockaddr(name);
  // The port is at the same offset in sockaddr_in and sockaddr_in6.
  datagram.source_port = ntohs(reinterpret_cast<const sockaddr_in&>(name).sin_port);
  for (cmsghdr* control = CMSG_FIRSTHDR(&header); control != nullptr; control = CMSG_NXTHDR(&header, control)) {
    const std::string_view bytes = ControlBytes(header, control);
    switch (control->cmsg_level) {
      case SOL_SOCKET:
        receive_batch_internal::ReadSocketControl(control->cmsg_type, bytes, &datagram);
        break;
      case IPPROTO_IP:
        receive_batch_internal::ReadIpv4Control(control->cmsg_type, bytes, &datagram);
        break;
      case IPPROTO_IPV6:
        receive_batch_internal::ReadIpv6Control(control->cmsg_type, bytes, &datagram);
        break;
      default:
        break;
    }
  }
  return datagram;
}

}  // namespace mcgw::net

#endif  // MCGW_NET_LINUX_RECEIVE_BATCH_H_
