#include "server/gateway/gateway.h"

#include <utility>

#include "server/net/clock.h"
#include "server/net/status.h"
#include "server/net/text.h"
#include "spdlog/spdlog.h"

namespace mcgw::gateway {

using fanout::ChangeCause;
using net::Error;
using net::Reason;

absl::StatusOr<std::unique_ptr<Gateway>> Gateway::Create(const Options& options,
                                                         std::unique_ptr<net::SocketFactory> sockets,
                                                         HostInterfaces host) {
  std::vector<std::unique_ptr<net::EventLoop>> loops;
  for (int i = 0; i < options.shards; ++i) {
    absl::StatusOr<std::unique_ptr<net::EventLoop>> loop = net::EventLoop::Create();
    if (!loop.ok()) return loop.status();
    loops.push_back(*std::move(loop));
  }
  auto gateway = std::unique_ptr<Gateway>(new Gateway(options, std::move(sockets), std::move(host), std::move(loops)));
  // Needs a capability that the gateway does without.
  absl::StatusOr<std::unique_ptr<net::QuerierListener>> queriers = net::QuerierListener::Create();
  if (queriers.ok()) gateway->queriers_ = *std::move(queriers);
  if (absl::Status status = gateway->FollowInterfaces(); !status.ok()) return status;
  if (absl::Status status = gateway->sender_.Open(); !status.ok()) return status;
  gateway->sender_.Sweep(net::MonotonicNs());  // It learns the host's addresses.
  return gateway;
}

Gateway::Gateway(const Options& options, std::unique_ptr<net::SocketFactory> sockets, HostInterfaces host,
                 std::vector<std::unique_ptr<net::EventLoop>> loops)
    : sockets_(std::move(sockets)),
      kernel_memberships_(host.memberships),
      watch_(host.watch),
      directory_(std::move(host), options.interfaces, options.default_interface),
      registry_(&services_),
      sender_(sockets_.get(), &directory_, options.source_port, options.limits.sending_sessions,
              SocketBudget(options.send_descriptors)),
      sessions_(&memberships_, options.limits.sessions),
      retained_(options.limits.subscribers) {
  services_.sockets = sockets_.get();
  services_.log_budget = fanout::LogBudget::Create(options.total_log_bytes, loops.size());
  services_.options = options;
  services_.socket_budget = SocketBudget(options.channel_descriptors, options.limits.channels);
  for (std::unique_ptr<net::EventLoop>& loop : loops) {
    auto receive = std::make_unique<fanout::ReceiveShard>(loop.get(), sockets_.get(), services_.log_budget);
    services_.shards.push_back(receive.get());
    shards_.push_back({std::move(loop), std::move(receive)});
  }
  memberships_.directory = &directory_;
  memberships_.registry = &registry_;
  memberships_.limits = options.limits;
}

Gateway::~Gateway() {
  EndAllSessions();
  for (Shard& shard : shards_) shard.loop->RunOnce(absl::ZeroDuration());
}

absl::Status Gateway::CheckServing() const {
  if (!draining_.load(std::memory_order_acquire)) return absl::OkStatus();
  return Error(Reason::kDraining, "", "the gateway is stopping: connect to another one, or try again later");
}

// ---- Sessions ----

absl::StatusOr<std::shared_ptr<Session>> Gateway::FindOrCreate(const Caller& caller, const std::string& session_id,
                                                               std::optional<absl::Duration> lease) {
  if (lease.has_value() && (*lease < absl::Seconds(1) || *lease > absl::Hours(1))) {
    return Error(Reason::kValueOutOfRange, "lease",
                 net::StrCat("a lease of ", absl::FormatDuration(*lease), ": from 1s to 1h"));
  }
  if (!session_id.empty()) return sessions_.Find(session_id, caller.identity);
  return sessions_.Create(caller.identity, absl::ToInt64Nanoseconds(lease.value_or(services_.options.session_lease)));
}

absl::StatusOr<JoinResult> Gateway::Join(const Caller& caller, const std::string& session_id,
                                         const MembershipRequest& request, std::optional<absl::Duration> lease) {
  if (absl::Status status = CheckServing(); !status.ok()) return status;
  if (absl::Status status = CatchUp({request}); !status.ok()) return status;
  absl::StatusOr<std::shared_ptr<Session>> found = FindOrCreate(caller, session_id, lease);
  if (!found.ok()) return found.status();
  Session& session = **found;
  net::MutexLock lock(&session.mutex);
  if (session.ended) return SessionTable::NotFound(session_id);
  absl::StatusOr<MembershipSet::Added> added = session.memberships.Add(request);
  if (!added.ok()) {
    // A Join that fails leaves nothing behind, also not the session that it made.
    if (session_id.empty()) {
      session.ended = true;
      sessions_.Erase(session.id);
    }
    return net::WithFieldPrefix(added.status(), "membership.");
  }
  if (lease.has_value()) session.lease_ns = absl::ToInt64Nanoseconds(*lease);
  session.expires_ns = net::MonotonicNs() + session.lease_ns;
  TellStreams(&session, added->touched, ChangeCause::kJoin);
  JoinResult result{.session_id = session.id,
                    .membership_id = added->membership_id,
                    .lease = absl::Nanoseconds(session.lease_ns),
                    .expires = std::nullopt,
                    .channels = std::move(added->channels)};
  if (session.streams.empty()) result.expires = absl::FromUnixNanos(net::UnixNs()) + result.lease;
  return result;
}

absl::StatusOr<std::vector<uint64_t>> Gateway::Leave(const Caller& caller, const std::string& session_id,
                                                     const LeaveTarget& target) {
  absl::StatusOr<std::shared_ptr<Session>> found = sessions_.Find(session_id, caller.identity);
  if (!found.ok()) return found.status();
  Session& session = **found;
  net::MutexLock lock(&session.mutex);
  // Another call, or its lease, may have ended it since it was found.
  if (session.ended) return SessionTable::NotFound(session_id);
  if (std::holds_alternative<WholeSession>(target)) {
    sessions_.Erase(session.id);
    return EndLocked(&session);
  }
  absl::StatusOr<MembershipSet::Removed> removed = std::holds_alternative<uint64_t>(target)
                                                       ? session.memberships.Remove(std::get<uint64_t>(target))
                                                       : session.memberships.Remove(std::get<MembershipKey>(target));
  if (!removed.ok()) return removed.status();
  TellStreams(&session, removed->touched, ChangeCause::kLeave);
  return std::move(removed->membership_ids);
}

void Gateway::TellStreams(Session* session, const std::vector<MembershipSet::ChannelPtr>& touched, ChangeCause cause) {
  for (Subscription* stream : session->streams) stream->Refresh(touched, cause);
}

std::vector<uint64_t> Gateway::EndLocked(Session* session) {
  session->ended = true;
  {
    net::MutexLock lock(&session->send_mutex);
    session->send_ended = true;
    session->send_source.reset();
  }
  MembershipSet::Removed removed = session->memberships.RemoveAll();
  TellStreams(session, removed.touched, ChangeCause::kLeave);
  for (Subscription* stream : session->streams) stream->SessionEnded();
  return std::move(removed.membership_ids);
}

void Gateway::EndAllSessions() {
  for (const std::shared_ptr<Session>& session : sessions_.All()) {
    sessions_.Erase(session->id);
    net::MutexLock lock(&session->mutex);
    if (!session->ended) EndLocked(session.get());
  }
  retained_.Clear();
}

// ---- Streams ----

absl::StatusOr<std::unique_ptr<Subscription>> Gateway::Subscribe(const Caller& caller, const SubscribeRequest& request,
                                                                 std::shared_ptr<fanout::Doorbell> doorbell) {
  if (absl::Status status = CheckServing(); !status.ok()) return status;
  std::shared_ptr<Session> session;
  if (!request.session_id.empty()) {
    absl::StatusOr<std::shared_ptr<Session>> found = sessions_.Find(request.session_id, caller.identity);
    if (!found.ok()) return found.status();
    session = *std::move(found);
  } else if (request.memberships.empty()) {
    return Error(Reason::kFieldRequired, "memberships", "a subscription names at least one membership, or a session");
  }
  if (absl::Status status = CatchUp(request.memberships); !status.ok()) return status;
  SubscribeRequest wish = request;
  if (wish.exclude_own) {
    wish.options.own =
        std::make_shared<fanout::OwnFilter>(sender_.traffic(), session == nullptr ? nullptr : session->ports);
  }
  auto subscription =
      std::make_unique<Subscription>(next_subscriber_id_.fetch_add(1), caller, &memberships_, wish, session, slabs(),
                                     std::move(doorbell), &retained_, [this](Subscription* closed) {
                                       net::MutexLock lock(&mutex_);
                                       if (subscriptions_.erase(closed) > 0)
                                         services_.closed.Add(closed->subscriber().FinalTotal());
                                     });
  {
    net::MutexLock lock(&mutex_);
    // Again, now that Drain either sees this stream or is seen by it.
    if (absl::Status status = CheckServing(); !status.ok()) return status;
    const size_t limit = services_.options.limits.subscribers;
    if (subscriptions_.size() >= limit) {
      return Error(Reason::kSubscriberLimit, "",
                   net::StrCat("the gateway serves ", limit, " streams, its limit (max_subscribers)"));
    }
    subscriptions_.insert(subscription.get());
  }
  if (absl::Status status = subscription->Open(request); !status.ok()) return status;
  return subscription;
}

// ---- Sending ----

absl::StatusOr<std::shared_ptr<SendSource>> Gateway::SourceOf(const Caller& caller, const std::string& session_id) {
  if (session_id.empty()) return nullptr;
  const absl::StatusOr<std::shared_ptr<Session>> found = sessions_.Find(session_id, caller.identity);
  if (!found.ok()) return found.status();
  Session& session = **found;
  net::MutexLock lock(&session.send_mutex);
  if (session.send_ended) return SessionTable::NotFound(session_id);
  if (session.send_source == nullptr) {
    absl::StatusOr<std::shared_ptr<SendSource>> source = sender_.NewSource(session.ports);
    if (!source.ok()) return source.status();
    session.send_source = *std::move(source);
  }
  return session.send_source;
}

absl::StatusOr<std::vector<SendResult>> Gateway::Send(const Caller& caller, const std::string& session_id,
                                                      const SendRequest& request, std::string_view payload) {
  const absl::StatusOr<std::shared_ptr<DatagramJob>> job = StartSend(caller, session_id, request, payload);
  if (!job.ok()) return job.status();
  CompleteJob(job->get());
  return (*job)->TakeResults();
}

absl::StatusOr<std::shared_ptr<DatagramJob>> Gateway::StartSend(const Caller& caller, const std::string& session_id,
                                                                const SendRequest& request, std::string_view payload) {
  if (absl::Status status = CheckServing(); !status.ok()) return status;
  absl::StatusOr<std::shared_ptr<SendSource>> source = SourceOf(caller, session_id);
  if (!source.ok()) return source.status();
  return sender_.NewDatagram(request, payload, *std::move(source));
}

absl::StatusOr<PublishResult> Gateway::Publish(const Caller& caller, const std::string& session_id,
                                               const std::vector<Burst>& bursts) {
  const absl::StatusOr<std::shared_ptr<BatchJob>> job =
      StartPublish(caller, session_id, std::make_unique<BurstList>(bursts));
  if (!job.ok()) return job.status();
  CompleteJob(job->get());
  return (*job)->TakeResult();
}

absl::StatusOr<std::shared_ptr<BatchJob>> Gateway::StartPublish(const Caller& caller, const std::string& session_id,
                                                                std::unique_ptr<Bursts> bursts) {
  absl::StatusOr<std::shared_ptr<SendSource>> source = SourceOf(caller, session_id);
  if (!source.ok()) return source.status();
  return sender_.NewBatch(std::move(bursts), *std::move(source));
}

size_t Gateway::subscription_count() const {
  net::MutexLock lock(&mutex_);
  return subscriptions_.size();
}

void Gateway::Drain(absl::Duration grace) {
  draining_.store(true, std::memory_order_release);
  net::MutexLock lock(&mutex_);
  for (Subscription* subscription : subscriptions_) {
    subscription->subscriber().Notify(fanout::Draining{absl::ToInt64Nanoseconds(grace)});
  }
}

void Gateway::Sweep(int64_t now_ns) {
  if (queriers_ != nullptr) queriers_->Drain();
  for (const std::shared_ptr<Session>& session : sessions_.All()) {
    net::MutexLock lock(&session->mutex);
    if (session->ended || !session->streams.empty() || now_ns < session->expires_ns) continue;
    spdlog::info("a session of {} expired", session->identity);
    sessions_.Erase(session->id);
    EndLocked(session.get());
  }
  retained_.Sweep(now_ns);
  SweepInterfaces(now_ns);
  sender_.Sweep(now_ns);
  for (Shard& shard : shards_) shard.receive->Sweep(now_ns);
  net::MutexLock lock(&mutex_);
  SweepPinned();
  for (Subscription* subscription : subscriptions_) subscription->subscriber().RequestSweep();
}

}  // namespace mcgw::gateway
