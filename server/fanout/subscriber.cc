#include "server/fanout/subscriber.h"

#include <algorithm>
#include <string>
#include <utility>

#include "server/net/clock.h"
#include "server/net/invariant.h"
#include "server/net/status.h"
#include "server/net/text.h"

namespace mcgw::fanout {
namespace {

// How many retired channels keep their own counters; older ones are summed up.
constexpr size_t kRetiredKept = 64;

// How many changes one channel keeps for a stream that does not read.
constexpr size_t kMostChanges = 64;

// Whether both report a lost interface, or both a restored one.
bool SameInterfaceAndKind(const Event& a, const Event& b) {
  if (const auto* lost = std::get_if<InterfaceLost>(&a), *other = std::get_if<InterfaceLost>(&b); lost && other) {
    return lost->interface_name == other->interface_name;
  }
  if (const auto* back = std::get_if<InterfaceRestored>(&a), *other = std::get_if<InterfaceRestored>(&b);
      back && other) {
    return back->interface_name == other->interface_name;
  }
  return false;
}

bool ComesAndGoes(const Event& event) {
  return std::holds_alternative<InterfaceLost>(event) || std::holds_alternative<InterfaceRestored>(event);
}

// The overhead of keeping a waiting event.
constexpr size_t kKeepingBytes = 256;

// A stream's message is reused; one burst of events must not hold memory permanently.
constexpr size_t kKeptEvents = 128;

// Sets the number from which a MembershipChanged applies.
void SetPlace(std::optional<Event>* event, uint64_t sequence) {
  auto* const changed = event->has_value() ? std::get_if<MembershipChanged>(&**event) : nullptr;
  if (changed != nullptr) changed->channel.next_sequence = sequence;
}

}  // namespace

Subscriber::Channel::Channel(ReadyList* list, std::shared_ptr<ChannelLog> the_log, SourceFilter the_filter,
                             ChannelStart start)
    : Waiter(list), log(std::move(the_log)), filter(std::move(the_filter)) {
  Begin(start);
}

Subscriber::Detour& Subscriber::Channel::MakeDetour() {
  if (detour == nullptr) detour = std::make_unique<Detour>();
  return *detour;
}

Subscriber::Account& Subscriber::Channel::MakeAccount() {
  if (account == nullptr) {
    account = std::make_unique<Account>(
        Account{.ledger = {.channel_id = log->channel_id()}, .reported_sequence = begin_sequence});
  }
  return *account;
}

void Subscriber::Channel::Begin(ChannelStart start) {
  cursor = start.cursor;
  catching_up = start.past;
  interruptions_before = start.interruptions;
  begin_sequence = cursor.sequence;
  if (account != nullptr) account->reported_sequence = cursor.sequence;
  moved_unix_ns = net::UnixNs();
  if (detour != nullptr) *detour = {.changes = std::move(detour->changes)};
  if (start.gap.has_value()) MakeDetour().first_gap = start.gap;
  if (const Cursor oldest = log->Oldest(); start.past && cursor.sequence < oldest.sequence) {
    MakeDetour().stretch = Stretch{.end = oldest, .cause = GapCause::kExpired};
  }
}

void Message::Clear() {
  events.clear();
  if (events.capacity() > kKeptEvents) events.shrink_to_fit();
  event_bytes = 0;
  slab = SlabRef();
  data = nullptr;
  size_bytes = 0;
  datagrams = 0;
}

Subscriber::Subscriber(const Options& options, std::shared_ptr<SlabPool> pool, std::shared_ptr<Doorbell> doorbell)
    : options_(options),
      pool_(std::move(pool)),
      doorbell_(doorbell),
      ready_(std::move(doorbell)),
      ledger_reported_ns_(net::MonotonicNs()) {}

Subscriber::~Subscriber() {
  net::MutexLock lock(&mutex_);
  for (Channel* channel : active_) channel->active = false;
  active_.clear();
  while (!channels_.empty()) Retire(channels_.begin()->first);
  MCGW_INVARIANT(unreported_.empty());
}

// ---- Control ----

void Subscriber::AddChannel(std::shared_ptr<ChannelLog> log, SourceFilter filter, ChannelStart start,
                            std::optional<Event> event) {
  const uint64_t id = log->channel_id();
  {
    net::MutexLock lock(&mutex_);
    const auto at = channels_.find(id);
    if (at == channels_.end()) {
      SetPlace(&event, start.cursor.sequence);
      auto channel = std::make_unique<Channel>(&ready_, std::move(log), std::move(filter), start);
      Activate(channel.get());
      channels_.emplace(id, std::move(channel));
      if (event.has_value()) AddNotice(*std::move(event));
    } else {
      Channel& channel = *at->second;
      Change change{.at = channel.log->Head(), .filter = std::move(filter), .event = std::move(event)};
      const std::vector<Change>& changes = channel.MakeDetour().changes;
      const bool leaves =
          std::any_of(changes.begin(), changes.end(), [](const Change& earlier) { return earlier.remove; });
      if (leaves) change.restart = start;
      SetPlace(&change.event, leaves ? change.restart->cursor.sequence : change.at.sequence);
      Queue(&channel, std::move(change));
    }
  }
  doorbell_->Ring();
}

void Subscriber::AddChange(uint64_t channel_id, Change change) {
  {
    net::MutexLock lock(&mutex_);
    const auto at = channels_.find(channel_id);
    if (at == channels_.end()) {
      if (change.event.has_value()) AddNotice(*std::move(change.event));
    } else {
      change.at = at->second->log->Head();
      SetPlace(&change.event, change.at.sequence);
      Queue(at->second.get(), std::move(change));
    }
  }
  doorbell_->Ring();
}

void Subscriber::AddNotice(Event event) {
  waiting_bytes_ += BytesOf(event);
  notices_.push_back(std::move(event));
}

void Subscriber::Queue(Channel* channel, Change change) {
  std::vector<Change>& changes = channel->MakeDetour().changes;
  MCGW_INVARIANT(waiting_bytes_ >= BytesOf(changes));
  MCGW_INVARIANT(changes.empty() || changes.back().at.position <= change.at.position);
  waiting_bytes_ -= BytesOf(changes);
  changes.push_back(std::move(change));
  DropStale(channel);
  waiting_bytes_ += BytesOf(changes);
  if (changes.size() > kMostChangesOfChannel) {
    EndTooSlow(net::StrCat(changes.size(), " changes of channel ", channel->log->channel_id()));
  }
  Activate(channel);
}

size_t Subscriber::BytesOf(const Event& event) { return kKeepingBytes + MostBytesOf(event); }

size_t Subscriber::BytesOf(const std::vector<Change>& changes) {
  size_t bytes = 0;
  for (const Change& change : changes) {
    bytes += change.event.has_value() ? BytesOf(*change.event) : kKeepingBytes;
  }
  return bytes;
}

bool Subscriber::TakesChanges() {
  {
    net::MutexLock lock(&mutex_);
    if (verdict_.has_value()) return false;
    if (waiting_bytes_ <= kMostWaitingBytes) return true;
    EndTooSlow(net::StrCat(waiting_bytes_ >> 10, " kB of events"));
  }
  doorbell_->Ring();
  return false;
}

void Subscriber::EndTooSlow(std::string_view what) {
  if (verdict_.has_value()) return;
  verdict_ = net::Error(net::Reason::kSubscriberTooSlow, "",
                        net::StrCat("the subscriber has not read ", what,
                                    ", more than the gateway keeps for a stream: read faster, or change memberships "
                                    "less often"));
  for (const Event& notice : notices_) waiting_bytes_ -= BytesOf(notice);
  std::deque<Event>().swap(notices_);
}

void Subscriber::ChangeFilter(uint64_t channel_id, SourceFilter filter, std::optional<Event> event) {
  AddChange(channel_id, {.filter = std::move(filter), .event = std::move(event)});
}

void Subscriber::RemoveChannel(uint64_t channel_id, std::optional<Event> event) {
  AddChange(channel_id, {.filter = std::nullopt, .remove = true, .event = std::move(event)});
}

void Subscriber::DropStale(Channel* channel) {
  std::vector<Change>& changes = channel->MakeDetour().changes;
  if (changes.size() <= kMostChanges) return;
  // First the oldest changes that only inform the stream.
  SourceFilter in_force = channel->filter;
  for (auto at = changes.begin(); changes.size() > kMostChanges && at != changes.end();) {
    if (!at->remove && !at->restart.has_value() && (!at->filter.has_value() || *at->filter == in_force)) {
      at = changes.erase(at);
    } else {
      if (at->filter.has_value()) in_force = *at->filter;
      ++at;
    }
  }
  // Then the oldest leave and rejoin that missed nothing: joined, left, and joined again at the same place.
  for (size_t i = 0; changes.size() > kMostChanges && i + 2 < changes.size();) {
    const Change& joined = changes[i];
    const Change& left = changes[i + 1];
    const Change& again = changes[i + 2];
    if (joined.restart.has_value() && left.remove && again.restart.has_value() && joined.filter == again.filter &&
        again.restart->cursor.position <= left.at.position) {
      changes.erase(changes.begin() + static_cast<ptrdiff_t>(i) + 1, changes.begin() + static_cast<ptrdiff_t>(i) + 3);
    } else {
      ++i;
    }
  }
}

void Subscriber::NotifyAt(uint64_t channel_id, Event event) {
  if (ComesAndGoes(event)) {
    net::MutexLock lock(&mutex_);
    if (const auto at = channels_.find(channel_id); at != channels_.end() && at->second->detour != nullptr) {
      std::vector<Change>& changes = at->second->detour->changes;
      waiting_bytes_ -= BytesOf(changes);
      std::erase_if(changes, [&](const Change& change) {
        return change.event.has_value() && SameInterfaceAndKind(*change.event, event);
      });
      waiting_bytes_ += BytesOf(changes);
    }
  }
  AddChange(channel_id, {.filter = std::nullopt, .event = std::move(event)});
}

void Subscriber::Notify(Event event) {
  {
    net::MutexLock lock(&mutex_);
    if (ComesAndGoes(event)) {
      for (const Event& waiting : notices_) {
        if (SameInterfaceAndKind(waiting, event)) waiting_bytes_ -= BytesOf(waiting);
      }
      std::erase_if(notices_, [&](const Event& waiting) { return SameInterfaceAndKind(waiting, event); });
    }
    AddNotice(std::move(event));
  }
  doorbell_->Ring();
}

void Subscriber::RequestSweep() {
  if (options_.lag_policy == LagPolicy::kDisconnect) {
    net::MutexLock lock(&mutex_);
    // A cursor that waits in a log has read all of it.
    while (Waiter* waiter = ready_.Pop()) Activate(static_cast<Channel*>(waiter));
    for (const Channel* channel : active_) {
      if (!verdict_.has_value() && IsLate(*channel)) verdict_ = TooSlow(*channel);
    }
  }
  sweep_requested_.store(true, std::memory_order_release);
  doorbell_->Ring();
}

bool Subscriber::IsLate(const Channel& channel) const {
  const Backlog ahead = channel.log->Ahead(channel.cursor);
  if (channel.passes_stretch()) return false;
  if (channel.cursor.position < channel.log->Oldest().position) return true;
  if (channel.catching_up) return false;
  const int64_t age_ns = ahead.oldest_ns == 0 ? 0 : net::MonotonicNs() - ahead.oldest_ns;
  return ahead.bytes > options_.lag_limit_bytes ||
         (options_.lag_limit_age_ns != 0 && age_ns > options_.lag_limit_age_ns);
}

absl::Status Subscriber::TooSlow(const Channel& channel) const {
  const uint64_t behind = channel.log->next_sequence() - channel.cursor.sequence;
  return net::Error(
      net::Reason::kSubscriberTooSlow, "lag_limit_bytes",
      net::StrCat("the subscriber fell ", behind, " datagrams behind in channel ", channel.log->channel_id(),
                  ", over its lag limit of ", options_.lag_limit_bytes, " bytes",
                  options_.lag_limit_age_ns == 0 ? std::string()
                                                 : net::StrCat(" or ", options_.lag_limit_age_ns / 1'000'000, " ms"),
                  ": read faster, ask for a higher limit, or choose a policy that skips"));
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

bool Subscriber::NextFarewell(Message* message) {
  message->Clear();
  net::MutexLock lock(&mutex_);
  for (auto at = channels_.lower_bound(farewell_at_); at != channels_.end(); ++at) {
    if (message->FullOfEvents()) {
      farewell_at_ = at->first;
      return true;
    }
    message->Add(PositionOf(*at->second));
  }
  message->Add(TotalLocked());
  return false;
}

// ---- What both sides share ----

void Subscriber::Activate(Channel* channel) {
  if (channel->active) return;
  channel->active = true;
  active_.push_back(channel);
}

Position Subscriber::PositionOf(const Channel& channel) {
  return {.channel_id = channel.log->channel_id(),
          .epoch = channel.log->epoch(),
          .next_sequence = channel.cursor.sequence,
          .filtered = channel.account == nullptr ? 0 : channel.account->ledger.filtered};
}

void Subscriber::Retire(uint64_t channel_id) {
  const auto at = channels_.find(channel_id);
  Channel* const channel = at->second.get();
  // First the log, then the ready list: a commit moves a waiter from the former to the latter under the log's lock.
  channel->log->Forget(channel);
  ready_.Remove(channel);
  if (channel->active) std::erase(active_, channel);
  for (InFlight& part : in_flight_) {
    if (part.channel == channel) part.channel = nullptr;
  }
  const LedgerEntry entry = ShareOf(*channel);
  MCGW_INVARIANT(entry.Difference() == 0);
  if (channel->unreported) unreported_.erase(channel_id);
  channels_.erase(at);
  for (LedgerEntry& earlier : retired_) {
    if (earlier.channel_id == channel_id) return earlier.Add(entry);
  }
  if (retired_.size() == kRetiredKept) {
    retired_.front().Add(retired_[1]);
    retired_.front().channel_id = 0;
    retired_.erase(retired_.begin() + 1);
  }
  retired_.push_back(entry);
}

LedgerEntry* Subscriber::LedgerOf(const InFlight& part) {
  if (part.channel != nullptr) return &part.channel->MakeAccount().ledger;
  for (LedgerEntry& entry : retired_) {
    if (entry.channel_id == part.channel_id) return &entry;
  }
  return &retired_.front();  // Summed up with others.
}

void Subscriber::Written() {
  net::MutexLock lock(&mutex_);
  for (const InFlight& part : in_flight_) {
    LedgerEntry* const entry = LedgerOf(part);
    MCGW_INVARIANT(entry->in_flight >= part.datagrams);
    entry->in_flight -= part.datagrams;
    entry->written += part.datagrams;
    entry->written_bytes += part.bytes;
    if (part.channel == nullptr) continue;
    MCGW_INVARIANT(shares_.in_flight >= part.datagrams);
    shares_.in_flight -= part.datagrams;
    shares_.written += part.datagrams;
    shares_.written_bytes += part.bytes;
  }
  in_flight_.clear();
}

void Subscriber::Abandon() {
  net::MutexLock lock(&mutex_);
  for (const InFlight& part : in_flight_) {
    LedgerEntry* const entry = LedgerOf(part);
    MCGW_INVARIANT(entry->in_flight >= part.datagrams);
    entry->in_flight -= part.datagrams;
    entry->abandoned += part.datagrams;
    if (part.channel == nullptr) continue;
    MCGW_INVARIANT(shares_.in_flight >= part.datagrams);
    shares_.in_flight -= part.datagrams;
    shares_.abandoned += part.datagrams;
  }
  in_flight_.clear();
}

}  // namespace mcgw::fanout
