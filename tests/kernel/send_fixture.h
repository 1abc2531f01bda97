// What the tests of the send socket have in common: this host sends, and the peer receives.

#ifndef MCGW_TESTS_KERNEL_SEND_FIXTURE_H_
#define MCGW_TESTS_KERNEL_SEND_FIXTURE_H_

#include <net/if.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "server/net/linux_socket_factory.h"
#include "tests/kernel/kernel_net.h"

namespace mcgw::kernel {

inline constexpr uint16_t kPort = 5000;

// The names of one family's cast.
struct Cast {
  net::Family family;
  const char* group;
  const char* here;  // The addresses of this host on the first link, and
  const char* here_too;
  const char* here_on_a1;  // on the second.
  const char* foreign;     // An address of this family that no host has.
  const char* other_family_group;
};

inline constexpr Cast kIpv4 = {net::Family::kIpv4, "239.1.1.1", "10.0.0.1", "10.0.0.9",
                               "10.1.0.1",         "10.77.0.1", "ff15::1"};
inline constexpr Cast kIpv6 = {net::Family::kIpv6, "ff15::1", "fd00::1", "fd00::9", "fd01::1", "fd77::1", "239.1.1.1"};

class SendFixture : public testing::TestWithParam<Cast> {
 protected:
  SendFixture() { StayOnOneProcessor(); }

  const Cast& cast() const { return GetParam(); }
  net::IpAddress group() const { return Ip(cast().group); }

  std::unique_ptr<net::SendSocket> Open(bool loop = false, uint16_t port = 0) {
    return Open({.family = cast().family, .loop = loop, .source_port = port});
  }
  std::unique_ptr<net::SendSocket> Open(const net::SendSocketSpec& spec) {
    return factory_->NewSendSocket(spec).value();
  }
  std::unique_ptr<net::ReceiveSocket> Joined(const std::string& interface) {
    const net::ReceiveSocketSpec spec = {if_nametoindex(interface.c_str()), interface, group(), kPort, 4'000'000};
    std::unique_ptr<net::ReceiveSocket> socket = factory_->NewReceiveSocket(spec).value();
    EXPECT_TRUE(socket->Join(net::FilterMode::kExclude, {}).ok());
    return socket;
  }
  std::unique_ptr<net::ReceiveSocket> JoinedThere(const std::string& interface = "b0") {
    std::unique_ptr<net::ReceiveSocket> socket;
    peer_.Do([&] { socket = Joined(interface); });
    return socket;
  }

  net::OutgoingDatagram Outgoing(std::string_view payload, const std::string& by = "a0") const {
    net::OutgoingDatagram datagram;
    datagram.group = group();
    datagram.port = kPort;
    datagram.interface_index = if_nametoindex(by.c_str());
    datagram.source = net::IpAddress::Unspecified(cast().family);
    datagram.payload = payload;
    return datagram;
  }
  // The failure of a datagram that cannot be sent.
  absl::Status FailureOf(const net::OutgoingDatagram& datagram) {
    return FailureOf(datagram, {.family = cast().family, .loop = false});
  }
  absl::Status FailureOf(const net::OutgoingDatagram& datagram, const net::SendSocketSpec& spec) {
    const auto sender = Open(spec);
    std::vector<net::SendFailure> failures;
    EXPECT_EQ(sender->Send({&datagram, 1}, &failures), 0u);
    return failures.size() == 1 ? failures[0].status : absl::OkStatus();
  }
  std::vector<std::string> PayloadsOf(net::ReceiveSocket* socket, size_t count) {
    return Payloads(Receive(factory_.get(), socket, count));
  }
  bool IsEmpty(net::ReceiveSocket* socket) { return ReceiveQueued(factory_.get(), socket).empty(); }

  // Payloads that each need a message of their own: each is larger than the one before.
  static std::vector<std::string> GrowingPayloads(size_t count) {
    std::vector<std::string> payloads;
    for (size_t i = 0; i < count; ++i) payloads.emplace_back(1000 + i, 'x');
    return payloads;
  }
  std::vector<net::OutgoingDatagram> OutgoingEach(const std::vector<std::string>& payloads) const {
    std::vector<net::OutgoingDatagram> datagrams;
    const net::OutgoingDatagram pattern = Outgoing("");
    for (const std::string& payload : payloads) {
      datagrams.push_back(pattern);
      datagrams.back().payload = payload;
    }
    return datagrams;
  }

  // Holds a0 to a rate, with a queue of some bytes. False where the kernel has no token bucket.
  bool Throttle(const char* rate, int queue_bytes) {
    return Succeeds(absl::StrCat("tc qdisc replace dev a0 root tbf rate ", rate, " burst 3000 limit ", queue_bytes,
                                 " 2>/dev/null"));
  }

  Peer peer_;
  const std::unique_ptr<net::SocketFactory> factory_ = net::NewLinuxSocketFactory();
};

inline std::string FamilyOf(const testing::TestParamInfo<Cast>& each) {
  return std::string(net::FamilyName(each.param.family));
}

}  // namespace mcgw::kernel

#endif  // MCGW_TESTS_KERNEL_SEND_FIXTURE_H_
