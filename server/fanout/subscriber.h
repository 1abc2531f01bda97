// One open Subscribe stream, as the data path sees it: a cursor for each of its channels.
//
// The stream's driver (rpc/) asks Next for one message at a time, writes it, and says Written. When Next has nothing it
// returns false, and the doorbell rings when that changes. Control threads add, change and remove channels at any time;
// what they say takes effect at the head of the log at that moment: what was received before is delivered as before.
//
// Cursors take turns: a message carries one quantum of one cursor, or short runs of several. Order is kept within a
// channel, not across channels. All events of a message come before all its datagrams.

#ifndef MCGW_FANOUT_SUBSCRIBER_H_
#define MCGW_FANOUT_SUBSCRIBER_H_

#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <unordered_map>
#include <vector>

#include "absl/status/status.h"
#include "server/fanout/channel_log.h"
#include "server/fanout/event.h"
#include "server/fanout/own_traffic.h"
#include "server/fanout/slab_pool.h"
#include "server/fanout/source_filter.h"
#include "server/fanout/waiter.h"
#include "server/net/mutex.h"

namespace mcgw::fanout {

// What to do with a cursor that lags by more than the limit.
enum class LagPolicy : uint8_t {
  kSkipOldest,  // On at half the limit, so that gaps stay rare.
  kSkipToLive,  // On at the head.
  kDisconnect,  // The stream ends with SUBSCRIBER_TOO_SLOW.
};

// What one write carries. `data` is a run of records: bytes of a SubscribeResponse, kept alive by `slab`.
struct Message {
  std::vector<Event> events;
  SlabRef slab;
  const char* data = nullptr;
  size_t size_bytes = 0;
  uint32_t datagrams = 0;

  bool empty() const { return events.empty() && size_bytes == 0; }
};

class Subscriber {
 public:
  struct Options {
    uint64_t lag_limit_bytes = 4 << 20;  // Of log, before filtering; for each cursor.
    LagPolicy lag_policy = LagPolicy::kSkipOldest;
    size_t max_message_bytes = 64 << 10;
    int64_t ledger_interval_ns = 10'000'000'000;  // Between Ledger events; 0 for none.
    std::shared_ptr<const OwnFilter> own;         // What exclude_own holds back; null: nothing.
  };

  Subscriber(const Options& options, std::shared_ptr<SlabPool> pool, std::shared_ptr<Doorbell> doorbell);
  Subscriber(const Subscriber&) = delete;
  Subscriber& operator=(const Subscriber&) = delete;
  // Forgets all its waiters. The doorbell may still ring; it outlives this object.
  ~Subscriber();

  // ---- Any thread ----

  // Reads the channel from `start` on. A channel that it reads already keeps its cursor and takes the new filter.
  // `event`, if any, is delivered before the channel's first datagram.
  void AddChannel(std::shared_ptr<ChannelLog> log, SourceFilter filter, Cursor start, std::optional<Event> event);
  // Applies from the head of this moment; `event` is delivered when the cursor comes there.
  void ChangeFilter(uint64_t channel_id, SourceFilter filter, std::optional<Event> event);
  void RemoveChannel(uint64_t channel_id, std::optional<Event> event);
  // Delivers an event that belongs to no place in a log.
  void Notify(Event event);
  // Ends the stream now; or, with OK, as soon as it reads no channel any more. The first verdict stands.
  void End(absl::Status status);
  void EndWhenEmpty();
  // Has cursors that moved report their positions, and lagging ones be looked at. Once a second.
  void RequestSweep();

  // ---- The thread that drives the stream ----

  // Fills `message` (cleared first). False if there is nothing: the doorbell rings when there may be. After a message
  // the caller says Written, when the transport has taken it, before it asks again.
  bool Next(Message* message);
  void Written();
  // The stream died with a message in flight: its datagrams count as abandoned.
  void Abandon();
  // Every channel's position, then the accounts of the whole stream: the last events of a stream that ends in order.
  void AppendFarewell(std::vector<Event>* events) const;
  // Set once the stream is to end, with its status: by End, by EndWhenEmpty, or SUBSCRIBER_TOO_SLOW.
  std::optional<absl::Status> verdict() const;

  // The counters, one entry for each channel, also of those it no longer reads. Any thread; exact when the stream is
  // quiet.
  std::vector<LedgerEntry> Ledger() const;
  LedgerEntry Total() const;

 private:
  // A control decision that applies when the cursor comes to a place.
  struct Change {
    uint64_t position = 0;
    std::optional<SourceFilter> filter;
    bool remove = false;
    std::optional<Event> event;
  };
  struct Channel {
    Channel(ReadyList* ready, std::shared_ptr<ChannelLog> the_log, SourceFilter the_filter, const Cursor& start);
    const std::shared_ptr<ChannelLog> log;
    SourceFilter filter;
    Cursor cursor;
    Waiter waiter;
    bool active = false;  // In active_.
    std::deque<Change> changes;
    uint64_t reported_sequence;  // Of the last Position event.
    int64_t reported_ns = 0;
    int64_t moved_unix_ns;  // When it last read something: where a gap begins in time.
    LedgerEntry ledger;     // Without `pending`, which is derived when asked for.
  };

  // What the message being written took from which channel.
  struct InFlight {
    uint64_t channel_id = 0;
    uint32_t datagrams = 0;
    uint64_t bytes = 0;
  };

  void AddChange(uint64_t channel_id, Change change);
  void Activate(Channel* channel) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void SweepLocked(Message* message) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Moves what one cursor has into the message. True if the message has no room for another cursor's run.
  bool Take(Channel* channel, Message* message) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // True if the run went in whole as it lies in the log, so that the message is full.
  bool TakeRun(Channel* channel, Run run, Message* message) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Copies the wanted records of a run, as many as fit, and moves the cursor behind them. True if the message is full.
  bool CopyRecords(Channel* channel, const Run& run, Message* message) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Skips as the lag policy says. False if the stream must end.
  bool Skip(Channel* channel, Message* message) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void PassGap(Channel* channel, const Gap& gap, const Cursor& next, Message* message)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Applies changes whose place the cursor has reached. False if that removed the channel.
  bool ApplyChanges(Channel* channel, Message* message) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void ReportPosition(Channel* channel, int64_t now_ns, Message* message) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  LedgerEntry* LedgerOf(uint64_t channel_id) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Retire(uint64_t channel_id) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  static Position PositionOf(const Channel& channel);
  std::vector<LedgerEntry> LedgerLocked() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  LedgerEntry TotalLocked() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const Options options_;
  const std::shared_ptr<SlabPool> pool_;
  const std::shared_ptr<Doorbell> doorbell_;
  ReadyList ready_;
  std::atomic<bool> sweep_requested_{false};

  // Held while a message is made; before a log's lock, never the other way round.
  mutable net::Mutex mutex_;
  std::unordered_map<uint64_t, std::unique_ptr<Channel>> channels_ ABSL_GUARDED_BY(mutex_);
  std::deque<Channel*> active_ ABSL_GUARDED_BY(mutex_);
  std::vector<Event> notices_ ABSL_GUARDED_BY(mutex_);
  std::vector<InFlight> in_flight_ ABSL_GUARDED_BY(mutex_);
  std::vector<LedgerEntry> retired_ ABSL_GUARDED_BY(mutex_);
  int64_t ledger_reported_ns_ ABSL_GUARDED_BY(mutex_);
  std::optional<absl::Status> verdict_ ABSL_GUARDED_BY(mutex_);
  bool end_when_empty_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace mcgw::fanout

#endif  // MCGW_FANOUT_SUBSCRIBER_H_
