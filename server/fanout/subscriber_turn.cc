// The half of Subscriber for the thread that drives the stream: what a message takes from each channel.

#include <algorithm>
#include <cstring>
#include <iterator>
#include <limits>
#include <utility>

#include "server/fanout/datagram_record.h"
#include "server/fanout/subscriber.h"
#include "server/net/clock.h"
#include "server/net/invariant.h"

namespace mcgw::fanout {
namespace {

// Shorter runs are copied, so that a message stays one slice while several cursors have little each.
constexpr size_t kCopyBelowBytes = 2048;

constexpr int64_t kPositionIntervalNs = 1'000'000'000;

// How much a stream may scan without result before others have their turn.
constexpr size_t kScanBytes = 256 << 10;

constexpr uint64_t kNoEnd = std::numeric_limits<uint64_t>::max();

size_t SlabClassFor(size_t bytes) {
  size_t size_class = 0;
  while (size_class < SlabPool::kSlabBytes.size() && SlabPool::kSlabBytes[size_class] < bytes) ++size_class;
  return size_class;
}

// What a stream takes of one channel's records.
class Sieve {
 public:
  Sieve(const SourceFilter& filter, const OwnFilter* own) : filter_(filter) {
    if (own != nullptr) own_.emplace(own->Look());
  }
  bool PassesAll() const { return filter_.IsAnySource() && !own_.has_value(); }
  bool Passes(const char* record) const {
    return filter_.Allows(RecordSource(record)) && !(own_.has_value() && own_->IsOwn(record));
  }

