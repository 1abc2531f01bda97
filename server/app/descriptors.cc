#include "server/app/descriptors.h"

#include <sys/resource.h>

#include <algorithm>
#include <cstdint>
#include <limits>

namespace mcgw::app {
namespace {

// gRPC, event loops, send sockets, files open for a moment, and a reserve. An idle daemon has about 30 open.
constexpr size_t kOwn = 80;
constexpr size_t kPerConnection = 2;
constexpr size_t kMostSends = 4000;

}  // namespace

size_t RaiseDescriptorLimit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return 1024;  // The lowest default.
  if (limit.rlim_cur != limit.rlim_max) {
    const rlim_t before = limit.rlim_cur;
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0) limit.rlim_cur = before;
  }
  return static_cast<size_t>(std::min<rlim_t>(limit.rlim_cur, std::numeric_limits<int32_t>::max()));
}

DescriptorSplit SplitDescriptors(size_t limit, size_t listeners, size_t max_connections) {
  const size_t own = kOwn + listeners;
  const size_t left = limit > own ? limit - own : 0;
  DescriptorSplit split;
  split.connections = std::min(max_connections, left / 2 / kPerConnection);
  const size_t rest = left - split.connections * kPerConnection;
  split.sends = std::min(rest / 8, kMostSends);
  split.channels = rest - split.sends;
  return split;
}

}  // namespace mcgw::app
