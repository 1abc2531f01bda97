#include "server/app/listener.h"

#include <fcntl.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <optional>
#include <random>
#include <string_view>
#include <system_error>
#include <utility>

#include "server/net/address.h"
#include "server/net/clock.h"
#include "server/net/status.h"
#include "server/net/text.h"
#include "spdlog/spdlog.h"

namespace mcgw::app {
namespace {

constexpr std::string_view kUnixPrefix = "unix:";
constexpr int kBacklog = 1024;

// Bound the kernel memory that a stalled client pins. Accepted sockets inherit them. Of TCP, what has not been sent is
// bounded, and the kernel lets the buffer grow with what is on its way: a client far away that reads fast is not held
// back (tcp(7)). A Unix socket has twice this plus one write (socket(7)).
constexpr int kUnsentBytes = 128 << 10;
constexpr int kSendBufferBytes = 72 << 10;

absl::Status Bad(const std::string& address, std::string_view why) {
  return absl::InvalidArgumentError(net::StrCat("listen address '", address, "': ", why));
}

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

struct HostPort {
  net::IpAddress host;
  uint16_t port;
};

std::optional<HostPort> ParseHostPort(std::string_view text) {
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return std::nullopt;
  std::string_view host = text.substr(0, colon);
  const std::string_view port_text = text.substr(colon + 1);
  const bool bracketed = host.size() > 2 && host.front() == '[' && host.back() == ']';
  if (bracketed) host = host.substr(1, host.size() - 2);
  if (host == "localhost") host = "127.0.0.1";
  const absl::StatusOr<net::IpAddress> address = net::IpAddress::Parse(host);
  unsigned int port = 0;
  const auto [end, error] = std::from_chars(port_text.data(), port_text.data() + port_text.size(), port);
  if (!address.ok() || bracketed == address->is_v4() || error != std::errc() ||
      end != port_text.data() + port_text.size() || port > 65535 || port_text.empty()) {
    return std::nullopt;
  }
  return HostPort{*address, static_cast<uint16_t>(port)};
}

// A parsed listen address.
struct Place {
  sockaddr_storage storage{};
  socklen_t length = 0;
  std::string path;  // Unix sockets only.

  std::string Text() const {
    if (!path.empty()) return net::StrCat(kUnixPrefix, std::filesystem::path(path).lexically_normal().string());
    const uint16_t port = storage.ss_family == AF_INET ? reinterpret_cast<const sockaddr_in&>(storage).sin_port
                                                       : reinterpret_cast<const sockaddr_in6&>(storage).sin6_port;
    return net::ToString(net::IpAddress::FromSockaddr(storage), ntohs(port));
  }

