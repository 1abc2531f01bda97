// One open Subscribe stream as the data path sees it: a cursor for each of its channels.
//
// The stream's driver (rpc/) calls Next for one message at a time, writes it, and calls Written. When there is nothing,
// Next returns false, and the doorbell rings when that changes. Control threads add, change and remove channels at any
// time. A change takes effect at the log's current head; earlier datagrams are delivered as before.
//
// A stream that lags is moved forward. The numbers that it skips are announced; those among them that the kernel
// dropped keep that cause, and changes on the way take effect at their places.
//
// Control changes wait until the stream takes them. A stream that does not read cannot hold them up or let them pile
// up: it ends with SUBSCRIBER_TOO_SLOW when too many wait.
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
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/container/btree_set.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "server/fanout/channel_log.h"
#include "server/fanout/event.h"
#include "server/fanout/event_size.h"
#include "server/fanout/own_traffic.h"
#include "server/fanout/slab_pool.h"
#include "server/fanout/source_filter.h"
#include "server/fanout/waiter.h"
#include "server/net/mutex.h"

namespace mcgw::fanout {

// What happens to a cursor that lags by more than the limit.
enum class LagPolicy : uint8_t {
  kSkipOldest,  // Continue at half the limit, so that gaps stay rare.
  kSkipToLive,  // Continue at the head.
  kDisconnect,  // End the stream with SUBSCRIBER_TOO_SLOW.
};

// Where a cursor starts.
struct ChannelStart {
  ChannelStart(const Cursor& the_cursor) : cursor(the_cursor) {}  // NOLINT: a cursor is a start, live.
  ChannelStart(const Cursor& the_cursor, bool is_past, std::optional<Gap> the_gap)
      : cursor(the_cursor), past(is_past), gap(the_gap) {}
  // At the current head: earlier interruptions of the log are not reported.
  static ChannelStart Live(const ChannelLog& log) {
    const uint32_t interruptions =
        log.interruptions();  // First, so that a later interruption may only be counted as new.
    ChannelStart start(log.Head());
    start.interruptions = interruptions;
    return start;
  }
  Cursor cursor;               // May be overtaken: records that the log no longer holds have expired.
  bool past = false;           // Starts behind the head: no lag limit applies until it has caught up.
  std::optional<Gap> gap;      // Announced first.
  uint32_t interruptions = 0;  // The log's interruptions up to this number are before its start.
};

// How far a cursor is behind.
struct Lag {
  uint64_t channel_id = 0;
  uint64_t next_sequence = 0;
  uint64_t datagrams = 0;  // Numbers up to the head.
  uint64_t bytes = 0;
  int64_t age_ns = 0;  // Of the oldest datagram that it has not taken; 0 if none.
};

// The bytes of log memory that a stream's unfinished writes hold. Outlives the stream, as its messages may.
using PinnedBytes = std::atomic<uint64_t>;

// The content of one write. `data` is a run of records: bytes of a SubscribeResponse, kept alive by `slab`.
struct Message {
  // Together with the largest run, well below the API's limit of 1 MiB per message.
  static constexpr size_t kMostEvents = 1000;
  static constexpr size_t kMostEventBytes = 512 << 10;

  std::vector<Event> events;
  size_t event_bytes = 0;  // An upper bound of their encoded size.
  SlabRef slab;
  const char* data = nullptr;
  size_t size_bytes = 0;
  uint32_t datagrams = 0;

  bool empty() const { return events.empty() && size_bytes == 0; }
  // Whether the next event belongs in the next message. An event larger than the limit gets a message of its own.
  bool FullOfEvents() const { return events.size() >= kMostEvents || event_bytes >= kMostEventBytes; }
  void Add(Event event) {
    event_bytes += MostBytesOf(event);
    events.push_back(std::move(event));
  }
  void Clear();
};

class Subscriber {
 public:
  static constexpr int64_t kBatchingDelayNs = 200'000;         // Unless its client asks for another,
  static constexpr int64_t kMostBatchingDelayNs = 10'000'000;  // and this at the most.
  struct Options {
    uint64_t lag_limit_bytes = 4 << 20;  // Of log, before filtering; per cursor.
    int64_t lag_limit_age_ns = 0;        // Maximum age of a datagram when it is taken; 0: no limit.
    LagPolicy lag_policy = LagPolicy::kSkipOldest;
    size_t max_message_bytes = 128 << 10;
    int64_t ledger_interval_ns = 10'000'000'000;  // Between Ledger events; 0 for none.
    std::shared_ptr<const OwnFilter> own;         // What exclude_own holds back; null: nothing.
    // How long the driver may hold back messages to fill them; 0: it writes whenever it can.
    int64_t max_batching_delay_ns = kBatchingDelayNs;
  };

