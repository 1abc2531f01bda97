#include "server/gateway/channels/accounts.h"

namespace mcgw::gateway {

ChannelAccount ChannelAccount::Of(const fanout::ChannelLog& log, const fanout::ReceiveCounters& counters) {
  return {.read = counters.read.load(std::memory_order_relaxed),
          .logged = log.logged(),
          .kernel_drops = log.kernel_drops(),
          .mismatched = counters.mismatches.load(std::memory_order_relaxed),
          .evicted = log.evicted(),
          .unknown_gaps = log.unknown_gaps(),
          .logged_payload_bytes = log.logged_payload_bytes()};
}

void ChannelAccount::Add(const ChannelAccount& other) {
  read += other.read;
  logged += other.logged;
  kernel_drops += other.kernel_drops;
  mismatched += other.mismatched;
  evicted += other.evicted;
  unknown_gaps += other.unknown_gaps;
  logged_payload_bytes += other.logged_payload_bytes;
}

}  // namespace mcgw::gateway