  static absl::StatusOr<Place> Parse(const std::string& address) {
    Place place;
    if (address.compare(0, kUnixPrefix.size(), kUnixPrefix) == 0) {
      place.path = address.substr(kUnixPrefix.size());
      auto* const un = reinterpret_cast<sockaddr_un*>(&place.storage);
      if (place.path.empty() || place.path[0] != '/') {
        return Bad(address, "the path of a Unix socket must begin with '/', as in unix:/run/mcgw/mcgw.sock");
      }
      if (place.path.find('\0') != std::string::npos) {
        return Bad(address, "the path of a Unix socket must not contain a NUL byte");
      }
      if (place.path.size() >= sizeof(un->sun_path)) {
        return Bad(address,
                   net::StrCat("the path of a Unix socket must have at most ", sizeof(un->sun_path) - 1, " bytes"));
      }
      un->sun_family = AF_UNIX;
      std::memcpy(un->sun_path, place.path.c_str(), place.path.size() + 1);
      place.length = offsetof(sockaddr_un, sun_path) + place.path.size() + 1;
      return place;
    }
    const std::optional<HostPort> parsed = ParseHostPort(address);
    if (!parsed.has_value()) {
      return Bad(address, "give an address and a port, as in 127.0.0.1:50051 or [::1]:50051, or unix:/PATH");
    }
    if (!parsed->host.IsLoopback()) {
      return Bad(address,
                 "not a loopback address. This version serves plaintext only, and anyone who can reach it can join and "
                 "send: listen on 127.0.0.1, [::1] or unix:/PATH");
    }
    place.length = net::ToSockaddr(parsed->host, parsed->port, 0, &place.storage);
    return place;
  }
};

// Removes a socket file to which no socket is bound any more (ECONNREFUSED). A socket of another type (EPROTOTYPE) or
// without permission to connect (EACCES) is in use.
absl::Status ClearPath(const std::string& address, const Place& place) {
  struct stat status;
  if (lstat(place.path.c_str(), &status) != 0) return absl::OkStatus();
  if (!S_ISSOCK(status.st_mode)) return Bad(address, "the path exists and is not a socket");
  const net::OwnedFd probe(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!probe.valid()) return Bad(address, Because("socket"));
  if (connect(probe.get(), reinterpret_cast<const sockaddr*>(&place.storage), place.length) == 0 ||
      errno != ECONNREFUSED) {
    return Bad(address, "in use by another process: stop it, or choose another --listen");
  }
  if (unlink(place.path.c_str()) != 0) return Bad(address, Because("cannot remove the abandoned socket file"));
  return absl::OkStatus();
}

// As gRPC names peers; of a Unix socket, which process.
std::string PeerText(int fd, const sockaddr_storage& address) {
  if (address.ss_family == AF_INET || address.ss_family == AF_INET6) {
    const uint16_t port = address.ss_family == AF_INET ? reinterpret_cast<const sockaddr_in&>(address).sin_port
                                                       : reinterpret_cast<const sockaddr_in6&>(address).sin6_port;
    return net::StrCat(address.ss_family == AF_INET ? "ipv4:" : "ipv6:",
                       net::ToString(net::IpAddress::FromSockaddr(address), ntohs(port)));
  }
  ucred peer{};
  socklen_t size = sizeof(peer);
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) return "unix:";
  return net::StrCat("unix:pid=", peer.pid, ",uid=", peer.uid);
}

}  // namespace

std::optional<ListenSocket::FileId> ListenSocket::FileAt(const std::string& path) {
  struct stat status;
  if (path.empty() || lstat(path.c_str(), &status) != 0) return std::nullopt;
  return FileId{status.st_dev, status.st_ino};
}

ListenSocket::~ListenSocket() {
  if (path_.empty()) return;
  const DirectoryLock lock(path_);
  if (file_.has_value() && FileAt(path_) == file_) unlink(path_.c_str());
}

absl::StatusOr<std::string> ListenSocket::PlaceOf(const std::string& address) {
  const absl::StatusOr<Place> place = Place::Parse(address);
  if (!place.ok()) return place.status();
  return place->Text();
}

