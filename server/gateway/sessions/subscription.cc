#include "server/gateway/sessions/subscription.h"

#include <algorithm>
#include <limits>
#include <set>
#include <utility>

#include "server/net/clock.h"
#include "server/net/status.h"
#include "server/net/text.h"

namespace mcgw::gateway {

using fanout::ChangeCause;
using fanout::ChannelStart;
using fanout::ChannelStatus;
using fanout::Cursor;
using fanout::SourceFilter;

namespace {

// Maximum number of lost interfaces that a stream remembers; the oldest are forgotten.
constexpr size_t kMostToldLost = 256;

// Equal for two streams with equal memberships.
std::string SignatureOf(const Caller& caller, const std::vector<MembershipRequest>& requests) {
  std::set<std::string> texts;
  for (const MembershipRequest& request : requests) {
    texts.insert(net::StrCat(request.selector, " ", net::ToString(request.group, request.port), " ",
                             request.filter.ToString(), " ", static_cast<int>(request.wait_for_interface)));
  }
  std::string signature = caller.identity;
  for (const std::string& text : texts) signature += "\n" + text;
  return signature;
}

}  // namespace

Subscription::Subscription(uint64_t id, Caller caller, MembershipServices* services, const SubscribeRequest& request,
                           std::shared_ptr<Session> session, std::shared_ptr<fanout::SlabPool> slabs,
                           std::shared_ptr<fanout::Doorbell> doorbell, RetainedMemberships* retained,
                           std::function<void(Subscription*)> on_close)
    : id_(id),
      caller_(std::move(caller)),
      created_unix_ns_(net::UnixNs()),
      options_(request.options),
      retain_ns_(request.retain_ns),
      session_(std::move(session)),
      retained_(retained),
      on_close_(std::move(on_close)),
      subscriber_(options_, std::move(slabs), std::move(doorbell)),
      own_(std::make_unique<MembershipSet>(
          services, Holder{.kind = Holder::Kind::kStream, .subscriber_id = id, .identity = caller_.identity})) {}

Subscription::~Subscription() {
  on_close_(this);
  if (session_ != nullptr) session_->Detach(this);
  net::MutexLock lock(&mutex_);
  if (!signature_.empty() && !own_->empty()) {
    own_->Retain(net::UnixNs() + retain_ns_);
    retained_->Add(signature_, std::move(own_), net::MonotonicNs() + retain_ns_);
  } else {
    own_->RemoveAll();
  }
}

absl::Status Subscription::Open(const SubscribeRequest& request) {
  {
    net::MutexLock lock(&mutex_);
    for (size_t i = 0; i < request.memberships.size(); ++i) {
      const absl::StatusOr<MembershipSet::Added> added = own_->Add(request.memberships[i]);
      if (!added.ok()) return net::WithFieldPrefix(added.status(), net::StrCat("memberships[", i, "]."));
      for (const ChannelStatus& status : added->channels) {
        if (status.phase == fanout::ChannelPhase::kFailed) channels_.push_back(status);
      }
    }
    // From here on notifications wait for mutex_, which is no longer held during system calls.
    joining_.store(false);
    if (missed_.exchange(false)) own_->Follow();
    for (const ResumePoint& point : request.resume) {
      points_.emplace(PointKey(point.interface_name, point.group, point.port), point);
    }
    if (session_ == nullptr) return StartReading(request, nullptr);
  }
  absl::Status started;
  const bool attached = session_->Attach(this, [&](const MembershipSet& of_session) {
    net::MutexLock lock(&mutex_);
    started = StartReading(request, &of_session);
  });
  return attached ? started : SessionTable::NotFound(session_->id());
}

SubscriberSnapshot Subscription::Snapshot(uint64_t channel_id) const {
  return {.id = id_,
          .peer = caller_.peer,
          .identity = caller_.identity,
          .created_unix_ns = created_unix_ns_,
          .options = options_,
          .retain_ns = retain_ns_,
          .has_session = session_ != nullptr,
          .channels = subscriber_.channel_count(),
          .total = subscriber_.Total(),
          .lag = channel_id != 0 ? subscriber_.LagIn(channel_id) : subscriber_.GreatestLag(),
          .pinned_bytes = subscriber_.pinned()->load(std::memory_order_relaxed)};
}

std::vector<ChannelStatus> Subscription::AllStatuses(const MembershipSet* of_session) const {
  std::map<uint64_t, ChannelStatus> statuses;
  for (ChannelStatus& status : own_->ChannelStatuses()) statuses.emplace(status.channel_id, std::move(status));
  if (of_session != nullptr) {
    for (ChannelStatus& status : of_session->ChannelStatuses()) {
      statuses.emplace(status.channel_id, std::move(status));
    }
  }
  std::vector<ChannelStatus> all;
  all.reserve(statuses.size());
  for (auto& [id, status] : statuses) all.push_back(std::move(status));
  return all;
}

ChannelStatus Subscription::Reading::StatusIn(const fanout::ChannelLog& log) const {
  return {.channel_id = log.channel_id(),
          .interface_index = interface_index,
          .interface_name = *interface_name,
          .group = group,
          .port = port,
          .phase = phase,
          .error = error,
          .epoch = log.epoch(),
          .next_sequence = log.next_sequence()};
}

Subscription::Text Subscription::Shared(const std::string& interface_name) {
  for (const Text& known : names_) {
    if (*known == interface_name) return known;
  }
  std::erase_if(names_, [](const Text& known) { return known.use_count() == 1; });
  return names_.emplace_back(std::make_shared<const std::string>(interface_name));
}

Subscription::Reading Subscription::MakeReading(const ChannelStatus& status, SourceFilter filter) {
  return {.group = status.group,
          .phase = status.phase,
          .port = status.port,
          .interface_index = status.interface_index,
          .interface_name = Shared(status.interface_name),
          .error = status.error,
          .filter = std::move(filter)};
}

SourceFilter Subscription::FilterFor(uint64_t channel_id, const MembershipSet* of_session, bool* wanted) const {
  std::vector<SourceFilter> filters;
  own_->CollectFilters(channel_id, &filters);
  if (of_session != nullptr) of_session->CollectFilters(channel_id, &filters);
  *wanted = !filters.empty();
  return SourceFilter::Merge(filters);
}

absl::StatusOr<std::optional<ChannelStart>> Subscription::TakeResumePoint(const fanout::ChannelLog& log,
                                                                          const ChannelStatus& status) {
  const auto at = points_.find(PointKey(status.interface_name, status.group, status.port));
  if (at == points_.end()) return std::nullopt;
  const ResumePoint point = std::move(at->second);
  points_.erase(at);
  if (point.epoch != log.epoch()) {
    Cursor cursor = log.Head();
    if (point.last_receive_unix_ns.has_value()) {
      cursor = log.NotBeforeWallTime(std::min(*point.last_receive_unix_ns, std::numeric_limits<int64_t>::max() - 1) + 1)
                   .cursor;
    }
    return ChannelStart(cursor, true,
                        fanout::Gap{.channel_id = log.channel_id(),
                                    .cause = fanout::GapCause::kOtherEpoch,
                                    .first_sequence = cursor.sequence,
                                    .count = 0,
                                    .at_most = std::nullopt,
                                    .from_time_unix_ns = point.last_receive_unix_ns.value_or(0),
                                    .to_time_unix_ns = 0});
  }
  if (const uint64_t next = log.next_sequence(); point.next_sequence > next) {
    return net::Error(
        net::Reason::kInvalidResumePoint, "start.resume.points",
        net::StrCat("a resume point of ", net::ToString(point.group, point.port), " on ", point.interface_name,
                    " has next_sequence ", point.next_sequence, ", but the next datagram of this epoch will be ", next,
                    ": use points from Channel and Position only"));
  }
  return ChannelStart(log.Resume(point.next_sequence), true, std::nullopt);
}

absl::StatusOr<ChannelStart> Subscription::StartIn(const fanout::ChannelLog& log, const ChannelStatus& status,
                                                   const SubscribeRequest& request) {
  switch (request.start) {
    case Start::kLive:
      break;
    case Start::kOldest:
      return ChannelStart(log.Oldest(), true, std::nullopt);
    case Start::kTime: {
      const fanout::ChannelLog::AtTime at = log.NotBeforeWallTime(request.start_unix_ns);
      if (!at.lost) return ChannelStart(at.cursor, true, std::nullopt);
      return ChannelStart(at.cursor, true,
                          fanout::Gap{.channel_id = log.channel_id(),
                                      .cause = fanout::GapCause::kExpired,
                                      .first_sequence = at.cursor.sequence,
                                      .count = 0,
                                      .at_most = at.at_most,
                                      .from_time_unix_ns = request.start_unix_ns,
                                      .to_time_unix_ns = 0});
    }
    case Start::kResume: {
      absl::StatusOr<std::optional<ChannelStart>> point = TakeResumePoint(log, status);
      if (!point.ok()) return point.status();
      if (point->has_value()) return **std::move(point);
      break;
    }
  }
  return ChannelStart::Live(log);
}

absl::Status Subscription::StartReading(const SubscribeRequest& request, const MembershipSet* of_session) {
  started_ = true;
  std::vector<ChannelStatus> statuses = AllStatuses(of_session);
  std::map<uint64_t, MembershipSet::ChannelPtr> logs;
  for (MembershipSet::ChannelPtr& log : own_->Channels()) logs.emplace(log->channel_id(), std::move(log));
  if (of_session != nullptr) {
    for (MembershipSet::ChannelPtr& log : of_session->Channels()) logs.emplace(log->channel_id(), log);
  }
  channels_.reserve(channels_.size() + statuses.size());
  for (ChannelStatus& status : statuses) {
    const MembershipSet::ChannelPtr& log = logs.at(status.channel_id);
    absl::StatusOr<ChannelStart> start = StartIn(*log, status, request);
    if (!start.ok()) return start.status();
    status.next_sequence = start->cursor.sequence;
    bool wanted = false;
    SourceFilter filter = FilterFor(status.channel_id, of_session, &wanted);
    reading_.emplace(status.channel_id, MakeReading(status, filter));
    subscriber_.AddChannel(log, std::move(filter), *std::move(start), std::nullopt);
    channels_.push_back(std::move(status));
  }
  if (retain_ns_ > 0) signature_ = SignatureOf(caller_, request.memberships);
  return absl::OkStatus();
}

void Subscription::Refresh(const std::vector<MembershipSet::ChannelPtr>& touched, ChangeCause cause,
                           const MembershipSet& of_session) {
  net::MutexLock lock(&mutex_);
  if (!subscriber_.TakesChanges()) return;
  for (const MembershipSet::ChannelPtr& log : touched) RefreshOne(log, cause, &of_session);
}

ChannelStatus Subscription::StatusOf(uint64_t channel_id, const MembershipSet* of_session) const {
  std::optional<ChannelStatus> status = own_->StatusOf(channel_id);
  if (!status.has_value()) status = of_session->StatusOf(channel_id);
  return *std::move(status);
}

void Subscription::RefreshOne(const MembershipSet::ChannelPtr& log, ChangeCause cause, const MembershipSet* of_session,
                              std::optional<Cursor> begin) {
  const uint64_t id = log->channel_id();
  bool wanted = false;
  SourceFilter filter = FilterFor(id, of_session, &wanted);
  const auto at = reading_.find(id);
  if (!wanted) {
    if (at == reading_.end()) return;
    subscriber_.RemoveChannel(
        id,
        fanout::MembershipChanged{.channel = at->second.StatusIn(*log), .cause = cause, .left = true, .filter = {}});
    reading_.erase(at);
  } else if (at == reading_.end()) {
    ChannelStatus status = StatusOf(id, of_session);
    ChannelStart start = begin.has_value() ? ChannelStart(*begin) : ChannelStart::Live(*log);
    // A point that has waited for its channel; an invalid one is not a reason to end the stream.
    if (absl::StatusOr<std::optional<ChannelStart>> point = TakeResumePoint(*log, status);
        point.ok() && point->has_value()) {
      start = **std::move(point);
    }
    status.next_sequence = start.cursor.sequence;
    reading_.emplace(id, MakeReading(status, filter));
    subscriber_.AddChannel(log, filter, start,
                           fanout::MembershipChanged{.channel = status, .cause = cause, .filter = filter});
  } else if (at->second.filter != filter) {
    at->second.filter = filter;
    subscriber_.ChangeFilter(
        id, filter, fanout::MembershipChanged{.channel = at->second.StatusIn(*log), .cause = cause, .filter = filter});
  }
}

void Subscription::Tell(const InterfaceNotice& notice) {
  if (joining_.load()) return;
  net::MutexLock lock(&mutex_);
  if (!subscriber_.TakesChanges()) return;
  const Text name = Shared(notice.interface_name);
  std::optional<uint64_t> read;  // A channel that orders the events.
  const auto follow = [&](uint64_t id, Reading* reading) {
    if (!read.has_value()) read = id;
    reading->interface_name = name;
    reading->interface_index = notice.interface_index;
  };
  if (notice.channel_ids.size() < reading_.size()) {
    for (const uint64_t id : notice.channel_ids) {
      if (const auto at = reading_.find(id); at != reading_.end()) follow(id, &at->second);
    }
  } else {
    for (auto& [id, reading] : reading_) {
      if (notice.channel_ids.contains(id)) follow(id, &reading);
    }
  }
  const bool told_lost = told_lost_.erase(notice.interface_channels_id) > 0;
  if (!read.has_value() && !told_lost) return;
  bool lost = told_lost;
  for (const fanout::Event& event : notice.events) {
    if (std::holds_alternative<fanout::InterfaceLost>(event)) lost = true;
    if (std::holds_alternative<fanout::InterfaceRestored>(event)) lost = false;
    read.has_value() ? subscriber_.NotifyAt(*read, event) : subscriber_.Notify(event);
  }
  if (lost) told_lost_.insert(notice.interface_channels_id);
  if (told_lost_.size() > kMostToldLost) told_lost_.erase(told_lost_.begin());
}

void Subscription::Tell(const std::vector<const ChannelChange*>& by_channel) {
  if (joining_.load()) return;
  net::MutexLock lock(&mutex_);
  std::vector<const ChannelChange*> own;
  if (by_channel.size() < reading_.size()) {
    for (const ChannelChange* change : by_channel) {
      if (reading_.contains(change->status.channel_id)) own.push_back(change);
    }
  } else {
    const auto before = [](const ChannelChange* change, uint64_t id) { return change->status.channel_id < id; };
    for (const auto& [id, reading] : reading_) {
      auto at = std::lower_bound(by_channel.begin(), by_channel.end(), id, before);
      for (; at != by_channel.end() && (*at)->status.channel_id == id; ++at) own.push_back(*at);
    }
  }
  std::sort(own.begin(), own.end());  // In the order of their vector.
  for (const ChannelChange* change : own) {
    if (!subscriber_.TakesChanges()) return;
    Reading& reading = reading_.at(change->status.channel_id);
    reading = MakeReading(change->status, std::move(reading.filter));
    subscriber_.NotifyAt(
        change->status.channel_id,
        fanout::MembershipChanged{.channel = change->status, .cause = change->cause, .filter = reading.filter});
  }
}

void Subscription::FollowInterfaces() {
  // Open follows in that case: it may take long, and others wait for this call.
  missed_.store(true);
  if (joining_.load()) return;
  missed_.store(false);
  const auto follow = [this](const MembershipSet* of_session) {
    net::MutexLock lock(&mutex_);
    ApplyLocked(own_->Follow(), of_session);
  };
  if (session_ == nullptr) return follow(nullptr);
  session_->Read([&](const MembershipSet& of_session) { follow(&of_session); });
}

void Subscription::Apply(const std::vector<MembershipSet::Followed>& followed, const MembershipSet& of_session) {
  net::MutexLock lock(&mutex_);
  ApplyLocked(followed, &of_session);
}

void Subscription::ApplyLocked(const std::vector<MembershipSet::Followed>& followed, const MembershipSet* of_session) {
  if (!started_ || !subscriber_.TakesChanges()) return;
  for (const MembershipSet::Followed& each : followed) {
    if (each.log != nullptr) {
      RefreshOne(each.log, each.cause, of_session, each.start);
    } else {
      subscriber_.Notify(fanout::MembershipChanged{.channel = each.refused, .cause = each.cause, .filter = {}});
    }
  }
}

void Subscription::SessionEnded() {
  bool stays = false;
  {
    net::MutexLock lock(&mutex_);
    stays = !own_->empty();
  }
  if (!stays) subscriber_.EndWhenEmpty();
}

}  // namespace mcgw::gateway
