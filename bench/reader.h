// One receiving end: a direct multicast socket, a client of a TCP gateway, or a client of mcgwd. Each is as lean as its
// protocol allows, so that the server is what limits.

#ifndef MCGW_BENCH_READER_H_
#define MCGW_BENCH_READER_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
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

  Account& account() { return account_; }

 private:
  Account account_;
};

struct Group {
  std::string address;  // IPv4.
  uint16_t port = 0;
  std::string interface;
};

// A socket that has joined the group itself.
absl::StatusOr<std::unique_ptr<Reader>> MakeDirectReader(const Group& group);

// A client of the TCP gateway (tcp_gateway.h) on 127.0.0.1.
absl::StatusOr<std::unique_ptr<Reader>> MakeTcpReader(uint16_t server_port);

struct Subscription {
  Group group;
  bool oldest = false;  // From the oldest datagram in the log, else live.
};

// A client of mcgwd: HTTP/2 and the messages read by hand, on a connection of its own. `target`: "127.0.0.1:PORT" or
// "unix:PATH".
absl::StatusOr<std::unique_ptr<Reader>> MakeGrpcReader(const std::string& target, const Subscription& subscription);

}  // namespace mcgw::bench

#endif  // MCGW_BENCH_READER_H_
