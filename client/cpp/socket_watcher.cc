#include "socket_watcher.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdint>
#include <utility>

namespace mcgw::client {
namespace {

constexpr uint32_t kEvents = IN_CREATE | IN_MOVED_TO | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR;

// The waits between the calls after a return: 10 ms, doubled each time.
constexpr int kFirstWaitMs = 10;
constexpr int kMostWaitMs = 640;

std::string ParentOf(const std::string& path) {
  const size_t slash = path.find_last_of('/');
  if (slash == std::string::npos) return path == "." ? "/" : ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

}  // namespace

SocketWatcher::SocketWatcher(std::string path, std::function<void()> on_return)
    : path_(std::move(path)),
      on_return_(std::move(on_return)),
      before_(Look()),
      inotify_(inotify_init1(IN_NONBLOCK | IN_CLOEXEC)),
      stop_(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
  if (inotify_ >= 0 && stop_ >= 0) thread_ = std::thread([this] { Run(); });
}

SocketWatcher::~SocketWatcher() {
  if (thread_.joinable()) {
    const uint64_t one = 1;
    [[maybe_unused]] const ssize_t written = write(stop_, &one, sizeof(one));
    thread_.join();
  }
  if (stop_ >= 0) close(stop_);
  if (inotify_ >= 0) close(inotify_);
}

SocketWatcher::File SocketWatcher::Look() const {
  struct stat file;
  if (stat(path_.c_str(), &file) != 0) return {};
  return {.device = file.st_dev,
          .inode = file.st_ino,
          .changed_s = file.st_ctim.tv_sec,
          .changed_ns = file.st_ctim.tv_nsec};
}

bool SocketWatcher::Arm() {
  std::string below = path_;
  std::string directory = ParentOf(path_);
  int watch = inotify_add_watch(inotify_, directory.c_str(), kEvents);
  while (watch < 0 && directory != "/") {
    below = directory;
    directory = ParentOf(directory);
    watch = inotify_add_watch(inotify_, directory.c_str(), kEvents);
  }
  if (watch_ >= 0 && watch_ != watch) inotify_rm_watch(inotify_, watch_);
  watch_ = watch;
  return below == path_ || access(below.c_str(), F_OK) != 0;
}

void SocketWatcher::DropEvents() const {
  char events[4096];
  while (read(inotify_, events, sizeof(events)) > 0) {
  }
}

void SocketWatcher::Run() {
  File last = before_;
  int wait_ms = -1;  // Until the next call; unlimited while nothing has returned.
  while (true) {
    if (!Arm()) Arm();
    // Look only after the watch is set, so that no change is missed.
    if (const File now = Look(); now != last) {
      last = now;
      wait_ms = -1;
      if (now != File()) {
        on_return_();
        wait_ms = kFirstWaitMs;
      }
    }
    pollfd descriptors[] = {{.fd = inotify_, .events = POLLIN, .revents = 0},
                            {.fd = stop_, .events = POLLIN, .revents = 0}};
    const int ready = poll(descriptors, 2, wait_ms);
    if (descriptors[1].revents != 0) return;
    if (ready > 0) DropEvents();
    if (ready == 0) {
      on_return_();
      wait_ms = wait_ms < kMostWaitMs ? 2 * wait_ms : -1;
    }
  }
}

}  // namespace mcgw::client
