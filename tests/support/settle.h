// Runs the loops of a gateway that has no threads of its own.

#ifndef MCGW_TESTS_SUPPORT_SETTLE_H_
#define MCGW_TESTS_SUPPORT_SETTLE_H_

#include <cstddef>

#include "absl/time/time.h"
#include "server/gateway/gateway.h"

namespace mcgw::testing {

// Until no shard has anything left to do.
inline void Settle(gateway::Gateway* gateway) {
  int ran = 0;
  do {
    ran = 0;
    for (size_t shard = 0; shard < gateway->shards(); ++shard)
      ran += gateway->loop(shard)->RunOnce(absl::ZeroDuration());
  } while (ran > 0);
}

}  // namespace mcgw::testing

#endif  // MCGW_TESTS_SUPPORT_SETTLE_H_
