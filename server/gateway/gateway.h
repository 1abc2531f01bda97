// The gateway itself: the face of the control path, all that rpc/ calls.
//
// It owns sessions, subscriptions, channels and send sockets. It has no threads: its owner runs each shard's loop
// (loop(i)->RunOnce) on a thread of its own, and the control loop on another, and calls Sweep once a second.
//
// Lock order, written here once. A thread that holds one of these may take only those further down:
//   Gateway::follow_mutex_, Gateway::mutex_, Session::mutex, Subscription::mutex_, RetainedMemberships::mutex_,
//   InterfaceRegistry::mutex_, InterfaceManager::mutex_, Subscriber::mutex_, ChannelLog::mutex_, ReadyList::mutex_.
//   Session::send_mutex may be taken under Session::mutex; SendSource::mutex_ comes before OwnTraffic::mutex_, which
//   may be taken under any of them. The other tables' mutexes (SessionTable, ClosedAccounts, InterfaceDirectory,
//   HostMemberships, EventLoop, and SourceFilter's) are leaves: nothing is taken under them. System calls are made under
//   those up to InterfaceManager's, SendSource's, HostMemberships' and (to read news without blocking)
//   InterfaceDirectory's only, which the data path never takes. No gRPC call is made under any of them, and no callback
//   but Doorbell::Ring, which only queues.
//
// Interfaces that come, go and change: FollowInterfaces reads them anew and does all that follows from it, one thread
// at a time: it takes what net::InterfaceWatch has heard and reads the table after it, so that no old message is held
// against a newer table; managers find their interfaces again and close sockets that are of no use any more, streams
// are told, what is wished is joined again, and memberships whose selector means something else now move. The owner
// calls it when net::InterfaceWatch has heard something (InterfaceFollower); Join and Subscribe do where a selector is
// not found, or is "*" and something has changed since; and Sweep does every ten seconds, whatever was heard, and
// compares with what the kernel says it has joined.

#ifndef MCGW_GATEWAY_GATEWAY_H_
#define MCGW_GATEWAY_GATEWAY_H_

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/fanout/receive_shard.h"
#include "server/gateway/diagnosis.h"
#include "server/gateway/interface_directory.h"
#include "server/gateway/interface_log.h"
#include "server/gateway/interface_manager.h"
#include "server/gateway/interface_registry.h"
#include "server/gateway/limits.h"
#include "server/gateway/membership_set.h"
#include "server/gateway/policy.h"
#include "server/gateway/send_account.h"
#include "server/gateway/sender.h"
#include "server/gateway/session.h"
#include "server/gateway/subscription.h"
#include "server/net/clock.h"
#include "server/net/device_counters.h"
#include "server/net/event_loop.h"
#include "server/net/kernel_memberships.h"
#include "server/net/multicast_socket.h"
#include "server/net/querier_listener.h"

namespace mcgw::gateway {

struct JoinResult {
  std::string session_id;
  uint64_t membership_id = 0;
  absl::Duration lease;
  std::optional<absl::Time> expires;  // Nothing while a stream of the session is open.
  std::vector<fanout::ChannelStatus> channels;
};

// What to leave: one membership by key or by id, or the whole session.
struct WholeSession {};
using LeaveTarget = std::variant<MembershipKey, uint64_t, WholeSession>;

// An interface as it is, and what the gateway makes of it for each family (0: IPv4, 1: IPv6).
struct InterfaceSnapshot {
  net::Interface interface;  // With index 0: it does not exist, and clients wish it.
  uint64_t order = 0;        // By which they are listed.
  bool permitted = false;
  bool lost = false;    // A channel on it cannot receive now.
  uint64_t losses = 0;  // How often that happened.
  struct KernelMembership {
    net::IpAddress group;
    uint32_t users = 0;          // Sockets of all the host, and the kernel itself.
    uint32_t gateway_users = 0;  // Sockets of the gateway.
  };
  struct PerFamily {
    std::vector<InterfaceDirectory::Exclusion> exclusions;
    bool is_default = false;
    uint32_t protocol_version = 0;  // Of IGMP or MLD; 0: unknown.
    size_t memberships = 0;         // Of the gateway's clients.
    std::vector<KernelMembership> kernel;
  } families[2];
  std::optional<net::DeviceCounters> device;
  ReceiveTotals received;
  InterfaceSends sends;
};

// Thread-safe, but for its construction and destruction. Join, Leave, Subscribe, the end of a subscription, Send, Sweep
// and FollowInterfaces make system calls and may block; they are not called on a shard's thread.
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
  // The ids of the memberships that ended.
  absl::StatusOr<std::vector<uint64_t>> Leave(const Caller& caller, const std::string& session_id,
                                              const LeaveTarget& target);
  absl::StatusOr<std::unique_ptr<Subscription>> Subscribe(const Caller& caller, const SubscribeRequest& request,
                                                          std::shared_ptr<fanout::Doorbell> doorbell);

