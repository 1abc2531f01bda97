// Configured values as text: each key's values, and where they were set.

#ifndef MCGW_APP_SETTINGS_H_
#define MCGW_APP_SETTINGS_H_

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "server/net/text.h"

namespace mcgw::app {

struct Setting {
  std::string place;  // A flag, a variable, or a file with line and key.
  std::vector<std::string> values;
};

using Settings = std::map<std::string, Setting, std::less<>>;  // By key.

// An error message that begins with the place.
template <typename... Parts>
absl::Status Bad(const Setting& setting, const Parts&... parts) {
  return absl::InvalidArgumentError(net::StrCat(setting.place, ": ", parts...));
}

}  // namespace mcgw::app

#endif  // MCGW_APP_SETTINGS_H_
