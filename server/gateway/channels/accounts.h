// The gateway's accounts over all channels and streams, those that are gone included.

#ifndef MCGW_GATEWAY_CHANNELS_ACCOUNTS_H_
#define MCGW_GATEWAY_CHANNELS_ACCOUNTS_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "server/fanout/channel_log.h"
#include "server/fanout/event.h"
#include "server/fanout/receive_shard.h"
#include "server/fanout/subscriber.h"
#include "server/net/mutex.h"

namespace mcgw::gateway {

// What one channel received, or several together. When quiet: read = logged + mismatched, and within an epoch
// next sequence - 1 = logged + kernel_drops.
struct ChannelAccount {
  uint64_t read = 0;  // By the sockets.
  uint64_t logged = 0;
  uint64_t kernel_drops = 0;
  uint64_t mismatched = 0;
  uint64_t evicted = 0;
  uint64_t unknown_gaps = 0;
  uint64_t logged_payload_bytes = 0;

  static ChannelAccount Of(const fanout::ChannelLog& log, const fanout::ReceiveCounters& counters);
  void Add(const ChannelAccount& other);
};

// The sums of what is gone. Thread-safe.
class ClosedAccounts {
 public:
  void Add(const ChannelAccount& channel) {
    net::MutexLock lock(&mutex_);
    channels_.Add(channel);
  }
  void Add(const fanout::LedgerEntry& subscriber) {
    net::MutexLock lock(&mutex_);
    subscribers_.Add(subscriber);
  }
  ChannelAccount channels() const {
    net::MutexLock lock(&mutex_);
    return channels_;
  }
  fanout::LedgerEntry subscribers() const {
    net::MutexLock lock(&mutex_);
    return subscribers_;
  }

 private:
  mutable net::Mutex mutex_;
  ChannelAccount channels_ ABSL_GUARDED_BY(mutex_);
  fanout::LedgerEntry subscribers_ ABSL_GUARDED_BY(mutex_);
};

// The whole gateway since its start.
struct GatewayAccount {
  ChannelAccount channels;
  fanout::LedgerEntry subscribers;
};

// An open stream, as it is at one moment.
struct SubscriberSnapshot {
  uint64_t id = 0;
  std::string peer;
  std::string identity;
  int64_t created_unix_ns = 0;
  fanout::Subscriber::Options options;
  int64_t retain_ns = 0;
  bool has_session = false;
  size_t channels = 0;  // That it has now.
  fanout::LedgerEntry total;
  std::optional<fanout::Lag> lag;  // In the channel asked for, or in the one where it is greatest.
  uint64_t pinned_bytes = 0;
};

// Which open streams to look at.
struct SubscriberQuery {
  uint64_t after_id = 0;    // Those with a greater id,
  size_t most = SIZE_MAX;   // the first so many of them,
  uint64_t channel_id = 0;  // that have this channel. 0: all.
};

// What one stream was offered in one channel, or in all.
struct SubscriberLedger {
  uint64_t subscriber_id = 0;
  fanout::LedgerEntry entry;
};

}  // namespace mcgw::gateway

#endif  // MCGW_GATEWAY_CHANNELS_ACCOUNTS_H_
