// Who may use the process's file descriptors: each has a part of its own, so that none can starve the others.

#ifndef MCGW_APP_DESCRIPTORS_H_
#define MCGW_APP_DESCRIPTORS_H_

#include <cstddef>

namespace mcgw::app {

// Raises the limit of open files to its hard limit. Returns the limit in force.
size_t RaiseDescriptorLimit();

struct DescriptorSplit {
  size_t connections = 0;  // Most connections, each with the two descriptors that it takes (ADR 4).
  size_t channels = 0;     // Most sockets of channels.
  size_t sends = 0;        // Most sockets to send from, and of host-only memberships.
};

// `limit` descriptors: first a few for the daemon itself (and one for each of `listeners`), then two for each of
// `max_connections`, which take at most half of what is left; of the rest an eighth, at most 4000, to send from, and
// the others for channels.
DescriptorSplit SplitDescriptors(size_t limit, size_t listeners, size_t max_connections);

}  // namespace mcgw::app

#endif  // MCGW_APP_DESCRIPTORS_H_
