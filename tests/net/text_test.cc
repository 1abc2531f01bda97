#include "server/net/text.h"

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "gtest/gtest.h"

namespace mcgw::net {
namespace {

TEST(ReadDuration, TakesANumberWithAUnitInItsRange) {
  const auto read = [](std::string_view text) { return ReadDuration(text, absl::ZeroDuration(), absl::Hours(1)); };
  EXPECT_EQ(read("30s"), absl::Seconds(30));
  EXPECT_EQ(read("1.5s"), absl::Milliseconds(1500));
  EXPECT_EQ(read("0s"), absl::ZeroDuration());
  EXPECT_EQ(read("1h"), absl::Hours(1));
  for (const std::string_view text : {"", "30", "s", "30 s", "-1ms", "1h1ns", "inf", "1d", "30sx"}) {
    EXPECT_FALSE(read(text).has_value()) << text;
  }
}

TEST(Shortened, LeavesWhatIsShort) {
  EXPECT_EQ(Shortened(""), "");
  EXPECT_EQ(Shortened("eth0"), "eth0");
  EXPECT_EQ(Shortened(std::string(kMostEchoedBytes, 'x')), std::string(kMostEchoedBytes, 'x'));
}

TEST(Shortened, SaysHowLongItWas) {
  const std::string text = Shortened(std::string(100'000, 'x'));
  EXPECT_EQ(text.size(), kMostEchoedBytes);
  EXPECT_EQ(text.substr(text.find('.')), "... (100000 bytes)");
  EXPECT_EQ(Shortened("abcdefghijklmnopqrstuvwxyz", 18), "abcd... (26 bytes)");
  EXPECT_EQ(Shortened(std::string(50, 'x'), 1), "... (50 bytes)");
}

TEST(Shortened, CutsNoCharacter) {
  std::string text;
  while (text.size() < 300) text += "\u00e4\u20ac\U0001f600";  // Two, three and four bytes.
  for (size_t most = 20; most < 60; ++most) {
    const std::string cut = Shortened(text, most);
    const std::string head = cut.substr(0, cut.find("..."));
    EXPECT_LE(cut.size(), most);
    EXPECT_EQ(text.substr(0, head.size()), head);
    EXPECT_NE(static_cast<unsigned char>(text[head.size()]) & 0xc0, 0x80) << most;
  }
}

TEST(ListText, NamesAllOfAShortList) {
  EXPECT_EQ(ListText({}), "");
  EXPECT_EQ(ListText({"eth0"}), "eth0");
  EXPECT_EQ(ListText({"eth0", "eth1", "eth2"}), "eth0, eth1, eth2");
}

TEST(ListText, NamesTheFirstOfALongListAndCountsTheOthers) {
  std::vector<std::string> names;
  for (int i = 0; i < 250; ++i) names.push_back("eth" + std::to_string(i));
  const std::string text = ListText(names);
  EXPECT_LT(text.size(), 420u);
  EXPECT_EQ(text.substr(0, 12), "eth0, eth1, ");
  const size_t named = std::count(text.begin(), text.end(), ',') + 1;
  EXPECT_EQ(text.substr(text.find(" and ")), " and " + std::to_string(250 - named) + " more");
  EXPECT_LT(ListText(std::vector<std::string>(100, std::string(10'000, 'x'))).size(), 600u);
}

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
