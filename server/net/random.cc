#include "server/net/random.h"

#include <sys/random.h>

#include <optional>
#include <random>

namespace mcgw::net {
namespace {

std::optional<std::mt19937_64> simulated;

}  // namespace

void SimulateRandom(uint64_t seed) { simulated.emplace(seed); }

uint64_t RandomNumber() {
  if (simulated.has_value()) return (*simulated)();
  uint64_t number = 0;
  // Of so few bytes the kernel gives all or none.
  while (getrandom(&number, sizeof(number), 0) != sizeof(number)) continue;
  return number;
}

}  // namespace mcgw::net
