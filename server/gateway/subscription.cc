#include "server/gateway/subscription.h"

#include <utility>

#include "server/net/clock.h"
#include "server/net/status.h"
#include "server/net/text.h"

namespace mcgw::gateway {

using fanout::ChangeCause;
using fanout::ChannelStatus;
using fanout::Cursor;
using fanout::SourceFilter;

Subscription::Subscription(uint64_t id, std::string identity, MembershipServices* services,
                           const fanout::Subscriber::Options& options, std::shared_ptr<fanout::SlabPool> slabs,
                           std::shared_ptr<fanout::Doorbell> doorbell, std::function<void(Subscription*)> on_close)
    : id_(id),
      identity_(std::move(identity)),
      options_(options),
      on_close_(std::move(on_close)),
      subscriber_(options, std::move(slabs), std::move(doorbell)),
      own_(services, Holder{.kind = Holder::Kind::kStream, .subscriber_id = id, .identity = identity_}) {}

Subscription::~Subscription() {
  on_close_(this);
  if (session_ != nullptr) {
    net::MutexLock lock(&session_->mutex);
    session_->streams.erase(this);
    // A stream never ends its session: the full lease runs again from the close of the last one.
    if (session_->streams.empty()) session_->expires_ns = net::MonotonicNs() + session_->lease_ns;
  }
  net::MutexLock lock(&mutex_);
  own_.RemoveAll();
}

absl::Status Subscription::Open(const SubscribeRequest& request, std::shared_ptr<Session> session) {
  {
    net::MutexLock lock(&mutex_);
    for (size_t i = 0; i < request.memberships.size(); ++i) {
      const absl::StatusOr<MembershipSet::Added> added = own_.Add(request.memberships[i]);
      if (!added.ok()) return net::WithFieldPrefix(added.status(), net::StrCat("memberships[", i, "]."));
      for (const ChannelStatus& status : added->channels) {
        if (status.phase == fanout::ChannelPhase::kFailed) channels_.push_back(status);
      }
    }
    if (session == nullptr) {
      StartReading(AllStatuses(), request.start);
      return absl::OkStatus();
    }
  }
  net::MutexLock session_lock(&session->mutex);
  if (session->ended) {
    return net::Error(net::Reason::kSessionNotFound, "session_id", "the session has just ended");
  }
  session_ = session;
  session->streams.insert(this);
  net::MutexLock lock(&mutex_);
  StartReading(AllStatuses(), request.start);
  return absl::OkStatus();
}

std::vector<ChannelStatus> Subscription::AllStatuses() const ABSL_NO_THREAD_SAFETY_ANALYSIS {
  // With a session, its mutex is held by the caller.
  std::map<uint64_t, ChannelStatus> statuses;
  for (ChannelStatus& status : own_.ChannelStatuses()) statuses.emplace(status.channel_id, std::move(status));
  if (session_ != nullptr) {
    for (ChannelStatus& status : session_->memberships.ChannelStatuses()) {
      statuses.emplace(status.channel_id, std::move(status));
    }
  }
  std::vector<ChannelStatus> all;
  for (auto& [id, status] : statuses) all.push_back(std::move(status));
  return all;
}

SourceFilter Subscription::FilterFor(uint64_t channel_id, bool* wanted) const ABSL_NO_THREAD_SAFETY_ANALYSIS {
  std::vector<SourceFilter> filters;
  own_.CollectFilters(channel_id, &filters);
  if (session_ != nullptr) session_->memberships.CollectFilters(channel_id, &filters);
  *wanted = !filters.empty();
  return SourceFilter::Merge(filters);
}

void Subscription::StartReading(std::vector<ChannelStatus> statuses, Start start) ABSL_NO_THREAD_SAFETY_ANALYSIS {
  std::map<uint64_t, MembershipSet::ChannelPtr> logs;
  for (MembershipSet::ChannelPtr& log : own_.Channels()) logs.emplace(log->channel_id(), std::move(log));
  if (session_ != nullptr) {
    for (MembershipSet::ChannelPtr& log : session_->memberships.Channels()) logs.emplace(log->channel_id(), log);
  }
  for (ChannelStatus& status : statuses) {
    const MembershipSet::ChannelPtr& log = logs.at(status.channel_id);
    const Cursor cursor = start == Start::kOldest ? log->Oldest() : log->Head();
    status.next_sequence = cursor.sequence;
    bool wanted = false;
    SourceFilter filter = FilterFor(status.channel_id, &wanted);
    reading_.emplace(status.channel_id, Reading{status, filter});
    subscriber_.AddChannel(log, std::move(filter), cursor, std::nullopt);
    channels_.push_back(std::move(status));
  }
}

void Subscription::Refresh(const std::vector<MembershipSet::ChannelPtr>& touched, ChangeCause cause) {
  net::MutexLock lock(&mutex_);
  for (const MembershipSet::ChannelPtr& log : touched) RefreshOne(log, cause);
}

void Subscription::RefreshOne(const MembershipSet::ChannelPtr& log, ChangeCause cause) ABSL_NO_THREAD_SAFETY_ANALYSIS {
  const uint64_t id = log->channel_id();
  bool wanted = false;
  SourceFilter filter = FilterFor(id, &wanted);
  const auto at = reading_.find(id);
  if (!wanted) {
    if (at == reading_.end()) return;
    at->second.status.next_sequence = log->next_sequence();
    subscriber_.RemoveChannel(
        id, fanout::MembershipChanged{.channel = at->second.status, .cause = cause, .left = true, .filter = {}});
    reading_.erase(at);
  } else if (at == reading_.end()) {
    // Only the session's memberships change while the stream is open.
    ChannelStatus status = *session_->memberships.StatusOf(id);
    const Cursor head = log->Head();
    status.next_sequence = head.sequence;
    reading_.emplace(id, Reading{status, filter});
    subscriber_.AddChannel(log, filter, head,
                           fanout::MembershipChanged{.channel = status, .cause = cause, .filter = filter});
  } else if (at->second.filter != filter) {
    at->second.filter = filter;
    at->second.status.next_sequence = log->next_sequence();
    subscriber_.ChangeFilter(id, filter,
                             fanout::MembershipChanged{.channel = at->second.status, .cause = cause, .filter = filter});
  }
}

void Subscription::SessionEnded() {
  bool stays = false;
  {
    net::MutexLock lock(&mutex_);
    stays = !own_.empty();
  }
  if (!stays) subscriber_.EndWhenEmpty();
}

}  // namespace mcgw::gateway
