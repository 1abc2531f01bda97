// What the tests of the receive socket have in common: a peer that sends, and the names of both families' groups.

#ifndef MCGW_TESTS_KERNEL_RECEIVE_FIXTURE_H_
#define MCGW_TESTS_KERNEL_RECEIVE_FIXTURE_H_

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
  const char* same_mac_group;  // Another group with the same MAC address.
  const char* ssm_group;
  const char* sources[3];  // Addresses of the peer on the first link.
  const char* here;        // An address of this host there.
  size_t max_sources;      // igmp_max_msf, mld_max_msf.
};

inline constexpr Cast kIpv4 = {
    net::Family::kIpv4, "239.1.1.1", "239.129.1.1", "232.1.1.1", {"10.0.0.2", "10.0.0.3", "10.0.0.4"}, "10.0.0.1", 10};
inline constexpr Cast kIpv6 = {net::Family::kIpv6, "ff15::1", "ff18::1", "ff35::1", {"fd00::2", "fd00::3", "fd00::4"},
                               "fd00::1",          64};

class ReceiveFixture : public testing::TestWithParam<Cast> {
 protected:
  ReceiveFixture() {
    StayOnOneProcessor();
    for (const char* source : {"10.0.0.3/24", "10.0.0.4/24", "fd00::3/64", "fd00::4/64"}) {
      peer_.Shell(absl::StrCat("ip addr add ", source, " dev b0", std::string(source)[0] == 'f' ? " nodad" : ""));
    }
    peer_.Do([&] { sender_ = factory_->NewSendSocket({.family = cast().family, .loop = false}).value(); });
  }

  const Cast& cast() const { return GetParam(); }
  net::IpAddress group() const { return Ip(cast().group); }
  net::IpAddress source(int i) const { return Ip(cast().sources[i]); }

  net::ReceiveSocketSpec Spec(const net::IpAddress& group, const std::string& interface = "a0") const {
    return {if_nametoindex(interface.c_str()), interface, group, kPort, 0};
  }
  std::unique_ptr<net::ReceiveSocket> Open(const net::IpAddress& group, const std::string& interface = "a0") {
    return factory_->NewReceiveSocket(Spec(group, interface)).value();
  }
  std::unique_ptr<net::ReceiveSocket> Joined(const net::IpAddress& group, const std::string& interface = "a0") {
    std::unique_ptr<net::ReceiveSocket> socket = Open(group, interface);
    const absl::Status status = socket->Join(net::FilterMode::kExclude, {});
    EXPECT_TRUE(status.ok()) << status;
    return socket;
  }

  net::OutgoingDatagram Outgoing(const net::IpAddress& to, std::string_view payload,
                                 const std::string& by = "b0") const {
    net::OutgoingDatagram datagram;
    datagram.group = to;
    datagram.port = kPort;
    datagram.interface_index = peer_.IndexOf(by);
    datagram.source = net::IpAddress::Unspecified(cast().family);
    datagram.payload = payload;
    return datagram;
  }
  void SendOne(const net::OutgoingDatagram& datagram) {
    std::vector<net::SendFailure> failures;
    ASSERT_EQ(sender_->Send({&datagram, 1}, &failures), 1u) << failures[0].status;
  }
  void Send(const net::IpAddress& to, std::string_view payload, const std::string& by = "b0") {
    SendOne(Outgoing(to, payload, by));
  }
  void SendFrom(int i, const net::IpAddress& to, std::string_view payload) {
    net::OutgoingDatagram datagram = Outgoing(to, payload);
    datagram.source = source(i);
    SendOne(datagram);
  }

  std::vector<Copy> Receive(net::ReceiveSocket* socket, size_t count) {
    return kernel::Receive(factory_.get(), socket, count);
  }
  std::vector<std::string> PayloadsOf(net::ReceiveSocket* socket, size_t count) {
    return Payloads(Receive(socket, count));
  }
  bool IsEmpty(net::ReceiveSocket* socket) { return ReceiveQueued(factory_.get(), socket).empty(); }

  Peer peer_;
  const std::unique_ptr<net::SocketFactory> factory_ = net::NewLinuxSocketFactory();
  std::unique_ptr<net::SendSocket> sender_;
};

inline std::string FamilyOf(const testing::TestParamInfo<Cast>& each) {
  return std::string(net::FamilyName(each.param.family));
}

}  // namespace mcgw::kernel

#endif  // MCGW_TESTS_KERNEL_RECEIVE_FIXTURE_H_
