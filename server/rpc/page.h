// Pages of lists, as the API describes them.

#ifndef MCGW_RPC_PAGE_H_
#define MCGW_RPC_PAGE_H_

#include <charconv>
#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "server/net/status.h"
#include "server/net/text.h"

namespace mcgw::rpc {

inline constexpr uint32_t kDefaultPageSize = 100;
inline constexpr uint32_t kMostPageSize = 1000;

// Of the entries of an answer, which then stays well under 1 MiB.
inline constexpr size_t kMostPageBytes = 512 << 10;

// A page: entries whose key is greater than `after`, at most `size` of them and so many as fit.
struct Page {
  uint64_t after = 0;
  uint32_t size = kDefaultPageSize;

  // Whether the next entry belongs to the next page.
  template <typename Entries>
  bool IsFull(const Entries& entries) const {
    return static_cast<uint32_t>(entries.size()) == size || bytes >= kMostPageBytes;
  }
  // An entry of the page that is written.
  template <typename Entry>
  void Count(const Entry& entry) {
    bytes += entry.ByteSizeLong();
  }
  size_t bytes = 0;  // Of the entries counted.
};

// A token is the key of the last entry of the page before.
inline absl::StatusOr<Page> ReadPage(uint32_t size, const std::string& token) {
  Page page;
  if (size > kMostPageSize) {
    return net::Error(net::Reason::kValueOutOfRange, "page_size",
                      net::StrCat("page_size ", size, ": 1 to ", kMostPageSize));
  }
  if (size > 0) page.size = size;
  if (!token.empty()) {
    const char* const end = token.data() + token.size();
    const std::from_chars_result result = std::from_chars(token.data(), end, page.after);
    if (result.ec != std::errc() || result.ptr != end) {
      return net::Error(
          net::Reason::kInvalidPageToken, "page_token",
          net::StrCat("'", net::Shortened(token), "' is no token of this gateway: begin again without one"));
    }
  }
  return page;
}

}  // namespace mcgw::rpc

#endif  // MCGW_RPC_PAGE_H_
