// How an orderly stop divides its time.

#ifndef MCGW_APP_GRACE_H_
#define MCGW_APP_GRACE_H_

#include <algorithm>

#include "absl/time/time.h"

namespace mcgw::app {

struct Grace {
  absl::Duration serving;  // Streams go on as before.
  absl::Duration ending;   // Streams get their end. At the end of this time their connections are cut.
};

// The endings are within the grace, so that the whole stop is. A grace too short for that leaves no time to serve.
inline Grace DivideGrace(absl::Duration grace) {
  const absl::Duration ending = std::clamp(2 * grace / 5, absl::Milliseconds(500), absl::Seconds(2));
  return {.serving = std::max(grace - ending, absl::ZeroDuration()), .ending = ending};
}

}  // namespace mcgw::app

#endif  // MCGW_APP_GRACE_H_
