// The gateway: the entry point of the control path, and all that rpc/ calls.
//
// It owns sessions, subscriptions, channels and send sockets. It has no threads: its owner runs each shard's loop
// (loop(i)->RunOnce) on a thread of its own, and the control loop on another, and calls Sweep once a second.
//
// Lock order. A thread that holds one of these may take only those further down:
//   InterfaceReconciler::mutex_, SubscriptionTable::mutex_, Session::mutex_, Subscription::mutex_,
//   RetainedMemberships::mutex_, InterfaceRegistry::mutex_, InterfaceChannels::mutex_, Subscriber::mutex_,
//   ChannelLog::mutex_, ReadyList::mutex_.
//   Session::send_mutex_ may be taken under Session::mutex_; SendSource::mutex_ comes before OwnTraffic::mutex_, which
//   may be taken under any of them. The other mutexes (SessionTable, ClosedAccounts, InterfaceDirectory,
//   HostMemberships, HostView, LogBudget, EventLoop, SourceFilter) are leaves: nothing is taken under them. System
//   calls are made only under the mutexes up to InterfaceChannels', SendSource's, HostMemberships' and (to read the
//   watch without blocking) InterfaceDirectory's; the data path takes none of these. No gRPC call is made under any of
//   them, and no callback except Doorbell::Ring, which only queues.
//
// The owner makes the reconciler follow the interfaces when net::InterfaceWatch reports a change (InterfaceFollower).
// Join and Subscribe do so when a selector is not found, or is "*" and something has changed; Sweep, every 10 s.

#ifndef MCGW_GATEWAY_GATEWAY_H_
#define MCGW_GATEWAY_GATEWAY_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/fanout/receive_shard.h"
#include "server/gateway/channels/interface_channels.h"
#include "server/gateway/inspection/inspector.h"
#include "server/gateway/interfaces/interface_directory.h"
#include "server/gateway/interfaces/interface_registry.h"
#include "server/gateway/rules/options.h"
#include "server/gateway/sending/sender.h"
#include "server/gateway/sessions/interface_reconciler.h"
#include "server/gateway/sessions/session.h"
#include "server/gateway/sessions/subscription.h"
#include "server/gateway/sessions/subscription_table.h"
#include "server/net/clock.h"
#include "server/net/event_loop.h"
#include "server/net/multicast_socket.h"

namespace mcgw::gateway {

// Thread-safe, except for construction and destruction. Join, Leave, Subscribe, the end of a subscription, Send and
// Sweep make system calls and may block; they are not called on a shard's thread.
class Gateway {
 public:
  static absl::StatusOr<std::unique_ptr<Gateway>> Create(const Options& options,
                                                         std::unique_ptr<net::SocketFactory> sockets,
                                                         HostInterfaces host = {});
  Gateway(const Gateway&) = delete;
  Gateway& operator=(const Gateway&) = delete;
  // All subscriptions must be gone, and no thread may run the loops any more. Leaves all groups.
  ~Gateway();

  absl::StatusOr<JoinResult> Join(const Caller& caller, const std::string& session_id, const MembershipRequest& request,
                                  std::optional<absl::Duration> lease);
  // Returns the ids of the memberships that ended.
  absl::StatusOr<std::vector<uint64_t>> Leave(const Caller& caller, const std::string& session_id,
                                              const LeaveTarget& target);
  absl::StatusOr<std::unique_ptr<Subscription>> Subscribe(const Caller& caller, const SubscribeRequest& request,
                                                          std::shared_ptr<fanout::Doorbell> doorbell);

  // Send as Sender does, on behalf of a session (SESSION_NOT_FOUND), or of none if the id is empty. No lease is
  // renewed. The Start calls never block: a SendLoop or the caller drives the job. Send and Publish block.
  absl::StatusOr<std::shared_ptr<DatagramJob>> StartSend(const Caller& caller, const std::string& session_id,
                                                         const SendRequest& request, std::string_view payload);
  absl::StatusOr<std::shared_ptr<BatchJob>> StartPublish(const Caller& caller, const std::string& session_id,
                                                         std::unique_ptr<Bursts> bursts);
  absl::StatusOr<std::vector<SendResult>> Send(const Caller& caller, const std::string& session_id,
                                               const SendRequest& request, std::string_view payload);
  absl::StatusOr<PublishResult> Publish(const Caller& caller, const std::string& session_id,
                                        const std::vector<Burst>& bursts);
  const Sender& sender() const { return sender_; }

  const Inspector& inspector() const { return inspector_; }
  InterfaceDirectory& directory() { return directory_; }
  InterfaceReconciler& reconciler() { return reconciler_; }

  // Refuses Join, Subscribe and new sends with DRAINING from now on, and notifies open streams.
  void Drain(absl::Duration grace);
  // Leaves everything that sessions hold, and everything retained for ended streams.
  void EndAllSessions();
  // Expires leases, drops old logs and makes streams report. Call it once a second with the monotonic time.
  void Sweep(int64_t now_ns = net::MonotonicNs());

  size_t shards() const { return shards_.size(); }
  net::EventLoop* loop(size_t shard) { return shards_[shard].loop.get(); }
  const Options& options() const { return services_.options; }
  const std::shared_ptr<fanout::SlabPool>& slabs() const { return services_.log_budget->pool(); }
  size_t session_count() const { return sessions_.size(); }
  size_t subscription_count() const { return streams_.size(); }
  absl::Status CheckServing() const;

 private:
  struct Shard {
    std::unique_ptr<net::EventLoop> loop;
    std::unique_ptr<fanout::ReceiveShard> receive;
  };

  Gateway(const Options& options, std::unique_ptr<net::SocketFactory> sockets, HostInterfaces host,
          std::vector<std::unique_ptr<net::EventLoop>> loops);
  // The send source of a session; null without a session. It must not outlive the gateway.
  absl::StatusOr<std::shared_ptr<SendSource>> SourceOf(const Caller& caller, const std::string& session_id);

  const std::unique_ptr<net::SocketFactory> sockets_;
  ChannelServices services_;
  std::vector<Shard> shards_;
  InterfaceDirectory directory_;
  InterfaceRegistry registry_;
  MembershipServices memberships_;
  Sender sender_;  // Outlives the sessions, whose sources it counts.
  SessionTable sessions_;
  RetainedMemberships retained_;
  SubscriptionTable streams_;
  InterfaceReconciler reconciler_;
  Inspector inspector_;
  std::atomic<bool> draining_{false};
  std::atomic<uint64_t> next_subscriber_id_{1};
};

}  // namespace mcgw::gateway

#endif  // MCGW_GATEWAY_GATEWAY_H_
