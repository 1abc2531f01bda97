// Who may use the process's file descriptors: connections first, channels the rest.

#ifndef MCGW_APP_DESCRIPTORS_H_
#define MCGW_APP_DESCRIPTORS_H_

#include <cstddef>

namespace mcgw::app {

// Raises the limit of open files to its hard limit. Returns the limit in force.
size_t RaiseDescriptorLimit();

struct DescriptorSplit {
  size_t connections = 0;  // Most connections, each with the two descriptors that it takes (ADR 4).
  size_t channels = 0;     // Most sockets of channels.
};

// `limit` descriptors: first a few for the daemon itself (and one for each of `listeners`), then two for each of
// `max_connections`, which take at most half of what is left; channels have the rest. So neither can starve the other.
DescriptorSplit SplitDescriptors(size_t limit, size_t listeners, size_t max_connections);

}  // namespace mcgw::app

#endif  // MCGW_APP_DESCRIPTORS_H_
