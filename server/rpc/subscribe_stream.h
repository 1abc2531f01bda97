// One Subscribe stream on the wire, and the server of all streams.
//
// A stream opens in a net::WorkPool (joining makes system calls), then belongs to one StreamLoop until it is destroyed.
// It has one write in flight and finishes once. It is freed when the call is done and none of its tags is in the queue.

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
#include "server/net/duty.h"
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

  // Joins, then hands over to the loop. Called when the call has begun, on a thread that may block.
  void Open();
  // Called instead of Open: ends the call.
  void Refuse(const absl::Status& status);

  // ---- The loop's thread ----

  // Ends the stream, or writes the next message if there is one and none is in flight.
  void Drive();
  // Handles a completed Write, Finish or Done. May free this stream.
  void OnTag(StreamTag::Kind kind, bool ok);
  // Ends the stream in order.
  void End(const absl::Status& status);
  // When the message held back may be written; in the past if nothing is held back.
  int64_t hold_until_ns() const { return hold_until_ns_; }
  void EndHold() { hold_until_ns_ = 0; }
  // Cancels a call whose client has taken no message for `most_checks` of these calls, made once a second, or does not
  // read the stream's end. Calls are counted, not time: a gateway that was frozen has not given its clients a chance.
  void CheckStall(int64_t now_ns, int most_checks);

 private:
  friend class SubscribeServer;

  void Adopt(absl::StatusOr<std::unique_ptr<gateway::Subscription>> opened);
  // Writes the next page of the stream's beginning.
  void WriteSubscribed();
  void Write(std::vector<grpc::Slice> slices);
  // Writes the farewell page by page; the last page carries `status`.
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

  // Loop thread only.
  std::unique_ptr<gateway::Subscription> subscription_;
  fanout::Message message_;
  size_t channels_announced_ = 0;
  bool subscribed_ = false;  // All Subscribed events are written.
  bool adopted_ = false;
  bool in_flight_ = false;
  std::optional<absl::Status> ending_;  // Set with the first page of the farewell.
  bool finishing_ = false;
  bool done_ = false;
  uint64_t writes_ = 0;          // Messages given to the transport,
  uint64_t writes_seen_ = 0;     // the count that CheckStall last saw,
  int stalled_checks_ = 0;       // and how often it has seen it again.
  int64_t ending_since_ns_ = 0;  // How long the end has waited for the client; 0: it does not wait.
  Linger linger_;
  int64_t hold_until_ns_ = 0;  // Monotonic.
};

// Accepts Subscribe calls and owns their streams. Start it after the gRPC server. Before destroying it, call End, shut
// the gRPC server down, and call Stop.
class SubscribeServer {
 public:
  using Service = multicast::gateway::v1::MulticastGatewayService;

  // Streams open and close in `calls`, in turn with their clients' other calls. All arguments must outlive this object.
  SubscribeServer(gateway::Gateway* gateway, net::WorkPool* calls, std::unique_ptr<grpc::ServerCompletionQueue> queue);
  ~SubscribeServer();

  // Starts accepting. `request` asks the service for one more call: RequestSubscribe of the raw method.
  using RequestCall =
      std::function<void(grpc::ServerContext*, grpc::ByteBuffer*, grpc::ServerAsyncWriter<grpc::ByteBuffer>*,
                         grpc::ServerCompletionQueue*, void*)>;
  void Start(RequestCall request);

  // Ends every open stream with `status`, and every later one at once. Any thread.
  void End(absl::Status status);
  // Cuts streams that have been stalled for `most_checks` of these calls. Called once a second by any thread.
  void CheckStalls(int most_checks);
  // Waits until no stream is open, for at most `patience`.
  void WaitUntilIdle(absl::Duration patience);
  // Waits for the last stream and ends all threads. The gRPC server must have been shut down.
  void Stop();

  // The thread that delivers completions.
  const net::Duty& duty() const { return duty_; }

 private:
  friend class SubscribeStream;

  void RequestOne();
  void StreamGone();
  std::optional<absl::Status> ended() const;
  void Dispatch(StreamTag* tag, bool ok);
  void RunCompanion();

  gateway::Gateway* const gateway_;
  net::WorkPool* const calls_;
  const std::unique_ptr<grpc::ServerCompletionQueue> queue_;
  std::vector<std::unique_ptr<StreamLoop>> loops_;
  RequestCall request_;
  std::thread companion_;
  net::Duty duty_;                       // Of companion_.
  std::atomic<size_t> open_streams_{0};  // Calls that have begun and are not destroyed.
  std::atomic<size_t> next_loop_{0};
  std::atomic<bool> stopping_{false};
  std::atomic<int> waiting_calls_{0};

  mutable net::Mutex mutex_;
  net::CondVar changed_;  // open_streams_ or waiting_calls_ changed.
  std::optional<absl::Status> ended_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace mcgw::rpc

#endif  // MCGW_RPC_SUBSCRIBE_STREAM_H_
