// Sends datagrams for clients: resolves the destination, checks what the kernel would not report, and sends.

#ifndef MCGW_GATEWAY_SENDING_SENDER_H_
#define MCGW_GATEWAY_SENDING_SENDER_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/fanout/own_traffic.h"
#include "server/gateway/interfaces/interface_directory.h"
#include "server/gateway/rules/policy.h"
#include "server/gateway/sending/host_memberships.h"
#include "server/gateway/sending/send_account.h"
#include "server/gateway/sending/send_job.h"
#include "server/gateway/sending/send_source.h"
#include "server/net/multicast_socket.h"

namespace mcgw::gateway {

// Counted for each interface that a datagram should leave by.
struct SendCounters {
  std::atomic<uint64_t> requested{0};
  std::atomic<uint64_t> sent{0};
  std::atomic<uint64_t> failed{0};
  std::atomic<uint64_t> payload_bytes{0};
};

// Thread-safe. Each call sends from a source that NewSource made or, with null, from the gateway's own.
class Sender {
 public:
  // `sockets` and `directory` must outlive it. `source_port` 0 lets the kernel choose. At most `most_sources` sources
  // live at a time, beside the gateway's own. Their sockets count in `budget`, as do those that the gateway's own
  // source opens for single interfaces.
  Sender(net::SocketFactory* sockets, InterfaceDirectory* directory, uint16_t source_port = 0,
         size_t most_sources = 1000, SocketBudget budget = {});
  Sender(const Sender&) = delete;
  Sender& operator=(const Sender&) = delete;

  // Takes the port in each family that the host has, so that it is this gateway's from now on. PORT_IN_USE. Without
  // this call the first send takes the port.
  absl::Status Open();

  // A source with a port of its own, which it takes at its first send and records in `ports`. SESSION_LIMIT. Its
  // sockets close when the last reference goes; the sender outlives it.
  absl::StatusOr<std::shared_ptr<SendSource>> NewSource(std::shared_ptr<fanout::SourcePorts> ports);

  // Jobs, which the sender must outlive; nothing is sent before their first step. The payload must stay valid until the
  // job's end. PAYLOAD_TOO_LARGE.
  absl::StatusOr<std::shared_ptr<DatagramJob>> NewDatagram(const SendRequest& request, std::string_view payload,
                                                           std::shared_ptr<SendSource> from = nullptr);
  std::shared_ptr<BatchJob> NewBatch(std::unique_ptr<Bursts> bursts, std::shared_ptr<SendSource> from = nullptr);

  // The same, run to the end. They block while a buffer is full.
  absl::StatusOr<std::vector<SendResult>> Send(const SendRequest& request, std::string_view payload,
                                               std::shared_ptr<SendSource> from = nullptr);
  PublishResult Publish(const std::vector<Burst>& bursts, std::shared_ptr<SendSource> from = nullptr);

  // Drops what is no longer used. Call it once a second with the monotonic time.
  void Sweep(int64_t now_ns);

  const SendCounters& counters() const { return counters_; }
  const SendAccount& account() const { return account_; }
  // The source port of datagrams sent without a session; 0 while the host lacks the family.
  uint16_t source_port(net::Family family) const { return own_.port(family); }
  // The gateway's own traffic, for its receivers.
  const std::shared_ptr<fanout::OwnTraffic>& traffic() const { return traffic_; }
  const HostMemberships& host_memberships() const { return host_memberships_; }

 private:
  friend class Transmission;
  friend class BatchJob;

  // The interfaces that a request means, each with the socket to send through. With hop limit 0 it joins, and may
  // block.
  absl::StatusOr<std::vector<Transmission::Exit>> Prepare(const SendRequest& request, SendSource* from);
  absl::StatusOr<std::vector<Transmission::Exit>> Exits(const SendRequest& request);
  // What becomes of datagrams.
  void Requested(uint64_t count) { counters_.requested.fetch_add(count, std::memory_order_relaxed); }
  void Sent(uint32_t interface_index, uint64_t count, uint64_t payload_bytes);
  void Failed(uint32_t interface_index, const absl::Status& status);
  void Abandoned(uint64_t count) { counters_.failed.fetch_add(count, std::memory_order_relaxed); }
  void Refused(uint64_t count) {
    Requested(count);
    Abandoned(count);
  }

  net::SocketFactory* const sockets_;
  InterfaceDirectory* const directory_;
  const size_t most_sources_;
  const std::shared_ptr<fanout::OwnTraffic> traffic_ = std::make_shared<fanout::OwnTraffic>();
  SocketBudget budget_;
  SendSource own_;
  HostMemberships host_memberships_;
  SendCounters counters_;
  SendAccount account_;
  std::atomic<size_t> sources_{0};
};

}  // namespace mcgw::gateway

#endif  // MCGW_GATEWAY_SENDING_SENDER_H_
