// Converts the API's messages to the gateway's own types.
//
// These functions check values that the gateway's types cannot hold (texts that are not addresses, ports over 65535,
// hop limits over 255) and return an error that names the field. The gateway checks what the values mean
// (gateway/policy.h).

#ifndef MCGW_RPC_READ_REQUEST_H_
#define MCGW_RPC_READ_REQUEST_H_

#include <string_view>

#include "absl/status/statusor.h"
#include "multicast/gateway/v1/gateway_service.pb.h"
#include "multicast/gateway/v1/inspection_service.pb.h"
#include "server/gateway/gateway.h"

namespace mcgw::rpc {

namespace v1 = multicast::gateway::v1;

// In nanoseconds. VALUE_OUT_OF_RANGE for an invalid protobuf Duration and for durations of centuries.
absl::StatusOr<int64_t> ReadDuration(const google::protobuf::Duration& message, std::string_view field);
absl::StatusOr<net::IpAddress> ReadAddress(std::string_view text, std::string_view field);
absl::StatusOr<uint16_t> ReadPort(uint32_t port, std::string_view field);
absl::StatusOr<gateway::MembershipRequest> ReadMembership(const v1::Membership& message);
absl::StatusOr<gateway::MembershipKey> ReadKey(const v1::MembershipKey& message);
absl::StatusOr<gateway::SendRequest> ReadSend(const v1::Destination& destination, const v1::SendOptions& options);
// `defaults` are the gateway's.
absl::StatusOr<gateway::SubscribeRequest> ReadSubscribe(const v1::SubscribeRequest& message,
                                                        const gateway::Options& options);
absl::StatusOr<gateway::DiagnosisRequest> ReadDiagnose(const v1::DiagnoseRequest& message);

}  // namespace mcgw::rpc

#endif  // MCGW_RPC_READ_REQUEST_H_
