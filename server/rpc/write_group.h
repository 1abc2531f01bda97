// Writes the gateway's description of a group as an API message.

#ifndef MCGW_RPC_WRITE_GROUP_H_
#define MCGW_RPC_WRITE_GROUP_H_

#include "multicast/gateway/v1/inspection_service.pb.h"
#include "server/gateway/rules/group_description.h"

namespace mcgw::rpc {

namespace v1 = multicast::gateway::v1;

void WriteGroup(const gateway::GroupDescription& description, v1::DescribeGroupResponse* message);

}  // namespace mcgw::rpc

#endif  // MCGW_RPC_WRITE_GROUP_H_
