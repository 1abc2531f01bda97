// Between the messages of the API and the gateway's own types.
//
// The Read functions check what the gateway's types cannot hold (texts that are no addresses, ports over 65535, hop
// limits over 255) and answer an error that names the field; what the values mean is checked by the gateway.

#ifndef MCGW_RPC_CONVERT_H_
#define MCGW_RPC_CONVERT_H_

#include <string_view>

#include "absl/status/statusor.h"
#include "multicast/gateway/v1/gateway_service.pb.h"
#include "multicast/gateway/v1/inspection_service.pb.h"
#include "server/fanout/event.h"
#include "server/fanout/subscriber.h"
#include "server/gateway/gateway.h"

namespace mcgw::rpc {

namespace v1 = multicast::gateway::v1;

absl::StatusOr<net::IpAddress> ReadAddress(std::string_view text, std::string_view field);
absl::StatusOr<uint16_t> ReadPort(uint32_t port, std::string_view field);
absl::StatusOr<gateway::MembershipRequest> ReadMembership(const v1::Membership& message);
absl::StatusOr<gateway::MembershipKey> ReadKey(const v1::MembershipKey& message);
absl::StatusOr<gateway::SendRequest> ReadSend(const v1::Destination& destination, const v1::SendOptions& options);
// Defaults are the gateway's.
absl::StatusOr<gateway::SubscribeRequest> ReadSubscribe(const v1::SubscribeRequest& message,
                                                        const gateway::Options& options);

void WriteChannel(const fanout::ChannelStatus& status, v1::Channel* message);
void WriteChannelState(const fanout::ChannelStatus& status, v1::ChannelState* message);
void WriteFilter(const fanout::SourceFilter& filter, v1::SourceFilter* message);
void WriteSendResult(const gateway::SendResult& result, v1::SendResult* message);
void WriteOptions(const fanout::Subscriber::Options& options, v1::SubscribeOptions* message);
void WriteEvent(const fanout::Event& event, uint64_t subscriber_id, v1::Event* message);
void WriteChannelInfo(const gateway::ChannelSnapshot& snapshot, v1::ChannelInfo* message);
void WriteInterface(const gateway::InterfaceSnapshot& snapshot, const net::InterfaceTable& table,
                    v1::NetworkInterface* message);

}  // namespace mcgw::rpc

#endif  // MCGW_RPC_CONVERT_H_