  // `pool`: for records that it copies.
  Subscriber(const Options& options, std::shared_ptr<SlabPool> pool, std::shared_ptr<Doorbell> doorbell);
  Subscriber(const Subscriber&) = delete;
  Subscriber& operator=(const Subscriber&) = delete;
  // Removes all its waiters. The doorbell may still ring; it outlives this object.
  ~Subscriber();

  // The limits of control changes that the stream has not taken yet: bytes in all (a plain change counts as 512), and
  // changes per channel.
  static constexpr size_t kMostWaitingBytes = 8 << 20;
  static constexpr size_t kMostChangesOfChannel = 256;

  // ---- Any thread ----

  // Whether to pass on another control action, which may consist of many of the calls below. False if the stream is to
  // end. Only this call checks kMostWaitingBytes, so that an action is passed whole, however large; if the limit is
  // exceeded, the stream ends with SUBSCRIBER_TOO_SLOW.
  bool TakesChanges();
  // Reads the channel from `start`. A channel already being read keeps its cursor and takes the new filter; after a
  // removal it ends there and starts again at `start`. `event`, if any, precedes the channel's first datagram.
  void AddChannel(std::shared_ptr<ChannelLog> log, SourceFilter filter, ChannelStart start, std::optional<Event> event);
  // Applies from the current head; `event` is delivered when the cursor arrives there.
  void ChangeFilter(uint64_t channel_id, SourceFilter filter, std::optional<Event> event);
  void RemoveChannel(uint64_t channel_id, std::optional<Event> event);
  // Delivers an event when the channel's cursor reaches the current end of the log; at once if the channel is not read.
  void NotifyAt(uint64_t channel_id, Event event);
  // Delivers an event without a place in a log. In both calls, an InterfaceLost or InterfaceRestored replaces an
  // undelivered one of the same interface, so that events of a flapping interface do not pile up in a stream that does
  // not read.
  void Notify(Event event);
  // Ends the stream now; EndWhenEmpty ends it with OK as soon as it has no channels. The first verdict stands.
  void End(absl::Status status);
  void EndWhenEmpty();
  // Makes moved cursors report their positions, and ends a lagging stream whose policy is to disconnect, even one that
  // is not read. Call once a second.
  void RequestSweep();

  // ---- The thread that drives the stream ----

  // Fills `message` (cleared first). False if there is nothing: the doorbell rings when there may be. After a message,
  // call Written when the transport has taken it, before calling Next again.
  bool Next(Message* message);
  void Written();
  // Counts the datagrams of the message in flight as abandoned, because the stream died.
  void Abandon();
  // The last events of a stream that ends in order: every channel's position, then the accounts of the whole stream.
  // Fills `message` (cleared first) with the next page. False: this was the last page.
  bool NextFarewell(Message* message);
  // The status of a stream that is to end: from End or EndWhenEmpty, or SUBSCRIBER_TOO_SLOW.
  std::optional<absl::Status> verdict() const;

  // The counters, one entry per channel in order of channel id: the first `most` after `after_id`. Includes former
  // channels, except those left long ago, which are in the total only. Any thread; exact when the stream is quiet.
  std::vector<LedgerEntry> Ledger(uint64_t after_id = 0, size_t most = SIZE_MAX) const;
  // The counters of one channel. Nothing if it has never read the channel or left it long ago.
  std::optional<LedgerEntry> LedgerIn(uint64_t channel_id) const;
  LedgerEntry Total() const;
  // The total after the stream's end: what it has not taken does not count as offered.
  LedgerEntry FinalTotal() const;
  // The lag in one channel. Nothing if it does not read the channel.
  std::optional<Lag> LagIn(uint64_t channel_id) const;
  // The lag that is greatest in bytes. Nothing if it reads no channel.
  std::optional<Lag> GreatestLag() const;
  size_t channel_count() const;
  const std::shared_ptr<PinnedBytes>& pinned() const { return pinned_; }

