// What is noticed of a Unix socket that goes and returns, in a directory of the test.

#include "client/cpp/socket_watcher.h"

#include <condition_variable>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <string>

#include "gtest/gtest.h"

namespace mcgw::client {
namespace {

namespace fs = std::filesystem;

class SocketWatcherTest : public ::testing::Test {
 protected:
  SocketWatcherTest() {
    std::string name = "/tmp/mcgw-watch-XXXXXX";
    directory_ = mkdtemp(name.data());
  }
  ~SocketWatcherTest() override { fs::remove_all(directory_); }

  // A watcher that counts its calls.
  std::unique_ptr<SocketWatcher> Watch(const fs::path& path) {
    return std::make_unique<SocketWatcher>(path.string(), [this] {
      std::lock_guard<std::mutex> lock(mutex_);
      ++calls_;
      called_.notify_all();
    });
  }
  // Waits until there were so many calls in all. One that never comes fails by the test's time limit.
  void WaitForCalls(int count) {
    std::unique_lock<std::mutex> lock(mutex_);
    called_.wait(lock, [&] { return calls_ >= count; });
  }
  int calls() {
    std::lock_guard<std::mutex> lock(mutex_);
    return calls_;
  }
  static void Touch(const fs::path& path) { std::ofstream(path).put('x'); }

  fs::path directory_;
  std::mutex mutex_;
  std::condition_variable called_;
  int calls_ = 0;
};

TEST_F(SocketWatcherTest, AFileThatAppearsIsNoticedAndToldOfAgain) {
  const auto watcher = Watch(directory_ / "s");
  Touch(directory_ / "s");
  WaitForCalls(3);
}

TEST_F(SocketWatcherTest, AFileThatIsThereAlreadyIsNoReturn) {
  Touch(directory_ / "s");
  {
    const auto watcher = Watch(directory_ / "s");
    Touch(directory_ / "another");
  }
  EXPECT_EQ(calls(), 0);
}

TEST_F(SocketWatcherTest, AnotherFileInItsPlaceIs) {
  Touch(directory_ / "s");
  const auto watcher = Watch(directory_ / "s");
  Touch(directory_ / "new");
  fs::rename(directory_ / "new", directory_ / "s");
  WaitForCalls(1);
}

TEST_F(SocketWatcherTest, ItsDirectoryMayComeLater) {
  const auto watcher = Watch(directory_ / "run" / "mcgw" / "s");
  fs::create_directories(directory_ / "run" / "mcgw");
  Touch(directory_ / "run" / "mcgw" / "s");
  WaitForCalls(1);
}

TEST_F(SocketWatcherTest, ItsDirectoryMayGoAndComeAgain) {
  fs::create_directory(directory_ / "run");
  Touch(directory_ / "run" / "s");
  const auto watcher = Watch(directory_ / "run" / "s");
  fs::remove_all(directory_ / "run");
  fs::create_directory(directory_ / "run");
  Touch(directory_ / "run" / "s");
  WaitForCalls(1);
}

TEST_F(SocketWatcherTest, ItEndsWhileItWaits) {
  for (int i = 0; i < 100; ++i) Watch(directory_ / std::to_string(i) / "s");
}

}  // namespace
}  // namespace mcgw::client
