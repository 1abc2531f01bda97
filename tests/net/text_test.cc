#include "server/net/text.h"

#include <string_view>

#include "gtest/gtest.h"

namespace mcgw::net {
namespace {

TEST(PrintableTest, LeavesPrintableAsciiAlone) {
  EXPECT_EQ(Printable(""), "");
  EXPECT_EQ(Printable(" ~ eth0 \\ \""), " ~ eth0 \\ \"");
}

TEST(PrintableTest, EscapesEveryOtherByte) {
  EXPECT_EQ(Printable("\x1b]0;owned\x07"), "\\x1b]0;owned\\x07");
  EXPECT_EQ(Printable(std::string_view("a\0b\n", 4)), "a\\x00b\\x0a");
  EXPECT_EQ(Printable("\x7f\xe2\x80\xae"), "\\x7f\\xe2\\x80\\xae");
}

}  // namespace
}  // namespace mcgw::net
