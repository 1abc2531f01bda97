#include "server/rpc/grpc_fields.h"

#include <charconv>
#include <optional>

#include "absl/strings/escaping.h"
#include "server/net/text.h"

namespace mcgw::rpc {
namespace {

constexpr std::string_view kContentType = "application/grpc";

std::optional<int64_t> UnitNs(char unit) {
  switch (unit) {
    case 'H':
      return 3'600'000'000'000;
    case 'M':
      return 60'000'000'000;
    case 'S':
      return 1'000'000'000;
    case 'm':
      return 1'000'000;
    case 'u':
      return 1'000;
    case 'n':
      return 1;
    default:
      return std::nullopt;
  }
}

// At most eight digits and a unit.
std::optional<int64_t> ParseTimeout(std::string_view text) {
  constexpr size_t kMostDigits = 8;
  if (text.size() < 2 || text.size() > kMostDigits + 1) return std::nullopt;
  uint32_t count = 0;
  const char* const end = text.data() + text.size() - 1;
  const auto [at, error] = std::from_chars(text.data(), end, count);
  const std::optional<int64_t> unit_ns = UnitNs(*end);
  if (error != std::errc() || at != end || !unit_ns.has_value()) return std::nullopt;
  // 99,999,999 hours are more than 64 bits hold.
  return int64_t{count} > CallHead::kNoDeadline / *unit_ns ? CallHead::kNoDeadline : int64_t{count} * *unit_ns;
}

// "application/grpc", perhaps with "+proto" or a parameter.
bool IsGrpc(std::string_view type) {
  if (type.substr(0, kContentType.size()) != kContentType) return false;
  const std::string_view rest = type.substr(kContentType.size());
  return rest.empty() || rest == "+proto" || rest.front() == ';';
}

std::string PercentEncode(std::string_view text) {
  constexpr char kHex[] = "0123456789ABCDEF";
  std::string encoded;
  encoded.reserve(text.size());
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte <= 0x7e && c != '%') {
      encoded += c;
    } else {
      encoded += '%';
      encoded += kHex[byte >> 4];
      encoded += kHex[byte & 15];
    }
  }
  return encoded;
}

void AddStatus(const grpc::Status& status, http2::Fields* fields) {
  fields->push_back({"grpc-status", std::to_string(static_cast<int>(status.error_code()))});
  if (!status.error_message().empty()) fields->push_back({"grpc-message", PercentEncode(status.error_message())});
  if (!status.error_details().empty()) {
    fields->push_back({"grpc-status-details-bin", EncodeBinary(status.error_details())});
  }
}

// Not a call of gRPC: other software, and people, understand only HTTP.
Refusal NotGrpc(const char* status, const char* why) {
  return {.fields = {{":status", status}, {"content-type", "text/plain"}}, .body = why};
}

Refusal Refused(const grpc::Status& status) { return {.fields = TrailersOnly(status), .body = {}}; }

}  // namespace

std::variant<CallHead, Refusal> ReadHead(http2::Fields request, bool too_many_fields, int64_t now_ns) {
  CallHead head;
  std::string method;
  std::string type;
  std::string encoding;
  std::optional<std::string> timeout;
  for (http2::Field& field : request) {
    if (field.name == ":path") {
      head.path = std::move(field.value);
    } else if (field.name == ":method") {
      method = std::move(field.value);
    } else if (field.name == "content-type") {
      type = std::move(field.value);
    } else if (field.name == "grpc-timeout") {
      timeout = std::move(field.value);
    } else if (field.name == "grpc-encoding") {
      encoding = std::move(field.value);
    } else if (!field.name.empty() && field.name.front() != ':' && field.name != "te" &&
               field.name != "grpc-accept-encoding" && field.name != "accept-encoding") {
      head.metadata.emplace_back(std::move(field.name), std::move(field.value));
    }
  }
  if (too_many_fields) {
    return Refused({grpc::StatusCode::RESOURCE_EXHAUSTED, "the call's metadata is too large: at most 8 KiB"});
  }
  if (method != "POST") return NotGrpc("405", "this port speaks gRPC, whose calls are POST\n");
  if (!IsGrpc(type)) return NotGrpc("415", "this port speaks gRPC: content-type must be application/grpc\n");
  if (!encoding.empty() && encoding != "identity") {
    return Refused(
        {grpc::StatusCode::UNIMPLEMENTED, net::StrCat("grpc-encoding '", encoding, "': only identity is understood")});
  }
  if (timeout.has_value()) {
    const std::optional<int64_t> timeout_ns = ParseTimeout(*timeout);
    if (!timeout_ns.has_value()) {
      return Refused({grpc::StatusCode::INTERNAL,
                      net::StrCat("grpc-timeout '", *timeout, "': give up to 8 digits and H, M, S, m, u or n")});
    }
    head.deadline_ns = *timeout_ns > CallHead::kNoDeadline - now_ns ? CallHead::kNoDeadline : now_ns + *timeout_ns;
  }
  return head;
}

const http2::Fields& ResponseFields() {
  static const http2::Fields* const fields = new http2::Fields{
      {":status", "200"}, {"content-type", std::string(kContentType)}, {"grpc-accept-encoding", "identity"}};
  return *fields;
}

http2::Fields Trailers(const grpc::Status& status) {
  http2::Fields fields;
  AddStatus(status, &fields);
  return fields;
}

http2::Fields TrailersOnly(const grpc::Status& status) {
  http2::Fields fields = ResponseFields();
  AddStatus(status, &fields);
  return fields;
}

std::string EncodeBinary(std::string_view bytes) {
  std::string text = absl::Base64Escape(absl::string_view(bytes.data(), bytes.size()));
  while (!text.empty() && text.back() == '=') text.pop_back();
  return text;
}

bool DecodeBinary(std::string_view text, std::string* bytes) {
  return absl::Base64Unescape(absl::string_view(text.data(), text.size()), bytes);
}

}  // namespace mcgw::rpc