  // Sends as Sender does, on behalf of a session (SESSION_NOT_FOUND), or of none where the id is empty. Renews nothing.
  // What is started is given to a SendLoop, or driven by whoever holds it, and never blocks; the others block.
  absl::StatusOr<std::shared_ptr<DatagramJob>> StartSend(const Caller& caller, const std::string& session_id,
                                                         const SendRequest& request, std::string_view payload);
  absl::StatusOr<std::shared_ptr<BatchJob>> StartPublish(const Caller& caller, const std::string& session_id,
                                                         std::unique_ptr<Bursts> bursts);
  absl::StatusOr<std::vector<SendResult>> Send(const Caller& caller, const std::string& session_id,
                                               const SendRequest& request, std::string_view payload);
  absl::StatusOr<PublishResult> Publish(const Caller& caller, const std::string& session_id,
                                        const std::vector<Burst>& bursts);
  const Sender& sender() const { return sender_; }

  // In order of channel id.
  absl::StatusOr<std::vector<ChannelSnapshot>> ListChannels(const ChannelQuery& query = {}) const;
  // The interfaces as they are now, and what the gateway has made of those that it has heard of. Follows nothing: no
  // socket is opened, closed or joined.
  absl::StatusOr<std::vector<InterfaceSnapshot>> ListInterfaces();
  // Why nothing arrives: what was looked into, and what was found, the gravest first. Joins and sends nothing. An
  // interface that does not exist is a finding. Reads much of /proc and asks rtnetlink for each interface.
  absl::StatusOr<std::vector<Finding>> Diagnose(const DiagnosisRequest& request);
  // Open streams in order of id.
  std::vector<SubscriberSnapshot> ListSubscribers(const SubscriberQuery& query = {}) const;
  // Whether there is such a channel, and its accounts.
  bool HasChannel(uint64_t channel_id) const;
  std::optional<ChannelLedger> LedgerOfChannel(uint64_t channel_id) const;
  // What streams were offered in a channel, also those that have left it; in order of their ids.
  std::vector<SubscriberLedger> LedgersInChannel(const SubscriberQuery& query) const;
  // What an open stream was offered in all its channels; nothing if there is no such stream. `entries`: by channel,
  // those behind `after_channel`, the first `most`.
  std::optional<fanout::LedgerEntry> LedgerOfSubscriber(uint64_t subscriber_id, uint64_t after_channel, size_t most,
                                                        std::vector<fanout::LedgerEntry>* entries) const;
  // Over the whole life of the gateway. Read part after part: exact when all is quiet.
  GatewayAccount Account() const;
  InterfaceDirectory& directory() { return directory_; }

  // Reads the interfaces again, and has memberships, channels and streams follow. On failure nothing has happened, and
  // what the watch had heard is kept for the next time.
  absl::Status FollowInterfaces();
  // The interfaces that have channels, by name, and whether all that is wished on each can be received.
  std::map<std::string, bool> InterfaceHealth() const;

  // From now on Join, Subscribe and new sends are refused with DRAINING, and open streams are told.
  void Drain(absl::Duration grace);
  // Leaves everything that sessions hold, and what streams that have ended had kept.
  void EndAllSessions();
  // Expires leases, drops old logs, and has streams report. Once a second, with the monotonic time of that moment.
  void Sweep(int64_t now_ns = net::MonotonicNs());

  size_t shards() const { return shards_.size(); }
  net::EventLoop* loop(size_t shard) { return shards_[shard].loop.get(); }
  const Options& options() const { return services_.options; }
  const std::shared_ptr<fanout::SlabPool>& slabs() const { return services_.log_budget->pool(); }
  size_t session_count() const { return sessions_.size(); }
  size_t subscription_count() const;
  absl::Status CheckServing() const;

 private:
  struct Shard {
    std::unique_ptr<net::EventLoop> loop;
    std::unique_ptr<fanout::ReceiveShard> receive;
  };

  struct ById {
    using is_transparent = void;
    static uint64_t Of(uint64_t id) { return id; }
    static uint64_t Of(const Subscription* subscription) { return subscription->id(); }
    template <typename A, typename B>
    bool operator()(const A& a, const B& b) const {
      return Of(a) < Of(b);
    }
  };

