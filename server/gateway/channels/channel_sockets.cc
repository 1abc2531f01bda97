#include "server/gateway/channels/channel_sockets.h"

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <utility>

#include "server/net/invariant.h"
#include "server/net/status.h"
#include "server/net/text.h"
#include "spdlog/spdlog.h"

namespace mcgw::gateway {
namespace {

using fanout::SourceFilter;
using net::ReceiveSocket;

bool IsOutOfDescriptors(const absl::Status& status) {
  return net::ErrnoOf(status) == EMFILE || net::ErrnoOf(status) == ENFILE;
}

// The socket takes no more groups, or no more of the kernel's memory for memberships (net.core.optmem_max).
bool IsFull(const absl::Status& status) {
  return net::ErrnoOf(status) == ENOMEM || (net::ErrnoOf(status) == ENOBUFS && !net::IsTooManySources(status));
}

// Warns once: the limit is the host's, so every socket meets it.
void WarnOfSmallBuffer(size_t asked_bytes, size_t granted_bytes) {
  static std::atomic<bool> warned{false};
  // The kernel answers with twice what it was asked, for its own overhead (socket(7)).
  if (granted_bytes / 2 >= asked_bytes || warned.exchange(true)) return;
  spdlog::warn("receive buffers: asked for {} bytes, got {}; bursts may be dropped: sysctl -w net.core.rmem_max={}",
               asked_bytes, granted_bytes / 2, asked_bytes);
}

}  // namespace

// ---- SocketBudget ----

SocketBudget::SocketBudget(size_t most, size_t channels) {
  counters_->most = most;
  // own + (channels - own) / kMostSharing <= most
  constexpr size_t kSharing = ReceiveSocket::kMostSharing;
  const size_t room = channels >= kSharing * most ? 0 : (kSharing * most - channels) / (kSharing - 1);
  counters_->own = channels <= most ? most : std::clamp(room, most / 2, most);
}

SocketBudget::Token SocketBudget::Take(size_t limit) {
  size_t used = counters_->used.load();
  do {
    if (used >= limit) return nullptr;
  } while (!counters_->used.compare_exchange_weak(used, used + 1));
  return Token(counters_.get(), [counters = counters_](void*) {
    const size_t before = counters->used.fetch_sub(1);
    MCGW_INVARIANT(before > 0);
  });
}

// ---- ChannelSockets ----

struct ChannelSockets::Socket {
  std::shared_ptr<ReceiveSocket> socket;  // Shared with the shard, which closes it.
  std::shared_ptr<fanout::SocketCounters> counters = std::make_shared<fanout::SocketCounters>();
  std::set<net::IpAddress> groups;  // Joined.
  bool full = false;                // It has refused another group.
};

absl::StatusOr<std::shared_ptr<ChannelSockets::Socket>> ChannelSockets::Open(const net::ReceiveSocketSpec& spec,
                                                                             const SocketBudget::Token& token) {
  absl::StatusOr<std::unique_ptr<ReceiveSocket>> opened = factory_->NewReceiveSocket(spec);
  if (!opened.ok()) return opened.status();
  WarnOfSmallBuffer(spec.receive_buffer_bytes, (*opened)->Facts().receive_buffer_bytes);
  auto socket = std::make_shared<Socket>();
  // The descriptor counts until the last owner closes it.
  socket->socket = std::shared_ptr<ReceiveSocket>(opened->release(), [token](ReceiveSocket* closed) { delete closed; });
  return socket;
}

absl::StatusOr<std::unique_ptr<ChannelSockets::Membership>> ChannelSockets::JoinOn(
    const std::shared_ptr<Socket>& socket, const ChannelSpec& spec, const SourceFilter& filter) {
  absl::Status status = socket->socket->Join(spec.socket.group, filter.mode(), filter.sources());
  if (!status.ok()) return status;
  socket->groups.insert(spec.socket.group);
  return std::unique_ptr<Membership>(new Membership(socket, spec, filter));
}

absl::StatusOr<std::unique_ptr<ChannelSockets::Membership>> ChannelSockets::JoinShared(const ChannelSpec& spec,
                                                                                       const SourceFilter& filter) {
  std::list<std::weak_ptr<Socket>>& sockets =
      shared_[Place(spec.socket.interface_index, spec.socket.port, spec.socket.group.family(), spec.shard)];
  for (auto at = sockets.begin(); at != sockets.end();) {
    const std::shared_ptr<Socket> socket = at->lock();
    if (socket == nullptr) {
      at = sockets.erase(at);
      continue;
    }
    const auto here = at++;
    const bool has_room = !socket->full && socket->groups.size() < ReceiveSocket::kMostSharing &&
                          socket->counters->watch_errno.load(std::memory_order_relaxed) == 0;
    if (!has_room || socket->groups.contains(spec.socket.group)) continue;
    absl::StatusOr<std::unique_ptr<Membership>> joined = JoinOn(socket, spec, filter);
    if (!joined.ok() && IsFull(joined.status())) {
      socket->full = true;
      continue;
    }
    if (here != sockets.begin()) sockets.splice(sockets.begin(), sockets, here);
    return joined;
  }
  const SocketBudget::Token token = budget_->TakeShared();
  if (token == nullptr) {
    return net::Error(net::Reason::kHostLimit, "",
                      net::StrCat("no descriptor is left for the socket of one more channel: ", budget_->used(), " of ",
                                  budget_->most(), " are in use, and the others are kept for connections. Raise the ",
                                  "limit of open files (LimitNOFILE, ulimit -n), or leave other channels"));
  }
  net::ReceiveSocketSpec shared = spec.socket;
  shared.group = net::IpAddress::Unspecified(spec.socket.group.family());
  const absl::StatusOr<std::shared_ptr<Socket>> socket = Open(shared, token);
  if (!socket.ok()) return socket.status();
  absl::StatusOr<std::unique_ptr<Membership>> joined = JoinOn(*socket, spec, filter);
  if (joined.ok()) sockets.push_front(*socket);
  return joined;
}

absl::StatusOr<std::unique_ptr<ChannelSockets::Membership>> ChannelSockets::Join(const ChannelSpec& spec,
                                                                                 const SourceFilter& filter) {
  if (const SocketBudget::Token token = budget_->TakeOwn(); token != nullptr) {
    const absl::StatusOr<std::shared_ptr<Socket>> socket = Open(spec.socket, token);
    if (socket.ok()) return JoinOn(*socket, spec, filter);
    if (!IsOutOfDescriptors(socket.status())) return socket.status();
  }
  return JoinShared(spec, filter);
}

// ---- Membership ----

ChannelSockets::Membership::~Membership() {
  if (const absl::Status status = socket_->socket->Leave(spec_.socket.group); status.ok()) {
    socket_->groups.erase(spec_.socket.group);
    socket_->full = false;
  } else {
    // Closing the socket leaves the group too. Until then no channel joins the group on it again.
    spdlog::debug("leave of {} on {}: {}", spec_.socket.group.ToString(), spec_.socket.interface_name,
                  net::ToStd(status.message()));
  }
  if (started_) spec_.shard->Stop(socket_->socket, nullptr, spec_.log);
}

void ChannelSockets::Membership::Start(std::optional<fanout::GapCause> interruption, int64_t interrupted_unix_ns) {
  started_ = true;
  spec_.shard->Start({.socket = socket_->socket,
                      .group = spec_.socket.group,
                      .log = spec_.log,
                      .counters = spec_.counters,
                      .socket_counters = socket_->counters,
                      .interruption = interruption,
                      .interrupted_unix_ns = interrupted_unix_ns});
}

absl::Status ChannelSockets::Membership::SetFilter(const SourceFilter& filter) {
  if (filter == filter_) return absl::OkStatus();
  absl::Status status = socket_->socket->SetFilter(spec_.socket.group, filter.mode(), filter.sources());
  if (status.ok()) filter_ = filter;
  return status;
}

absl::Status ChannelSockets::Membership::Watched() const {
  const int error = socket_->counters->watch_errno.load(std::memory_order_relaxed);
  if (error == 0) return absl::OkStatus();
  return net::Error(
      net::Reason::kHostLimit, "",
      net::StrCat("the host refuses to watch one more socket (epoll: ", std::generic_category().message(error),
                  "): raise fs.epoll.max_user_watches, or leave other channels"));
}

SocketSnapshot ChannelSockets::Membership::Snapshot() const {
  const fanout::SocketCounters& counters = *socket_->counters;
  return {.facts = socket_->socket->Facts(),
          .shared = socket_->socket->shared(),
          .groups = {socket_->groups.begin(), socket_->groups.end()},
          .read = counters.read.load(std::memory_order_relaxed),
          .kernel_drops = counters.kernel_drops.load(std::memory_order_relaxed),
          .mismatches = counters.mismatches.load(std::memory_order_relaxed)};
}

}  // namespace mcgw::gateway
