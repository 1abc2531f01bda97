// Sends datagrams for clients: resolves where to, checks what can be known before the kernel is asked, and sends.

#ifndef MCGW_GATEWAY_SENDER_H_
#define MCGW_GATEWAY_SENDER_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/fanout/own_traffic.h"
#include "server/gateway/host_memberships.h"
#include "server/gateway/interface_directory.h"
#include "server/gateway/policy.h"
#include "server/gateway/send_account.h"
#include "server/gateway/send_source.h"
#include "server/net/multicast_socket.h"

namespace mcgw::gateway {

// How a datagram left through one interface, or why it did not.
struct SendResult {
  std::string interface_name;
  uint32_t interface_index = 0;
  net::IpAddress source;
  uint16_t source_port = 0;
  absl::Status status;
};

// Datagrams for one destination.
struct Burst {
  absl::Status invalid;  // Not OK: the burst could not be understood, and all its items fail so.
  SendRequest request;
  std::vector<std::string_view> payloads;  // Borrowed until the call returns.
};

// Items `first` to `first + count - 1` failed for the same reason.
struct ItemFailure {
  uint32_t first = 0;
  uint32_t count = 0;
  absl::Status status;
  std::string interface_name;
};

struct PublishResult {
  uint32_t accepted = 0;
  std::vector<ItemFailure> failures;
};

// Counted for each interface that a datagram was to leave by.
struct SendCounters {
  std::atomic<uint64_t> requested{0};
  std::atomic<uint64_t> sent{0};
  std::atomic<uint64_t> failed{0};
  std::atomic<uint64_t> payload_bytes{0};
};

// Thread-safe. Sends block while the socket's buffer is full. Each call can say on whose behalf it sends: from a source
// that NewSource made, or, with null, from the gateway's own.
class Sender {
 public:
  // `sockets` and `directory` must outlive it. `source_port` 0 lets the kernel choose. At most `most_sources` sources
  // live at a time, beside the gateway's own.
  Sender(net::SocketFactory* sockets, InterfaceDirectory* directory, uint16_t source_port = 0,
         size_t most_sources = 1000);
  Sender(const Sender&) = delete;
  Sender& operator=(const Sender&) = delete;

  // Takes the port of each family that the host knows, so that it is this gateway's from now on. PORT_IN_USE. Without
  // it the first send takes the port.
  absl::Status Open();

  // A source with a port of its own, which it takes at its first send, and tells `ports`. SESSION_LIMIT. Its sockets
  // close when the last reference goes; the sender outlives it.
  absl::StatusOr<std::shared_ptr<SendSource>> NewSource(std::shared_ptr<fanout::SourcePorts> ports);

  // One result for each interface that the selector means. An error if nothing could be tried.
  absl::StatusOr<std::vector<SendResult>> Send(const SendRequest& request, std::string_view payload,
                                               SendSource* from = nullptr);

  // Sends all bursts in order; items are numbered across them.
  PublishResult Publish(const std::vector<Burst>& bursts, SendSource* from = nullptr);

  // Forgets what is over. Once a second, with the monotonic time.
  void Sweep(int64_t now_ns);

  const SendCounters& counters() const { return counters_; }
  const SendAccount& account() const { return account_; }
  // The port that datagrams of a family leave from where no session sends; 0 while the host does not know the family.
  uint16_t source_port(net::Family family) const { return own_.port(family); }
  // What the gateway sends, for those who receive it.
  const std::shared_ptr<fanout::OwnTraffic>& traffic() const { return traffic_; }
  const HostMemberships& host_memberships() const { return host_memberships_; }

 private:
  // One interface that datagrams go out by.
  struct Exit {
    std::shared_ptr<const net::Interface> interface;
    net::IpAddress source;
    absl::Status status;                                // Known beforehand: down, no carrier, no address.
    std::unique_ptr<net::MembershipSocket> membership;  // With hop limit 0: what keeps them on the host.
  };
  // What a request comes to.
  struct Plan {
    std::vector<Exit> exits;
    net::SendSocket* socket = nullptr;
  };

  absl::StatusOr<std::vector<Exit>> Exits(const SendRequest& request);
  absl::StatusOr<Plan> Prepare(const SendRequest& request, SendSource* from);
  void PublishBurst(const Burst& burst, uint32_t first_item, SendSource* from, PublishResult* result);

  net::SocketFactory* const sockets_;
  InterfaceDirectory* const directory_;
  const size_t most_sources_;
  const std::shared_ptr<fanout::OwnTraffic> traffic_ = std::make_shared<fanout::OwnTraffic>();
  SendSource own_;
  HostMemberships host_memberships_;
  SendCounters counters_;
  SendAccount account_;
  std::atomic<size_t> sources_{0};
};

}  // namespace mcgw::gateway

#endif  // MCGW_GATEWAY_SENDER_H_
