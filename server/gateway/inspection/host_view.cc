#include "server/gateway/inspection/host_view.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "server/net/clock.h"
#include "server/net/mld_version.h"

namespace mcgw::gateway {
namespace {

// Maximum age of a reading of the kernel's memberships for the second and later pages of a list.
constexpr int64_t kOldestReadingNs = 10'000'000'000;

uint32_t MldVersionOn(const net::Interface& interface, const net::QuerierListener* queriers) {
  std::optional<bool> v1_heard;
  if (queriers != nullptr) {
    const int64_t long_ago_ns = net::MonotonicNs() - net::kOlderQuerierPresentNs;
    const std::optional<net::Query> v1 = queriers->Last(interface.index, net::Family::kIpv6, 1);
    if (v1.has_value() && v1->heard_ns >= long_ago_ns) {
      v1_heard = true;
    } else if (queriers->since_ns() <= long_ago_ns) {
      v1_heard = false;
    }
  }
  return net::MldVersion(net::ReadMldCounters(interface.name),
                         net::ReadInterfaceSettings(interface.name).force_mld_version, v1_heard);
}

}  // namespace

HostView::HostView(Parts parts) : parts_(std::move(parts)) {
  // Needs a capability that the gateway can run without.
  absl::StatusOr<std::unique_ptr<net::QuerierListener>> queriers = net::QuerierListener::Create();
  if (queriers.ok()) queriers_ = *std::move(queriers);
}

std::shared_ptr<const HostView::KernelReading> HostView::ReadKernelForPage(bool further_page, int64_t since_ns) const {
  const int64_t now_ns = net::MonotonicNs();
  if (further_page) {
    net::MutexLock lock(&mutex_);
    const int64_t oldest_ns = std::max(since_ns, now_ns - kOldestReadingNs);
    if (reading_ != nullptr && reading_->begun_ns > oldest_ns) return reading_;
  }
  absl::StatusOr<net::KernelMemberships> memberships = ReadKernel();
  if (!memberships.ok()) return nullptr;
  auto reading = std::make_shared<const KernelReading>(KernelReading{*std::move(memberships), now_ns});
  net::MutexLock lock(&mutex_);
  reading_ = reading;
  return reading;
}

InterfaceRegistry::ChannelsPtr HostView::ChannelsOn(uint32_t interface_index) const {
  for (InterfaceRegistry::ChannelsPtr& channels : registry().All()) {
    if (channels->index() == interface_index) return std::move(channels);
  }
  return nullptr;
}

std::map<net::IpAddress, uint32_t> HostView::SocketsOn(uint32_t interface_index) const {
  std::map<net::IpAddress, uint32_t> sockets;
  if (const InterfaceRegistry::ChannelsPtr channels = ChannelsOn(interface_index); channels != nullptr) {
    sockets = channels->Sockets();
  }
  for (const HostMemberships::Held& held : sender().host_memberships().List()) {
    if (held.interface_index == interface_index) ++sockets[held.group];
  }
  return sockets;
}

uint32_t HostView::ProtocolVersion(const net::Interface& interface, net::Family family,
                                   const net::KernelMemberships& kernel) const {
  if (family == net::Family::kIpv6) return MldVersionOn(interface, queriers_.get());
  const auto at = kernel.igmp_version.find(interface.index);
  return at == kernel.igmp_version.end() ? 0 : at->second;
}

absl::Status HostView::TryBind(const net::Interface& interface, const net::IpAddress& group, uint16_t port) const {
  return parts_.sockets
      ->NewReceiveSocket(
          {.interface_index = interface.index, .interface_name = interface.name, .group = group, .port = port})
      .status();
}

}  // namespace mcgw::gateway
