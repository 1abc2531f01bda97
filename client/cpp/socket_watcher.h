// Notices when the file of a Unix socket appears.

#ifndef MCGW_CLIENT_CPP_SOCKET_WATCHER_H_
#define MCGW_CLIENT_CPP_SOCKET_WATCHER_H_

#include <functional>
#include <string>
#include <thread>

namespace mcgw::client {

// Watches with inotify on a thread of its own. The directory of the socket may come later too, or go and come again, as
// that of a service does that is started again. Where inotify is not to be had, it notices nothing.
class SocketWatcher {
 public:
  // `on_return` is called by that thread when the file appears at `path` or another takes its place, and several times
  // during the second that follows, since a server listens only some time after its file is there.
  SocketWatcher(std::string path, std::function<void()> on_return);
  SocketWatcher(const SocketWatcher&) = delete;
  SocketWatcher& operator=(const SocketWatcher&) = delete;
  ~SocketWatcher();

 private:
  // Which file it is. All zero: there is none.
  struct File {
    unsigned long device = 0;
    unsigned long inode = 0;
    long changed_s = 0;
    long changed_ns = 0;
    friend bool operator==(const File&, const File&) = default;
  };

  File Look() const;
  void Run();
  // Watches the socket's directory, or the nearest one above it that can be watched. False if the next one on the way
  // down is there all the same: it may have come in between.
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