absl::StatusOr<std::unique_ptr<ListenSocket>> ListenSocket::Open(const std::string& address) {
  absl::StatusOr<Place> place = Place::Parse(address);
  if (!place.ok()) return place.status();
  sockaddr_storage& storage = place->storage;
  socklen_t length = place->length;
  const std::string& path = place->path;
  std::optional<DirectoryLock> lock;
  if (!path.empty()) {
    lock.emplace(path);
    if (absl::Status status = ClearPath(address, *place); !status.ok()) return status;
  }

  net::OwnedFd fd(socket(storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd.valid()) return Bad(address, Because("socket"));
  const int on = 1;
  if (!path.empty()) {
    setsockopt(fd.get(), SOL_SOCKET, SO_SNDBUF, &kSendBufferBytes, sizeof(kSendBufferBytes));
  } else {
    setsockopt(fd.get(), IPPROTO_TCP, TCP_NOTSENT_LOWAT, &kUnsentBytes, sizeof(kUnsentBytes));
    setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (storage.ss_family == AF_INET6) setsockopt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
  }
  // The file is created with its final mode: owner and group may connect.
  const mode_t mask = umask(0117);
  const int bound = bind(fd.get(), reinterpret_cast<const sockaddr*>(&storage), length);
  const int bind_errno = errno;
  umask(mask);
  errno = bind_errno;
  if (bound != 0 || listen(fd.get(), kBacklog) != 0) {
    if (errno == EADDRINUSE) {
      return Bad(address, "in use by another process (ss -ltnp shows which): stop it, or choose another --listen");
    }
    return Bad(address, Because("cannot listen"));
  }
  std::string actual = address;
  if (path.empty()) {
    length = sizeof(storage);
    getsockname(fd.get(), reinterpret_cast<sockaddr*>(&storage), &length);
    actual = place->Text();
  }
  return std::unique_ptr<ListenSocket>(new ListenSocket(std::move(fd), std::move(actual), path, FileAt(path)));
}

Acceptor::Acceptor(std::vector<std::unique_ptr<ListenSocket>> sockets, ConnectionShares shares,
                   absl::Duration stall_timeout, Handler handler)
    : sockets_(std::move(sockets)),
      stall_timeout_(stall_timeout),
      checks_(PeerChecks::For(stall_timeout)),
      handler_(std::move(handler)),
      shares_(std::move(shares)) {}

Acceptor::~Acceptor() { Stop(); }

absl::Status Acceptor::Start() {
  epoll_ = net::OwnedFd(epoll_create1(EPOLL_CLOEXEC));
  wake_ = net::OwnedFd(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!epoll_.valid() || !wake_.valid()) return net::ErrnoStatus(errno, "epoll");
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.fd = wake_.get();
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, wake_.get(), &event) != 0) return net::ErrnoStatus(errno, "epoll_ctl");
  for (const std::unique_ptr<ListenSocket>& socket : sockets_) {
    event.data.fd = socket->fd();
    if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, socket->fd(), &event) != 0) {
      return net::ErrnoStatus(errno, net::StrCat("watch ", socket->address()));
    }
  }
  thread_ = std::thread([this] {
    pthread_setname_np(pthread_self(), "mcgw-accept");
    Run();
  });
  return absl::OkStatus();
}

void Acceptor::Stop() {
  if (!thread_.joinable()) return;
  eventfd_write(wake_.get(), 1);
  thread_.join();
  sockets_.clear();
}

void Acceptor::CutConnections() {
  for (const auto& [fd, connection] : connections_) shutdown(fd, SHUT_RDWR);
  connections_.clear();
}

void Acceptor::Run() {
  epoll_event events[64];
  while (true) {
    duty_.End(net::MonotonicNs());
    const int count = epoll_wait(epoll_.get(), events, std::size(events), connections_.empty() ? -1 : NextCheckMs());
    duty_.Begin(net::MonotonicNs());
    for (int i = 0; i < count; ++i) {
      const int fd = events[i].data.fd;
      if (fd == wake_.get()) return;
      connections_.count(fd) == 0 ? Accept(fd) : OnConnection(fd, events[i].events);
    }
    CheckPeers();
  }
}

void Acceptor::OnConnection(int fd, uint32_t events) {
  const auto connection = connections_.find(fd);
  if ((events & (EPOLLHUP | EPOLLERR)) != 0) {
    shares_.GiveBack(connection->second.peer);
    // While the connection's owner keeps it open, epoll would go on to report it by this number, soon another's.
    epoll_event unused{};
    epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, &unused);
    connections_.erase(connection);
    return;
  }
  connection->second.writable = true;
  epoll_event event{};
  event.events = EPOLLET;  // Until the next CheckPeers.
  event.data.fd = fd;
  epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, fd, &event);
}

int Acceptor::NextCheckMs() const {
  const int64_t left_ms = (next_check_ns_ - net::MonotonicNs()) / 1'000'000 + 1;
  return static_cast<int>(std::max<int64_t>(left_ms, 0));
}

