// One open Subscribe stream, as the data path sees it: a cursor for each of its channels.
//
// The stream's driver (rpc/) asks Next for one message at a time, writes it, and says Written. When Next has nothing it
// returns false, and the doorbell rings when that changes. Control threads add, change and remove channels at any time;
// what they say takes effect at the head of the log at that moment: what was received before is delivered as before.
//
// A stream that lags is moved on: the numbers that it skips are announced, those that the kernel had dropped among them
// under that cause, and changes that lie on the way take their effect at their place.
//
// What control calls say waits until the stream takes it. A stream that does not read can neither hold that up nor let
// it pile up: it ends with SUBSCRIBER_TOO_SLOW when too much waits.
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

// What to do with a cursor that lags by more than the limit.
enum class LagPolicy : uint8_t {
  kSkipOldest,  // On at half the limit, so that gaps stay rare.
  kSkipToLive,  // On at the head.
  kDisconnect,  // The stream ends with SUBSCRIBER_TOO_SLOW.
};

// Where a cursor begins.
struct ChannelStart {
  ChannelStart(const Cursor& the_cursor) : cursor(the_cursor) {}  // NOLINT: a cursor is a start, live.
  ChannelStart(const Cursor& the_cursor, bool is_past, std::optional<Gap> the_gap)
      : cursor(the_cursor), past(is_past), gap(the_gap) {}
  // At the head of this moment: what has interrupted the log up to now is not told of.
  static ChannelStart Live(const ChannelLog& log) {
    const uint32_t interruptions = log.interruptions();  // First: one of a later moment may be missed here.
    ChannelStart start(log.Head());
    start.interruptions = interruptions;
    return start;
  }
  Cursor cursor;               // May be one that has been overtaken: what the log no longer holds has expired.
  bool past = false;           // Behind the head: no lag limit holds until it has caught up.
  std::optional<Gap> gap;      // Announced first.
  uint32_t interruptions = 0;  // Of the log, up to this one: before its time.
};

// How far behind a cursor is.
struct Lag {
  uint64_t channel_id = 0;
  uint64_t next_sequence = 0;
  uint64_t datagrams = 0;  // Numbers up to the head.
  uint64_t bytes = 0;
  int64_t age_ns = 0;  // Of the oldest datagram that it has not taken; 0 if it has taken all.
};

// The bytes of log memory that unfinished writes of a stream hold. Outlives the stream, as its messages may.
using PinnedBytes = std::atomic<uint64_t>;

// What one write carries. `data` is a run of records: bytes of a SubscribeResponse, kept alive by `slab`.
struct Message {
  // Beside the largest run this stays well under the API's bound of 1 MiB for a message.
  static constexpr size_t kMostEvents = 1000;
  static constexpr size_t kMostEventBytes = 512 << 10;

  std::vector<Event> events;
  size_t event_bytes = 0;  // The most that they take, encoded.
  SlabRef slab;
  const char* data = nullptr;
  size_t size_bytes = 0;
  uint32_t datagrams = 0;

  bool empty() const { return events.empty() && size_bytes == 0; }
  // Whether the next event belongs to the next message. One that is larger than all of them comes whole.
  bool FullOfEvents() const { return events.size() >= kMostEvents || event_bytes >= kMostEventBytes; }
  void Add(Event event) {
    event_bytes += MostBytesOf(event);
    events.push_back(std::move(event));
  }
  void Clear();
};

class Subscriber {
 public:
  static constexpr int64_t kMostBatchingDelayNs = 200'000;
  struct Options {
    uint64_t lag_limit_bytes = 4 << 20;  // Of log, before filtering; for each cursor.
    int64_t lag_limit_age_ns = 0;        // Of a datagram when it is taken; 0: no limit.
    LagPolicy lag_policy = LagPolicy::kSkipOldest;
    size_t max_message_bytes = 128 << 10;
    int64_t ledger_interval_ns = 10'000'000'000;  // Between Ledger events; 0 for none.
    std::shared_ptr<const OwnFilter> own;         // What exclude_own holds back; null: nothing.
    // How far apart the driver may keep messages to put more into each; 0: it writes whenever it can.
    int64_t max_batching_delay_ns = kMostBatchingDelayNs;
  };

  // `pool`: for records that it copies.
  Subscriber(const Options& options, std::shared_ptr<SlabPool> pool, std::shared_ptr<Doorbell> doorbell);
  Subscriber(const Subscriber&) = delete;
  Subscriber& operator=(const Subscriber&) = delete;
  // Forgets all its waiters. The doorbell may still ring; it outlives this object.
  ~Subscriber();

  // What control calls have queued and the stream has not taken yet; a plain change counts as 512 bytes. And what one
  // channel keeps of it.
  static constexpr size_t kMostWaitingBytes = 8 << 20;
  static constexpr size_t kMostChangesOfChannel = 256;

  // ---- Any thread ----

