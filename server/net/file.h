// Small files, read whole.

#ifndef MCGW_NET_FILE_H_
#define MCGW_NET_FILE_H_

#include <cstddef>
#include <string>

#include "absl/status/statusor.h"

namespace mcgw::net {

// The bytes of a regular file of at most `most_bytes`; anything else is an error, which names the path and what is
// wrong, and never blocks.
absl::StatusOr<std::string> ReadSmallFile(const std::string& path, size_t most_bytes);

}  // namespace mcgw::net

#endif  // MCGW_NET_FILE_H_
