// A Subscribe stream that comes back by itself.

#ifndef MCGW_CLIENT_CPP_RESUMING_SUBSCRIPTION_H_
#define MCGW_CLIENT_CPP_RESUMING_SUBSCRIPTION_H_

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "mcgw/client.h"
#include "mcgw/subscription.h"
#include "multicast/gateway/v1/gateway_service.pb.h"

namespace mcgw::client {

class SocketWatcher;

// Where a program is in the channels of its streams, from what it has read. Not thread-safe.
class ResumePoints {
 public:
  // What is taken from now on is of another stream, whose channel ids are its own.
  void BeginStream();
  // Takes in a message, events and datagrams.
  void Take(const multicast::gateway::v1::SubscribeResponse& message);
  // Where a stream goes on that follows. Empty until a channel is known.
  multicast::gateway::v1::Start::ResumePoints Get() const;
  bool empty() const { return places_.empty(); }

 private:
  using Key = std::string;  // Interface, group and port.
  static Key KeyOf(const multicast::gateway::v1::Channel& channel);
  void TakeEvent(const multicast::gateway::v1::Event& event);
  void TakeChannel(const multicast::gateway::v1::Channel& channel);
  multicast::gateway::v1::ResumePoint* PointOf(uint64_t channel_id);

  std::map<Key, multicast::gateway::v1::ResumePoint> places_;
  std::map<uint64_t, Key> ids_;  // Of the stream's channels.
};

struct ResumeOptions {
  // How long the gateway keeps the stream's memberships joined after it broke, if the request does not say.
  absl::Duration retain = absl::Seconds(10);
  // The wait before a new attempt: from the first to the most, doubled each time, and of that a random part between
  // half and all. It begins again once a stream stands. An attempt that finds no gateway goes on until there is one.
  absl::Duration first_wait = absl::Milliseconds(100);
  absl::Duration most_wait = absl::Seconds(1);
};

// Like Subscription, but when the stream breaks it subscribes again and goes on where the program is: no datagram comes
// twice, and what was missed is announced as Gap, also across a restart of the gateway (GAP_CAUSE_OTHER_EPOCH). Each
// new stream begins with a Subscribed; channel ids of streams before it mean nothing any more, since the gateway may be
// another one.
//
// A gateway that returns is found within about a second; one on a Unix socket at once, since the socket's directory is
// watched while the stream is broken.
//
// What breaks a stream: the connection (UNAVAILABLE), a gateway that stops (DRAINING), one that gave a slow reader up
// (CANCELLED without a reason, or SUBSCRIBER_TOO_SLOW). Any other end is the end, also of an attempt to come back, and
// so is a failure before the first stream ever stood.
//
// One thread reads and finishes; Cancel may be called by any thread while the object lives.
class ResumingSubscription {
 public:
  using ReadResult = Subscription::ReadResult;
  // Called by the reading thread when the stream broke: why, and how long it waits before the next attempt.
  using OnBreak = std::function<void(const absl::Status& why, absl::Duration wait)>;

  // `request` may have a start, which holds for the first stream.
  ResumingSubscription(const Client& client, multicast::gateway::v1::SubscribeRequest request,
                       const ResumeOptions& options = {}, OnBreak on_break = nullptr);
  ResumingSubscription(const ResumingSubscription&) = delete;
  ResumingSubscription& operator=(const ResumingSubscription&) = delete;
  ~ResumingSubscription();

  // As Subscription::Read. kTimedOut also while it waits or tries to come back; kEnded once it has given up.
  ReadResult Read(absl::Duration timeout, multicast::gateway::v1::SubscribeResponse* response);
  bool Read(multicast::gateway::v1::SubscribeResponse* response);

  // Ends it at once, for good. Thread-safe, does not block.
  void Cancel();

  // How it ended; as Subscription::Finish.
  absl::Status Finish();

 private:
  using Clock = std::chrono::steady_clock;

  // What Cancel ends. The standard library's, since Abseil's timed waits follow the wall clock, which may jump.
  class Pause {
   public:
    // True if Cut ended it.
    bool Until(Clock::time_point time);
    // Ends the one that lasts, or the next.
    void Cut();
    // Ends this one and all that follow.
    void End();

   private:
    std::mutex mutex_;
    std::condition_variable changed_;
    // Guarded by mutex_.
    bool cut_ = false;
    bool ended_ = false;
  };

  // False if it was cancelled.
  bool Begin();
  // The stream has ended. True if it is to come back.
  bool Break(const absl::Status& why);
  static bool IsBreak(const absl::Status& status);
  void WatchSocket();

  const Client client_;
  const multicast::gateway::v1::SubscribeRequest request_;
  const ResumeOptions options_;
  const OnBreak on_break_;

  // The reading thread's own.
  ResumePoints points_;
  bool stood_ = false;  // A stream has stood.
  absl::Duration wait_;
  Clock::time_point next_attempt_;
  absl::Status end_;
  bool ended_ = false;
  std::minstd_rand random_{std::random_device{}()};

  Pause pause_;
  std::unique_ptr<SocketWatcher> watcher_;  // While the stream is broken, if the gateway is on a Unix socket.
  absl::Mutex mutex_;
  bool cancelled_ ABSL_GUARDED_BY(mutex_) = false;
  std::unique_ptr<Subscription> stream_ ABSL_GUARDED_BY(mutex_);  // Changed by the reading thread only.
};

}  // namespace mcgw::client

#endif  // MCGW_CLIENT_CPP_RESUMING_SUBSCRIPTION_H_
