// Which requests are well-formed (RFC 9113, section 8).
//
// nghttp2 could tell, but it refuses authorities that clients on Unix sockets send (grpc-java: the path of the socket).

#ifndef MCGW_HTTP2_REQUEST_CHECK_H_
#define MCGW_HTTP2_REQUEST_CHECK_H_

#include <cstdint>
#include <optional>
#include <string_view>

namespace mcgw::http2 {

// Of one request, whose fields come one after the other.
class RequestCheck {
 public:
  // False: the request is malformed.
  bool Add(std::string_view name, std::string_view value);
  // False: something is missing.
  bool IsComplete() const { return (seen_ & kRequired) == kRequired; }
  // How long the body is to be, if the request says so.
  std::optional<uint64_t> content_length() const { return content_length_; }

 private:
  enum : uint8_t { kMethod = 1, kScheme = 2, kPath = 4, kAuthority = 8, kRequired = kMethod | kScheme | kPath };
  bool AddPseudo(std::string_view name, std::string_view value);

  uint8_t seen_ = 0;
  bool regular_ = false;  // A field that is not a pseudo-header has come.
  std::optional<uint64_t> content_length_;
};

}  // namespace mcgw::http2

#endif  // MCGW_HTTP2_REQUEST_CHECK_H_
