// MulticastGatewayService over gRPC. Unary calls and Publish use the callback API; Subscribe is a raw asynchronous
// method that SubscribeServer accepts.
//
// The threads that deliver calls also read for all connections, so calls must not block them: Join and Leave run in a
// net::WorkPool, and a SendLoop finishes sends that must wait.

#ifndef MCGW_RPC_GATEWAY_SERVICE_H_
#define MCGW_RPC_GATEWAY_SERVICE_H_

#include "multicast/gateway/v1/gateway_service.grpc.pb.h"
#include "server/gateway/gateway.h"
#include "server/gateway/sending/send_loop.h"
#include "server/net/work_pool.h"
#include "server/rpc/publish_stream.h"

namespace mcgw::rpc {

using GatewayServiceBase = multicast::gateway::v1::MulticastGatewayService;
using GatewayServiceMethods = GatewayServiceBase::WithCallbackMethod_Join<GatewayServiceBase::WithCallbackMethod_Leave<
    GatewayServiceBase::WithCallbackMethod_Send<GatewayServiceBase::WithRawCallbackMethod_Publish<
        GatewayServiceBase::WithRawMethod_Subscribe<GatewayServiceBase::Service>>>>>;

// Thread-safe. Everything passed to it must outlive it.
class GatewayService final : public GatewayServiceMethods {
 public:
  GatewayService(gateway::Gateway* gateway, net::WorkPool* calls, gateway::SendLoop* sends)
      : gateway_(gateway), calls_(calls), sends_(sends) {}

  grpc::ServerUnaryReactor* Join(grpc::CallbackServerContext* context,
                                 const multicast::gateway::v1::JoinRequest* request,
                                 multicast::gateway::v1::JoinResponse* response) override;
  grpc::ServerUnaryReactor* Leave(grpc::CallbackServerContext* context,
                                  const multicast::gateway::v1::LeaveRequest* request,
                                  multicast::gateway::v1::LeaveResponse* response) override;
  grpc::ServerUnaryReactor* Send(grpc::CallbackServerContext* context,
                                 const multicast::gateway::v1::SendRequest* request,
                                 multicast::gateway::v1::SendResponse* response) override;
  // In bytes, so that a batch which cannot be parsed is told from the end of the stream.
  grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>* Publish(grpc::CallbackServerContext* context) override;

  PublishStreams& publish_streams() { return publish_streams_; }

 private:
  gateway::Gateway* const gateway_;
  net::WorkPool* const calls_;
  gateway::SendLoop* const sends_;
  PublishStreams publish_streams_;
};

}  // namespace mcgw::rpc

#endif  // MCGW_RPC_GATEWAY_SERVICE_H_