 private:
  // A control change that applies when the cursor reaches a place.
  struct Change {
    Cursor at;
    std::optional<SourceFilter> filter;
    bool remove = false;
    std::optional<ChannelStart> restart;  // Only after a removal.
    std::optional<Event> event;
  };
  // A stretch that is passed without reading it.
  struct Stretch {
    Cursor end;
    GapCause cause = GapCause::kLagged;
    int64_t from_unix_ns = 0;
    int64_t to_unix_ns = 0;
  };
  // What keeps a cursor from simply reading on. Never empty between two turns.
  struct Detour {
    std::optional<Gap> first_gap;    // Announced before all else.
    std::optional<Stretch> stretch;  // Being passed.
    std::vector<Change> changes;     // Ordered by place.
    bool empty() const { return !first_gap.has_value() && !stretch.has_value() && changes.empty(); }
  };
  // A cursor's counters.
  struct Account {
    LedgerEntry ledger;           // Without `offered` and `pending`, which the log knows.
    uint64_t offered_before = 0;  // From its earlier starts.
    uint64_t reported_sequence;   // Of the last Position event.
    int64_t reported_ns = 0;
  };
  // A cursor. There may be millions, most of them waiting, so rarely needed parts are created on demand.
  struct Channel : Waiter {
    Channel(ReadyList* list, std::shared_ptr<ChannelLog> the_log, SourceFilter the_filter, ChannelStart start);
    // Starts, or starts again, to read.
    void Begin(ChannelStart start);
    // The numbers from its start to `sequence`, and those of its earlier starts.
    uint64_t OfferedUpTo(uint64_t sequence) const {
      return (account == nullptr ? 0 : account->offered_before) + sequence - begin_sequence;
    }
    uint64_t reported_sequence() const { return account == nullptr ? begin_sequence : account->reported_sequence; }
    bool passes_stretch() const { return detour != nullptr && detour->stretch.has_value(); }
    // Both create it if it does not exist.
    Detour& MakeDetour();
    Account& MakeAccount();
    bool active = false;                // In active_.
    bool catching_up = false;           // It started in the past and has not reached the head yet.
    bool unreported = false;            // In unreported_.
    uint32_t interruptions_before = 0;  // The log's interruptions up to this number are before its start.
    const std::shared_ptr<ChannelLog> log;
    SourceFilter filter;
    Cursor cursor;
    uint64_t begin_sequence = 0;
    int64_t moved_unix_ns = 0;         // When it last read something: the start time of a gap.
    std::unique_ptr<Account> account;  // Null while nothing has been counted.
    std::unique_ptr<Detour> detour;    // Mostly null.
  };
  static_assert(sizeof(Channel) <= 120, "with the allocator's header two cache lines");

  // What the current message took from a channel.
  struct InFlight {
    Channel* channel = nullptr;  // Null once the channel is retired.
    uint64_t channel_id = 0;
    uint32_t datagrams = 0;
    uint64_t bytes = 0;
  };