  // Whether the stream is to be told of another control action, which may be many of the calls below. False for one
  // that is to end. What waits is looked at here, so that an action comes whole, however large: if it has outgrown
  // kMostWaitingBytes, the stream ends with SUBSCRIBER_TOO_SLOW.
  bool TakesChanges();
  // Reads the channel from `start` on. A channel that it reads already keeps its cursor and takes the new filter,
  // unless it was removed before: then it ends there and begins again at `start`. `event`, if any, is delivered before
  // the channel's first datagram.
  void AddChannel(std::shared_ptr<ChannelLog> log, SourceFilter filter, ChannelStart start, std::optional<Event> event);
  // Applies from the head of this moment; `event` is delivered when the cursor comes there.
  void ChangeFilter(uint64_t channel_id, SourceFilter filter, std::optional<Event> event);
  void RemoveChannel(uint64_t channel_id, std::optional<Event> event);
  // Delivers an event when the channel's cursor comes to the end of what is in the log now; at once if the channel is
  // not read.
  void NotifyAt(uint64_t channel_id, Event event);
  // Delivers an event that belongs to no place in a log. With both, an InterfaceLost or InterfaceRestored takes the
  // place of one for the same interface that has not been delivered: a stream that does not read must not pile up what
  // an interface that flaps gives rise to.
  void Notify(Event event);
  // Ends the stream now; or, with OK, as soon as it reads no channel any more. The first verdict stands.
  void End(absl::Status status);
  void EndWhenEmpty();
  // Has cursors that moved report their positions, and ends a stream whose policy is to disconnect if it lags, also one
  // that nobody looks at because it does not read. Once a second.
  void RequestSweep();

  // ---- The thread that drives the stream ----

  // Fills `message` (cleared first). False if there is nothing: the doorbell rings when there may be. After a message
  // the caller says Written, when the transport has taken it, before it asks again.
  bool Next(Message* message);
  void Written();
  // The stream died with a message in flight: its datagrams count as abandoned.
  void Abandon();
  // The last events of a stream that ends in order: every channel's position, then the accounts of the whole stream.
  // Fills `message` (cleared first) with the next page. False: it was the last one.
  bool NextFarewell(Message* message);
  // Set once the stream is to end, with its status: by End, by EndWhenEmpty, or SUBSCRIBER_TOO_SLOW.
  std::optional<absl::Status> verdict() const;

  // The counters, one entry for each channel, by channel id: those behind `after_id`, the first `most`. Also of
  // channels that it no longer reads, but for those that it left long ago, which are in the total only. Any thread;
  // exact when the stream is quiet.
  std::vector<LedgerEntry> Ledger(uint64_t after_id = 0, size_t most = SIZE_MAX) const;
  // Of one channel. Nothing if it has never read it, or long ago.
  std::optional<LedgerEntry> LedgerIn(uint64_t channel_id) const;
  LedgerEntry Total() const;
  // The same when the stream is over: what it has not taken is not counted as offered.
  LedgerEntry FinalTotal() const;
  // In one channel. Nothing if it does not read it.
  std::optional<Lag> LagIn(uint64_t channel_id) const;
  // In the channel where it is greatest in bytes. Nothing if it reads none.
  std::optional<Lag> GreatestLag() const;
  size_t channel_count() const;
  const std::shared_ptr<PinnedBytes>& pinned() const { return pinned_; }

 private:
  // A control decision that applies when the cursor comes to a place.
  struct Change {
    Cursor at;
    std::optional<SourceFilter> filter;
    bool remove = false;
    std::optional<ChannelStart> restart;  // Only behind a removal.
    std::optional<Event> event;
  };
  // A stretch that is passed without reading it.
  struct Stretch {
    Cursor end;
    GapCause cause = GapCause::kLagged;
    int64_t from_unix_ns = 0;
    int64_t to_unix_ns = 0;
  };
  // What keeps a cursor from plainly reading on. Never empty between two turns.
  struct Detour {
    std::optional<Gap> first_gap;    // To be announced before all else.
    std::optional<Stretch> stretch;  // Being passed.
    std::vector<Change> changes;     // In order of their places.
    bool empty() const { return !first_gap.has_value() && !stretch.has_value() && changes.empty(); }
  };
  // What a cursor has to tell of.
  struct Account {
    LedgerEntry ledger;           // Without `offered` and `pending`, which the log knows.
    uint64_t offered_before = 0;  // In its earlier beginnings.
    uint64_t reported_sequence;   // Of the last Position event.
    int64_t reported_ns = 0;
  };
  // A cursor. There may be millions, and most of them wait: what only some need is made when they need it.
  struct Channel : Waiter {
    Channel(ReadyList* list, std::shared_ptr<ChannelLog> the_log, SourceFilter the_filter, ChannelStart start);
    // Begins, or begins again, to read.
    void Begin(ChannelStart start);
    // The numbers from its beginning to `sequence`, and those of its earlier beginnings.
    uint64_t OfferedUpTo(uint64_t sequence) const {
      return (account == nullptr ? 0 : account->offered_before) + sequence - begin_sequence;
    }
    uint64_t reported_sequence() const { return account == nullptr ? begin_sequence : account->reported_sequence; }
    bool passes_stretch() const { return detour != nullptr && detour->stretch.has_value(); }
    // Both make it if there is none.
    Detour& MakeDetour();
    Account& MakeAccount();
    bool active = false;                // In active_.
    bool catching_up = false;           // It began in the past and has not been at the head yet.
    bool unreported = false;            // In unreported_.
    uint32_t interruptions_before = 0;  // Of the log, up to this one: before its beginning.
    const std::shared_ptr<ChannelLog> log;
    SourceFilter filter;
    Cursor cursor;
    uint64_t begin_sequence = 0;
    int64_t moved_unix_ns = 0;         // When it last read something: where a gap begins in time.
    std::unique_ptr<Account> account;  // Null while nothing has been counted.
    std::unique_ptr<Detour> detour;    // Mostly null.
  };
  static_assert(sizeof(Channel) <= 120, "with the allocator's header two cache lines");

