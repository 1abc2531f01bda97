#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <string>
#include <thread>
#include <vector>

#include "client/cli/input_file.h"
#include "client/cli/output_file.h"
#include "client/cli/stop_watcher.h"
#include "mcgw/error.h"

namespace mcgw::cli {
namespace {

using ::testing::ElementsAre;

class Pipe {
 public:
  Pipe() {
    int fds[2];
    EXPECT_EQ(pipe2(fds, O_CLOEXEC), 0);
    reader = fds[0];
    writer = fds[1];
  }
  ~Pipe() {
    CloseReader();
    CloseWriter();
  }
  void CloseReader() { Close(&reader); }
  void CloseWriter() { Close(&writer); }
  void Write(const std::string& text) const {
    EXPECT_EQ(write(writer, text.data(), text.size()), static_cast<ssize_t>(text.size()));
  }

  int reader = -1;
  int writer = -1;

 private:
  static void Close(int* fd) {
    if (*fd >= 0) close(*fd);
    *fd = -1;
  }
};

std::vector<std::string> Items(const std::string& content, size_t chunk_bytes) {
  Pipe pipe;
  pipe.Write(content);
  pipe.CloseWriter();
  InputFile input(pipe.reader, -1, chunk_bytes, /*repeat=*/false);
  std::vector<std::string> items;
  absl::string_view item;
  while (input.Next(/*may_wait=*/true, &item) == InputFile::Result::kItem) items.emplace_back(item);
  return items;
}

TEST(InputFileTest, LinesAreItems) {
  EXPECT_THAT(Items("one\ntwo\n\nthree", InputFile::kLines), ElementsAre("one", "two", "", "three"));
  EXPECT_THAT(Items("one\n", InputFile::kLines), ElementsAre("one"));
  EXPECT_THAT(Items("", InputFile::kLines), ElementsAre());
}

TEST(InputFileTest, ChunksAreItemsAndTheLastMayBeShort) {
  EXPECT_THAT(Items("abcdefgh", 3), ElementsAre("abc", "def", "gh"));
  EXPECT_THAT(Items("abcdef", 3), ElementsAre("abc", "def"));
  EXPECT_THAT(Items("a\nb", 2), ElementsAre("a\n", "b"));
}

TEST(InputFileTest, WhatIsNotWholeIsNotThereYet) {
  Pipe pipe;
  InputFile input(pipe.reader, -1, InputFile::kLines, /*repeat=*/false);
  absl::string_view item;
  EXPECT_EQ(input.Next(/*may_wait=*/false, &item), InputFile::Result::kNotYet);
  pipe.Write("be");
  EXPECT_EQ(input.Next(/*may_wait=*/false, &item), InputFile::Result::kNotYet);
  pipe.Write("gun\n");
  ASSERT_EQ(input.Next(/*may_wait=*/false, &item), InputFile::Result::kItem);
  EXPECT_EQ(item, "begun");
}

TEST(InputFileTest, AStopEndsAWait) {
  Pipe pipe;
  const int stop = eventfd(1, EFD_CLOEXEC);
  InputFile input(pipe.reader, stop, InputFile::kLines, /*repeat=*/false);
  absl::string_view item;
  EXPECT_EQ(input.Next(/*may_wait=*/true, &item), InputFile::Result::kEnd);
  close(stop);
}

TEST(InputFileTest, AFileRepeatsAndItsEndIsNotJoinedToItsBegin) {
  char path[] = "/tmp/mcgw_input_XXXXXX";
  const int fd = mkstemp(path);
  ASSERT_GE(fd, 0);
  unlink(path);
  ASSERT_EQ(write(fd, "abcde", 5), 5);
  lseek(fd, 0, SEEK_SET);
  InputFile input(fd, -1, 3, /*repeat=*/true);
  std::vector<std::string> items;
  absl::string_view item;
  while (items.size() < 5 && input.Next(/*may_wait=*/true, &item) == InputFile::Result::kItem) items.emplace_back(item);
  EXPECT_THAT(items, ElementsAre("abc", "de", "abc", "de", "abc"));
  ASSERT_EQ(ftruncate(fd, 0), 0);
  InputFile empty(fd, -1, 3, /*repeat=*/true);
  EXPECT_EQ(empty.Next(/*may_wait=*/true, &item), InputFile::Result::kEnd);
  close(fd);
}

TEST(InputFileTest, ALineWithoutEndIsAnErrorAndNotAllOfMemory) {
  const int fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);
  InputFile input(fd, -1, InputFile::kLines, /*repeat=*/false);
  absl::string_view item;
  EXPECT_EQ(input.Next(/*may_wait=*/true, &item), InputFile::Result::kFailed);
  EXPECT_EQ(client::DetailsOf(input.error()).reason, "PAYLOAD_TOO_LARGE");
  close(fd);
}

TEST(OutputFileTest, ASlowReaderGetsEverything) {
  Pipe pipe;
  const std::string content(3'000'000, 'x');
  size_t received = 0;
  std::thread reader([&] {
    char buffer[10'000];
    ssize_t n;
    while ((n = read(pipe.reader, buffer, sizeof(buffer))) > 0) received += static_cast<size_t>(n);
  });
  {
    OutputFile output(pipe.writer, -1);
    *output.buffer() = content;
    EXPECT_EQ(output.FlushIfLarge(), OutputFile::Result::kWritten);
    EXPECT_TRUE(output.buffer()->empty());
    *output.buffer() = "y";
    EXPECT_EQ(output.FlushIfLarge(), OutputFile::Result::kWritten);
    EXPECT_EQ(*output.buffer(), "y");
    EXPECT_EQ(output.Flush(), OutputFile::Result::kWritten);
  }
  pipe.CloseWriter();
  reader.join();
  EXPECT_EQ(received, content.size() + 1);
}

TEST(OutputFileTest, AReaderThatHasGoneIsNoFailure) {
  signal(SIGPIPE, SIG_IGN);
  Pipe pipe;
  OutputFile output(pipe.writer, -1);
  pipe.CloseReader();
  *output.buffer() = "x";
  EXPECT_EQ(output.Flush(), OutputFile::Result::kReaderGone);
}

TEST(OutputFileTest, AfterAStopAStuckReaderIsGivenUp) {
  Pipe pipe;
  const int stop = eventfd(1, EFD_CLOEXEC);
  OutputFile output(pipe.writer, stop);
  *output.buffer() = std::string(3'000'000, 'x');
  EXPECT_EQ(output.Flush(), OutputFile::Result::kReaderGone);
  close(stop);
}

TEST(OutputFileTest, AFullDiskIsAFailure) {
  const int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
  OutputFile output(fd, -1);
  *output.buffer() = "x";
  EXPECT_EQ(output.Flush(), OutputFile::Result::kFailed);
  EXPECT_FALSE(output.error().ok());
  close(fd);
}

TEST(StopWatcherTest, ASignalStopsOnce) {
  StopWatcher::BlockSignals();
  Pipe stopped;
  {
    StopWatcher watcher(-1, [&stopped] { stopped.Write("x"); });
    EXPECT_FALSE(watcher.stopped());
    kill(getpid(), SIGTERM);
    char byte;
    EXPECT_EQ(read(stopped.reader, &byte, 1), 1);
    EXPECT_TRUE(watcher.stopped());
    EXPECT_EQ(watcher.signal(), SIGTERM);
  }
}

TEST(StopWatcherTest, AReaderThatHasGoneStops) {
  Pipe output;
  Pipe stopped;
  StopWatcher watcher(output.writer, [&stopped] { stopped.Write("x"); });
  output.CloseReader();
  char byte;
  EXPECT_EQ(read(stopped.reader, &byte, 1), 1);
  EXPECT_EQ(watcher.signal(), 0);
}

}  // namespace
}  // namespace mcgw::cli
