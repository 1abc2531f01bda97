// Publish: batches of datagrams, each answered once and in order.

#ifndef MCGW_RPC_PUBLISH_STREAM_H_
#define MCGW_RPC_PUBLISH_STREAM_H_

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "multicast/gateway/v1/gateway_service.pb.h"
#include "server/gateway/gateway.h"
#include "server/gateway/sending/send_loop.h"
#include "server/net/mutex.h"
#include "server/net/work_pool.h"
#include "server/rpc/call.h"
#include "server/rpc/stream_loop.h"

namespace mcgw::rpc {

class PublishStreams;

// One stream. It handles one batch at a time: a small one on its loop's thread as far as possible at once, a large one
// in a net::WorkPool, and in the SendLoop what must wait or takes long. It stops reading while 16 answers, or 256 KiB
// of them, wait for the client.
class PublishStream final : public Call {
 public:
  // All arguments outlive it.
  PublishStream(PublishStreams* streams, StreamLoop* loop, http2::Stream* stream, CallHead head);
  ~PublishStream() override;

  void Begin();
  // Answers what has been read, then ends with `status`.
  void End(const absl::Status& status);
  // Drops the batch that waits to be sent, if any, without an answer.
  void Abandon();

 private:
  using Request = multicast::gateway::v1::PublishRequest;
  using Response = multicast::gateway::v1::PublishResponse;
  using Job = std::shared_ptr<gateway::BatchJob>;

  void OnMessage(std::string message) override;
  void OnHalfClosed() override;
  void OnSent() override;
  void OnGone() override;
  // Parses a batch and sends what goes at once. Any thread; nothing else touches the batch meanwhile.
  void Start(const std::string& message);
  absl::StatusOr<Job> Parse(const std::string& message);
  // Reads the session that the batch is sent for; the stream's first batch names it.
  absl::Status ReadSession();
  // Hands a batch that must wait to the SendLoop. RATE_LIMITED.
  absl::Status Wait(Job job, gateway::SendJob::Next next);
  // Completes the batch. Any thread.
  void Answer(absl::StatusOr<Response> answer);
  void Answered(absl::StatusOr<std::string> answer);
  // Starts whatever may start now: the next write, the end, or the next read, in this order.
  void Advance();
  std::shared_ptr<PublishStream> self() { return std::static_pointer_cast<PublishStream>(shared_from_this()); }

  PublishStreams* const streams_;

  // Of the thread that has the batch.
  Request request_;
  std::optional<std::string> session_id_;  // From the first batch.

  net::Mutex mutex_;
  Job waiting_ ABSL_GUARDED_BY(mutex_);  // In the SendLoop.
  bool cancelled_ ABSL_GUARDED_BY(mutex_) = false;

  // Loop thread only.
  std::deque<std::string> answers_;
  size_t answer_bytes_ = 0;
  bool in_batch_ = false;
  bool reading_ = false;
  std::optional<absl::Status> ending_;
};

// All open Publish streams. Thread-safe.
class PublishStreams {
 public:
  // All arguments outlive this object.
  PublishStreams(gateway::Gateway* gateway, gateway::SendLoop* sends, net::WorkPool* calls)
      : gateway_(gateway), sends_(sends), calls_(calls) {}

  // Ends all streams, and every new one from now on.
  void End(const absl::Status& status);
  // Waits until no stream is open, for at most `patience`.
  void WaitUntilIdle(absl::Duration patience);
  // Drops what waits to be sent, so that the streams that End waits for come to their end.
  void Abandon();

  // Charges the memory of a waiting batch to its client until GiveBack. False if the client has too much waiting.
  bool Charge(const std::string& client, size_t bytes);
  void GiveBack(const std::string& client, size_t bytes);

  static constexpr size_t kMostBytes = 256 << 20;
  static constexpr size_t kMostBytesOfClient = 64 << 20;

 private:
  friend class PublishStream;

  void Add(const std::shared_ptr<PublishStream>& stream);
  void Remove(PublishStream* stream);
  // Calls `visit` for each open stream, on its thread.
  void ForEach(const std::function<void(PublishStream*)>& visit);

  gateway::Gateway* const gateway_;
  gateway::SendLoop* const sends_;
  net::WorkPool* const calls_;
  net::Mutex mutex_;
  net::CondVar changed_;
  std::unordered_map<PublishStream*, std::weak_ptr<PublishStream>> streams_ ABSL_GUARDED_BY(mutex_);
  std::optional<absl::Status> ended_ ABSL_GUARDED_BY(mutex_);
  size_t charged_ ABSL_GUARDED_BY(mutex_) = 0;
  std::unordered_map<std::string, size_t> charged_to_ ABSL_GUARDED_BY(mutex_);  // Clients with a charge.
};

}  // namespace mcgw::rpc

#endif  // MCGW_RPC_PUBLISH_STREAM_H_
