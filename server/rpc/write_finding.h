// The answer to Diagnose.

#ifndef MCGW_RPC_WRITE_FINDING_H_
#define MCGW_RPC_WRITE_FINDING_H_

#include "multicast/gateway/v1/diagnosis.pb.h"
#include "server/gateway/inspection/diagnosis.h"

namespace mcgw::rpc {

namespace v1 = multicast::gateway::v1;

void WriteFinding(const gateway::Finding& finding, v1::Finding* message);

}  // namespace mcgw::rpc

#endif  // MCGW_RPC_WRITE_FINDING_H_
