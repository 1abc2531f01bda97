// From the messages of the API to the gateway's own types.
//
// These functions check what the gateway's types cannot hold (texts that are no addresses, ports over 65535, hop limits
// over 255), and answer an error that names the field. What the values mean is
// checked by the gateway (gateway/policy.h).

#ifndef MCGW_RPC_READ_REQUEST_H_
#define MCGW_RPC_READ_REQUEST_H_

#include <string_view>

#include "absl/status/statusor.h"
#include "multicast/gateway/v1/gateway_service.pb.h"
#include "multicast/gateway/v1/inspection_service.pb.h"
#include "server/gateway/gateway.h"

namespace mcgw::rpc {

namespace v1 = multicast::gateway::v1;

// As nanoseconds. VALUE_OUT_OF_RANGE for what a protobuf Duration may not hold, and for centuries.
absl::StatusOr<int64_t> ReadDuration(const google::protobuf::Duration& message, std::string_view field);
absl::StatusOr<net::IpAddress> ReadAddress(std::string_view text, std::string_view field);
absl::StatusOr<uint16_t> ReadPort(uint32_t port, std::string_view field);
absl::StatusOr<gateway::MembershipRequest> ReadMembership(const v1::Membership& message);
absl::StatusOr<gateway::MembershipKey> ReadKey(const v1::MembershipKey& message);
absl::StatusOr<gateway::SendRequest> ReadSend(const v1::Destination& destination, const v1::SendOptions& options);
// Defaults are the gateway's.
absl::StatusOr<gateway::SubscribeRequest> ReadSubscribe(const v1::SubscribeRequest& message,
                                                        const gateway::Options& options);
absl::StatusOr<gateway::DiagnosisRequest> ReadDiagnose(const v1::DiagnoseRequest& message);

}  // namespace mcgw::rpc

#endif  // MCGW_RPC_READ_REQUEST_H_