void Acceptor::CheckPeers() {
  const int64_t now_ns = net::MonotonicNs();
  if (now_ns < next_check_ns_) return;
  const absl::Duration interval = absl::Nanoseconds(now_ns - std::exchange(last_check_ns_, now_ns));
  // From half of the mean to one and a half.
  const int64_t mean_ns = absl::ToInt64Nanoseconds(checks_.mean);
  next_check_ns_ = now_ns + std::uniform_int_distribution<int64_t>(mean_ns / 2, mean_ns * 3 / 2)(random_);
  for (auto& [fd, connection] : connections_) {
    const PeerWatch::Sample sample = connection.watch.Look(fd, interval, std::exchange(connection.writable, false));
    const PeerWatch::Finding finding = connection.watch.Judge(sample, checks_);
    if (finding != PeerWatch::Finding::kAlive) {
      Cut(fd, connection.peer, finding);
    } else if (connection.peer.unix_socket) {
      epoll_event event{};
      event.events = EPOLLET | EPOLLOUT;
      event.data.fd = fd;
      epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, fd, &event);
    }
  }
}

void Acceptor::Cut(int fd, const ConnectionPeer& peer, PeerWatch::Finding finding) {
  if (finding == PeerWatch::Finding::kVanished) {
    spdlog::info("cut a connection of {}: its host no longer answers", peer.name);
  } else {
    spdlog::info("cut a connection of {}: it has taken nothing for {} s", peer.name,
                 absl::ToInt64Seconds(stall_timeout_ * PeerWatch::Patience(peer.unix_socket)));
  }
  const linger at_once = {.l_onoff = 1, .l_linger = 0};  // What it has not taken is dropped with the last descriptor.
  setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
  shutdown(fd, SHUT_RDWR);
}

void Acceptor::Warn(const std::string& what) {
  const int64_t now_ns = net::MonotonicNs();
  if (last_warning_ns_ != 0 && now_ns - last_warning_ns_ <= 10'000'000'000) return;
  spdlog::warn("{}", what);
  last_warning_ns_ = now_ns;
}

// A client whose connection was not accepted waits in the backlog; without a pause this would spin.
void Acceptor::Exhausted(int error, const std::string& what) {
  const bool descriptors = error == EMFILE || error == ENFILE;
  Warn(descriptors ? "no file descriptor is left for a new connection: raise the limit of open files (ulimit -n)"
                   : net::StrCat("cannot ", what, ": ", std::system_category().message(error)));
  usleep(20'000);
}

void Acceptor::Accept(int listener_fd) {
  sockaddr_storage address = {};
  socklen_t length = sizeof(address);
  // A connection takes two descriptors. If there is only one, its client waits in the backlog too.
  net::OwnedFd second(fcntl(listener_fd, F_DUPFD_CLOEXEC, 0));
  net::OwnedFd connection(second.valid() ? accept4(listener_fd, reinterpret_cast<sockaddr*>(&address), &length,
                                                   SOCK_NONBLOCK | SOCK_CLOEXEC)
                                         : -1);
  if (!connection.valid()) {
    const int error = errno;
    const bool passed = error == EAGAIN || error == EINTR || error == ECONNABORTED;
    return passed ? void() : Exhausted(error, "accept a connection");
  }
  if (dup3(connection.get(), second.get(), O_CLOEXEC) < 0) return Exhausted(errno, "keep a new connection");
  ConnectionPeer peer = ConnectionPeer::Of(connection.get(), address);
  if (const std::optional<std::string> refusal = shares_.Take(peer); refusal.has_value()) {
    return Warn(net::StrCat("refused a connection: ", *refusal));
  }
  if (!peer.unix_socket) ProbeWhenIdle(connection.get());
  epoll_event event{};
  event.events = EPOLLET;  // EPOLLHUP is always reported: both directions are closed.
  event.data.fd = second.get();
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, second.get(), &event) != 0) {
    // Its end would go unnoticed, and it would hold its share for good.
    const int error = errno;
    shares_.GiveBack(peer);
    return Exhausted(error, "watch a new connection");
  }
  std::string text = PeerText(connection.get(), address);
  const int key = second.get();
  const PeerWatch watch(peer.unix_socket);
  connections_.emplace(key, Connection{.fd = std::move(second), .peer = std::move(peer), .watch = watch});
  handler_(std::move(connection), std::move(text));
}

}  // namespace mcgw::app
