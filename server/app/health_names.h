// The names of interfaces that the health service knows, and what it was told of each.
//
// The service keeps every name that it was ever told, so names are bounded. Clients invent names by waiting for
// interfaces that are not there (wait_for_interface): those have a bound of their own, and never take the place of an
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

  // What the service is to be told now: the changes since the last call. `health` has the interfaces with channels, and
  // whether each is well; `exists` says whether the host has an interface of this name.
  std::vector<std::pair<std::string, bool>> Update(std::map<std::string, bool> health,
                                                   const std::function<bool(const std::string&)>& exists);

 private:
  struct Told {
    bool serving = false;
    bool awaited = false;  // No interface has had this name yet.
  };

  std::map<std::string, Told> told_;
  size_t awaited_ = 0;  // Of told_.
};

}  // namespace mcgw::app

#endif  // MCGW_APP_HEALTH_NAMES_H_
