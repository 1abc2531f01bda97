// Publish: batches of datagrams, each answered once and in order.

#ifndef MCGW_RPC_PUBLISH_STREAM_H_
#define MCGW_RPC_PUBLISH_STREAM_H_

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <unordered_set>

#include "absl/status/status.h"
#include "grpcpp/server_context.h"
#include "grpcpp/support/byte_buffer.h"
#include "grpcpp/support/server_callback.h"
#include "multicast/gateway/v1/gateway_service.pb.h"
#include "server/gateway/gateway.h"
#include "server/gateway/sending/send_loop.h"
#include "server/net/mutex.h"

namespace mcgw::rpc {

class PublishStreams;

// One stream. It handles one batch at a time: on the thread that delivers it as far as possible at once, and in the
// SendLoop if the batch must wait or takes long. It stops reading while 16 answers, or 256 KiB of them, wait for the
// client.
class PublishStream final : public grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer> {
 public:
  // Owns itself until OnDone. All arguments must outlive it.
  static PublishStream* New(gateway::Gateway* gateway, gateway::SendLoop* sends, grpc::CallbackServerContext* context,
                            gateway::Caller caller, PublishStreams* streams);

  void OnReadDone(bool ok) override;
  void OnWriteDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override;

  // Answers what has been read, then ends with `status`. Any thread.
  void End(const absl::Status& status);
  // Cancels the call if its client has taken no answer for more than `most_checks` of these calls, which any thread
  // makes once a second. Calls are counted, not time: a gateway that was frozen has not given its clients a chance.
  void CheckStall(int most_checks);
  // Drops the batch that waits to be sent, if any, without an answer. Any thread.
  void Abandon();

 private:
  using Request = multicast::gateway::v1::PublishRequest;
  using Response = multicast::gateway::v1::PublishResponse;

  PublishStream(gateway::Gateway* gateway, gateway::SendLoop* sends, grpc::CallbackServerContext* context,
                gateway::Caller caller, PublishStreams* streams);
  // Parses the batch that was read; sends nothing yet.
  absl::StatusOr<std::shared_ptr<gateway::BatchJob>> Start();
  // Reads the session that the batch is sent for; the stream's first batch names it.
  absl::Status ReadSession();
  // Hands a batch that must wait to the SendLoop. RATE_LIMITED.
  absl::Status Wait(std::shared_ptr<gateway::BatchJob> job, gateway::SendJob::Next next);
  // Completes the batch.
  void Answer(absl::StatusOr<Response> answer);
  // Starts whatever may start now: the next write, the end, or the next read, in this order. Holds the lock during a
  // write to the connection: a second thread admitted then would only take turns with this one (docs/performance.md,
  // "What sending costs").
  void Advance() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  gateway::Gateway* const gateway_;
  gateway::SendLoop* const sends_;
  grpc::CallbackServerContext* const context_;
  const gateway::Caller caller_;
  PublishStreams* const streams_;
  grpc::ByteBuffer received_;  // Of the read in progress.
  Request request_;            // Of the batch.
  std::optional<std::string>
      session_id_;  // From the first batch. Used, like request_, by the thread that delivers batches.

  net::Mutex mutex_;
  std::shared_ptr<PublishStream> self_ ABSL_GUARDED_BY(mutex_);  // Until OnDone.
  std::deque<grpc::ByteBuffer> answers_ ABSL_GUARDED_BY(mutex_);
  size_t answer_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  std::shared_ptr<gateway::BatchJob> waiting_ ABSL_GUARDED_BY(mutex_);  // In the SendLoop.
  int stalled_checks_ ABSL_GUARDED_BY(mutex_) = 0;                      // How often CheckStall has seen the write.
  bool cancelled_ ABSL_GUARDED_BY(mutex_) = false;
  std::optional<absl::Status> ending_ ABSL_GUARDED_BY(mutex_);
  bool reading_ ABSL_GUARDED_BY(mutex_) = false;
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool finished_ ABSL_GUARDED_BY(mutex_) = false;
};

// All open Publish streams. Thread-safe.
class PublishStreams {
 public:
  void Add(PublishStream* stream);
  void Remove(PublishStream* stream);
  // Ends all streams, and every new one from now on.
  void End(const absl::Status& status);
  void CheckStalls(int most_checks);
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
  net::Mutex mutex_;
  net::CondVar changed_;
  std::unordered_set<PublishStream*> streams_ ABSL_GUARDED_BY(mutex_);
  std::optional<absl::Status> ended_ ABSL_GUARDED_BY(mutex_);
  size_t charged_ ABSL_GUARDED_BY(mutex_) = 0;
  std::unordered_map<std::string, size_t> charged_to_ ABSL_GUARDED_BY(mutex_);  // Clients with a charge.
};

}  // namespace mcgw::rpc

#endif  // MCGW_RPC_PUBLISH_STREAM_H_
