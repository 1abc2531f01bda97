// Where all calls come in: the threads that serve connections, and which method serves a call.

#ifndef MCGW_RPC_FRONT_DOOR_H_
#define MCGW_RPC_FRONT_DOOR_H_

#include <atomic>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "grpcpp/channel.h"
#include "server/gateway/gateway.h"
#include "server/gateway/sending/send_loop.h"
#include "server/http2/transport.h"
#include "server/net/work_pool.h"
#include "server/rpc/pooled_call.h"
#include "server/rpc/publish_stream.h"
#include "server/rpc/stream_loop.h"
#include "server/rpc/subscribe_stream.h"

namespace mcgw::rpc {

// Thread-safe.
class FrontDoor {
 public:
  // All arguments outlive it.
  // Calls that may block run in `calls`, those that only look in `looks`.
  FrontDoor(gateway::Gateway* gateway, net::WorkPool* calls, net::WorkPool* looks, gateway::SendLoop* sends);
  ~FrontDoor() { Stop(); }

  // Begins to receive channels, and to serve connections. `services`: where calls of all other methods go; while it is
  // served, until Stop.
  void Start(std::shared_ptr<grpc::Channel> services);
  // Serves a connection until it ends.
  void Serve(std::unique_ptr<http2::Transport> transport, http2::Peer peer);
  // Looks for peers that have gone and for streams that are stalled. Called once a second.
  void Check(int most_stalled_checks);
  // Asks all clients to go elsewhere.
  void Drain();
  // Ends all streams in order.
  void End(const absl::Status& status);
  SubscribeStreams& subscriptions() { return subscriptions_; }
  PublishStreams& publications() { return publications_; }
  // Ends all connections, with what is left of their calls.
  void Cut();
  // Ends all connections and the threads.
  void Stop();

 private:
  std::shared_ptr<http2::StreamHandler> OnRequest(StreamLoop* loop, http2::Stream* stream, http2::Fields fields,
                                                  bool too_many_fields);

  // Makes what serves a call.
  using Make = std::function<std::shared_ptr<http2::StreamHandler>(StreamLoop*, http2::Stream*, CallHead)>;
  // Adds a unary method, of which `method` is the function in calls.h.
  template <typename Request, typename Response>
  void Add(const std::string& path, net::WorkPool* pool, size_t most_bytes,
           typename PooledCall<Request, Response>::Method method);

  gateway::Gateway* const gateway_;
  std::unordered_map<std::string, Make> methods_;  // By path.
  std::shared_ptr<grpc::Channel> services_;
  ReceiveBudget received_;
  SubscribeStreams subscriptions_;
  PublishStreams publications_;
  std::vector<std::unique_ptr<StreamLoop>> loops_;
  std::atomic<size_t> next_loop_{0};
};

}  // namespace mcgw::rpc

#endif  // MCGW_RPC_FRONT_DOOR_H_
