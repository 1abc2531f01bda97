// One open Subscribe stream, as the control path sees it: what it holds itself, the session it follows, and the cursors
// (fanout::Subscriber) that result.

#ifndef MCGW_GATEWAY_SUBSCRIPTION_H_
#define MCGW_GATEWAY_SUBSCRIPTION_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "server/fanout/event.h"
#include "server/fanout/subscriber.h"
#include "server/gateway/membership_set.h"
#include "server/gateway/session.h"
#include "server/net/mutex.h"

namespace mcgw::gateway {

// Where a stream begins in the logs of its channels.
enum class Start : uint8_t { kLive, kOldest };

struct SubscribeRequest {
  std::vector<MembershipRequest> memberships;
  std::string session_id;
  Start start = Start::kLive;
  bool exclude_own = false;  // The gateway fills in options.own.
  fanout::Subscriber::Options options;
};

// Made and destroyed on control threads: both may make system calls. Destroying it leaves what the stream held.
class Subscription {
 public:
  Subscription(uint64_t id, std::string identity, MembershipServices* services,
               const fanout::Subscriber::Options& options, std::shared_ptr<fanout::SlabPool> slabs,
               std::shared_ptr<fanout::Doorbell> doorbell, std::function<void(Subscription*)> on_close);
  Subscription(const Subscription&) = delete;
  Subscription& operator=(const Subscription&) = delete;
  ~Subscription();

  uint64_t id() const { return id_; }
  const std::string& identity() const { return identity_; }
  const fanout::Subscriber::Options& options() const { return options_; }
  fanout::Subscriber& subscriber() { return subscriber_; }
  // Every channel as it was when the stream began; next_sequence is where the stream starts in it.
  const std::vector<fanout::ChannelStatus>& channels() const { return channels_; }

  // ---- For the gateway ----

  // Joins the stream's own memberships, then reads them and the session's (null: none). Once, before all else.
  absl::Status Open(const SubscribeRequest& request, std::shared_ptr<Session> session);

  // A membership of the session changed: reads, filters or lets go of these channels accordingly. The session's mutex
  // is held.
  void Refresh(const std::vector<MembershipSet::ChannelPtr>& touched, fanout::ChangeCause cause);
  // The session has ended.
  void SessionEnded();

 private:
  struct Reading {
    fanout::ChannelStatus status;
    fanout::SourceFilter filter;
  };

  fanout::SourceFilter FilterFor(uint64_t channel_id, bool* wanted) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void RefreshOne(const MembershipSet::ChannelPtr& log, fanout::ChangeCause cause)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void StartReading(std::vector<fanout::ChannelStatus> statuses, Start start) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  std::vector<fanout::ChannelStatus> AllStatuses() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const uint64_t id_;
  const std::string identity_;
  const fanout::Subscriber::Options options_;
  const std::function<void(Subscription*)> on_close_;
  fanout::Subscriber subscriber_;
  std::vector<fanout::ChannelStatus> channels_;  // Constant once open.
  std::shared_ptr<Session> session_;             // Constant once open.

  // After the session's mutex, before an interface manager's.
  mutable net::Mutex mutex_;
  MembershipSet own_ ABSL_GUARDED_BY(mutex_);
  std::map<uint64_t, Reading> reading_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace mcgw::gateway

#endif  // MCGW_GATEWAY_SUBSCRIPTION_H_
