// Sends datagrams for clients: resolves where to, checks what can be known before the kernel is asked, and sends.

#ifndef MCGW_GATEWAY_SENDER_H_
#define MCGW_GATEWAY_SENDER_H_

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/gateway/interface_directory.h"
#include "server/gateway/policy.h"
#include "server/net/multicast_socket.h"
#include "server/net/mutex.h"

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

// Thread-safe. Sends block while the socket's buffer is full.
class Sender {
 public:
  // Both must outlive it.
  Sender(net::SocketFactory* sockets, InterfaceDirectory* directory) : sockets_(sockets), directory_(directory) {}

  // One result for each interface that the selector means. An error if nothing could be tried.
  absl::StatusOr<std::vector<SendResult>> Send(const SendRequest& request, std::string_view payload);

  // Sends all bursts in order; items are numbered across them.
  PublishResult Publish(const std::vector<Burst>& bursts);

  const SendCounters& counters() const { return counters_; }
  // The port that datagrams of a family leave from, with loop on; 0 while nothing has been sent.
  uint16_t source_port(net::Family family) const;

 private:
  // One interface that a burst goes out by.
  struct Exit {
    net::Interface interface;
    net::IpAddress source;
    absl::Status status;  // Known beforehand: down, no carrier, no address.
  };

  absl::StatusOr<std::vector<Exit>> Exits(const SendRequest& request);
  absl::StatusOr<net::SendSocket*> Socket(net::Family family, bool loop);
  void PublishBurst(const Burst& burst, uint32_t first_item, PublishResult* result);

  net::SocketFactory* const sockets_;
  InterfaceDirectory* const directory_;
  SendCounters counters_;
  mutable net::Mutex mutex_;
  // By family and loop; made on first use, kept for good.
  std::array<std::array<std::unique_ptr<net::SendSocket>, 2>, 2> made_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace mcgw::gateway

#endif  // MCGW_GATEWAY_SENDER_H_
