#include "server/net/linux_socket_factory.h"

#include <fstream>
#include <memory>

#include "server/net/linux_receive_batch.h"
#include "server/net/linux_socket.h"

namespace mcgw::net {
namespace {

class LinuxSocketFactory final : public SocketFactory {
 public:
  std::unique_ptr<ReceiveBatch> NewReceiveBatch() override { return std::make_unique<LinuxReceiveBatch>(); }

  size_t MostSources(Family family) const override {
    const bool v4 = family == Family::kIpv4;
    // Other network namespaces do not show the IPv6 limit; the default of both families applies there.
    std::ifstream file(v4 ? "/proc/sys/net/ipv4/igmp_max_msf" : "/proc/sys/net/ipv6/mld_max_msf");
    size_t count = 0;
    return file >> count && count > 0 ? count : v4 ? 10 : 64;
  }

  absl::StatusOr<std::unique_ptr<ReceiveSocket>> NewReceiveSocket(const ReceiveSocketSpec& spec) override {
    return NewLinuxReceiveSocket(spec);
  }

  absl::StatusOr<std::unique_ptr<SendSocket>> NewSendSocket(const SendSocketSpec& spec) override {
    return NewLinuxSendSocket(spec);
  }

  absl::StatusOr<std::unique_ptr<MembershipSocket>> NewMembershipSocket(Family family) override {
    return NewLinuxMembershipSocket(family);
  }
};

}  // namespace

std::unique_ptr<SocketFactory> NewLinuxSocketFactory() { return std::make_unique<LinuxSocketFactory>(); }

}  // namespace mcgw::net