  Gateway(const Options& options, std::unique_ptr<net::SocketFactory> sockets, HostInterfaces host,
          std::vector<std::unique_ptr<net::EventLoop>> loops);
  // What a session sends from; null for no session. It must not outlive the gateway.
  absl::StatusOr<std::shared_ptr<SendSource>> SourceOf(const Caller& caller, const std::string& session_id);
  absl::StatusOr<std::shared_ptr<Session>> FindOrCreate(const Caller& caller, const std::string& session_id,
                                                        std::optional<absl::Duration> lease);
  static void TellStreams(Session* session, const std::vector<MembershipSet::ChannelPtr>& touched,
                          fanout::ChangeCause cause) ABSL_EXCLUSIVE_LOCKS_REQUIRED(session->mutex);
  struct KernelReading {
    net::KernelMemberships memberships;
    int64_t begun_ns = 0;  // Monotonic.
  };
  // What the kernel has joined, read anew, or for a further page of a list not longer than a while ago. Null if it
  // cannot be read.
  std::shared_ptr<const KernelReading> ReadKernel(bool further_page, int64_t since_ns) const;
  // Null if nobody has ever asked for the interface.
  InterfaceRegistry::ManagerPtr ManagerOf(uint32_t interface_index) const;
  // How many sockets of the gateway hold each group on an interface.
  std::map<net::IpAddress, uint32_t> SocketsOn(uint32_t interface_index) const;
  // What SnapshotOf needs to know of all interfaces.
  struct HostSnapshot {
    net::KernelMemberships memberships;
    std::map<uint32_t, net::DeviceCounters> devices;
    std::array<uint32_t, 2> defaults = {};  // The interface of an empty selector, for each family.
  };
  // `manager`: null if nobody has ever asked for the interface.
  InterfaceSnapshot SnapshotOf(const net::Interface& interface, const InterfaceManager* manager,
                               const HostSnapshot& host) const;
  uint32_t ProtocolVersion(const net::Interface& interface, net::Family family,
                           const net::KernelMemberships& kernel) const;
  // Of a diagnosis.
  struct Gathering;
  DiagnosisFacts GatherFacts(Gathering* gathering);
  HostFacts GatherHost(const Gathering& gathering) const;
  InterfaceFacts GatherInterface(const Gathering& gathering, const net::Interface& interface) const;
  std::vector<ChannelFacts> GatherChannels(const Gathering& gathering, const net::Interface& interface) const;
  absl::Status TryBind(const ChannelFacts& channel, const net::Interface& interface) const;
  // Ends streams that hold more memory than their share, where what streams hold together is too much.
  void SweepPinned() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Follows the interfaces if a request's selector is not found among those that are known, or is "*" and something has
  // changed since they were followed.
  absl::Status CatchUp(const std::vector<MembershipRequest>& requests);
  bool IsKnown(const MembershipRequest& request);
  absl::Status FollowLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(follow_mutex_);
  // Takes what was heard, and reads the interfaces after it.
  absl::Status ReadInterfaces() ABSL_EXCLUSIVE_LOCKS_REQUIRED(follow_mutex_);
  // Of Sweep: drops old logs, tries again what was refused, and follows whatever was heard.
  void SweepInterfaces(int64_t now_ns);
  // Has managers join what is wished and not joined, at once or when it is time to try again.
  void Heal(bool now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(follow_mutex_);
  // Compares with what the kernel has, and joins again what it has lost.
  void CheckKernel() ABSL_EXCLUSIVE_LOCKS_REQUIRED(follow_mutex_);
  void FollowMemberships() ABSL_EXCLUSIVE_LOCKS_REQUIRED(follow_mutex_);
  void Tell(const std::vector<InterfaceNotice>& notices) ABSL_EXCLUSIVE_LOCKS_REQUIRED(follow_mutex_);
  // Ends a session whose mutex is held: its memberships go, its streams are told.
  static std::vector<uint64_t> EndLocked(Session* session) ABSL_EXCLUSIVE_LOCKS_REQUIRED(session->mutex);

  const std::unique_ptr<net::SocketFactory> sockets_;
  const std::function<absl::StatusOr<net::KernelMemberships>()> kernel_memberships_;
  net::InterfaceWatch* const watch_;  // May be null.
  ChannelServices services_;
  std::vector<Shard> shards_;
  InterfaceDirectory directory_;
  InterfaceRegistry registry_;
  MembershipServices memberships_;
  Sender sender_;  // Before the sessions, whose sources it counts.
  SessionTable sessions_;
  RetainedMemberships retained_;
  std::unique_ptr<net::QuerierListener> queriers_;  // Null without CAP_NET_RAW; set before any other call.
  // When the gateway began: of the host, and of each device.
  const net::HostCounters counters_before_ = net::ReadHostCounters();
  const std::map<uint32_t, net::DeviceCounters> devices_before_ =
      net::ReadDeviceCounters().value_or(std::map<uint32_t, net::DeviceCounters>());
  std::atomic<bool> draining_{false};
  std::atomic<uint64_t> next_subscriber_id_{1};

  // What ListChannels read last, for the further pages of a list. Under no other lock.
  mutable net::Mutex reading_mutex_;
  mutable std::shared_ptr<const KernelReading> reading_ ABSL_GUARDED_BY(reading_mutex_);

  net::Mutex follow_mutex_;  // Held while the interfaces are followed.
  int64_t followed_ns_ ABSL_GUARDED_BY(follow_mutex_) = 0;
  net::InterfaceChanges changes_ ABSL_GUARDED_BY(follow_mutex_);  // Heard, and older than the table.
  InterfaceLog interface_log_ ABSL_GUARDED_BY(follow_mutex_);

  mutable net::Mutex mutex_;
  std::set<Subscription*, ById> subscriptions_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace mcgw::gateway

#endif  // MCGW_GATEWAY_GATEWAY_H_
