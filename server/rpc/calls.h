// What the calls do, without their transport: a request in, an answer out, on the thread of the caller. Their services
// run them.

#ifndef MCGW_RPC_CALLS_H_
#define MCGW_RPC_CALLS_H_

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "multicast/gateway/v1/gateway_service.pb.h"
#include "multicast/gateway/v1/inspection_service.pb.h"
#include "server/gateway/gateway.h"
#include "server/gateway/sending/send_job.h"

namespace mcgw::rpc {

namespace v1 = multicast::gateway::v1;

absl::Status Join(gateway::Gateway* gateway, const gateway::Caller& caller, const v1::JoinRequest& request,
                  v1::JoinResponse* response);
absl::Status Leave(gateway::Gateway* gateway, const gateway::Caller& caller, const v1::LeaveRequest& request,
                   v1::LeaveResponse* response);

// A Send between these two is a job that is run in steps.
absl::StatusOr<std::shared_ptr<gateway::DatagramJob>> StartSend(gateway::Gateway* gateway,
                                                                const gateway::Caller& caller,
                                                                const v1::SendRequest& request);
absl::Status FinishSend(gateway::DatagramJob* job, v1::SendResponse* response);

// One batch of a Publish stream is such a job too. `request` outlives it.
absl::StatusOr<std::shared_ptr<gateway::BatchJob>> StartBatch(gateway::Gateway* gateway, const gateway::Caller& caller,
                                                              const std::string& session_id,
                                                              const v1::PublishRequest& request);
v1::PublishResponse FinishBatch(gateway::BatchJob* job, const v1::PublishRequest& request);
// INVALID_BATCH for a batch that is empty or too large. StartBatch does not check it again.
absl::Status CheckBatch(const v1::PublishRequest& request);

absl::Status ListInterfaces(gateway::Gateway* gateway, const v1::ListInterfacesRequest& request,
                            v1::ListInterfacesResponse* response);
absl::Status ListChannels(gateway::Gateway* gateway, const v1::ListChannelsRequest& request,
                          v1::ListChannelsResponse* response);
absl::Status ListSubscribers(gateway::Gateway* gateway, const v1::ListSubscribersRequest& request,
                             v1::ListSubscribersResponse* response);
absl::Status GetLedger(gateway::Gateway* gateway, const v1::GetLedgerRequest& request, v1::GetLedgerResponse* response);
absl::Status DescribeGroup(const v1::DescribeGroupRequest& request, v1::DescribeGroupResponse* response);
absl::Status Diagnose(gateway::Gateway* gateway, const v1::DiagnoseRequest& request, v1::DiagnoseResponse* response);

}  // namespace mcgw::rpc

#endif  // MCGW_RPC_CALLS_H_
