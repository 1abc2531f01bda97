// Inspection's view of the gateway's parts and of their host.

#ifndef MCGW_GATEWAY_INSPECTION_HOST_VIEW_H_
#define MCGW_GATEWAY_INSPECTION_HOST_VIEW_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>

#include "absl/status/statusor.h"
#include "server/gateway/interfaces/interface_directory.h"
#include "server/gateway/interfaces/interface_registry.h"
#include "server/gateway/rules/options.h"
#include "server/gateway/sending/sender.h"
#include "server/net/device_counters.h"
#include "server/net/host_settings.h"
#include "server/net/kernel_memberships.h"
#include "server/net/multicast_socket.h"
#include "server/net/mutex.h"
#include "server/net/querier_listener.h"

namespace mcgw::gateway {

// Thread-safe. Read-only, except that TryBind binds a port for a moment.
class HostView {
 public:
  struct Parts {
    const Options* options = nullptr;
    InterfaceDirectory* directory = nullptr;
    InterfaceRegistry* registry = nullptr;
    const Sender* sender = nullptr;
    net::SocketFactory* sockets = nullptr;
    std::function<absl::StatusOr<net::KernelMemberships>()> kernel_memberships;
  };
  struct KernelReading {
    net::KernelMemberships memberships;
    int64_t begun_ns = 0;  // Monotonic.
  };

  // The parts must outlive it. Counters count from now on.
  explicit HostView(Parts parts);

  const Options& options() const { return *parts_.options; }
  InterfaceDirectory& directory() const { return *parts_.directory; }
  const InterfaceRegistry& registry() const { return *parts_.registry; }
  const Sender& sender() const { return *parts_.sender; }

  // Reads what the kernel has joined.
  absl::StatusOr<net::KernelMemberships> ReadKernel() const { return parts_.kernel_memberships(); }
  // The same, for one page of a list. A further page reuses a reading that is at most ten seconds old and newer than
  // `since_ns` (monotonic). Null if it cannot be read.
  std::shared_ptr<const KernelReading> ReadKernelForPage(bool further_page, int64_t since_ns) const;
  // Null if no client has ever asked for the interface.
  InterfaceRegistry::ChannelsPtr ChannelsOn(uint32_t interface_index) const;
  // The number of the gateway's sockets that hold each group on an interface.
  std::map<net::IpAddress, uint32_t> SocketsOn(uint32_t interface_index) const;
  // The version of IGMP or MLD on an interface; 0: unknown.
  uint32_t ProtocolVersion(const net::Interface& interface, net::Family family,
                           const net::KernelMemberships& kernel) const;
  // Checks whether a channel's port can be bound.
  absl::Status TryBind(const net::Interface& interface, const net::IpAddress& group, uint16_t port) const;
  // Null without CAP_NET_RAW.
  net::QuerierListener* queriers() const { return queriers_.get(); }

  // Counters at the gateway's start.
  const net::HostCounters& counters_before() const { return counters_before_; }
  const std::map<uint32_t, net::DeviceCounters>& devices_before() const { return devices_before_; }

 private:
  const Parts parts_;
  std::unique_ptr<net::QuerierListener> queriers_;
  const net::HostCounters counters_before_ = net::ReadHostCounters();
  const std::map<uint32_t, net::DeviceCounters> devices_before_ =
      net::ReadDeviceCounters().value_or(std::map<uint32_t, net::DeviceCounters>());

  mutable net::Mutex mutex_;
  mutable std::shared_ptr<const KernelReading> reading_ ABSL_GUARDED_BY(mutex_);  // The last one for a page.
};

}  // namespace mcgw::gateway

#endif  // MCGW_GATEWAY_INSPECTION_HOST_VIEW_H_
