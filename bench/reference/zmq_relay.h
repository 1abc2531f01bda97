// A relay from a multicast group to a ZeroMQ publisher, as a reference: one message for each datagram. What exceeds
// 100,000 messages for one reader it drops messages silently, as ZeroMQ's publishers do.

#ifndef MCGW_BENCH_REFERENCE_ZMQ_RELAY_H_
#define MCGW_BENCH_REFERENCE_ZMQ_RELAY_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "bench/reader.h"

namespace mcgw::bench {

struct ZmqRelayOptions {
  Group group;
  uint16_t port = 0;  // On 127.0.0.1.
};

// Runs until killed; returns only if it cannot. Says "ready" on standard error, and answers each subscription with an
// empty message to all. UNIMPLEMENTED if this program was built without libzmq.
absl::Status RunZmqRelay(const ZmqRelayOptions& options);

// The version of libzmq; empty if this program was built without it.
std::string ZmqVersion();

}  // namespace mcgw::bench

#endif  // MCGW_BENCH_REFERENCE_ZMQ_RELAY_H_
