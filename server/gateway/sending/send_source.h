// A source of datagrams: a port in each family, and the sockets that send from it.

#ifndef MCGW_GATEWAY_SENDING_SEND_SOURCE_H_
#define MCGW_GATEWAY_SENDING_SEND_SOURCE_H_

#include <cstdint>
#include <map>
#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/fanout/own_traffic.h"
#include "server/gateway/channels/channel_sockets.h"
#include "server/net/interface_table.h"
#include "server/net/multicast_socket.h"
#include "server/net/mutex.h"

namespace mcgw::gateway {

// The error if no descriptor is left for a send socket: HOST_LIMIT.
absl::Status NoSendSocketLeft(const SocketBudget& budget);

// Thread-safe. One for the gateway, and one for each session that sends. All its sockets of a family have one port,
// which counts as the gateway's own while this lives, and for some time after (fanout::OwnTraffic).
class SendSource {
 public:
  // How a socket sends: options that the kernel does not accept per datagram.
  struct Way {
    net::Family family = net::Family::kIpv4;
    bool loop = true;
    bool dont_fragment = false;
    bool host_only = false;
    // The only interface of the socket, so that a slow one does not fill the others' buffer; 0: all interfaces.
    uint32_t interface_index = 0;
    friend auto operator<=>(const Way&, const Way&) = default;
  };

  // The budgets of its sockets: those for all interfaces, and those for a single one.
  struct Budgets {
    SocketBudget for_all;
    SocketBudget for_one;
  };

  // With `source_port` 0 the kernel chooses, separately for each family. `ports` records the ports. `sockets` outlives
  // this.
  SendSource(net::SocketFactory* sockets, std::shared_ptr<fanout::OwnTraffic> traffic,
             std::shared_ptr<fanout::SourcePorts> ports, uint16_t source_port, Budgets budgets = {})
      : sockets_(sockets),
        traffic_(std::move(traffic)),
        ports_(std::move(ports)),
        source_port_(source_port),
        budgets_(std::move(budgets)) {}
  SendSource(const SendSource&) = delete;
  SendSource& operator=(const SendSource&) = delete;
  // Closes the sockets.
  ~SendSource();

  // The port of a family; 0 until its first socket exists.
  uint16_t port(net::Family family) const { return ports_->port(family); }

  // The socket that sends in this way, created on first use and kept; if the budget allows no socket for a single
  // interface, the one for all. PORT_IN_USE, HOST_LIMIT; NO_ADDRESS if the host lacks the family.
  absl::StatusOr<std::shared_ptr<net::SendSocket>> Socket(const Way& way);

  // Closes the sockets of interfaces that are gone.
  void Sweep(const net::InterfaceTable& table);

 private:
  absl::StatusOr<std::shared_ptr<net::SendSocket>> Make(const Way& way) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  net::SocketFactory* const sockets_;
  const std::shared_ptr<fanout::OwnTraffic> traffic_;
  const std::shared_ptr<fanout::SourcePorts> ports_;
  const uint16_t source_port_;
  Budgets budgets_;
  net::Mutex mutex_;
  std::map<Way, std::shared_ptr<net::SendSocket>> made_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace mcgw::gateway

#endif  // MCGW_GATEWAY_SENDING_SEND_SOURCE_H_
