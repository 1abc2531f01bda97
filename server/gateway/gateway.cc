#include "server/gateway/gateway.h"

#include <utility>

#include "server/net/status.h"
#include "server/net/text.h"

namespace mcgw::gateway {

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
  if (absl::Status status = gateway->reconciler_.Follow(); !status.ok()) return status;
  if (absl::Status status = gateway->sender_.Open(); !status.ok()) return status;
  gateway->sender_.Sweep(net::MonotonicNs());  // Learns the host's addresses.
  return gateway;
}

Gateway::Gateway(const Options& options, std::unique_ptr<net::SocketFactory> sockets, HostInterfaces host,
                 std::vector<std::unique_ptr<net::EventLoop>> loops)
    : sockets_(std::move(sockets)),
      directory_(host, options.interfaces, options.default_interface),
      registry_(&services_),
      sender_(sockets_.get(), &directory_, options.source_port, options.limits.sending_sessions,
              SocketBudget(options.send_descriptors)),
      sessions_(&memberships_, options.limits.sessions),
      retained_(options.limits.subscribers),
      streams_(options.limits.subscribers, &services_.closed),
      reconciler_(&directory_, &registry_, &sessions_, &retained_, &streams_, host.memberships, host.watch),
      inspector_({.options = &services_.options,
                  .directory = &directory_,
                  .registry = &registry_,
                  .sender = &sender_,
                  .sockets = sockets_.get(),
                  .kernel_memberships = host.memberships},
                 &streams_, &services_.closed) {
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

absl::StatusOr<JoinResult> Gateway::Join(const Caller& caller, const std::string& session_id,
                                         const MembershipRequest& request, std::optional<absl::Duration> lease) {
  if (absl::Status status = CheckServing(); !status.ok()) return status;
  if (lease.has_value() && (*lease < absl::Seconds(1) || *lease > absl::Hours(1))) {
    return Error(Reason::kValueOutOfRange, "lease",
                 net::StrCat("a lease of ", absl::FormatDuration(*lease), ": from 1s to 1h"));
  }
  if (absl::Status status = reconciler_.CatchUp({request}); !status.ok()) return status;
  std::optional<int64_t> lease_ns;
  if (lease.has_value()) lease_ns = absl::ToInt64Nanoseconds(*lease);
  const bool is_new = session_id.empty();
  const absl::StatusOr<std::shared_ptr<Session>> session =
      is_new ? sessions_.Create(caller.identity,
                                lease_ns.value_or(absl::ToInt64Nanoseconds(services_.options.session_lease)))
             : sessions_.Find(session_id, caller.identity);
  if (!session.ok()) return session.status();
  absl::StatusOr<JoinResult> joined = (*session)->Join(request, lease_ns);
  // A failed Join leaves nothing behind, not even the session that it made.
  if (!joined.ok() && is_new) sessions_.End(session->get());
  return joined;
}

absl::StatusOr<std::vector<uint64_t>> Gateway::Leave(const Caller& caller, const std::string& session_id,
                                                     const LeaveTarget& target) {
  const absl::StatusOr<std::shared_ptr<Session>> session = sessions_.Find(session_id, caller.identity);
  if (!session.ok()) return session.status();
  absl::StatusOr<std::vector<uint64_t>> left = (*session)->Leave(target);
  if (left.ok() && std::holds_alternative<WholeSession>(target)) sessions_.Erase(session_id);
  return left;
}

void Gateway::EndAllSessions() {
  sessions_.EndAll();
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
    return Error(Reason::kFieldRequired, "memberships", "name at least one membership, or a session");
  }
  if (absl::Status status = reconciler_.CatchUp(request.memberships); !status.ok()) return status;
  SubscribeRequest complete = request;
  if (complete.exclude_own) {
    complete.options.own =
        std::make_shared<fanout::OwnFilter>(sender_.traffic(), session == nullptr ? nullptr : session->ports());
  }
  auto subscription = std::make_unique<Subscription>(next_subscriber_id_.fetch_add(1), caller, &memberships_, complete,
                                                     session, slabs(), std::move(doorbell), &retained_,
                                                     [this](Subscription* closed) { streams_.Remove(closed); });
  if (absl::Status status = streams_.Add(subscription.get()); !status.ok()) return status;
  // Checked again: either Drain has seen this stream, or this check sees Drain.
  if (absl::Status status = CheckServing(); !status.ok()) return status;
  if (absl::Status status = subscription->Open(request); !status.ok()) return status;
  return subscription;
}

// ---- Sending ----

absl::StatusOr<std::shared_ptr<SendSource>> Gateway::SourceOf(const Caller& caller, const std::string& session_id) {
  if (session_id.empty()) return nullptr;
  const absl::StatusOr<std::shared_ptr<Session>> found = sessions_.Find(session_id, caller.identity);
  if (!found.ok()) return found.status();
  return (*found)->Source(&sender_);
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

void Gateway::Drain(absl::Duration grace) {
  draining_.store(true, std::memory_order_release);
  streams_.ForEach(
      [&](Subscription& stream) { stream.subscriber().Notify(fanout::Draining{absl::ToInt64Nanoseconds(grace)}); });
}

void Gateway::Sweep(int64_t now_ns) {
  inspector_.Sweep();
  sessions_.Expire(now_ns);
  retained_.Sweep(now_ns);
  reconciler_.Sweep(now_ns);
  sender_.Sweep(now_ns);
  for (Shard& shard : shards_) shard.receive->Sweep(now_ns);
  streams_.EndGreedy(*services_.log_budget);
  streams_.ForEach([](Subscription& stream) { stream.subscriber().RequestSweep(); });
}

}  // namespace mcgw::gateway
