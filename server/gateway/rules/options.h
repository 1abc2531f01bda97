// The gateway's limits and other options. The defaults are those of the configuration.

#ifndef MCGW_GATEWAY_RULES_OPTIONS_H_
#define MCGW_GATEWAY_RULES_OPTIONS_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "server/gateway/rules/log_rules.h"

namespace mcgw::gateway {

struct Limits {
  size_t channels = 20'000;
  size_t sessions = 10'000;
  size_t subscribers = 10'000;
  size_t memberships = 2'000'000;  // All sessions and streams together.
  size_t memberships_per_holder = 10'000;
  size_t sources = 1'000'000;  // In the filters of all memberships together.
  size_t sources_per_holder = 100'000;
  size_t sources_per_filter = 1'000;
  size_t sending_sessions = 1'000;  // Sessions that send from a port of their own.
};

struct Options {
  std::vector<std::string> interfaces;  // Permitted interfaces; empty: all.
  std::string default_interface;        // What an empty selector means; empty: the routes decide.
  absl::Duration session_lease = absl::Seconds(60);
  absl::Duration keep_after_leave = absl::Seconds(30);
  absl::Duration narrow_after = absl::Seconds(30);  // Of an IPv6 filter under traffic; see Reception.
  size_t channel_log_bytes = 4 << 20;
  size_t total_log_bytes = 256 << 20;
  absl::Duration channel_log_age = absl::ZeroDuration();  // Zero: no limit.
  std::vector<LogRule> log_rules;
  size_t socket_buffer_bytes = 32 << 20;
  size_t subscriber_lag_limit_bytes = 4 << 20;
  uint16_t source_port = 0;                // To send from, in both families; 0: the kernel chooses.
  int shards = 1;                          // Receive threads.
  size_t channel_descriptors = 1'000'000;  // Maximum sockets of all channels.
  size_t send_descriptors = 1'000'000;     // Maximum sockets that send or hold host-only memberships.
  Limits limits;
};

}  // namespace mcgw::gateway

#endif  // MCGW_GATEWAY_RULES_OPTIONS_H_
