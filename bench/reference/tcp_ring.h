// The floor of what a gateway over TCP can cost, as a reference: one contiguous ring of framed datagrams (their length
// in four bytes of the host's order, then the payload), a cursor into it for each connection, and up to 64 datagrams
// per send. No numbering, no metadata; a connection that the ring's end overtakes loses messages silently.

#ifndef MCGW_BENCH_REFERENCE_TCP_RING_H_
#define MCGW_BENCH_REFERENCE_TCP_RING_H_

#include <cstddef>
#include <cstdint>

#include "absl/status/status.h"
#include "bench/reader.h"

namespace mcgw::bench {

struct TcpRingOptions {
  Group group;
  uint16_t port = 0;            // On 127.0.0.1.
  size_t ring_bytes = 4 << 20;  // A multiple of 4096.
  bool oldest = false;          // A connection begins at the oldest datagram, else with the next one.
};

// Runs until killed; returns only if it cannot. Says "ready" on standard error, and greets each connection with an
// empty frame. The group is joined while there is a connection; the ring's content outlives them.
absl::Status RunTcpRing(const TcpRingOptions& options);

}  // namespace mcgw::bench

#endif  // MCGW_BENCH_REFERENCE_TCP_RING_H_
