// What a request's fields say, and what answers carry.

#include "server/rpc/grpc_fields.h"

#include <gtest/gtest.h>

#include <string>
#include <variant>

namespace mcgw::rpc {
namespace {

using http2::Fields;

constexpr int64_t kNowNs = 5'000'000'000;

Fields Request(const Fields& more = {}, const std::string& type = "application/grpc",
               const std::string& method = "POST") {
  Fields fields = {
      {":method", method}, {":path", "/a.B/C"}, {":scheme", "http"}, {"te", "trailers"}, {"content-type", type}};
  fields.insert(fields.end(), more.begin(), more.end());
  return fields;
}

CallHead Head(const Fields& fields) {
  const auto read = ReadHead(fields, false, kNowNs);
  EXPECT_TRUE(std::holds_alternative<CallHead>(read));
  return std::holds_alternative<CallHead>(read) ? std::get<CallHead>(read) : CallHead();
}

std::string Value(const Fields& fields, const std::string& name) {
  for (const http2::Field& field : fields) {
    if (field.name == name) return field.value;
  }
  return "(none)";
}

// What answers a request that is refused.
Fields Refused(const Fields& fields, bool too_many_fields = false) {
  const auto read = ReadHead(fields, too_many_fields, kNowNs);
  EXPECT_TRUE(std::holds_alternative<Refusal>(read));
  return std::holds_alternative<Refusal>(read) ? std::get<Refusal>(read).fields : Fields();
}

TEST(GrpcFields, AHeadHasPathDeadlineAndMetadata) {
  const CallHead head = Head(Request({{"grpc-timeout", "250m"}, {"x-id", "7"}, {"grpc-encoding", "identity"}}));
  EXPECT_EQ(head.path, "/a.B/C");
  EXPECT_EQ(head.deadline_ns, kNowNs + 250'000'000);
  ASSERT_EQ(head.metadata.size(), 1u);
  EXPECT_EQ(head.metadata[0].first, "x-id");
}

TEST(GrpcFields, TimeoutsHaveSixUnits) {
  const std::pair<const char*, int64_t> timeouts[] = {
      {"1H", 3'600'000'000'000}, {"2M", 120'000'000'000}, {"3S", 3'000'000'000},
      {"4m", 4'000'000},         {"5u", 5'000},           {"6n", 6}};
  for (const auto& [text, ns] : timeouts) {
    EXPECT_EQ(Head(Request({{"grpc-timeout", text}})).deadline_ns, kNowNs + ns) << text;
  }
  EXPECT_EQ(Head(Request({{"grpc-timeout", "99999999H"}})).deadline_ns, CallHead::kNoDeadline);
}

TEST(GrpcFields, OtherTimeoutsAreRefused) {
  for (const char* text : {"", "1", "S", "1s", "-1S", "1.5S", "123456789S", " 1S"}) {
    const Fields refusal = Refused(Request({{"grpc-timeout", text}}));
    EXPECT_EQ(Value(refusal, "grpc-status"), "13") << text;
    EXPECT_NE(Value(refusal, "grpc-message").find(text), std::string::npos) << text;
  }
}

TEST(GrpcFields, OnlyGrpcIsServed) {
  for (const char* type : {"application/grpc", "application/grpc+proto", "application/grpc;charset=utf-8"}) {
    Head(Request({}, type));
  }
  for (const char* type : {"application/json", "application/grpc-web", "application/grpc+json", ""}) {
    EXPECT_EQ(Value(Refused(Request({}, type)), ":status"), "415") << type;
  }
  EXPECT_EQ(Value(Refused(Request({}, "application/grpc", "GET")), ":status"), "405");
}

TEST(GrpcFields, CompressionIsRefusedWithWhatIsUnderstood) {
  const Fields refusal = Refused(Request({{"grpc-encoding", "gzip"}}));
  EXPECT_EQ(Value(refusal, "grpc-status"), "12");
  EXPECT_EQ(Value(refusal, "grpc-accept-encoding"), "identity");
}

TEST(GrpcFields, TooManyFieldsAreAResourceThatIsExhausted) {
  EXPECT_EQ(Value(Refused(Request(), true), "grpc-status"), "8");
}

TEST(GrpcFields, AStatusIsPercentEncodedAndItsDetailsAreBase64) {
  const Fields trailers =
      Trailers({grpc::StatusCode::NOT_FOUND, "100 % of \xc3\xa4\n", std::string("\x00\xff\x01\x02", 4)});
  EXPECT_EQ(Value(trailers, "grpc-status"), "5");
  EXPECT_EQ(Value(trailers, "grpc-message"), "100 %25 of %C3%A4%0A");
  EXPECT_EQ(Value(trailers, "grpc-status-details-bin"), "AP8BAg");
  std::string bytes;
  ASSERT_TRUE(DecodeBinary("AP8BAg", &bytes) && bytes == std::string("\x00\xff\x01\x02", 4));
  EXPECT_TRUE(DecodeBinary("AP8BAg==", &bytes));
  EXPECT_FALSE(DecodeBinary("A?", &bytes));
  EXPECT_EQ(Trailers(grpc::Status::OK).size(), 1u);
}

}  // namespace
}  // namespace mcgw::rpc
