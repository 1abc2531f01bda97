// One receiving end: a direct multicast socket, a client of a TCP gateway or of another reference, or a client of
// mcgwd. Each is as lean as its protocol allows, so that the server is what limits.

#ifndef MCGW_BENCH_READER_H_
#define MCGW_BENCH_READER_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "bench/account.h"

namespace mcgw::bench {

// Not thread-safe.
class Reader {
 public:
  Reader() = default;
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;
  virtual ~Reader() = default;

  virtual int fd() const = 0;
  // True once what is sent from now on comes.
  virtual bool ready() const = 0;
  // Takes a bounded part of what has come. A status that is not OK if the server ended the connection.
  virtual absl::Status Receive() = 0;

  // From now on takes what comes off the connection without looking at it: costs the readers' core next to nothing.
  // Only for readers over TCP that are ready; false where it cannot be done.
  virtual bool StopLooking() { return false; }
  // That have come over the connection, looked at or not, and the part of it that is datagrams as the protocol encodes
  // them. 0 for direct sockets.
  virtual uint64_t received_bytes() const { return 0; }
  virtual uint64_t datagram_bytes() const { return 0; }

  // One for each channel that brought something; of a reader of one channel, exactly one.
  virtual std::vector<Account*> accounts() { return {&account_}; }
  // As Account::Measure, for all channels.
  virtual void Measure(uint64_t first, size_t expected) { account_.Measure(first, expected); }
  Account& account() { return account_; }

 private:
  Account account_;
};

struct Group {
  std::string address;  // IPv4, or IPv6 where it says so.
  uint16_t port = 0;
  std::string interface;
};

// A socket that has joined the group itself. IPv4.
absl::StatusOr<std::unique_ptr<Reader>> MakeDirectReader(const Group& group);

// A client of one of the TCP gateways (reference/tcp_gateway.h, tcp_ring.h) on 127.0.0.1.
absl::StatusOr<std::unique_ptr<Reader>> MakeTcpReader(uint16_t server_port);

// A client of nats-server on 127.0.0.1 that subscribes to kNatsSubject.
inline constexpr char kNatsSubject[] = "g";
absl::StatusOr<std::unique_ptr<Reader>> MakeNatsReader(uint16_t server_port);

// A client of the ZeroMQ relay (reference/zmq_relay.h) on 127.0.0.1: ZMTP 3.0 by hand.
absl::StatusOr<std::unique_ptr<Reader>> MakeZmqReader(uint16_t server_port);

// What a reader that stalls takes: it holds the first event, and a few datagrams fill it.
inline constexpr uint32_t kStallBytes = 4096;

struct Subscription {
  std::vector<Group> groups;
  bool oldest = false;                  // From the oldest datagram in the log, else live.
  std::optional<absl::Duration> delay;  // How long a datagram may be held back to go with others.
  // Takes kStallBytes of the stream and then no more, while the connection lives on.
  bool stalls = false;
};

// A client of mcgwd, or of the gRPC reference that speaks like it: HTTP/2 and the messages read by hand, on a
// connection of its own. `target`: "127.0.0.1:PORT" or "unix:PATH".
absl::StatusOr<std::unique_ptr<Reader>> MakeGrpcReader(const std::string& target, const Subscription& subscription);

}  // namespace mcgw::bench

#endif  // MCGW_BENCH_READER_H_
