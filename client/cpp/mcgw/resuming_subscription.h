// A Subscribe stream that resumes automatically.

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

// The positions up to which a program has read the channels of its streams. Not thread-safe.
class ResumePoints {
 public:
  // Starts a new stream, with its own channel ids.
  void BeginStream();
  // Takes a message: its events and datagrams.
  void Take(const multicast::gateway::v1::SubscribeResponse& message);
  // Where the next stream continues. Empty until a channel is known.
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
  // How long the gateway keeps the stream's memberships joined after it breaks, unless the request sets it.
  absl::Duration retain = absl::Seconds(10);
  // The wait before a new attempt: from first_wait to most_wait, doubled each time, of which a random part between half
  // and all is waited. It starts again once a stream is open. An attempt that finds no gateway waits until there is
  // one.
  absl::Duration first_wait = absl::Milliseconds(100);
  absl::Duration most_wait = absl::Seconds(1);
};

// Like Subscription, but when the stream breaks it subscribes again and continues where the program was. No datagram
// comes twice, and a Gap announces what was missed, also across a restart of the gateway (GAP_CAUSE_OTHER_EPOCH). Each
// new stream begins with a Subscribed. Channel ids of earlier streams are then invalid, because the gateway may be
// another one.
//
// It finds a returning gateway within about a second, and on a Unix socket at once: it watches the socket's directory
// while the stream is broken.
//
// A stream breaks when the connection does (UNAVAILABLE), when the gateway stops (DRAINING), or when the gateway gives
// up a slow reader (CANCELLED without a reason, or SUBSCRIBER_TOO_SLOW). A stream that returns and is refused with
// RESOURCE_EXHAUSTED waits at least as long as RetryInfo says, whatever the options are, and tries again. Any other end
// is final, also during an attempt to resume, and so is a failure before the first stream was open.
//
// One thread reads and finishes; Cancel may be called by any thread while the object lives.
class ResumingSubscription {
 public:
  using ReadResult = Subscription::ReadResult;
  // The reading thread calls it when the stream breaks, with the reason and the wait before the next attempt.
  using OnBreak = std::function<void(const absl::Status& why, absl::Duration wait)>;

  // `request` may have a start, which applies to the first stream.
  ResumingSubscription(const Client& client, multicast::gateway::v1::SubscribeRequest request,
                       const ResumeOptions& options = {}, OnBreak on_break = nullptr);
  ResumingSubscription(const ResumingSubscription&) = delete;
  ResumingSubscription& operator=(const ResumingSubscription&) = delete;
  ~ResumingSubscription();

  // As Subscription::Read. Returns kTimedOut also while it waits or reconnects, and kEnded once it has given up.
  ReadResult Read(absl::Duration timeout, multicast::gateway::v1::SubscribeResponse* response);
  bool Read(multicast::gateway::v1::SubscribeResponse* response);

  // Ends the subscription at once and for good. Thread-safe, does not block.
  void Cancel();

  // Returns how it ended, as Subscription::Finish.
  absl::Status Finish();

 private:
  using Clock = std::chrono::steady_clock;

  // A wait that Cancel ends. It uses the standard library, because Abseil's timed waits follow the wall clock, which
  // may jump.
  class Pause {
   public:
    // True if Cut ended it.
    bool Until(Clock::time_point time);
    // Ends the current wait, or else the next one.
    void Cut();
    // Ends the current wait and all later ones.
    void End();

   private:
    std::mutex mutex_;
    std::condition_variable changed_;
    // Guarded by mutex_.
    bool cut_ = false;
    bool ended_ = false;
  };

  // False if the subscription was cancelled.
  bool Begin();
  // Handles the end of the stream. True if it should resume.
  bool Break(const absl::Status& why);
  static bool IsBreak(const absl::Status& status);
  void WatchSocket();

  const Client client_;
  const multicast::gateway::v1::SubscribeRequest request_;
  const ResumeOptions options_;
  const OnBreak on_break_;

  // Used by the reading thread only.
  ResumePoints points_;
  bool stood_ = false;  // A stream was open.
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
