// One open Subscribe stream, as the control path sees it: what it holds itself, the session it follows, and the cursors
// (fanout::Subscriber) that result.

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

// Who calls. Two callers with the same identity may use each other's sessions.
struct Caller {
  std::string identity;
  std::string peer;  // The transport address, for those who look.
};

// Where a stream begins in the logs of its channels.
enum class Start : uint8_t { kLive, kOldest, kTime, kResume };

// Where an earlier stream stopped in one channel, which is named by meaning.
struct ResumePoint {
  std::string interface_name;
  net::IpAddress group;
  uint16_t port = 0;
  uint64_t epoch = 0;
  uint64_t next_sequence = 0;
  std::optional<int64_t> last_receive_unix_ns;  // Used in another epoch.
};

struct SubscribeRequest {
  std::vector<MembershipRequest> memberships;
  std::string session_id;
  Start start = Start::kLive;
  bool exclude_own = false;         // The gateway fills in options.own.
  int64_t start_unix_ns = 0;        // With kTime.
  std::vector<ResumePoint> resume;  // With kResume; one for each channel at most.
  int64_t retain_ns = 0;            // How long its memberships outlive the stream.
  fanout::Subscriber::Options options;
};

// Made and destroyed on threads that may block: both may make system calls. Destroying it leaves what the stream held.
class Subscription {
 public:
  // `session`: whose memberships it reads too; null: none. `on_close` is called first when it is destroyed; `retained`
  // takes over memberships that outlive it.
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
  // With its lag in this channel; 0: in the one where it is greatest.
  SubscriberSnapshot Snapshot(uint64_t channel_id) const;
  // Every channel as it was when the stream began; next_sequence is where the stream starts in it.
  const std::vector<fanout::ChannelStatus>& channels() const { return channels_; }
  // Nobody will ask for channels() any more. By the thread that asks for them.
  void ForgetChannels() { std::vector<fanout::ChannelStatus>().swap(channels_); }

  // ---- For the gateway ----

  // Joins the stream's own memberships, then reads them and the session's. Once. Before it, or while it runs,
  // interfaces may change already.
  absl::Status Open(const SubscribeRequest& request);

  // A membership of the session changed: reads, filters or lets go of these channels accordingly. `of_session`, here
  // and below, are the session's memberships; its mutex is held.
  void Refresh(const std::vector<MembershipSet::ChannelPtr>& touched, fanout::ChangeCause cause,
               const MembershipSet& of_session);
  // The session has ended.
  void SessionEnded();
  // The interfaces changed. First what became of one, and of channels on it: told if the stream reads them, or was told
  // that the interface was lost. Then the stream's own memberships follow; the session's come by Apply.
  void Tell(const InterfaceNotice& notice);
  // `by_channel`: of one vector, in order of channel id. Told in the vector's order. Costs what the smaller of the two,
  // the changes and the stream's channels, is.
  void Tell(const std::vector<const ChannelChange*>& by_channel);
  void FollowInterfaces();
  void Apply(const std::vector<MembershipSet::Followed>& followed, const MembershipSet& of_session);

 private:
  using Text = std::shared_ptr<const std::string>;
  using PointKey = std::tuple<std::string, net::IpAddress, uint16_t>;  // Interface, group and port.
  // A channel as the stream knows it, apart from what its log knows. There may be millions.
  struct Reading {
    net::IpAddress group;
    fanout::ChannelPhase phase = fanout::ChannelPhase::kJoined;
    uint16_t port = 0;
    uint32_t interface_index = 0;
    Text interface_name;  // Of Shared.
    absl::Status error;
    fanout::SourceFilter filter;

    // At the log's head.
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
  // `start`: where to begin if the channel is new to the stream; the head without it.
  void RefreshOne(const MembershipSet::ChannelPtr& log, fanout::ChangeCause cause, const MembershipSet* of_session,
                  std::optional<fanout::Cursor> start = std::nullopt) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void ApplyLocked(const std::vector<MembershipSet::Followed>& followed, const MembershipSet* of_session)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  fanout::ChannelStatus StatusOf(uint64_t channel_id, const MembershipSet* of_session) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status StartReading(const SubscribeRequest& request, const MembershipSet* of_session)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // INVALID_RESUME_POINT if the channel has not come so far.
  absl::StatusOr<fanout::ChannelStart> StartIn(const fanout::ChannelLog& log, const fanout::ChannelStatus& status,
                                               const SubscribeRequest& request) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Uses up the resume point of a channel, if there is one.
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
  std::vector<fanout::ChannelStatus> channels_;  // Constant once open, until it is forgotten.

  // Open joins, with mutex_ held; until it has, nobody waits for it, and what is missed meanwhile it looks up itself.
  std::atomic<bool> joining_{true};
  std::atomic<bool> missed_{false};

  // After the session's mutex, before that of InterfaceChannels.
  mutable net::Mutex mutex_;
  std::unique_ptr<MembershipSet> own_ ABSL_GUARDED_BY(mutex_);
  // Of its own memberships and whose they are; empty: not open, or they do not outlive the stream.
  std::string signature_ ABSL_GUARDED_BY(mutex_);
  std::map<PointKey, ResumePoint> points_ ABSL_GUARDED_BY(mutex_);  // That wait for their channels.
  bool started_ ABSL_GUARDED_BY(mutex_) = false;                    // It reads; before, Open takes care of all.
  absl::btree_map<uint64_t, Reading> reading_ ABSL_GUARDED_BY(mutex_);
  std::vector<Text> names_ ABSL_GUARDED_BY(mutex_);
  std::set<uint64_t> told_lost_ ABSL_GUARDED_BY(mutex_);  // Ids of InterfaceChannels.
};

}  // namespace mcgw::gateway

#endif  // MCGW_GATEWAY_SESSIONS_SUBSCRIPTION_H_
