// gRPC's request and response fields (its PROTOCOL-HTTP2 document).

#ifndef MCGW_RPC_GRPC_FIELDS_H_
#define MCGW_RPC_GRPC_FIELDS_H_

#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "grpcpp/support/status.h"
#include "server/http2/stream.h"

namespace mcgw::rpc {

// What a request's fields say.
struct CallHead {
  static constexpr int64_t kNoDeadline = std::numeric_limits<int64_t>::max();

  std::string path;                                           // "/SERVICE/METHOD"
  std::string peer;                                           // Where the caller is,
  std::string identity;                                       // and who; see http2::Peer.
  int64_t deadline_ns = kNoDeadline;                          // Monotonic.
  std::vector<std::pair<std::string, std::string>> metadata;  // As received: values of "-bin" keys in base64.
};

// The answer to a request that is no call.
struct Refusal {
  http2::Fields fields;
  std::string body;  // Empty: the fields are trailers only.
};
std::variant<CallHead, Refusal> ReadHead(http2::Fields request, bool too_many_fields, int64_t now_ns);

// Of a response that has a body.
const http2::Fields& ResponseFields();
// The trailers that end it.
http2::Fields Trailers(const grpc::Status& status);
// Of a response that has no body.
http2::Fields TrailersOnly(const grpc::Status& status);

// base64 (RFC 4648) without padding, and with or without.
std::string EncodeBinary(std::string_view bytes);
bool DecodeBinary(std::string_view text, std::string* bytes);

}  // namespace mcgw::rpc

#endif  // MCGW_RPC_GRPC_FIELDS_H_
