// What chance decides in a simulation: all of it follows from one number, on every machine.

#ifndef MCGW_TESTS_SIMULATION_DICE_H_
#define MCGW_TESTS_SIMULATION_DICE_H_

#include <cstddef>
#include <cstdint>

namespace mcgw::simulation {

// SplitMix64 (Steele, Lea and Flood, 2014).
class Dice {
 public:
  explicit Dice(uint64_t seed) : state_(seed) {}
  // The dice of a step: those of other steps are the same whether or not this step happens.
  static Dice OfStep(uint64_t seed, uint64_t step) { return Dice(Dice(seed ^ (step + 1) * 0x9e3779b97f4a7c15).Roll()); }

  uint64_t Roll() {
    uint64_t z = (state_ += 0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }
  // From 0 to `count` - 1; 0 if there is nothing to choose from.
  uint64_t Below(uint64_t count) { return count == 0 ? 0 : Roll() % count; }
  int64_t Between(int64_t least, int64_t most) {
    return least + static_cast<int64_t>(Below(static_cast<uint64_t>(most - least) + 1));
  }
  bool Percent(uint64_t chance) { return Below(100) < chance; }
  // One of the list.
  template <typename List>
  auto& Of(List& list) {
    return list[static_cast<size_t>(Below(list.size()))];
  }

 private:
  uint64_t state_;
};

}  // namespace mcgw::simulation

#endif  // MCGW_TESTS_SIMULATION_DICE_H_
