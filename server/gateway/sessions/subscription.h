// The control path's view of one open Subscribe stream: its own memberships, the session that it follows, and the
// resulting cursors (fanout::Subscriber).

#ifndef MCGW_GATEWAY_SESSIONS_SUBSCRIPTION_H_
#define MCGW_GATEWAY_SESSIONS_SUBSCRIPTION_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "absl/container/btree_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/fanout/event.h"
#include "server/fanout/subscriber.h"
#include "server/gateway/channels/accounts.h"
#include "server/gateway/sessions/membership_set.h"
#include "server/gateway/sessions/retained.h"
#include "server/gateway/sessions/session.h"
#include "server/net/mutex.h"

namespace mcgw::gateway {

// The caller. Two callers with the same identity may use each other's sessions.
struct Caller {
  std::string identity;
  std::string peer;  // The transport address, for display.
};

// Where a stream starts in the logs of its channels.
enum class Start : uint8_t { kLive, kOldest, kTime, kResume };

// Where an earlier stream stopped in one channel, which is identified by interface, group and port.
struct ResumePoint {
  std::string interface_name;
  net::IpAddress group;
  uint16_t port = 0;
  uint64_t epoch = 0;
  uint64_t next_sequence = 0;
  std::optional<int64_t> last_receive_unix_ns;  // Used if the epoch has changed.
};

struct SubscribeRequest {
  std::vector<MembershipRequest> memberships;
  std::string session_id;
  Start start = Start::kLive;
  bool exclude_own = false;         // The gateway fills in options.own.
  int64_t start_unix_ns = 0;        // With kTime.
  std::vector<ResumePoint> resume;  // With kResume; one for each channel at most.
  int64_t retain_ns = 0;            // How long its memberships are kept after its end.
  fanout::Subscriber::Options options;
};

// Created and destroyed on threads that may block: both may make system calls. Destroying it leaves what the stream
// held.
class Subscription {
 public:
  // `session`: the session whose memberships it also reads, or null. The destructor calls `on_close` first; `retained`
  // takes over memberships that outlive the stream.
  Subscription(uint64_t id, Caller caller, MembershipServices* services, const SubscribeRequest& request,
               std::shared_ptr<Session> session, std::shared_ptr<fanout::SlabPool> slabs,
               std::shared_ptr<fanout::Doorbell> doorbell, RetainedMemberships* retained,
               std::function<void(Subscription*)> on_close);
  Subscription(const Subscription&) = delete;
  Subscription& operator=(const Subscription&) = delete;
  ~Subscription();

  uint64_t id() const { return id_; }
  const std::string& identity() const { return caller_.identity; }
  const fanout::Subscriber::Options& options() const { return options_; }
  int64_t retain_ns() const { return retain_ns_; }
  fanout::Subscriber& subscriber() { return subscriber_; }
  const fanout::Subscriber& subscriber() const { return subscriber_; }
  // With its lag in this channel; 0: in the channel where it is greatest.
  SubscriberSnapshot Snapshot(uint64_t channel_id) const;
  // Every channel as it was when the stream started; next_sequence is where the stream starts in it.
  const std::vector<fanout::ChannelStatus>& channels() const { return channels_; }
  // Frees channels(), which is not read again. Called by the thread that reads them.
  void ForgetChannels() { std::vector<fanout::ChannelStatus>().swap(channels_); }

  // ---- For the gateway ----

  // Joins the stream's own memberships, then reads them and the session's. Call it once. Interfaces may change before
  // it or while it runs.
  absl::Status Open(const SubscribeRequest& request);

  // A membership of the session changed: reads, filters or drops these channels accordingly. `of_session`, here and
  // below, are the session's memberships; its mutex is held.
  void Refresh(const std::vector<MembershipSet::ChannelPtr>& touched, fanout::ChangeCause cause,
               const MembershipSet& of_session);
  // The session has ended.
  void SessionEnded();
  // The interfaces changed. Tell comes first, with the changes of one interface or of channels on it; it notifies the
  // stream if it reads them, or was notified of the interface's loss. Then FollowInterfaces updates the stream's own
  // memberships, and Apply the session's.
  void Tell(const InterfaceNotice& notice);
  // `by_channel`: elements of one vector, in order of channel id. Events are in the vector's order. The cost is that of
  // the smaller of the two sets, the changes or the stream's channels.
  void Tell(const std::vector<const ChannelChange*>& by_channel);
  void FollowInterfaces();
  void Apply(const std::vector<MembershipSet::Followed>& followed, const MembershipSet& of_session);

