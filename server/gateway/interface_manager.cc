#include "server/gateway/interface_manager.h"

#include <algorithm>
#include <cerrno>

#include "server/net/clock.h"
#include "server/net/status.h"
#include "server/net/text.h"
#include "spdlog/spdlog.h"

namespace mcgw::gateway {

using fanout::SourceFilter;
using net::Error;
using net::Reason;

namespace {

// Once is enough: the limit is the host's, and all sockets meet it.
void WarnOfSmallBuffer(size_t asked_bytes, size_t granted_bytes) {
  static std::atomic<bool> warned{false};
  // The kernel answers with twice what it was asked, for its own overhead (socket(7)).
  if (granted_bytes / 2 >= asked_bytes || warned.exchange(true)) return;
  spdlog::warn("receive buffers: asked for {} bytes, got {}; bursts may be dropped: sysctl -w net.core.rmem_max={}",
               asked_bytes, granted_bytes / 2, asked_bytes);
}

// Where the log begins, and its first record.
void ReadOldest(const fanout::ChannelLog& log, ChannelSnapshot* snapshot) {
  const fanout::Cursor oldest = log.Oldest();
  snapshot->oldest_sequence = oldest.sequence;
  snapshot->log_bytes = log.committed_position() - oldest.position;
  fanout::Run run;
  fanout::Gap gap;
  fanout::Cursor cursor = oldest;
  fanout::ChannelLog::ReadResult result;
  do {  // Marks may stand before it.
    result = log.Read(cursor, 1, log.committed_position(), &run, &gap);
    cursor = run.next;
  } while (result == fanout::ChannelLog::ReadResult::kMark);
  // Overtaken meanwhile: the next snapshot will tell.
  if (result == fanout::ChannelLog::ReadResult::kRun) snapshot->oldest_record.assign(run.data, run.size_bytes);
}

}  // namespace

// Guarded by the manager's mutex, but for what is const or thread-safe by itself.
struct InterfaceManager::Channel {
  Channel(const Key& the_key, fanout::ReceiveShard* the_shard, std::shared_ptr<fanout::ChannelLog> the_log)
      : key(the_key), shard(the_shard), log(std::move(the_log)) {}

  SourceFilter Wished() const {
    std::vector<SourceFilter> filters;
    filters.reserve(holds.size());
    for (const Hold* hold : holds) filters.push_back(hold->holder_.filter);
    return SourceFilter::Merge(filters);
  }

  const Key key;
  fanout::ReceiveShard* const shard;
  const std::shared_ptr<fanout::ChannelLog> log;
  const std::shared_ptr<fanout::ReceiveCounters> counters = std::make_shared<fanout::ReceiveCounters>();
  const int64_t created_unix_ns = net::UnixNs();

