// ListSubscribers and GetLedger of the inspection service.

#ifndef MCGW_RPC_INSPECT_ACCOUNTS_H_
#define MCGW_RPC_INSPECT_ACCOUNTS_H_

#include "absl/status/status.h"
#include "multicast/gateway/v1/inspection_service.pb.h"
#include "server/gateway/gateway.h"

namespace mcgw::rpc {

namespace v1 = multicast::gateway::v1;

absl::Status ListSubscribers(gateway::Gateway* gateway, const v1::ListSubscribersRequest& request,
                             v1::ListSubscribersResponse* response);
absl::Status GetLedger(gateway::Gateway* gateway, const v1::GetLedgerRequest& request, v1::GetLedgerResponse* response);

}  // namespace mcgw::rpc

#endif  // MCGW_RPC_INSPECT_ACCOUNTS_H_
