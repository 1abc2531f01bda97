#include "server/app/acceptor.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <random>
#include <system_error>
#include <utility>

#include "server/net/clock.h"
#include "server/net/status.h"
#include "server/net/text.h"
#include "spdlog/spdlog.h"

namespace mcgw::app {

Acceptor::Acceptor(std::vector<std::unique_ptr<ListenSocket>> sockets, ConnectionShares shares,
                   absl::Duration stall_timeout, Serve serve)
    : sockets_(std::move(sockets)),
      stall_timeout_(stall_timeout),
      checks_(PeerChecks::For(stall_timeout)),
      serve_(std::move(serve)),
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
      const ListenSocket* const socket = Find(fd);
      socket != nullptr ? Accept(*socket) : OnConnection(fd, events[i].events);
    }
    CheckPeers();
  }
}

const ListenSocket* Acceptor::Find(int listener_fd) const {
  const auto at = std::find_if(sockets_.begin(), sockets_.end(), [=](const std::unique_ptr<ListenSocket>& socket) {
    return socket->fd() == listener_fd;
  });
  return at == sockets_.end() ? nullptr : at->get();
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

void Acceptor::Accept(const ListenSocket& socket) {
  const int listener_fd = socket.fd();
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
  if (!socket.options().Allows(peer.uid, peer.gids)) {
    return Warn(net::StrCat("refused a connection of ", peer.address, " to ", socket.address(),
                            ": neither allow_uid nor allow_gid names it"));
  }
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
  const int key = second.get();
  connections_.emplace(key, Connection{.fd = std::move(second), .peer = peer, .watch = PeerWatch(peer.unix_socket)});
  serve_({.fd = std::move(connection), .peer = std::move(peer), .socket = &socket});
}

}  // namespace mcgw::app
