#include "server/fanout/subscriber.h"

#include <algorithm>
#include <cstring>
#include <limits>

#include "absl/strings/str_cat.h"
#include "server/fanout/datagram_record.h"
#include "server/net/clock.h"
#include "server/net/status.h"

namespace mcgw::fanout {
namespace {

// Runs shorter than this are copied, so that a message stays one slice while several cursors have little to say.
constexpr size_t kCopyBelowBytes = 2048;

constexpr int64_t kPositionIntervalNs = 1'000'000'000;
constexpr uint64_t kNoEnd = std::numeric_limits<uint64_t>::max();

// Retired channels whose counters are kept one by one; older ones are summed up.
constexpr size_t kRetiredKept = 64;

size_t SlabClassFor(size_t bytes) {
  size_t size_class = 0;
  while (size_class < SlabPool::kSlabBytes.size() && SlabPool::kSlabBytes[size_class] < bytes) ++size_class;
  return size_class;
}

// What one stream wants of one channel's records.
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

}  // namespace

Subscriber::Channel::Channel(ReadyList* ready, std::shared_ptr<ChannelLog> the_log, SourceFilter the_filter,
                             const Cursor& start)
    : log(std::move(the_log)),
      filter(std::move(the_filter)),
      cursor(start),
      waiter(ready, log->channel_id()),
      reported_sequence(start.sequence),
      moved_unix_ns(net::UnixNs()) {
  ledger.channel_id = log->channel_id();
}

Subscriber::Subscriber(const Options& options, std::shared_ptr<SlabPool> pool, std::shared_ptr<Doorbell> doorbell)
    : options_(options),
      pool_(std::move(pool)),
      doorbell_(doorbell),
      ready_(std::move(doorbell)),
      ledger_reported_ns_(net::MonotonicNs()) {}

Subscriber::~Subscriber() {
  net::MutexLock lock(&mutex_);
  while (!channels_.empty()) Retire(channels_.begin()->first);
}

// ---- Control ----

void Subscriber::AddChannel(std::shared_ptr<ChannelLog> log, SourceFilter filter, Cursor start,
                            std::optional<Event> event) {
  const uint64_t id = log->channel_id();
  {
    net::MutexLock lock(&mutex_);
    const auto at = channels_.find(id);
    if (at == channels_.end()) {
      auto channel = std::make_unique<Channel>(&ready_, std::move(log), std::move(filter), start);
      Activate(channel.get());
      channels_.emplace(id, std::move(channel));
      if (event.has_value()) notices_.push_back(*std::move(event));
    } else {
      Channel& channel = *at->second;
      // A removal still to come is taken back: the channel goes on where it is.
      for (Change& change : channel.changes) change.remove = false;
      channel.changes.push_back({channel.log->committed_position(), std::move(filter), false, std::move(event)});
      Activate(&channel);
    }
  }
  doorbell_->Ring();
}

void Subscriber::AddChange(uint64_t channel_id, Change change) {
  {
    net::MutexLock lock(&mutex_);
    const auto at = channels_.find(channel_id);
    if (at == channels_.end()) {
      if (change.event.has_value()) notices_.push_back(*std::move(change.event));
    } else {
      change.position = at->second->log->committed_position();
      at->second->changes.push_back(std::move(change));
      Activate(at->second.get());
    }
  }
  doorbell_->Ring();
}

void Subscriber::ChangeFilter(uint64_t channel_id, SourceFilter filter, std::optional<Event> event) {
  AddChange(channel_id, {.filter = std::move(filter), .event = std::move(event)});
}

void Subscriber::RemoveChannel(uint64_t channel_id, std::optional<Event> event) {
  AddChange(channel_id, {.filter = std::nullopt, .remove = true, .event = std::move(event)});
}

void Subscriber::Notify(Event event) {
  {
    net::MutexLock lock(&mutex_);
    notices_.push_back(std::move(event));
  }
  doorbell_->Ring();
}

void Subscriber::RequestSweep() {
  sweep_requested_.store(true, std::memory_order_release);
  doorbell_->Ring();
}

void Subscriber::End(absl::Status status) {
  {
    net::MutexLock lock(&mutex_);
    if (!verdict_.has_value()) verdict_ = std::move(status);
  }
  doorbell_->Ring();
}

void Subscriber::EndWhenEmpty() {
  {
    net::MutexLock lock(&mutex_);
    end_when_empty_ = true;
  }
  doorbell_->Ring();
}

std::optional<absl::Status> Subscriber::verdict() const {
  net::MutexLock lock(&mutex_);
  return verdict_;
}

std::vector<LedgerEntry> Subscriber::Ledger() const {
  net::MutexLock lock(&mutex_);
  return LedgerLocked();
}

LedgerEntry Subscriber::Total() const {
  net::MutexLock lock(&mutex_);
  return TotalLocked();
}

std::vector<LedgerEntry> Subscriber::LedgerLocked() const {
  std::vector<LedgerEntry> entries = retired_;
  for (const auto& [id, channel] : channels_) {
    LedgerEntry entry = channel->ledger;
    const uint64_t head = channel->log->next_sequence();
    entry.pending = head > channel->cursor.sequence ? head - channel->cursor.sequence : 0;
    entry.offered += entry.pending;
    entries.push_back(entry);
  }
  return entries;
}

LedgerEntry Subscriber::TotalLocked() const {
  LedgerEntry total;
  for (const LedgerEntry& entry : LedgerLocked()) total.Add(entry);
  return total;
}

// ---- The driving thread ----

void Subscriber::Activate(Channel* channel) {
  if (channel->active) return;
  channel->active = true;
  active_.push_back(channel);
}

bool Subscriber::Next(Message* message) {
  message->events.clear();
  message->slab = SlabRef();
  message->data = nullptr;
  message->size_bytes = 0;
  message->datagrams = 0;

  net::MutexLock lock(&mutex_);
  message->events.swap(notices_);
  while (Waiter* waiter = ready_.Pop()) Activate(channels_.at(waiter->key).get());
  if (sweep_requested_.exchange(false, std::memory_order_acquire)) SweepLocked(message);
  // One look at each cursor at the most, so that one message never holds two runs of a channel.
  for (size_t looks = active_.size(); looks > 0 && !verdict_.has_value(); --looks) {
    Channel* const channel = active_.front();
    active_.pop_front();
    channel->active = false;
    if (Take(channel, message)) break;
  }
  if (end_when_empty_ && channels_.empty() && !verdict_.has_value()) verdict_ = absl::OkStatus();
  return !message->empty();
}

void Subscriber::SweepLocked(Message* message) {
  const int64_t now_ns = net::MonotonicNs();
  for (const auto& [id, channel] : channels_) {
    ReportPosition(channel.get(), now_ns, message);
  }
  if (options_.ledger_interval_ns == 0 || now_ns - ledger_reported_ns_ < options_.ledger_interval_ns) return;
  ledger_reported_ns_ = now_ns;
  message->events.push_back(TotalLocked());
}

void Subscriber::ReportPosition(Channel* channel, int64_t now_ns, Message* message) {
  if (channel->cursor.sequence == channel->reported_sequence) return;
  if (now_ns - channel->reported_ns < kPositionIntervalNs) return;
  channel->reported_ns = now_ns;
  channel->reported_sequence = channel->cursor.sequence;
  message->events.push_back(PositionOf(*channel));
}

Position Subscriber::PositionOf(const Channel& channel) {
  return {.channel_id = channel.log->channel_id(),
          .epoch = channel.log->epoch(),
          .next_sequence = channel.cursor.sequence,
          .filtered = channel.ledger.filtered};
}

void Subscriber::AppendFarewell(std::vector<Event>* events) const {
  net::MutexLock lock(&mutex_);
  for (const auto& [id, channel] : channels_) events->push_back(PositionOf(*channel));
  events->push_back(TotalLocked());
}

bool Subscriber::Take(Channel* channel, Message* message) {
  ReportPosition(channel, net::MonotonicNs(), message);
  while (true) {
    if (!ApplyChanges(channel, message)) return false;
    const uint64_t end = channel->changes.empty() ? kNoEnd : channel->changes.front().position;
    const bool late = channel->log->committed_position() - channel->cursor.position > options_.lag_limit_bytes;
    Run run;
    Gap gap;
    switch (late ? ChannelLog::ReadResult::kOvertaken
                 : channel->log->Read(channel->cursor, options_.max_message_bytes, end, &run, &gap)) {
      case ChannelLog::ReadResult::kOvertaken:
        if (!Skip(channel, message)) return true;
        break;
      case ChannelLog::ReadResult::kMark:
        PassGap(channel, gap, run.next, message);
        break;
      case ChannelLog::ReadResult::kRun: {
        const uint32_t before = message->datagrams;
        if (TakeRun(channel, std::move(run), message)) {
          Activate(channel);
          return true;
        }
        if (message->datagrams > before) {
          Activate(channel);  // One quantum; what remains comes with the next message.
          return false;
        }
        break;  // Nothing of it was wanted: read on.
      }
      case ChannelLog::ReadResult::kEmpty:
        channel->cursor = run.next;
        if (!channel->changes.empty()) break;
        if (channel->log->Wait(channel->cursor, &channel->waiter)) return false;
        break;
    }
  }
}

bool Subscriber::ApplyChanges(Channel* channel, Message* message) {
  while (!channel->changes.empty() && channel->changes.front().position <= channel->cursor.position) {
    Change change = std::move(channel->changes.front());
    channel->changes.pop_front();
    if (change.filter.has_value()) channel->filter = *std::move(change.filter);
    if (change.event.has_value()) message->events.push_back(*std::move(change.event));
    if (change.remove) {
      message->events.push_back(PositionOf(*channel));
      Retire(channel->log->channel_id());
      return false;
    }
  }
  return true;
}

void Subscriber::Retire(uint64_t channel_id) {
  const auto at = channels_.find(channel_id);
  Channel* const channel = at->second.get();
  // First the log, then the ready list: a commit moves a waiter from the one to the other under the log's lock.
  channel->log->Forget(&channel->waiter);
  ready_.Remove(&channel->waiter);
  std::erase(active_, channel);
  if (retired_.size() == kRetiredKept) {
    retired_.front().Add(retired_[1]);
    retired_.front().channel_id = 0;
    retired_.erase(retired_.begin() + 1);
  }
  retired_.push_back(channel->ledger);
  channels_.erase(at);
}

void Subscriber::PassGap(Channel* channel, const Gap& gap, const Cursor& next, Message* message) {
  message->events.push_back(gap);
  channel->ledger.offered += gap.count;
  channel->ledger.skipped[static_cast<int>(gap.cause)] += gap.count;
  ++(gap.count > 0 ? channel->ledger.range_gaps : channel->ledger.unknown_gaps);
  channel->cursor = next;
}

bool Subscriber::Skip(Channel* channel, Message* message) {
  const Cursor head = channel->log->Head();
  if (options_.lag_policy == LagPolicy::kDisconnect) {
    verdict_ = net::Error(net::Reason::kSubscriberTooSlow, "lag_limit_bytes",
                          absl::StrCat("the subscriber fell ", head.sequence - channel->cursor.sequence,
                                       " datagrams behind, over its lag limit of ", options_.lag_limit_bytes,
                                       " bytes: read faster, ask for a higher limit, or choose a policy that skips"));
    return false;
  }
  const Cursor next = options_.lag_policy == LagPolicy::kSkipToLive
                          ? head
                          : channel->log->BytesBeforeHead(options_.lag_limit_bytes / 2);
  const int64_t now_unix_ns = net::UnixNs();
  PassGap(channel,
          {.channel_id = channel->log->channel_id(),
           .cause = GapCause::kLagged,
           .first_sequence = channel->cursor.sequence,
           .count = next.sequence - channel->cursor.sequence,
           .from_time_unix_ns = channel->moved_unix_ns,
           .to_time_unix_ns = now_unix_ns},
          next, message);
  channel->moved_unix_ns = now_unix_ns;
  return true;
}

bool Subscriber::TakeRun(Channel* channel, Run run, Message* message) {
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
  channel->ledger.offered += run.records;
  channel->ledger.in_flight += run.records;
  in_flight_.push_back({channel->log->channel_id(), run.records, run.size_bytes});
  channel->cursor = run.next;
  return true;
}

bool Subscriber::CopyRecords(Channel* channel, const Run& run, Message* message) {
  const Sieve sieve(channel->filter, options_.own.get());
  const bool all = sieve.PassesAll();
  const RecordEntry* const entries = run.slab->entries() + run.first_entry;
  const char* const data = run.slab->data();
  const size_t size_before = message->size_bytes;
  uint32_t copied = 0;
  uint32_t looked_at = 0;
  bool full = false;
  for (; looked_at < run.records; ++looked_at) {
    const char* const record = data + entries[looked_at].offset;
    if (!all && !sieve.Passes(record)) continue;
    const size_t size = RecordEnd(run, looked_at) - entries[looked_at].offset;
    if (!message->slab) {
      // With no other cursor to come, what this run holds is all that can be copied.
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
  message->datagrams += copied;
  channel->ledger.offered += looked_at;
  channel->ledger.filtered += looked_at - copied;
  if (copied > 0) {
    channel->ledger.in_flight += copied;
    in_flight_.push_back({channel->log->channel_id(), copied, message->size_bytes - size_before});
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

LedgerEntry* Subscriber::LedgerOf(uint64_t channel_id) {
  if (const auto at = channels_.find(channel_id); at != channels_.end()) return &at->second->ledger;
  for (LedgerEntry& entry : retired_) {
    if (entry.channel_id == channel_id) return &entry;
  }
  return &retired_.front();  // Summed up with others.
}

void Subscriber::Written() {
  net::MutexLock lock(&mutex_);
  for (const InFlight& part : in_flight_) {
    LedgerEntry* const entry = LedgerOf(part.channel_id);
    entry->in_flight -= part.datagrams;
    entry->written += part.datagrams;
    entry->written_bytes += part.bytes;
  }
  in_flight_.clear();
}

void Subscriber::Abandon() {
  net::MutexLock lock(&mutex_);
  for (const InFlight& part : in_flight_) {
    LedgerEntry* const entry = LedgerOf(part.channel_id);
    entry->in_flight -= part.datagrams;
    entry->abandoned += part.datagrams;
  }
  in_flight_.clear();
}

}  // namespace mcgw::fanout