  void AddChange(uint64_t channel_id, Change change);
  void AddNotice(Event event) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Appends a change to the channel's. Too many of them end the stream.
  void Queue(Channel* channel, Change change) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  static void DropStale(Channel* channel);
  // What a notice and a channel's changes count in waiting_bytes_.
  static size_t BytesOf(const Event& event);
  static size_t BytesOf(const std::vector<Change>& changes);
  // Ends the stream, because too much waits. Drops the notices, since the end makes them pointless.
  void EndTooSlow(std::string_view what) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Moves as many notices into the message as fit. True if no more are left.
  bool TakeNotices(Message* message) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Activate(Channel* channel) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Continues a sweep as far as the message has room: reports what has moved. Takes time for moved cursors only, as do
  // the accounts, since millions of cursors may be waiting.
  void SweepLocked(Message* message) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // The result of a cursor's turn.
  enum class Turn : uint8_t {
    kOver,  // Another cursor may add to the message.
    kFull,  // The message has no room for another cursor's run, or the stream ends.
    kLeft,  // The channel was left.
  };
  // Moves what one cursor has into the message. Afterwards the cursor waits or is active.
  Turn Take(Channel* channel, Message* message) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // True if the whole run went in by reference, so that the message is full.
  bool TakeRun(Channel* channel, Run run, Message* message) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Copies the wanted records of a run, as many as fit, and moves the cursor behind them. True if the message is full.
  bool CopyRecords(Channel* channel, const Run& run, Message* message) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Starts to skip according to the lag policy. False if the stream must end.
  bool Skip(Channel* channel) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool IsTooOld(const Channel& channel, const Run& run) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool IsLate(const Channel& channel) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status TooSlow(const Channel& channel) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Takes one step in the stretch being passed.
  void PassStretch(Channel* channel, Message* message) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  static void Announce(Channel* channel, const Gap& gap, Message* message);
  static void AnnounceFirstGap(Channel* channel, Message* message);
  // Applies changes whose place the cursor has reached. False if that removed the channel.
  bool ApplyChanges(Channel* channel, Message* message) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Leaves the channel; if it was joined again later, continues there. False if the channel is gone.
  bool ApplyRemoval(Channel* channel, Message* message) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void ReportPosition(Channel* channel, int64_t now_ns, Message* message) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  LedgerEntry* LedgerOf(const InFlight& part) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Retire(uint64_t channel_id) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  static Position PositionOf(const Channel& channel);
  // Without what is ahead of the cursor.
  static LedgerEntry ShareOf(const Channel& channel);
  static LedgerEntry LedgerOf(const Channel& channel);
  static Lag LagOf(const Channel& channel, int64_t now_ns);
  // Visits the channels that may have something ahead; a cursor that waits in a log has nothing ahead.
  void ForEachAhead(absl::FunctionRef<void(const Channel&)> look) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  LedgerEntry TotalLocked() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const Options options_;
  const std::shared_ptr<SlabPool> pool_;
  const std::shared_ptr<Doorbell> doorbell_;
  const std::shared_ptr<PinnedBytes> pinned_ = std::make_shared<PinnedBytes>(0);
  ReadyList ready_;
  std::atomic<bool> sweep_requested_{false};

  // Held while a message is made. Locked before a log's lock, never after.
  mutable net::Mutex mutex_;
  absl::btree_map<uint64_t, std::unique_ptr<Channel>> channels_ ABSL_GUARDED_BY(mutex_);
  std::deque<Channel*> active_ ABSL_GUARDED_BY(mutex_);
  // The ids of channels whose cursors may have moved since their last Position event.
  absl::btree_set<uint64_t> unreported_ ABSL_GUARDED_BY(mutex_);
  LedgerEntry shares_ ABSL_GUARDED_BY(mutex_);        // The sum over channels_.
  size_t scanned_bytes_ ABSL_GUARDED_BY(mutex_) = 0;  // Scanned in this turn without taking anything.
  std::deque<Event> notices_ ABSL_GUARDED_BY(mutex_);
  size_t waiting_bytes_ ABSL_GUARDED_BY(mutex_) = 0;  // Of notices_ and all channels' changes.
  // The channel at which the current sweep, or the farewell, continues in the next message.
  std::optional<uint64_t> sweep_at_ ABSL_GUARDED_BY(mutex_);
  uint64_t farewell_at_ ABSL_GUARDED_BY(mutex_) = 0;
  std::vector<InFlight> in_flight_ ABSL_GUARDED_BY(mutex_);
  std::vector<LedgerEntry> retired_ ABSL_GUARDED_BY(mutex_);
  int64_t ledger_reported_ns_ ABSL_GUARDED_BY(mutex_);
  std::optional<absl::Status> verdict_ ABSL_GUARDED_BY(mutex_);
  bool end_when_empty_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace mcgw::fanout

#endif  // MCGW_FANOUT_SUBSCRIBER_H_
