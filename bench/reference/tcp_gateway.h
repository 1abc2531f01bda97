// The least that a gateway over TCP can be, as a reference: it joins one group and writes each datagram to every
// connection, behind its length in four bytes of the host's order. No numbering, no metadata, no word about losses; a
// connection that does not read holds up all others.

#ifndef MCGW_BENCH_REFERENCE_TCP_GATEWAY_H_
#define MCGW_BENCH_REFERENCE_TCP_GATEWAY_H_

#include <cstdint>

#include "absl/status/status.h"
#include "bench/reader.h"

namespace mcgw::bench {

struct TcpGatewayOptions {
  Group group;
  uint16_t port = 0;   // On 127.0.0.1.
  bool batch = false;  // One send for each recvmmsg of up to 64 datagrams and each connection, else one per datagram.
};

// Runs until killed; returns only if it cannot. Says "ready" on standard error, and greets each connection with an
// empty frame once it is served. The group is joined while there is a connection.
absl::Status RunTcpGateway(const TcpGatewayOptions& options);

}  // namespace mcgw::bench

#endif  // MCGW_BENCH_REFERENCE_TCP_GATEWAY_H_
