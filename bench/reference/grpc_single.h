// The best that a gRPC server does with one datagram in each message, as a reference: the callback API, raw byte
// buffers that all streams share, encoded once, and the hint that more follows. It speaks Subscribe of the gateway's
// protocol as far as the benchmark's readers need: Subscribed, sequences and payloads of one channel.

#ifndef MCGW_BENCH_REFERENCE_GRPC_SINGLE_H_
#define MCGW_BENCH_REFERENCE_GRPC_SINGLE_H_

#include <cstddef>
#include <cstdint>

#include "absl/status/status.h"
#include "bench/reader.h"

namespace mcgw::bench {

struct GrpcSingleOptions {
  Group group;
  uint16_t port = 0;  // On 127.0.0.1.
  size_t log_bytes = 4 << 20;
};

// Runs until killed; returns only if it cannot. Says "ready" on standard error. The group is joined from the beginning.
// A stream that the log's end overtakes loses messages silently.
absl::Status RunGrpcSingle(const GrpcSingleOptions& options);

}  // namespace mcgw::bench

#endif  // MCGW_BENCH_REFERENCE_GRPC_SINGLE_H_
