#include "server/app/listen_socket.h"

#include <fcntl.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <string_view>

#include "server/net/text.h"

namespace mcgw::app {
namespace {

constexpr int kBacklog = 1024;

// Bound the kernel memory that a stalled client pins. Accepted sockets inherit them. Of TCP, what has not been sent is
// bounded, and the kernel lets the buffer grow with what is on its way: a client far away that reads fast is not held
// back (tcp(7)). A Unix socket has twice this plus one write (socket(7)).
constexpr int kUnsentBytes = 128 << 10;
constexpr int kSendBufferBytes = 72 << 10;

std::string Because(std::string_view what) { return net::StrCat(what, ": ", std::strerror(errno)); }

// Keeps other gateways from the socket files of a directory, so that none replaces an abandoned file while another
// does. Proceeds without the lock if the directory is not readable or the lock's holder keeps it.
class DirectoryLock {
 public:
  explicit DirectoryLock(const std::string& path)
      : fd_(open(std::filesystem::path(path).parent_path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)) {
    constexpr int kTries = 100;
    constexpr useconds_t kPauseUs = 10'000;
    if (!fd_.valid()) return;
    for (int i = 0; i < kTries && flock(fd_.get(), LOCK_EX | LOCK_NB) != 0; ++i) usleep(kPauseUs);
  }

 private:
  const net::OwnedFd fd_;  // Closing it unlocks.
};

// Removes a socket file to which no socket is bound any more (ECONNREFUSED). A socket of another type (EPROTOTYPE) or
// without permission to connect (EACCES) is in use.
absl::Status ClearPath(const std::string& text, const ListenAddress& address) {
  struct stat status;
  if (lstat(address.path.c_str(), &status) != 0) return absl::OkStatus();
  if (!S_ISSOCK(status.st_mode)) return BadListener(text, "the path exists and is not a socket");
  const net::OwnedFd probe(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!probe.valid()) return BadListener(text, Because("socket"));
  if (connect(probe.get(), reinterpret_cast<const sockaddr*>(&address.storage), address.length) == 0 ||
      errno != ECONNREFUSED) {
    return BadListener(text, "in use by another process: stop it, or choose another --listen");
  }
  if (unlink(address.path.c_str()) != 0) return BadListener(text, Because("cannot remove the abandoned socket file"));
  return absl::OkStatus();
}

// Gives a new socket file to its group, and only then its mode.
absl::Status GiveToGroup(const ListenerOptions& options) {
  const char* const path = options.address.path.c_str();
  if (chown(path, static_cast<uid_t>(-1), *options.group) != 0) {
    return BadListener(options.text, net::StrCat("cannot give the socket file to group ", *options.group, ": ",
                                                 std::strerror(errno), "; the gateway's user must be a member of it"));
  }
  if (chmod(path, options.mode) != 0) return BadListener(options.text, Because("cannot set the socket file's mode"));
  return absl::OkStatus();
}

}  // namespace

std::optional<ListenSocket::FileId> ListenSocket::FileAt(const std::string& path) {
  struct stat status;
  if (path.empty() || lstat(path.c_str(), &status) != 0) return std::nullopt;
  return FileId{status.st_dev, status.st_ino};
}

ListenSocket::~ListenSocket() {
  if (!options_.address.is_unix()) return;
  const std::string& path = options_.address.path;
  const DirectoryLock lock(path);
  if (file_.has_value() && FileAt(path) == file_) unlink(path.c_str());
}

absl::StatusOr<std::unique_ptr<ListenSocket>> ListenSocket::Open(const ListenerOptions& options) {
  std::shared_ptr<http2::TlsSource> tls;
  if (options.tls.has_value()) {
    absl::StatusOr<std::unique_ptr<http2::TlsSource>> loaded = http2::TlsSource::Load(*options.tls);
    if (!loaded.ok()) return BadListener(options.text, net::ToStd(loaded.status().message()));
    tls = *std::move(loaded);
  }
  ListenAddress address = options.address;
  std::optional<DirectoryLock> lock;
  if (address.is_unix()) {
    lock.emplace(address.path);
    if (absl::Status status = ClearPath(options.text, address); !status.ok()) return status;
  }

  net::OwnedFd fd(socket(address.storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd.valid()) return BadListener(options.text, Because("socket"));
  const int on = 1;
  if (address.is_unix()) {
    setsockopt(fd.get(), SOL_SOCKET, SO_SNDBUF, &kSendBufferBytes, sizeof(kSendBufferBytes));
  } else {
    setsockopt(fd.get(), IPPROTO_TCP, TCP_NOTSENT_LOWAT, &kUnsentBytes, sizeof(kUnsentBytes));
    setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (address.storage.ss_family == AF_INET6) setsockopt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
  }
  // The file is created with its final mode, or for the gateway alone until its group is right.
  const mode_t mask = umask(options.group.has_value() ? 0177 : ~options.mode & 0777);
  const int bound = bind(fd.get(), reinterpret_cast<const sockaddr*>(&address.storage), address.length);
  const int bind_errno = errno;
  umask(mask);
  errno = bind_errno;
  if (bound == 0 && options.group.has_value()) {
    if (absl::Status status = GiveToGroup(options); !status.ok()) {
      unlink(address.path.c_str());
      return status;
    }
  }
  if (bound != 0 || listen(fd.get(), kBacklog) != 0) {
    if (errno == EADDRINUSE) {
      return BadListener(options.text,
                         "in use by another process (ss -ltnp shows which): stop it, or choose another --listen");
    }
    return BadListener(options.text, Because("cannot listen"));
  }
  std::string actual = options.text;
  if (!address.is_unix()) {
    address.length = sizeof(address.storage);
    getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address.storage), &address.length);
    actual = address.Text();
  }
  return std::unique_ptr<ListenSocket>(new ListenSocket(std::move(fd), std::move(actual), options, std::move(tls)));
}

}  // namespace mcgw::app
