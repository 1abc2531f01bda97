// The sockets of an interface's channels, within the descriptors that there are for them.
//
// While descriptors last, a channel has a socket of its own, bound to its group: the kernel delivers nothing else to it
// and counts its drops. After that, up to 20 channels of one port and family share a socket. The rooms above see no
// difference except the cost: a drop of a shared socket belongs to no one channel.

#ifndef MCGW_GATEWAY_CHANNELS_CHANNEL_SOCKETS_H_
#define MCGW_GATEWAY_CHANNELS_CHANNEL_SOCKETS_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/fanout/channel_log.h"
#include "server/fanout/event.h"
#include "server/fanout/receive_shard.h"
#include "server/fanout/source_filter.h"
#include "server/net/multicast_socket.h"

namespace mcgw::gateway {

// How many sockets there may be on all interfaces. Copies share one count. Thread-safe.
class SocketBudget {
 public:
  // Without a limit.
  SocketBudget() = default;
  // `most` sockets, none of them shared.
  explicit SocketBudget(size_t most) : SocketBudget(most, most) {}
  // `most` sockets in all, for up to `channels` channels. As many channels have a socket of their own as leaves room
  // for the rest to share, but at least half of the sockets are channels' own.
  SocketBudget(size_t most, size_t channels);

  // Permits opening one socket, which counts until the token is destroyed. Null: no more.
  using Token = std::shared_ptr<void>;
  Token TakeOwn() { return Take(counters_->own); }
  Token TakeShared() { return Take(counters_->most); }

  size_t own() const { return counters_->own; }
  size_t most() const { return counters_->most; }
  size_t used() const { return counters_->used.load(); }

 private:
  struct Counters {
    size_t own = SIZE_MAX;
    size_t most = SIZE_MAX;
    std::atomic<size_t> used{0};
  };
  Token Take(size_t limit);

  std::shared_ptr<Counters> counters_ = std::make_shared<Counters>();  // Sockets may outlive the budget.
};

// One channel to be received: what InterfaceChannels, Reception and ChannelSockets know of it.
struct ChannelSpec {
  net::ReceiveSocketSpec socket;  // Its interface, group and port.
  fanout::ReceiveShard* shard = nullptr;
  std::shared_ptr<fanout::ChannelLog> log;
  std::shared_ptr<fanout::ReceiveCounters> counters = std::make_shared<fanout::ReceiveCounters>();
};

// A socket as inspection shows it. A shared socket appears with each of its channels.
struct SocketSnapshot {
  net::ReceiveSocketFacts facts;
  bool shared = false;
  std::vector<net::IpAddress> groups;  // That it has joined.
  uint64_t read = 0;                   // As fanout::SocketCounters.
  uint64_t kernel_drops = 0;
  uint64_t mismatches = 0;
};

// Neither it nor its memberships are thread-safe: InterfaceChannels locks. Calls make system calls.
class ChannelSockets {
 public:
  class Membership;

  // Both outlive it.
  ChannelSockets(SocketBudget* budget, net::SocketFactory* factory) : budget_(budget), factory_(factory) {}
  ChannelSockets(const ChannelSockets&) = delete;
  ChannelSockets& operator=(const ChannelSockets&) = delete;

  // Joins a channel with a filter, on a socket of its own or a shared one that has not joined the group. Nothing is
  // read before Membership::Start. HOST_LIMIT if there is no socket left; net::IsTooManySources; the kernel's refusals.
  absl::StatusOr<std::unique_ptr<Membership>> Join(const ChannelSpec& spec, const fanout::SourceFilter& filter);
  // As net::SocketFactory.
  size_t MostSources(net::Family family) const { return factory_->MostSources(family); }

 private:
  // What channels must have in common to share a socket.
  using Place = std::tuple<uint32_t, uint16_t, net::Family, fanout::ReceiveShard*>;
  struct Socket;

  absl::StatusOr<std::shared_ptr<Socket>> Open(const net::ReceiveSocketSpec& spec, const SocketBudget::Token& token);
  absl::StatusOr<std::unique_ptr<Membership>> JoinShared(const ChannelSpec& spec, const fanout::SourceFilter& filter);
  static absl::StatusOr<std::unique_ptr<Membership>> JoinOn(const std::shared_ptr<Socket>& socket,
                                                            const ChannelSpec& spec,
                                                            const fanout::SourceFilter& filter);

  SocketBudget* const budget_;
  net::SocketFactory* const factory_;
  // Shared sockets, those with room first. Their memberships keep them.
  std::map<Place, std::list<std::weak_ptr<Socket>>> shared_;
};

// A channel's membership of its group, on one socket. Destroying it leaves the group and has the shard read what is
// still queued.
class ChannelSockets::Membership {
 public:
  Membership(const Membership&) = delete;
  Membership& operator=(const Membership&) = delete;
  ~Membership();

  // Has the shard read, after announcing the interruption if there was one.
  void Start(std::optional<fanout::GapCause> interruption, int64_t interrupted_unix_ns);
  // On failure the old filter stays.
  absl::Status SetFilter(const fanout::SourceFilter& filter);
  const fanout::SourceFilter& filter() const { return filter_; }
  SocketSnapshot Snapshot() const;
  // HOST_LIMIT if the shard could not watch the socket, which is then read only once a second.
  absl::Status Watched() const;

 private:
  friend class ChannelSockets;
  Membership(std::shared_ptr<Socket> socket, ChannelSpec spec, fanout::SourceFilter filter)
      : socket_(std::move(socket)), spec_(std::move(spec)), filter_(std::move(filter)) {}

  const std::shared_ptr<Socket> socket_;
  const ChannelSpec spec_;
  fanout::SourceFilter filter_;
  bool started_ = false;
};

}  // namespace mcgw::gateway

#endif  // MCGW_GATEWAY_CHANNELS_CHANNEL_SOCKETS_H_
