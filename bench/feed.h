// Where the sender's datagrams go in.

#ifndef MCGW_BENCH_FEED_H_
#define MCGW_BENCH_FEED_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "bench/reader.h"

namespace mcgw::bench {

// Not thread-safe.
class Feed {
 public:
  Feed() = default;
  Feed(const Feed&) = delete;
  Feed& operator=(const Feed&) = delete;
  virtual ~Feed() = default;

  // How many channels take turns: the nth datagram goes to channel n modulo this.
  virtual size_t channels() const { return 1; }
  // Sends `count` datagrams of `size` bytes each, which lie one behind the other, to one channel. At most MostInRun.
  virtual absl::Status Send(size_t channel, const char* data, size_t size, size_t count) = 0;
};

// Multicast from the peer host, a socket for each group; a run goes as one GSO send.
absl::StatusOr<std::unique_ptr<Feed>> MakeMulticastFeed(const std::vector<Group>& groups);

// Publishes to nats-server on 127.0.0.1.
absl::StatusOr<std::unique_ptr<Feed>> MakeNatsFeed(uint16_t server_port);

// The most datagrams of that size that one run may hold, up to 64.
size_t MostInRun(size_t payload_bytes);

}  // namespace mcgw::bench

#endif  // MCGW_BENCH_FEED_H_