  std::vector<Hold*> holds;
  std::shared_ptr<net::ReceiveSocket> socket;  // While joined.
  SourceFilter told;                           // What the kernel was told; with a socket.
  bool was_joined = false;
  int64_t left_ns = 0;  // Monotonic; when the last hold went.
  int64_t left_unix_ns = 0;
};

InterfaceManager::Hold::Hold(InterfaceManager* manager, std::shared_ptr<Channel> channel,
                             std::shared_ptr<fanout::ChannelLog> log, Holder holder)
    : manager_(manager), channel_(std::move(channel)), log_(std::move(log)), holder_(std::move(holder)) {}

InterfaceManager::InterfaceManager(ChannelServices* services, uint32_t index, std::string name)
    : services_(services), index_(index), name_(std::move(name)) {}

InterfaceManager::~InterfaceManager() {
  net::MutexLock lock(&mutex_);
  services_->channels.fetch_sub(channels_.size());
}

std::string InterfaceManager::Describe(const Channel& channel) const {
  return net::StrCat(net::ToString(channel.key.first, channel.key.second), " on ", name_);
}

absl::StatusOr<std::shared_ptr<InterfaceManager::Channel>> InterfaceManager::FindOrAdd(const Key& key) {
  if (const auto at = channels_.find(key); at != channels_.end()) return at->second;
  const size_t limit = services_->options.limits.channels;
  if (services_->channels.fetch_add(1) >= limit) {
    services_->channels.fetch_sub(1);
    return Error(Reason::kChannelLimit, "",
                 net::StrCat("the gateway holds ", limit, " channels, its limit (max_channels): leave some first"));
  }
  const uint64_t id = services_->next_channel_id.fetch_add(1);
  fanout::ReceiveShard* const shard = services_->shards[id % services_->shards.size()];
  auto log = std::make_shared<fanout::ChannelLog>(
      fanout::ChannelLog::Options{.channel_id = id, .budget_bytes = services_->options.channel_log_bytes},
      services_->slabs);
  auto channel = std::make_shared<Channel>(key, shard, std::move(log));
  channels_.emplace(key, channel);
  return channel;
}

absl::StatusOr<std::unique_ptr<InterfaceManager::Hold>> InterfaceManager::Acquire(const net::IpAddress& group,
                                                                                  uint16_t port, Holder holder) {
  net::MutexLock lock(&mutex_);
  const Key key(group, port);
  absl::StatusOr<std::shared_ptr<Channel>> found = FindOrAdd(key);
  if (!found.ok()) return found.status();
  const std::shared_ptr<Channel> channel = *found;
  const SourceFilter filters[] = {channel->Wished(), holder.filter};
  const SourceFilter wished = channel->holds.empty() ? holder.filter : SourceFilter::Merge(filters);
  const absl::Status status = channel->socket == nullptr ? Open(channel.get(), wished) : Tell(channel.get(), wished);
  if (!status.ok()) {
    spdlog::warn("cannot join {} ({}): {}", Describe(*channel), wished.ToString(), net::ToStd(status.message()));
    if (channel->holds.empty() && !channel->was_joined) {
      channels_.erase(key);
      services_->channels.fetch_sub(1);
    }
    return Explain(status, *channel, wished);
  }
  holder.since_unix_ns = net::UnixNs();
  auto hold = std::unique_ptr<Hold>(new Hold(this, channel, channel->log, std::move(holder)));
  channel->holds.push_back(hold.get());
  spdlog::info("joined {} ({}), holders: {}", Describe(*channel), hold->holder_.filter.ToString(),
               channel->holds.size());
  return hold;
}

absl::Status InterfaceManager::Explain(const absl::Status& status, const Channel& channel,
                                       const SourceFilter& wished) const {
  if (net::ErrnoOf(status) != ENOBUFS) return status;
  return Error(Reason::kSourceLimit, "source_filter.sources",
               net::StrCat(Describe(channel), ": the kernel refuses ", wished.sources().size(),
                           " sources for one group; raise net.ipv4.igmp_max_msf or net.ipv6.mld_max_msf"));
}

absl::Status InterfaceManager::Open(Channel* channel, const SourceFilter& filter) {
  absl::StatusOr<std::unique_ptr<net::ReceiveSocket>> socket =
      services_->sockets->NewReceiveSocket({.interface_index = index_,
                                            .interface_name = name_,
                                            .group = channel->key.first,
                                            .port = channel->key.second,
                                            .receive_buffer_bytes = services_->options.socket_buffer_bytes});
  if (!socket.ok()) return socket.status();
  SourceFilter told = filter;
  absl::Status status = (*socket)->Join(told.mode(), told.sources());
  if (net::ErrnoOf(status) == ENOBUFS && !channel->key.first.IsSourceSpecific()) {
    // More sources than the kernel keeps for a socket: it passes all, and each subscriber's own filter does the rest.
    // The failed join may have left a part behind, so the socket is made anew.
    told = SourceFilter::AnySource();
    socket = services_->sockets->NewReceiveSocket({.interface_index = index_,
                                                   .interface_name = name_,
                                                   .group = channel->key.first,
                                                   .port = channel->key.second,
                                                   .receive_buffer_bytes = services_->options.socket_buffer_bytes});
    if (!socket.ok()) return socket.status();
    status = (*socket)->Join(told.mode(), told.sources());
  }
  if (!status.ok()) return status;
  WarnOfSmallBuffer(services_->options.socket_buffer_bytes, (*socket)->Facts().receive_buffer_bytes);
  channel->socket = *std::move(socket);
  channel->told = std::move(told);
  channel->shard->Start(
      {.socket = channel->socket,
       .log = channel->log,
       .counters = channel->counters,
       .interruption = channel->was_joined ? std::optional(fanout::GapCause::kNotJoined) : std::nullopt,
       .interrupted_unix_ns = channel->left_unix_ns});
  channel->was_joined = true;
  return absl::OkStatus();
}

absl::Status InterfaceManager::Tell(Channel* channel, const SourceFilter& wished) {
  if (wished == channel->told) return absl::OkStatus();
  absl::Status status = channel->socket->SetFilter(wished.mode(), wished.sources());
  if (status.ok()) {
    channel->told = wished;
  } else if (net::ErrnoOf(status) == ENOBUFS && !channel->key.first.IsSourceSpecific()) {
    status = channel->told.IsAnySource() ? absl::OkStatus() : channel->socket->SetFilter(net::FilterMode::kExclude, {});
    if (status.ok()) channel->told = SourceFilter::AnySource();
  }
  return status;
}

void InterfaceManager::Close(Channel* channel) {
  if (const absl::Status status = channel->socket->Leave(); !status.ok()) {
    // Closing the socket leaves all the same.
    spdlog::debug("leave of {}: {}", Describe(*channel), net::ToStd(status.message()));
  }
  channel->shard->Stop(std::move(channel->socket), nullptr);
  channel->socket.reset();
  channel->left_ns = net::MonotonicNs();
  channel->left_unix_ns = net::UnixNs();
}

void InterfaceManager::Release(Hold* hold) {
  net::MutexLock lock(&mutex_);
  Channel* const channel = hold->channel_.get();
  std::erase(channel->holds, hold);
  if (channel->holds.empty()) {
    Close(channel);
  } else if (const absl::Status status = Tell(channel, channel->Wished()); !status.ok()) {
    // The kernel passes more than is wanted; subscribers filter for themselves.
    spdlog::warn("cannot narrow the filter of {}: {}", Describe(*channel), net::ToStd(status.message()));
  }
  spdlog::info("left {} ({}), holders: {}", Describe(*channel), hold->holder_.filter.ToString(), channel->holds.size());
}

absl::Status InterfaceManager::SetFilter(Hold* hold, SourceFilter filter) {
  net::MutexLock lock(&mutex_);
  Channel* const channel = hold->channel_.get();
  std::swap(hold->holder_.filter, filter);
  const SourceFilter wished = channel->Wished();
  const absl::Status status = Tell(channel, wished);
  if (!status.ok()) {
    std::swap(hold->holder_.filter, filter);
    return Explain(status, *channel, wished);
  }
  if (hold->holder_.filter != filter) {
    spdlog::info("filter of {} is now {}, holders: {}", Describe(*channel), hold->holder_.filter.ToString(),
                 channel->holds.size());
  }
  return status;
}

SourceFilter InterfaceManager::FilterOf(const Hold& hold) const {
  net::MutexLock lock(&mutex_);
  return hold.holder_.filter;
}

fanout::ChannelStatus InterfaceManager::StatusOf(const Hold& hold) const {
  net::MutexLock lock(&mutex_);
  return StatusLocked(*hold.channel_);
}

fanout::ChannelStatus InterfaceManager::StatusLocked(const Channel& channel) const {
  return {.channel_id = channel.log->channel_id(),
          .interface_index = index_,
          .interface_name = name_,
          .group = channel.key.first,
          .port = channel.key.second,
          .phase = channel.socket != nullptr ? fanout::ChannelPhase::kJoined : fanout::ChannelPhase::kLeft,
          .error = absl::OkStatus(),
          .epoch = channel.log->epoch(),
          .next_sequence = channel.log->next_sequence()};
}

void InterfaceManager::Sweep(int64_t now_ns) {
  const int64_t keep_ns = absl::ToInt64Nanoseconds(services_->options.keep_after_leave);
  net::MutexLock lock(&mutex_);
  for (auto at = channels_.begin(); at != channels_.end();) {
    const Channel& channel = *at->second;
    if (channel.holds.empty() && now_ns - channel.left_ns >= keep_ns) {
      spdlog::debug("dropped the log of {}", Describe(channel));
      at = channels_.erase(at);
      services_->channels.fetch_sub(1);
    } else {
      ++at;
    }
  }
}

size_t InterfaceManager::Holds(net::Family family) const {
  net::MutexLock lock(&mutex_);
  size_t holds = 0;
  for (const auto& [key, channel] : channels_) {
    if (key.first.family() == family) holds += channel->holds.size();
  }
  return holds;
}

std::map<net::IpAddress, uint32_t> InterfaceManager::Sockets() const {
  net::MutexLock lock(&mutex_);
  std::map<net::IpAddress, uint32_t> sockets;
  for (const auto& [key, channel] : channels_) {
    if (channel->socket != nullptr) ++sockets[key.first];
  }
  return sockets;
}

std::vector<ChannelSnapshot> InterfaceManager::Snapshot() const {
  net::MutexLock lock(&mutex_);
  std::vector<ChannelSnapshot> snapshots;
  snapshots.reserve(channels_.size());
  for (const auto& [key, channel] : channels_) {
    ChannelSnapshot snapshot;
    snapshot.status = StatusLocked(*channel);
    for (const Hold* hold : channel->holds) snapshot.holders.push_back(hold->holder_);
    if (!channel->holds.empty()) snapshot.wished = channel->Wished();
    snapshot.joined = channel->socket != nullptr;
    if (snapshot.joined) {
      snapshot.told = channel->told;
      snapshot.socket = channel->socket->Facts();
    }
    const fanout::ReceiveCounters& counters = *channel->counters;
    snapshot.read = counters.read.load(std::memory_order_relaxed);
    snapshot.mismatches = counters.mismatches.load(std::memory_order_relaxed);
    snapshot.last_datagram_unix_ns = counters.last_receive_unix_ns.load(std::memory_order_relaxed);
    if (snapshot.last_datagram_unix_ns != 0) snapshot.last_source = counters.last_source().ToString();
    const fanout::ChannelLog& log = *channel->log;
    snapshot.logged = log.logged();
    snapshot.kernel_drops = log.kernel_drops();
    snapshot.evicted = log.evicted();
    snapshot.unknown_gaps = log.unknown_gaps();
    snapshot.logged_payload_bytes = log.logged_payload_bytes();
    ReadOldest(log, &snapshot);
    snapshot.log_limit_bytes = services_->options.channel_log_bytes;
    snapshot.created_unix_ns = channel->created_unix_ns;
    snapshots.push_back(std::move(snapshot));
  }
  return snapshots;
}

}  // namespace mcgw::gateway
