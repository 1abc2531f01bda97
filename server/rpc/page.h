// Pages of lists, as the API defines them.

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

// Limits the entries of an answer, which then stays well below 1 MiB.
inline constexpr size_t kMostPageBytes = 512 << 10;

// A page: the entries with keys greater than `after`, at most `size` of them and as many as fit.
struct Page {
  uint64_t after = 0;
  uint32_t size = kDefaultPageSize;

  // Whether the next entry belongs to the next page.
  template <typename Entries>
  bool IsFull(const Entries& entries) const {
    return static_cast<uint32_t>(entries.size()) == size || bytes >= kMostPageBytes;
  }
  // Counts an entry written to the page.
  template <typename Entry>
  void Count(const Entry& entry) {
    bytes += entry.ByteSizeLong();
  }
  size_t bytes = 0;  // The entries counted so far.
};

// A token is the key of the previous page's last entry.
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
          net::StrCat("'", net::Shortened(token), "' is not a page token of this gateway: start again without one"));
    }
  }
  return page;
}

}  // namespace mcgw::rpc

#endif  // MCGW_RPC_PAGE_H_
