// Which requests are well-formed.

#include "server/http2/request_check.h"

#include <gtest/gtest.h>

#include <utility>
#include <vector>

namespace mcgw::http2 {
namespace {

using Fields = std::vector<std::pair<std::string_view, std::string_view>>;

const Fields kWhole = {{":method", "POST"}, {":scheme", "http"}, {":path", "/a/B"}};

// Of the usual ones and these.
bool IsWellFormed(const Fields& more, const Fields& first = kWhole) {
  RequestCheck check;
  bool good = true;
  for (const auto& [name, value] : first) good = check.Add(name, value) && good;
  for (const auto& [name, value] : more) good = check.Add(name, value) && good;
  return good && check.IsComplete();
}

TEST(RequestCheckTest, UsualRequestsAreWellFormed) {
  EXPECT_TRUE(IsWellFormed({}));
  EXPECT_TRUE(
      IsWellFormed({{":authority", "localhost:1"}, {"te", "trailers"}, {"x-y_z", ""}, {"content-length", "5"}}));
}

TEST(RequestCheckTest, AnAuthorityMayBeThePathOfASocket) {
  EXPECT_TRUE(IsWellFormed({{":authority", "/run/mcgw/mcgw.sock"}}));
  EXPECT_TRUE(IsWellFormed({{":authority", "%2Frun%2Fmcgw.sock"}}));
  EXPECT_TRUE(IsWellFormed({{":authority", ""}}));
}

TEST(RequestCheckTest, MethodSchemeAndPathAreRequired) {
  for (size_t missing = 0; missing < kWhole.size(); ++missing) {
    Fields rest = kWhole;
    rest.erase(rest.begin() + static_cast<ptrdiff_t>(missing));
    EXPECT_FALSE(IsWellFormed({}, rest)) << kWhole[missing].first;
    Fields empty = kWhole;
    empty[missing].second = "";
    EXPECT_FALSE(IsWellFormed({}, empty)) << kWhole[missing].first;
    EXPECT_FALSE(IsWellFormed({kWhole[missing]})) << "twice: " << kWhole[missing].first;
  }
}

TEST(RequestCheckTest, OtherFieldsAreMalformed) {
  for (const auto& field : Fields{{":status", "200"},
                                  {":unknown", "1"},
                                  {"Upper", "1"},
                                  {"sp ace", "1"},
                                  {"", "1"},
                                  {"line", "a\nb"},
                                  {"connection", "close"},
                                  {"transfer-encoding", "chunked"},
                                  {"upgrade", "h2c"},
                                  {"keep-alive", "1"},
                                  {"proxy-connection", "1"},
                                  {"te", "gzip"},
                                  {"content-length", "x"},
                                  {"content-length", "-1"},
                                  {"content-length", ""}}) {
    EXPECT_FALSE(IsWellFormed({field})) << field.first << ": " << field.second;
  }
  EXPECT_FALSE(IsWellFormed({{"a", "1"}, {":authority", "x"}})) << "a pseudo-header after another field";
  EXPECT_FALSE(IsWellFormed({{"content-length", "1"}, {"content-length", "1"}}));
}

}  // namespace
}  // namespace mcgw::http2
