// The interface names that the health service knows, and the status last reported for each.
//
// The service never forgets a name, so the number of names is bounded. Clients can invent names by waiting for
// interfaces that do not exist (wait_for_interface). Such names have a bound of their own and never displace an
// interface of the host.

#ifndef MCGW_APP_HEALTH_NAMES_H_
#define MCGW_APP_HEALTH_NAMES_H_

#include <cstddef>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace mcgw::app {

// Not thread-safe.
class HealthNames {
 public:
  static constexpr size_t kMostInterfaces = 10'000;
  static constexpr size_t kMostAwaited = 100;

  // Returns the changes since the last call, for the health service. `health` maps each interface that has channels to
  // whether it is healthy; `exists` tells whether the host has an interface of that name.
  std::vector<std::pair<std::string, bool>> Update(std::map<std::string, bool> health,
                                                   const std::function<bool(const std::string&)>& exists);

 private:
  struct Told {
    bool serving = false;
    bool awaited = false;  // No interface has had this name yet.
  };

  std::map<std::string, Told> told_;
  size_t awaited_ = 0;  // Among told_.
};

}  // namespace mcgw::app

#endif  // MCGW_APP_HEALTH_NAMES_H_
