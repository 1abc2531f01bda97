#include "server/app/log_writer.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "server/net/owned_fd.h"

namespace mcgw::app {
namespace {

using testing::HasSubstr;

// A pipe that is read only when the test says so.
class LogWriterTest : public testing::Test {
 protected:
  LogWriterTest() {
    int fds[2];
    EXPECT_EQ(pipe2(fds, O_CLOEXEC), 0);
    read_end_ = net::OwnedFd(fds[0]);
    write_end_ = fds[1];
  }

  // Everything until the writer has gone and has closed its end.
  std::vector<std::string> ReadAll(LogWriter* writer) {
    std::string text;
    std::thread reader([&] {
      char buffer[4096];
      for (ssize_t got = 0; (got = read(read_end_.get(), buffer, sizeof(buffer))) > 0;) {
        text.append(buffer, static_cast<size_t>(got));
      }
    });
    EXPECT_TRUE(writer->Flush(absl::Seconds(60)));
    close(write_end_);
    reader.join();
    return absl::StrSplit(text, '\n', absl::SkipEmpty());
  }

  net::OwnedFd read_end_;
  int write_end_ = -1;  // The writer's, until ReadAll.
};

TEST_F(LogWriterTest, LinesComeInOrder) {
  LogWriter writer(write_end_, LogFormat::kText);
  writer.Write(spdlog::level::info, "one");
  writer.Write(spdlog::level::warn, "two");
  const std::vector<std::string> lines = ReadAll(&writer);
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_THAT(lines[0], HasSubstr("info one"));
  EXPECT_THAT(lines[1], HasSubstr("warning two"));
}

TEST_F(LogWriterTest, WithoutAReaderTheQueueIsBoundedAndWhatIsDroppedIsCounted) {
  constexpr uint64_t kLines = 100'000;
  LogWriter writer(write_end_, LogFormat::kText);
  const std::string text(500, 'x');
  // Nothing reads: a call that waited would never return.
  for (uint64_t i = 0; i < kLines; ++i) writer.Write(spdlog::level::debug, text);
  writer.Write(spdlog::level::warn, "a warning has room of its own");
  EXPECT_FALSE(writer.Flush(absl::Milliseconds(10)));

  uint64_t written = 0;
  uint64_t dropped = 0;
  bool warned = false;
  for (const std::string& line : ReadAll(&writer)) {
    if (line.find(text) != std::string::npos) ++written;
    if (line.find("a warning has room") != std::string::npos) warned = true;
    const size_t missing = line.find(" log lines are missing here");
    if (missing != std::string::npos) {
      const std::vector<std::string> words = absl::StrSplit(line.substr(0, missing), ' ');
      uint64_t count = 0;
      ASSERT_TRUE(absl::SimpleAtoi(words.back(), &count)) << line;
      dropped += count;
    }
  }
  EXPECT_EQ(written + dropped, kLines);
  EXPECT_TRUE(warned);
  // What the queue and the pipe hold.
  EXPECT_LE(written * text.size(), LogWriter::kMostQueuedBytes + (128 << 10));
}

TEST_F(LogWriterTest, WhatRepeatsIsFoldedWithItsCount) {
  LogWriter writer(write_end_, LogFormat::kJson);
  for (int i = 0; i < 1000; ++i) writer.Write(spdlog::level::info, "stream " + std::to_string(i) + " opened");
  const std::vector<std::string> lines = ReadAll(&writer);
  ASSERT_EQ(lines.size(), 11u);
  EXPECT_THAT(lines[10], HasSubstr("990 more lines of this kind, the last: stream 999 opened"));
}

TEST_F(LogWriterTest, AWriterThatIsStuckDoesNotKeepItsOwner) {
  auto writer = std::make_unique<LogWriter>(write_end_, LogFormat::kText);
  for (int i = 0; i < 5000; ++i) writer->Write(spdlog::level::debug, std::string(500, 'x'));
  writer.reset();
  // Lets the thread, which goes on by itself, come to its end.
  char buffer[4096];
  size_t bytes = 0;
  while (bytes < 100'000) bytes += static_cast<size_t>(read(read_end_.get(), buffer, sizeof(buffer)));
}

TEST_F(LogWriterTest, AClosedReaderIsNoHarm) {
  LogWriter writer(write_end_, LogFormat::kText);
  read_end_.Reset();
  for (int i = 0; i < 100; ++i) writer.Write(spdlog::level::debug, "into nothing");
  EXPECT_TRUE(writer.Flush(absl::Seconds(60)));
}

// A file may not grow past a limit of the process, which is as a full disk that has room again once the limit is gone.
TEST_F(LogWriterTest, WhatAFullDiskTookIsCountedOnceThereIsRoom) {
  char name[] = "/tmp/mcgw-log-XXXXXX";
  const net::OwnedFd file(mkstemp(name));
  ASSERT_TRUE(file.valid());
  unlink(name);
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  LogWriter writer(file.get(), LogFormat::kText);
  writer.Write(spdlog::level::debug, "before");
  ASSERT_TRUE(writer.Flush(absl::Seconds(60)));
  const rlimit full{.rlim_cur = static_cast<rlim_t>(lseek(file.get(), 0, SEEK_END)) + 10, .rlim_max = before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &full), 0);
  for (int i = 0; i < 7; ++i) writer.Write(spdlog::level::debug, "lost");
  EXPECT_TRUE(writer.Flush(absl::Seconds(60)));
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &before), 0);
  writer.Write(spdlog::level::debug, "after");
  writer.Write(spdlog::level::debug, "later");
  EXPECT_TRUE(writer.Flush(absl::Seconds(60)));

  std::string text(static_cast<size_t>(lseek(file.get(), 0, SEEK_END)), '\0');
  ASSERT_EQ(pread(file.get(), text.data(), text.size(), 0), static_cast<ssize_t>(text.size()));
  const std::vector<std::string> lines = absl::StrSplit(text, '\n', absl::SkipEmpty());
  ASSERT_EQ(lines.size(), 5u) << text;  // The second is the 10 bytes for which there was room.
  EXPECT_THAT(lines[0], HasSubstr("before"));
  EXPECT_THAT(lines[2], HasSubstr("warning 7 log lines are missing here: they could not be written: File too large"));
  EXPECT_THAT(lines[3], HasSubstr("after"));
  EXPECT_THAT(lines[4], HasSubstr("later"));
}

}  // namespace
}  // namespace mcgw::app
