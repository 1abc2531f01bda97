// How much memory the program holds of its allocator.

#ifndef MCGW_TESTS_SUPPORT_HELD_BYTES_H_
#define MCGW_TESTS_SUPPORT_HELD_BYTES_H_

#include <malloc.h>

#include <cstddef>
#include <optional>

namespace mcgw::testing {

// The blocks in use, their headers included. Nothing under a sanitizer, whose allocator does not tell.
inline std::optional<size_t> HeldBytes() {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  return std::nullopt;
#else
  const struct mallinfo2 info = mallinfo2();
  return info.uordblks + info.hblkhd;
#endif
}

}  // namespace mcgw::testing

#endif  // MCGW_TESTS_SUPPORT_HELD_BYTES_H_
