#include "bench/account.h"

#include <algorithm>

namespace mcgw::bench {

void Account::TakeUnexpected(uint64_t sequence) {
  if (sequence < next_sequence_) {
    ++disordered_;
  } else {
    unannounced_sequences_ += sequence - next_sequence_;
  }
}

void Account::TakeRange(uint64_t first, uint64_t last) {
  if (first != next_sequence_) TakeUnexpected(first);
  announced_ += last - first + 1;
  next_sequence_ = last + 1;
}

void Account::End(uint64_t last) {
  if (last > last_) missing_ += last - last_;
  last_ = std::max(last_, last);
}

uint64_t Account::unannounced() const {
  return std::max(unannounced_sequences_, missing_ > announced_ ? missing_ - announced_ : 0);
}

}  // namespace mcgw::bench
