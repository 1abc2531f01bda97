// Detects when the file of a Unix socket appears.

#ifndef MCGW_CLIENT_CPP_SOCKET_WATCHER_H_
#define MCGW_CLIENT_CPP_SOCKET_WATCHER_H_

#include <functional>
#include <string>
#include <thread>

namespace mcgw::client {

// Watches with inotify on its own thread. The directory of the socket may also appear later, or go and come back, as at
// the restart of a service. Without inotify, it detects nothing.
class SocketWatcher {
 public:
  // That thread calls `on_return` when the file appears at `path` or another takes its place, and several times in the
  // next second, because a server listens only some time after its file appears.
  SocketWatcher(std::string path, std::function<void()> on_return);
  SocketWatcher(const SocketWatcher&) = delete;
  SocketWatcher& operator=(const SocketWatcher&) = delete;
  ~SocketWatcher();

 private:
  // The identity of the file. All zero: there is no file.
  struct File {
    unsigned long device = 0;
    unsigned long inode = 0;
    long changed_s = 0;
    long changed_ns = 0;
    friend bool operator==(const File&, const File&) = default;
  };

  File Look() const;
  void Run();
  // Watches the socket's directory, or the nearest parent that can be watched. False if the next directory below that
  // parent exists after all: it may have appeared in between.
  bool Arm();
  void DropEvents() const;

  const std::string path_;
  const std::function<void()> on_return_;
  const File before_;
  const int inotify_;
  const int stop_;
  int watch_ = -1;
  std::thread thread_;
};

}  // namespace mcgw::client

#endif  // MCGW_CLIENT_CPP_SOCKET_WATCHER_H_
