// Where datagrams come from: a port of its own in each family, and the sockets that send from it.

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

// No descriptor is left for a socket that sends: HOST_LIMIT.
absl::Status NoSendSocketLeft(const SocketBudget& budget);

// Thread-safe. One for the gateway, and one for each session that sends. All its sockets of a family have one port,
// which counts as the gateway's own while this lives, and for some time after (fanout::OwnTraffic).
class SendSource {
 public:
  // How a socket sends: what the kernel cannot be told with each datagram.
  struct Way {
    net::Family family = net::Family::kIpv4;
    bool loop = true;
    bool dont_fragment = false;
    bool host_only = false;
    // An interface that the socket is for alone, so that a slow one does not fill the buffer of the others; 0: for all.
    uint32_t interface_index = 0;
    friend auto operator<=>(const Way&, const Way&) = default;
  };

  // What its sockets count in: those for all interfaces, and those for a single one.
  struct Budgets {
    SocketBudget for_all;
    SocketBudget for_one;
  };

  // `source_port` 0 lets the kernel choose, for each family on its own. `ports` learns of the ports. `sockets` outlives
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

  // The port of a family; 0 until its first socket was made.
  uint16_t port(net::Family family) const { return ports_->port(family); }

  // The socket that sends in this way, made on first use and kept; where the budget has none for a single interface,
  // the one for all. PORT_IN_USE, HOST_LIMIT; NO_ADDRESS where the host does not know the family.
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
