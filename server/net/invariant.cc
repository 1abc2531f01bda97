#include "server/net/invariant.h"

#include <cstdio>
#include <cstdlib>

namespace mcgw::net {

void InvariantFailed(const char* file, int line, const char* condition) {
  std::fprintf(stderr, "%s:%d: invariant does not hold: %s\n", file, line, condition);
  std::abort();
}

}  // namespace mcgw::net