  // What the message being written took from which channel.
  struct InFlight {
    Channel* channel = nullptr;  // Null once it has been retired.
    uint64_t channel_id = 0;
    uint32_t datagrams = 0;
    uint64_t bytes = 0;
  };

  void AddChange(uint64_t channel_id, Change change);
  void AddNotice(Event event) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Puts a change behind those of the channel. One that has too many ends the stream.
  void Queue(Channel* channel, Change change) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  static void DropStale(Channel* channel);
  // What a notice, and a channel's changes, count for in waiting_bytes_.
  static size_t BytesOf(const Event& event);
  static size_t BytesOf(const std::vector<Change>& changes);
  // Too much waits: lets go of the notices, since the end says it all.
  void EndTooSlow(std::string_view what) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Moves as many notices into the message as fit. True if that were all.
  bool TakeNotices(Message* message) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Activate(Channel* channel) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Goes on with a sweep, as far as the message has room: reports what has moved. Takes time with that only, as do the
  // accounts: there may be millions of cursors that wait.
  void SweepLocked(Message* message) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // What a cursor's turn has come to.
  enum class Turn : uint8_t {
    kOver,  // Another cursor may add to the message.
    kFull,  // The message has no room for another cursor's run, or the stream ends.
    kLeft,  // The channel has gone.
  };
  // Moves what one cursor has into the message. Behind it the cursor waits, or is active.
  Turn Take(Channel* channel, Message* message) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // True if the run went in whole as it lies in the log, so that the message is full.
  bool TakeRun(Channel* channel, Run run, Message* message) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Copies the wanted records of a run, as many as fit, and moves the cursor behind them. True if the message is full.
  bool CopyRecords(Channel* channel, const Run& run, Message* message) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Begins to skip as the lag policy says. False if the stream must end.
  bool Skip(Channel* channel) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool IsTooOld(const Channel& channel, const Run& run) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool IsLate(const Channel& channel) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status TooSlow(const Channel& channel) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Takes one step in the stretch that is being passed.
  void PassStretch(Channel* channel, Message* message) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  static void Announce(Channel* channel, const Gap& gap, Message* message);
  static void AnnounceFirstGap(Channel* channel, Message* message);
  // Applies changes whose place the cursor has reached. False if that removed the channel.
  bool ApplyChanges(Channel* channel, Message* message) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // The channel is left; if it is joined again behind that, it goes on there. False if it has gone.
  bool ApplyRemoval(Channel* channel, Message* message) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void ReportPosition(Channel* channel, int64_t now_ns, Message* message) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  LedgerEntry* LedgerOf(const InFlight& part) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Retire(uint64_t channel_id) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  static Position PositionOf(const Channel& channel);
  // Without what is ahead of the cursor.
  static LedgerEntry ShareOf(const Channel& channel);
  static LedgerEntry LedgerOf(const Channel& channel);
  static Lag LagOf(const Channel& channel, int64_t now_ns);
  // Looks at the channels that may have something ahead: who waits in a log has nothing.
  void ForEachAhead(absl::FunctionRef<void(const Channel&)> look) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  LedgerEntry TotalLocked() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const Options options_;
  const std::shared_ptr<SlabPool> pool_;
  const std::shared_ptr<Doorbell> doorbell_;
  const std::shared_ptr<PinnedBytes> pinned_ = std::make_shared<PinnedBytes>(0);
  ReadyList ready_;
  std::atomic<bool> sweep_requested_{false};

  // Held while a message is made; before a log's lock, never the other way round.
  mutable net::Mutex mutex_;
  absl::btree_map<uint64_t, std::unique_ptr<Channel>> channels_ ABSL_GUARDED_BY(mutex_);
  std::deque<Channel*> active_ ABSL_GUARDED_BY(mutex_);
  // The channels whose cursors may have moved since they last reported their position, by id.
  absl::btree_set<uint64_t> unreported_ ABSL_GUARDED_BY(mutex_);
  LedgerEntry shares_ ABSL_GUARDED_BY(mutex_);        // The sum over channels_.
  size_t scanned_bytes_ ABSL_GUARDED_BY(mutex_) = 0;  // In this turn, for nothing.
  std::deque<Event> notices_ ABSL_GUARDED_BY(mutex_);
  size_t waiting_bytes_ ABSL_GUARDED_BY(mutex_) = 0;  // Of notices_ and of all channels' changes.
  // The channel with which the sweep that has begun goes on in the next message, and the farewell.
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
