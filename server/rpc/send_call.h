// Send: one datagram, one answer.

#ifndef MCGW_RPC_SEND_CALL_H_
#define MCGW_RPC_SEND_CALL_H_

#include <memory>
#include <string>

#include "multicast/gateway/v1/gateway_service.pb.h"
#include "server/gateway/gateway.h"
#include "server/gateway/sending/send_loop.h"
#include "server/rpc/call.h"

namespace mcgw::rpc {

// What can be sent at once is sent by the loop's thread; the SendLoop has the rest.
class SendCall final : public Call {
 public:
  // `gateway` and `sends` outlive it.
  SendCall(gateway::Gateway* gateway, gateway::SendLoop* sends, StreamLoop* loop, http2::Stream* stream, CallHead head);

  void Begin() { ReadNext(); }

 private:
  void OnMessage(std::string message) override;
  void OnHalfClosed() override;
  void OnGone() override;
  void Answer();

  gateway::Gateway* const gateway_;
  gateway::SendLoop* const sends_;
  multicast::gateway::v1::SendRequest request_;
  std::shared_ptr<gateway::DatagramJob> job_;  // Refers to the request.
};

}  // namespace mcgw::rpc

#endif  // MCGW_RPC_SEND_CALL_H_
