// Divides the process's file descriptors into separate parts, so that no use starves another.

#ifndef MCGW_APP_DESCRIPTORS_H_
#define MCGW_APP_DESCRIPTORS_H_

#include <cstddef>

namespace mcgw::app {

// Raises the limit of open files to its hard limit. Returns the limit in force.
size_t RaiseDescriptorLimit();

struct DescriptorSplit {
  size_t connections = 0;  // Maximum connections; each takes two descriptors (ADR 4).
  size_t channels = 0;     // Maximum channel sockets.
  size_t sends = 0;        // Maximum send sockets and host-only memberships.
};

// Divides `limit` descriptors. The daemon itself takes a few, plus one per listener. Each of `max_connections` takes
// two, at most half of the remainder in total. Of the rest, an eighth, at most 4000, is for sending, and the others are
// for channels.
DescriptorSplit SplitDescriptors(size_t limit, size_t listeners, size_t max_connections);

}  // namespace mcgw::app

#endif  // MCGW_APP_DESCRIPTORS_H_
