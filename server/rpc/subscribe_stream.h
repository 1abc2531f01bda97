// One Subscribe stream on the wire, and the server of all of them.
//
// A stream is opened in a net::WorkPool (joining makes system calls), then belongs to one StreamLoop until it has
// gone. It has one write in flight, finishes once, and is freed when the call is done and none of its tags is in the
// queue.

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
#include "grpcpp/server_builder.h"
#include "grpcpp/server_context.h"
#include "grpcpp/support/async_stream.h"
#include "grpcpp/support/byte_buffer.h"
#include "multicast/gateway/v1/gateway_service.grpc.pb.h"
#include "server/fanout/subscriber.h"
#include "server/gateway/gateway.h"
#include "server/net/work_pool.h"
#include "server/rpc/linger.h"
#include "server/rpc/stream_loop.h"

namespace mcgw::rpc {

class SubscribeServer;

class SubscribeStream {
 public:
  SubscribeStream(SubscribeServer* server, StreamLoop* loop);
  SubscribeStream(const SubscribeStream&) = delete;
  SubscribeStream& operator=(const SubscribeStream&) = delete;
  ~SubscribeStream();

  StreamLoop* loop() const { return loop_; }

  // Once the call has begun, on a thread that may block: joins, then hands over to the loop.
  void Open();
  // Instead of it: ends the call.
  void Refuse(const absl::Status& status);

  // ---- The loop's thread ----

  // Writes the next message if there is one and none is in flight, or ends the stream.
  void Drive();
  // Write, Finish or Done has come back. May free this stream.
  void OnTag(StreamTag::Kind kind, bool ok);
  // Ends the stream in order.
  void End(const absl::Status& status);
  // Until when what there is to write is held back, to go with what comes meanwhile; in the past if nothing is.
  int64_t hold_until_ns() const { return hold_until_ns_; }
  void EndHold() { hold_until_ns_ = 0; }
  // Cancels a call whose end the client does not read, or that has taken no message for `patience_ns`. Once a second.
  void CheckStall(int64_t now_ns, int64_t patience_ns);

 private:
  friend class SubscribeServer;

  void Adopt(absl::StatusOr<std::unique_ptr<gateway::Subscription>> opened);
  // The next page of what the stream begins with.
  void WriteSubscribed();
  void Write(std::vector<grpc::Slice> slices);
  // Writes the farewell page by page, and with the last one `status`.
  void Finish(const absl::Status& status);
  void ReapIfGone();
  grpc::Slice EncodeEvents(const std::vector<fanout::Event>& events) const;

  SubscribeServer* const server_;
  StreamLoop* const loop_;
  const std::shared_ptr<StreamDoorbell> doorbell_;

  // Of the call.
  grpc::ServerContext context_;
  grpc::ByteBuffer request_;
  grpc::ServerAsyncWriter<grpc::ByteBuffer> writer_;
  StreamTag call_tag_{StreamTag::Kind::kCall, this};
  StreamTag write_tag_{StreamTag::Kind::kWrite, this};
  StreamTag finish_tag_{StreamTag::Kind::kFinish, this};
  StreamTag done_tag_{StreamTag::Kind::kDone, this};

  // Of the loop's thread.
  std::unique_ptr<gateway::Subscription> subscription_;
  fanout::Message message_;
  size_t channels_announced_ = 0;
  bool subscribed_ = false;  // All Subscribed events have been written.
  bool adopted_ = false;
  bool in_flight_ = false;
  std::optional<absl::Status> ending_;  // From the first page of the farewell on.
  bool finishing_ = false;
  bool done_ = false;
  uint64_t writes_ = 0;          // Messages given to the transport,
  uint64_t writes_seen_ = 0;     // as CheckStall last saw them,
  int64_t writes_seen_ns_ = 0;   // and when it saw them first.
  int64_t ending_since_ns_ = 0;  // Since when its end waits for its client; 0: it does not.
  Linger linger_;
  int64_t hold_until_ns_ = 0;  // Monotonic.
};

// Accepts Subscribe calls and owns their streams. Its owner starts it after the gRPC server, and before it is destroyed
// calls End, shuts the gRPC server down and calls Stop.
class SubscribeServer {
 public:
  using Service = multicast::gateway::v1::MulticastGatewayService;

  // Streams are opened and closed in `calls`, in turn with other calls of their clients. One that takes no message for
  // `stall_timeout` is cut. All must outlive this object.
  SubscribeServer(gateway::Gateway* gateway, net::WorkPool* calls, absl::Duration stall_timeout,
                  std::unique_ptr<grpc::ServerCompletionQueue> queue);
  ~SubscribeServer();

  // Begins to accept. `request` asks the service for one more call: RequestSubscribe of the raw method.
  using RequestCall =
      std::function<void(grpc::ServerContext*, grpc::ByteBuffer*, grpc::ServerAsyncWriter<grpc::ByteBuffer>*,
                         grpc::ServerCompletionQueue*, void*)>;
  void Start(RequestCall request);

  // Ends every open stream with `status`, and every later one at once. Any thread.
  void End(absl::Status status);
  // Looks for stalled streams. Once a second, any thread.
  void Sweep();
  // Waits until no stream is open, at most for `patience`.
  void WaitUntilIdle(absl::Duration patience);
  // Waits for the last stream and ends all threads. The gRPC server has been shut down.
  void Stop();

 private:
  friend class SubscribeStream;

  void RequestOne();
  void StreamGone();
  std::optional<absl::Status> ended() const;
  void Dispatch(StreamTag* tag, bool ok);
  void RunCompanion();

  gateway::Gateway* const gateway_;
  net::WorkPool* const calls_;
  const int64_t stall_timeout_ns_;
  const std::unique_ptr<grpc::ServerCompletionQueue> queue_;
  std::vector<std::unique_ptr<StreamLoop>> loops_;
  RequestCall request_;
  std::thread companion_;
  std::atomic<size_t> open_streams_{0};  // Calls that have begun and not gone.
  std::atomic<size_t> next_loop_{0};
  std::atomic<bool> stopping_{false};
  std::atomic<int> waiting_calls_{0};

  mutable net::Mutex mutex_;
  net::CondVar changed_;  // open_streams_ or waiting_calls_.
  std::optional<absl::Status> ended_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace mcgw::rpc

#endif  // MCGW_RPC_SUBSCRIBE_STREAM_H_