 private:
  using Text = std::shared_ptr<const std::string>;
  using PointKey = std::tuple<std::string, net::IpAddress, uint16_t>;  // Interface, group and port.
  // What the stream knows of a channel beyond its log. There may be millions, so it is kept small.
  struct Reading {
    net::IpAddress group;
    fanout::ChannelPhase phase = fanout::ChannelPhase::kJoined;
    uint16_t port = 0;
    uint32_t interface_index = 0;
    Text interface_name;  // From Shared.
    absl::Status error;
    fanout::SourceFilter filter;

    // The status with the log's head.
    fanout::ChannelStatus StatusIn(const fanout::ChannelLog& log) const;
  };
  static_assert(sizeof(Reading) <= 64, "three and their keys in a node of the tree");

  // One copy of a name for all channels of an interface.
  Text Shared(const std::string& interface_name) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Reading MakeReading(const fanout::ChannelStatus& status, fanout::SourceFilter filter)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // `of_session`: null without a session.
  fanout::SourceFilter FilterFor(uint64_t channel_id, const MembershipSet* of_session, bool* wanted) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // `start`: where to start if the channel is new to the stream; by default the head.
  void RefreshOne(const MembershipSet::ChannelPtr& log, fanout::ChangeCause cause, const MembershipSet* of_session,
                  std::optional<fanout::Cursor> start = std::nullopt) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void ApplyLocked(const std::vector<MembershipSet::Followed>& followed, const MembershipSet* of_session)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  fanout::ChannelStatus StatusOf(uint64_t channel_id, const MembershipSet* of_session) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status StartReading(const SubscribeRequest& request, const MembershipSet* of_session)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // INVALID_RESUME_POINT if the channel has not reached the point.
  absl::StatusOr<fanout::ChannelStart> StartIn(const fanout::ChannelLog& log, const fanout::ChannelStatus& status,
                                               const SubscribeRequest& request) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Takes the resume point of a channel, if there is one.
  absl::StatusOr<std::optional<fanout::ChannelStart>> TakeResumePoint(const fanout::ChannelLog& log,
                                                                      const fanout::ChannelStatus& status)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  std::vector<fanout::ChannelStatus> AllStatuses(const MembershipSet* of_session) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const uint64_t id_;
  const Caller caller_;
  const int64_t created_unix_ns_;
  const fanout::Subscriber::Options options_;
  const int64_t retain_ns_;
  const std::shared_ptr<Session> session_;
  RetainedMemberships* const retained_;
  const std::function<void(Subscription*)> on_close_;
  fanout::Subscriber subscriber_;
  std::vector<fanout::ChannelStatus> channels_;  // Constant from Open to ForgetChannels.

  // Open is joining, with mutex_ held. No thread waits for it until it is done; Open looks up what it missed meanwhile.
  std::atomic<bool> joining_{true};
  std::atomic<bool> missed_{false};

  // After the session's mutex, before that of InterfaceChannels.
  mutable net::Mutex mutex_;
  std::unique_ptr<MembershipSet> own_ ABSL_GUARDED_BY(mutex_);
  // Of its own memberships and their owner; empty: not open, or they do not outlive the stream.
  std::string signature_ ABSL_GUARDED_BY(mutex_);
  std::map<PointKey, ResumePoint> points_ ABSL_GUARDED_BY(mutex_);  // Points that wait for their channels.
  bool started_ ABSL_GUARDED_BY(mutex_) = false;                    // It reads; until then Open handles everything.
  absl::btree_map<uint64_t, Reading> reading_ ABSL_GUARDED_BY(mutex_);
  std::vector<Text> names_ ABSL_GUARDED_BY(mutex_);
  std::set<uint64_t> told_lost_ ABSL_GUARDED_BY(mutex_);  // Ids of InterfaceChannels.
};

}  // namespace mcgw::gateway

#endif  // MCGW_GATEWAY_SESSIONS_SUBSCRIPTION_H_
