// UTF-8 (RFC 3629).

#ifndef MCGW_NET_UTF8_H_
#define MCGW_NET_UTF8_H_

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace mcgw::net {

struct Utf8Character {
  uint32_t code = 0;
  size_t bytes = 0;  // 0: not valid UTF-8.
};

// Decodes the first character of `text`, which is not empty.
Utf8Character DecodeUtf8(std::string_view text);

bool IsUtf8(std::string_view text);

}  // namespace mcgw::net

#endif  // MCGW_NET_UTF8_H_
