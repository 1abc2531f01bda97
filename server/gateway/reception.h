// How a channel is received: the kernel's side of it, joined with one filter for all that want it.

#ifndef MCGW_GATEWAY_RECEPTION_H_
#define MCGW_GATEWAY_RECEPTION_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "server/fanout/channel_log.h"
#include "server/fanout/event.h"
#include "server/fanout/receive_shard.h"
#include "server/fanout/source_filter.h"
#include "server/net/multicast_socket.h"

namespace mcgw::gateway {

// Not thread-safe: the interface's manager locks. Its calls make system calls.
class Reception {
 public:
  // What a reception needs for its life. `sockets` and `shard` outlive it.
  struct Spec {
    net::SocketFactory* sockets = nullptr;
    fanout::ReceiveShard* shard = nullptr;
    std::shared_ptr<fanout::ChannelLog> log;
    net::IpAddress group;
    uint16_t port = 0;
    size_t socket_buffer_bytes = 0;
  };

  explicit Reception(Spec spec) : spec_(std::move(spec)) {}
  Reception(const Reception&) = delete;
  Reception& operator=(const Reception&) = delete;

  // Joins on an interface and has the shard read. On failure nothing is joined. What was missed since the last Close is
  // announced in the log, with the cause given there.
  absl::Status Open(uint32_t interface_index, const std::string& interface_name, const fanout::SourceFilter& wished);
  // Tells the kernel a new filter. On failure the old one stays.
  absl::Status Tell(const fanout::SourceFilter& wished);
  // Leaves and has the shard read what is still queued. `cause` is why datagrams are missed from now on.
  void Close(fanout::GapCause cause);

  bool is_open() const { return socket_ != nullptr; }
  bool was_open() const { return was_open_; }
  // What the kernel was told, which passes at least what is wished. While open.
  const fanout::SourceFilter& told() const { return told_; }
  net::ReceiveSocketFacts Facts() const { return socket_->Facts(); }
  const fanout::ReceiveCounters& counters() const { return *counters_; }

 private:
  std::string Describe() const;
  absl::Status Join(const net::ReceiveSocketSpec& spec, const fanout::SourceFilter& filter);
  absl::Status Explain(const absl::Status& status, const fanout::SourceFilter& wished) const;

  const Spec spec_;
  const std::shared_ptr<fanout::ReceiveCounters> counters_ = std::make_shared<fanout::ReceiveCounters>();
  std::string interface_name_;
  std::shared_ptr<net::ReceiveSocket> socket_;
  fanout::SourceFilter told_;
  bool was_open_ = false;
  fanout::GapCause closed_cause_ = fanout::GapCause::kNotJoined;
  int64_t closed_unix_ns_ = 0;
};

}  // namespace mcgw::gateway

#endif  // MCGW_GATEWAY_RECEPTION_H_
