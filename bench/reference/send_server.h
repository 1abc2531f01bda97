// What sending over gRPC costs at the least, as a reference for Send and Publish: a unary call that answers nothing, or
// does one send that checks nothing; and a stream whose batches go to the kernel unchecked, in GSO runs where the
// payloads have one size, otherwise by sendmmsg. Callback API. It speaks the gateway's protocol and sends all to one
// group.

#ifndef MCGW_BENCH_REFERENCE_SEND_SERVER_H_
#define MCGW_BENCH_REFERENCE_SEND_SERVER_H_

#include <cstdint>

#include "absl/status/status.h"
#include "bench/reader.h"

namespace mcgw::bench {

struct SendServerOptions {
  Group group;        // Whatever destination a batch names.
  uint16_t port = 0;  // On 127.0.0.1.
  bool send = false;  // Send sends its payload, with one system call, and answers as the gateway does.
};

// Runs until killed; returns only if it cannot. Says "ready" on standard error.
absl::Status RunSendServer(const SendServerOptions& options);

}  // namespace mcgw::bench

#endif  // MCGW_BENCH_REFERENCE_SEND_SERVER_H_
