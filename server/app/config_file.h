// The configuration file: a single YAML document, a map of keys.

#ifndef MCGW_APP_CONFIG_FILE_H_
#define MCGW_APP_CONFIG_FILE_H_

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "server/app/settings.h"

namespace mcgw::app {

// Reads the file into *settings. `keys` lists the known keys. The file must be a regular one of at most 1 MiB; anything
// else is an error and never blocks. Every error names the file and, where there is one, the line.
absl::Status ReadConfigFile(const std::string& path, const std::vector<std::string_view>& keys, Settings* settings);

// The parser of the file's text; `path` is for its errors.
absl::Status ParseConfigFile(const std::string& path, const std::string& text,
                             const std::vector<std::string_view>& keys, Settings* settings);

}  // namespace mcgw::app

#endif  // MCGW_APP_CONFIG_FILE_H_
