// A call of a method that a gRPC service of this process serves: its bytes go there and back.

#ifndef MCGW_RPC_FORWARDED_CALL_H_
#define MCGW_RPC_FORWARDED_CALL_H_

#include <memory>
#include <string>

#include "grpcpp/channel.h"
#include "server/rpc/call.h"

namespace mcgw::rpc {

class ForwardedCall final : public Call {
 public:
  ForwardedCall(StreamLoop* loop, http2::Stream* stream, CallHead head, size_t most_message_bytes)
      : Call(loop, stream, std::move(head), most_message_bytes) {}

  // `channel`: the server of the services.
  void Begin(const std::shared_ptr<grpc::Channel>& channel);

 private:
  class Reactor;

  void OnMessage(std::string message) override;
  void OnHalfClosed() override;
  void OnSent() override;
  void OnGone() override;
  // What the service did. On the loop's thread.
  void Begun(const http2::Fields& metadata);
  void Answered(std::string message);
  void Taken(bool ok);
  void Ended(const grpc::Status& status, const http2::Fields& metadata);

  // Waits for the service's next message, unless that is done or there is none.
  void ReadOn();

  Reactor* reactor_ = nullptr;  // Until Ended.
  bool reading_on_ = false;
  bool service_is_done_ = false;
};

}  // namespace mcgw::rpc

#endif  // MCGW_RPC_FORWARDED_CALL_H_
