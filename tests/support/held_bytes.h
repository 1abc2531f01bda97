// How much memory the program holds of its allocator.

#ifndef MCGW_TESTS_SUPPORT_HELD_BYTES_H_
#define MCGW_TESTS_SUPPORT_HELD_BYTES_H_

#include <malloc.h>

#include <cstddef>

namespace mcgw::testing {

// The blocks in use, their headers included. A sanitizer's allocator does not tell: tests that ask are not built with
// one.
inline size_t HeldBytes() {
  const struct mallinfo2 info = mallinfo2();
  return info.uordblks + info.hblkhd;
}

}  // namespace mcgw::testing

#endif  // MCGW_TESTS_SUPPORT_HELD_BYTES_H_
