// Publish: batches of datagrams, each answered once, in order.

#ifndef MCGW_RPC_PUBLISH_STREAM_H_
#define MCGW_RPC_PUBLISH_STREAM_H_

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <unordered_set>

#include "absl/status/status.h"
#include "grpcpp/support/server_callback.h"
#include "multicast/gateway/v1/gateway_service.pb.h"
#include "server/gateway/gateway.h"
#include "server/net/mutex.h"

namespace mcgw::rpc {

class PublishStreams;

// One stream. Batches are sent on the thread that brings them, which blocks while a socket's buffer is full; with 16
// answers not yet taken by the client it reads no further. Frees itself in OnDone.
class PublishStream final
    : public grpc::ServerBidiReactor<multicast::gateway::v1::PublishRequest, multicast::gateway::v1::PublishResponse> {
 public:
  PublishStream(gateway::Gateway* gateway, gateway::Caller caller, PublishStreams* streams);

  void OnReadDone(bool ok) override;
  void OnWriteDone(bool ok) override;
  void OnCancel() override {}
  void OnDone() override;

  // Answers what was read, then ends with `status`. Any thread.
  void End(const absl::Status& status);

 private:
  using Request = multicast::gateway::v1::PublishRequest;
  using Response = multicast::gateway::v1::PublishResponse;

  absl::StatusOr<Response> Handle(const Request& request);
  // The session on whose behalf the batch is sent: the first one says.
  absl::Status ReadSession(const Request& request);
  // Starts what may be started now: the next write, the end, or the next read. In this order, and with the lock held
  // over a write that goes to the connection: a second thread that is let in then only takes turns with this one
  // (docs/performance.md, "What sending costs").
  void Advance() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  gateway::Gateway* const gateway_;
  const gateway::Caller caller_;
  PublishStreams* const streams_;
  Request request_;                        // Of the read in progress.
  std::optional<std::string> session_id_;  // Of the first batch; as request_, of the thread that brings batches.

  net::Mutex mutex_;
  std::deque<Response> answers_ ABSL_GUARDED_BY(mutex_);
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
  // Ends all, and from now on every new one.
  void End(const absl::Status& status);

 private:
  net::Mutex mutex_;
  std::unordered_set<PublishStream*> streams_ ABSL_GUARDED_BY(mutex_);
  std::optional<absl::Status> ended_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace mcgw::rpc

#endif  // MCGW_RPC_PUBLISH_STREAM_H_