 private:
  const SourceFilter& filter_;
  std::optional<OwnFilter::View> own_;
};

uint32_t RecordEnd(const Run& run, uint32_t index) {
  const RecordEntry* const entries = run.slab->entries() + run.first_entry;
  return index + 1 < run.records ? entries[index + 1].offset
                                 : entries[0].offset + static_cast<uint32_t>(run.size_bytes);
}

// Whether a cursor has reached a place of its log, including the marks there.
bool HasReached(const Cursor& cursor, const Cursor& place) {
  return cursor.position > place.position || (cursor.position == place.position && cursor.mark >= place.mark);
}

}  // namespace

bool Subscriber::Next(Message* message) {
  message->Clear();
  net::MutexLock lock(&mutex_);
  MCGW_INVARIANT(in_flight_.empty());  // The message before was Written.
  scanned_bytes_ = 0;
  // A channel's notice precedes its datagrams: while notices wait, no cursor is read.
  if (!TakeNotices(message)) return true;
  while (Waiter* waiter = ready_.Pop()) Activate(static_cast<Channel*>(waiter));
  if (sweep_requested_.exchange(false, std::memory_order_acquire) && !sweep_at_.has_value()) sweep_at_ = 0;
  if (sweep_at_.has_value()) SweepLocked(message);
  // Look at each cursor at most once, so that a message never holds two runs of a channel.
  for (size_t looks = active_.size(); looks > 0 && !verdict_.has_value(); --looks) {
    Channel* const channel = active_.front();
    active_.pop_front();
    channel->active = false;
    shares_.Subtract(ShareOf(*channel));
    const Turn turn = Take(channel, message);
    if (turn != Turn::kLeft) shares_.Add(ShareOf(*channel));
    if (turn == Turn::kFull) break;
  }
  MCGW_INVARIANT(shares_.Difference() == 0);
  if (end_when_empty_ && channels_.empty() && !verdict_.has_value()) verdict_ = absl::OkStatus();
  // It yielded after scanning many unwanted records; it continues in its next turn.
  if (message->empty() && scanned_bytes_ > kScanBytes) doorbell_->Ring();
  return !message->empty();
}

bool Subscriber::TakeNotices(Message* message) {
  while (!notices_.empty() && !message->FullOfEvents()) {
    MCGW_INVARIANT(waiting_bytes_ >= BytesOf(notices_.front()));
    waiting_bytes_ -= BytesOf(notices_.front());
    message->Add(std::move(notices_.front()));
    notices_.pop_front();
  }
  return notices_.empty();
}

void Subscriber::SweepLocked(Message* message) {
  const int64_t now_ns = net::MonotonicNs();
  for (auto at = unreported_.lower_bound(*sweep_at_); at != unreported_.end();) {
    if (message->FullOfEvents()) {
      sweep_at_ = *at;
      return;
    }
    Channel* const channel = channels_.at(*at).get();
    ReportPosition(channel, now_ns, message);
    channel->unreported = channel->cursor.sequence != channel->reported_sequence();
    at = channel->unreported ? std::next(at) : unreported_.erase(at);
  }
  sweep_at_.reset();
  if (options_.ledger_interval_ns == 0 || now_ns - ledger_reported_ns_ < options_.ledger_interval_ns) return;
  ledger_reported_ns_ = now_ns;
  message->Add(TotalLocked());
}

void Subscriber::ReportPosition(Channel* channel, int64_t now_ns, Message* message) {
  if (channel->cursor.sequence == channel->reported_sequence()) return;
  Account& account = channel->MakeAccount();
  if (now_ns - account.reported_ns < kPositionIntervalNs) return;
  account.reported_ns = now_ns;
  account.reported_sequence = channel->cursor.sequence;
  message->Add(PositionOf(*channel));
}

Subscriber::Turn Subscriber::Take(Channel* channel, Message* message) {
  ReportPosition(channel, net::MonotonicNs(), message);
  if (!std::exchange(channel->unreported, true)) unreported_.insert(channel->log->channel_id());
  while (true) {
    if (scanned_bytes_ > kScanBytes || message->FullOfEvents()) {
      Activate(channel);
      return Turn::kFull;
    }
    if (channel->detour != nullptr) {
      MCGW_INVARIANT(waiting_bytes_ >= BytesOf(channel->detour->changes));
      waiting_bytes_ -= BytesOf(channel->detour->changes);
      if (!ApplyChanges(channel, message)) return Turn::kLeft;
      waiting_bytes_ += BytesOf(channel->detour->changes);
      if (message->FullOfEvents()) continue;
      if (channel->passes_stretch()) {
        PassStretch(channel, message);
        continue;
      }
      if (channel->detour->empty()) channel->detour.reset();
    }
    const bool late = !channel->catching_up &&
                      channel->log->committed_position() - channel->cursor.position > options_.lag_limit_bytes;
    const uint64_t end = channel->detour == nullptr ? kNoEnd : channel->detour->changes.front().at.position;
    Run run;
    Gap gap;
    switch (late ? ChannelLog::ReadResult::kOvertaken
                 : channel->log->Read(channel->cursor, options_.max_message_bytes, end, &run, &gap)) {
      case ChannelLog::ReadResult::kOvertaken:
        if (!Skip(channel)) return Turn::kFull;
        break;
      case ChannelLog::ReadResult::kMark:
        Announce(channel, gap, message);
        channel->cursor = run.next;
        break;
      case ChannelLog::ReadResult::kRun: {
        if (IsTooOld(*channel, run)) {
          if (!Skip(channel)) return Turn::kFull;
          break;
        }
        const uint32_t before = message->datagrams;
        const size_t size_bytes = run.size_bytes;
        if (TakeRun(channel, std::move(run), message)) {
          Activate(channel);
          return Turn::kFull;
        }
        if (message->datagrams > before) {
          Activate(channel);  // One quantum; the rest comes with the next message.
          return Turn::kOver;
        }
        scanned_bytes_ += size_bytes;  // Nothing of it was wanted: read on.
        break;
      }
      case ChannelLog::ReadResult::kEmpty:
        channel->cursor = run.next;
        if (channel->detour != nullptr) break;  // A change's place.
        channel->catching_up = false;
        if (channel->log->Wait(channel->cursor, channel)) return Turn::kOver;
        break;
    }
  }
}

bool Subscriber::IsTooOld(const Channel& channel, const Run& run) const {
  if (options_.lag_limit_age_ns == 0 || channel.catching_up) return false;
  const int64_t received_ns = run.slab->begin_time_ns + run.slab->entries()[run.first_entry].time_delta_us * 1000LL;
  return net::MonotonicNs() - received_ns > options_.lag_limit_age_ns;
}

bool Subscriber::ApplyChanges(Channel* channel, Message* message) {
  AnnounceFirstGap(channel, message);
  std::vector<Change>& changes = channel->detour->changes;
  while (!changes.empty() && HasReached(channel->cursor, changes.front().at) && !message->FullOfEvents()) {
    if (changes.front().remove) {
      if (!ApplyRemoval(channel, message)) return false;
      continue;
    }
    Change change = std::move(changes.front());
    changes.erase(changes.begin());
    if (change.filter.has_value()) channel->filter = *std::move(change.filter);
    if (change.event.has_value()) message->Add(*std::move(change.event));
  }
  return true;
}

bool Subscriber::ApplyRemoval(Channel* channel, Message* message) {
  std::vector<Change>& changes = channel->detour->changes;
  if (changes.front().event.has_value()) message->Add(*std::move(changes.front().event));
  message->Add(PositionOf(*channel));
  const auto again =
      std::find_if(changes.begin() + 1, changes.end(), [](const Change& change) { return change.restart.has_value(); });
  if (again == changes.end()) {
    Retire(channel->log->channel_id());
    return false;
  }
  // The channel was rejoined before the stream looked. What lies between is not the stream's.
  channel->MakeAccount().offered_before = channel->OfferedUpTo(channel->cursor.sequence);
  channel->Begin(*again->restart);
  channel->filter = *std::move(again->filter);
  if (again->event.has_value()) message->Add(*std::move(again->event));
  AnnounceFirstGap(channel, message);
  changes.erase(changes.begin(), again + 1);
  return true;
}

void Subscriber::AnnounceFirstGap(Channel* channel, Message* message) {
  const std::optional<Gap> gap = std::exchange(channel->detour->first_gap, std::nullopt);
  if (gap.has_value()) Announce(channel, *gap, message);
}

void Subscriber::Announce(Channel* channel, const Gap& gap, Message* message) {
  if (gap.interruption != 0 && gap.interruption <= channel->interruptions_before) return;
  message->Add(gap);
  LedgerEntry& ledger = channel->MakeAccount().ledger;
  ledger.skipped[static_cast<int>(gap.cause)] += gap.count;
  ++(gap.count > 0 ? ledger.range_gaps : ledger.unknown_gaps);
}

bool Subscriber::Skip(Channel* channel) {
  if (options_.lag_policy == LagPolicy::kDisconnect) {
    verdict_ = TooSlow(*channel);
    Activate(channel);
    return false;
  }
  const ChannelLog& log = *channel->log;
  Cursor end = log.Head();
  if (options_.lag_policy == LagPolicy::kSkipOldest) {
    end = channel->catching_up ? log.Oldest() : log.BytesBeforeHead(options_.lag_limit_bytes / 2);
    if (options_.lag_limit_age_ns != 0 && !channel->catching_up) {
      const Cursor by_age = log.NotBefore(net::MonotonicNs() - options_.lag_limit_age_ns / 2);
      if (by_age.position > end.position) end = by_age;
    }
  }
  const int64_t now_unix_ns = net::UnixNs();
  channel->MakeDetour().stretch = Stretch{
      .end = end, .cause = GapCause::kLagged, .from_unix_ns = channel->moved_unix_ns, .to_unix_ns = now_unix_ns};
  channel->moved_unix_ns = now_unix_ns;
  return true;
}

void Subscriber::PassStretch(Channel* channel, Message* message) {
  const std::vector<Change>& changes = channel->detour->changes;
  const Stretch& stretch = *channel->detour->stretch;
  const bool change_first = !changes.empty() && HasReached(stretch.end, changes.front().at);
  const Cursor end = change_first ? changes.front().at : stretch.end;
  Gap gap;
  if (!HasReached(channel->cursor, end) && channel->log->PassOver(&channel->cursor, end, stretch.cause, &gap)) {
    if (gap.cause == stretch.cause) {
      gap.from_time_unix_ns = stretch.from_unix_ns;
      gap.to_time_unix_ns = stretch.to_unix_ns;
    }
    Announce(channel, gap, message);
  } else if (!change_first) {
    channel->detour->stretch.reset();
  }
}

bool Subscriber::TakeRun(Channel* channel, Run run, Message* message) {
  MCGW_INVARIANT(run.next.position > channel->cursor.position && run.next.sequence > channel->cursor.sequence);
  channel->moved_unix_ns = net::UnixNs();
  bool whole = message->size_bytes == 0 && (run.size_bytes >= kCopyBelowBytes || active_.empty());
  if (const Sieve sieve(channel->filter, options_.own.get()); whole && !sieve.PassesAll()) {
    const RecordEntry* const entries = run.slab->entries() + run.first_entry;
    for (uint32_t i = 0; i < run.records && whole; ++i) {
      whole = sieve.Passes(run.slab->data() + entries[i].offset);
    }
  }
  if (!whole) return CopyRecords(channel, run, message);

  message->data = run.data;
  message->size_bytes = run.size_bytes;
  message->datagrams = run.records;
  message->slab = std::move(run.slab);
  channel->MakeAccount().ledger.in_flight += run.records;
  in_flight_.push_back({channel, channel->log->channel_id(), run.records, run.size_bytes});
  channel->cursor = run.next;
  return true;
}

bool Subscriber::CopyRecords(Channel* channel, const Run& run, Message* message) {
  const Sieve sieve(channel->filter, options_.own.get());
  const bool all = sieve.PassesAll();
  const RecordEntry* const entries = run.slab->entries() + run.first_entry;
  const char* const data = run.slab->data();
  const size_t size_before = message->size_bytes;
  LedgerEntry& ledger = channel->MakeAccount().ledger;
  uint32_t copied = 0;
  uint32_t looked_at = 0;
  bool full = false;
  for (; looked_at < run.records; ++looked_at) {
    const char* const record = data + entries[looked_at].offset;
    if (!all && !sieve.Passes(record)) {
      ++ledger.filtered;
      continue;
    }
    const size_t size = RecordEnd(run, looked_at) - entries[looked_at].offset;
    if (!message->slab) {
      // Without another cursor, this run is all that can be copied.
      const size_t room = std::max(size, active_.empty() ? run.size_bytes : options_.max_message_bytes);
      message->slab = pool_->Acquire(SlabClassFor(room), room);
      message->data = message->slab->data();
    }
    full = message->size_bytes + size > message->slab->capacity_bytes();
    if (full) break;
    std::memcpy(message->slab->data() + message->size_bytes, record, size);
    message->size_bytes += size;
    ++copied;
  }
  MCGW_INVARIANT(!message->slab || message->size_bytes <= message->slab->capacity_bytes());
  message->datagrams += copied;
  if (copied > 0) {
    ledger.in_flight += copied;
    in_flight_.push_back({channel, channel->log->channel_id(), copied, message->size_bytes - size_before});
  }
  if (looked_at == run.records) {
    channel->cursor = run.next;
  } else if (looked_at > 0) {
    channel->cursor.position = run.slab->begin_position + entries[looked_at].offset;
    channel->cursor.sequence = run.slab->begin_sequence + entries[looked_at - 1].sequence_delta + 1;
    channel->cursor.mark = run.next.mark;
  }
  return full;
}

}  // namespace mcgw::fanout
