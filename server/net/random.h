// Random numbers that nobody can guess.

#ifndef MCGW_NET_RANDOM_H_
#define MCGW_NET_RANDOM_H_

#include <cstdint>

namespace mcgw::net {

// From the kernel (getrandom(2)). Any thread.
uint64_t RandomNumber();

// For simulations: from now on, RandomNumber follows from the seed. Call it while the process has one thread.
void SimulateRandom(uint64_t seed);

}  // namespace mcgw::net

#endif  // MCGW_NET_RANDOM_H_
