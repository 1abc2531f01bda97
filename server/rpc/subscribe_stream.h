// One Subscribe stream on the wire, and all of them.
//
// A stream opens in a net::WorkPool (joining makes system calls), then belongs to its loop's thread. It has one message
// in flight, which lies in the log until the kernel has taken it, and finishes once.

#ifndef MCGW_RPC_SUBSCRIBE_STREAM_H_
#define MCGW_RPC_SUBSCRIBE_STREAM_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/statusor.h"
#include "server/fanout/subscriber.h"
#include "server/gateway/gateway.h"
#include "server/net/mutex.h"
#include "server/net/work_pool.h"
#include "server/rpc/call.h"
#include "server/rpc/linger.h"
#include "server/rpc/stream_loop.h"

namespace mcgw::rpc {

class SubscribeStreams;

class SubscribeStream final : public Call {
 public:
  SubscribeStream(SubscribeStreams* streams, StreamLoop* loop, http2::Stream* stream, CallHead head);
  ~SubscribeStream() override;

  // Waits for the request.
  void Begin() { ReadNext(); }
  // Ends the stream, or writes the next message if there is one and none is in flight.
  void Drive();
  // Ends the stream in order.
  void End(const absl::Status& status);
  // When the message held back may be written; in the past if nothing is held back.
  int64_t hold_until_ns() const { return hold_until_ns_; }
  void EndHold() { hold_until_ns_ = 0; }
  // Also ends a stream whose client does not take the stream's end.
  void Check(int64_t now_ns, int most_checks) override;

 private:
  friend class SubscribeStreams;

  void OnMessage(std::string message) override;
  void OnHalfClosed() override;
  void OnSent() override;
  void OnGone() override;
  // Joins, on a thread that may block, and hands over to the loop.
  void Open(const std::string& request);
  void Adopt(absl::StatusOr<std::unique_ptr<gateway::Subscription>> opened);
  // Writes the next page of the stream's beginning.
  void WriteSubscribed();
  // Writes the farewell page by page; the last page carries `status`.
  void Farewell(const absl::Status& status);
  std::string EncodeEvents(const std::vector<fanout::Event>& events) const;

  SubscribeStreams* const streams_;
  const std::shared_ptr<StreamDoorbell> doorbell_;
  std::unique_ptr<gateway::Subscription> subscription_;
  fanout::Message message_;  // In flight, with its slab.
  uint64_t pinned_bytes_ = 0;
  size_t channels_announced_ = 0;
  bool subscribed_ = false;             // All Subscribed events are written.
  std::optional<absl::Status> ending_;  // Set with the first page of the farewell.
  int64_t ending_since_ns_ = 0;         // How long the end has waited for the client; 0: it does not wait.
  Linger linger_;
  int64_t hold_until_ns_ = 0;  // Monotonic.
};

// All open Subscribe streams. Thread-safe.
class SubscribeStreams {
 public:
  // Streams open and close in `calls`, in turn with their clients' other calls. All arguments outlive this object.
  SubscribeStreams(gateway::Gateway* gateway, net::WorkPool* calls) : gateway_(gateway), calls_(calls) {}

  // Ends every open stream with `status`, and every later one at once.
  void End(const std::vector<std::unique_ptr<StreamLoop>>& loops, const absl::Status& status);
  // Waits until no stream is open, for at most `patience`.
  void WaitUntilIdle(absl::Duration patience);

 private:
  friend class SubscribeStream;

  void Opened();
  void Gone();
  std::optional<absl::Status> ended() const;

  gateway::Gateway* const gateway_;
  net::WorkPool* const calls_;
  mutable net::Mutex mutex_;
  net::CondVar changed_;  // open_ changed.
  size_t open_ ABSL_GUARDED_BY(mutex_) = 0;
  std::optional<absl::Status> ended_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace mcgw::rpc

#endif  // MCGW_RPC_SUBSCRIBE_STREAM_H_
