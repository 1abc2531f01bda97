#include "server/app/log_folder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "server/app/log_text.h"

namespace mcgw::app {
namespace {

using spdlog::level::level_enum;
using testing::AllOf;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

constexpr level_enum kInfo = spdlog::level::info;
constexpr level_enum kWarn = spdlog::level::warn;
constexpr int64_t kSecondNs = 1'000'000'000;

std::string Opened(int i) { return "stream " + std::to_string(i) + " of unix: opened, channels: 1"; }

TEST(LogFolderTest, LinesThatDifferInNamesOnlyAreOfOneKind) {
  EXPECT_EQ(LogFolder::KindOf(Opened(1)), LogFolder::KindOf(Opened(77)));
  EXPECT_EQ(LogFolder::KindOf("joined 239.1.1.1:5000%eth0"), LogFolder::KindOf("joined [ff15::1]:5000%eth12"));
  EXPECT_NE(LogFolder::KindOf(Opened(1)), LogFolder::KindOf("stream 1 of unix: closed"));
  EXPECT_LE(LogFolder::KindOf(std::string(5000, 'x')).size(), 100u);
  EXPECT_LE(LogFolder::KindOf(std::string(5000, ' ')).size(), 100u);
}

TEST(LogFolderTest, TheFirstOfAKindPassAndTheOthersAreCounted) {
  LogFolder folder;
  EXPECT_EQ(folder.due_ns(), std::nullopt);
  int admitted = 0;
  for (int i = 0; i < 1000; ++i) admitted += folder.Admits(kInfo, Opened(i), 5 * kSecondNs) ? 1 : 0;
  EXPECT_EQ(admitted, LogFolder::kLinesOfKind);
  EXPECT_TRUE(folder.Admits(kInfo, "something else", 5 * kSecondNs));

  ASSERT_EQ(folder.due_ns(), 5 * kSecondNs + LogFolder::kIntervalNs);
  EXPECT_THAT(folder.Due(*folder.due_ns() - 1), IsEmpty());
  const auto summaries = folder.Due(*folder.due_ns());
  ASSERT_THAT(summaries, SizeIs(1));
  EXPECT_EQ(summaries[0].level, kInfo);
  EXPECT_THAT(summaries[0].text, AllOf(HasSubstr("990 more lines of this kind"), HasSubstr("stream 999 of")));
  // A new interval.
  EXPECT_EQ(folder.due_ns(), std::nullopt);
  EXPECT_TRUE(folder.Admits(kInfo, Opened(1), 99 * kSecondNs));
}

TEST(LogFolderTest, KindsThatAClientInventsAreBoundedAndHideNoWarning) {
  LogFolder folder;
  int admitted = 0;
  std::string name = "aaaa";
  for (int i = 0; i < 26 * 26; ++i) {
    name[0] = static_cast<char>('a' + i / 26);
    name[1] = static_cast<char>('a' + i % 26);
    for (int j = 0; j < 20; ++j) admitted += folder.Admits(kInfo, "waits for " + name, 0) ? 1 : 0;
  }
  EXPECT_LE(admitted, static_cast<int>(LogFolder::kMostKinds + 1) * LogFolder::kLinesOfKind);
  EXPECT_TRUE(folder.Admits(kWarn, "the disk is full", 0));
  uint64_t told = 0;
  for (const LogFolder::Summary& summary : folder.End()) told += std::stoull(summary.text);
  EXPECT_EQ(told + static_cast<uint64_t>(admitted), 26u * 26 * 20);
}

TEST(LogFolderTest, WhoAsksForDebugGetsAllOfIt) {
  LogFolder folder;
  for (int i = 0; i < 1000; ++i) EXPECT_TRUE(folder.Admits(spdlog::level::debug, Opened(i), 0));
  EXPECT_EQ(folder.due_ns(), std::nullopt);
}

TEST(LogTextTest, ALongLineIsCutBetweenCharactersAndSaysByHowMuch) {
  EXPECT_EQ(ShortenLogText("short"), "short");
  std::string text(kMostLogTextBytes - 1, 'a');
  text += "\xc3\xa4";  // One character across the limit.
  text += std::string(1000, 'b');
  EXPECT_EQ(ShortenLogText(text), std::string(kMostLogTextBytes - 1, 'a') + " ... (1002 more bytes)");
  EXPECT_LT(ShortenLogText(std::string(3000, '\x80')).size(), 1100u);
}

std::string Formatted(const std::string& text, LogFormat format) {
  return FormatLogLine({absl::UnixEpoch() + absl::Milliseconds(1), kWarn, text}, format, absl::UTCTimeZone());
}

TEST(LogTextTest, AnErrorKeepsItsLinesAndNothingElseThatSteersATerminal) {
  EXPECT_EQ(PrintableText("no \x1b[31m\nsuch \xff key\n"), "no \\u001b[31m\nsuch \\xff key\n");
}

TEST(LogTextTest, WhatPeersPutIntoALineCannotEndItNorSteerATerminal) {
  EXPECT_EQ(Formatted("plain \xc3\xa4 'x'", LogFormat::kText),
            "1970-01-01T00:00:00.001+00:00 warning plain \xc3\xa4 'x'\n");
  // Escape, line end, NUL, delete; C1; a change of direction; bytes that are no UTF-8: bare, overlong, a surrogate,
  // cut.
  const std::string hostile = std::string("\x1b]0;owned\x07\n\0\x7f", 13) + "\xc2\x9b" + "\xe2\x80\xae" + "\xff" +
                              "\xc0\xaf" + "\xed\xa0\x80" + "\xe2\x80";
  EXPECT_EQ(
      Formatted(hostile, LogFormat::kText),
      "1970-01-01T00:00:00.001+00:00 warning \\u001b]0;owned\\u0007\\u000a\\u0000\\u007f\\u009b\\u202e\\xff\\xc0\\xaf"
      "\\xed\\xa0\\x80\\xe2\\x80\n");
  EXPECT_EQ(Formatted("a \"b\" \\ \x1b\xff", LogFormat::kJson),
            "{\"time\":\"1970-01-01T00:00:00.001+00:00\",\"level\":\"warning\",\"message\":\"a \\\"b\\\" \\\\ "
            "\\u001b\\ufffd\"}\n");
}

}  // namespace
}  // namespace mcgw::app
