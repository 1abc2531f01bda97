// Converts the gateway's own types to the API's messages.

#ifndef MCGW_RPC_WRITE_RESPONSE_H_
#define MCGW_RPC_WRITE_RESPONSE_H_

#include "multicast/gateway/v1/gateway_service.pb.h"
#include "multicast/gateway/v1/inspection_service.pb.h"
#include "server/fanout/event.h"
#include "server/fanout/subscriber.h"
#include "server/gateway/gateway.h"

namespace mcgw::rpc {

namespace v1 = multicast::gateway::v1;

void WriteChannel(const fanout::ChannelStatus& status, v1::Channel* message);
void WriteChannelState(const fanout::ChannelStatus& status, v1::ChannelState* message);
void WriteFilter(const fanout::SourceFilter& filter, v1::SourceFilter* message);
void WriteSendResult(const gateway::SendResult& result, v1::SendResult* message);
void WriteOptions(const fanout::Subscriber::Options& options, int64_t retain_ns, v1::SubscribeOptions* message);
void WriteEvent(const fanout::Event& event, uint64_t subscriber_id, v1::Event* message);
void WriteChannelInfo(const gateway::ChannelSnapshot& snapshot, v1::ChannelInfo* message);
void WriteInterface(const gateway::InterfaceSnapshot& snapshot, const net::InterfaceTable& table,
                    v1::NetworkInterface* message);

}  // namespace mcgw::rpc

#endif  // MCGW_RPC_WRITE_RESPONSE_H_
