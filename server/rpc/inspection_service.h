// InspectionService over gRPC. Read-only.

#ifndef MCGW_RPC_INSPECTION_SERVICE_H_
#define MCGW_RPC_INSPECTION_SERVICE_H_

#include "multicast/gateway/v1/inspection_service.grpc.pb.h"
#include "server/gateway/gateway.h"
#include "server/net/work_pool.h"

namespace mcgw::rpc {

// Thread-safe. Calls that read the gateway run in `looks`. Everything passed to it must outlive it.
class InspectionService final : public multicast::gateway::v1::InspectionService::CallbackService {
 public:
  InspectionService(gateway::Gateway* gateway, net::WorkPool* looks) : gateway_(gateway), looks_(looks) {}

  grpc::ServerUnaryReactor* ListInterfaces(grpc::CallbackServerContext* context,
                                           const multicast::gateway::v1::ListInterfacesRequest* request,
                                           multicast::gateway::v1::ListInterfacesResponse* response) override;
  grpc::ServerUnaryReactor* ListChannels(grpc::CallbackServerContext* context,
                                         const multicast::gateway::v1::ListChannelsRequest* request,
                                         multicast::gateway::v1::ListChannelsResponse* response) override;
  grpc::ServerUnaryReactor* ListSubscribers(grpc::CallbackServerContext* context,
                                            const multicast::gateway::v1::ListSubscribersRequest* request,
                                            multicast::gateway::v1::ListSubscribersResponse* response) override;
  grpc::ServerUnaryReactor* GetLedger(grpc::CallbackServerContext* context,
                                      const multicast::gateway::v1::GetLedgerRequest* request,
                                      multicast::gateway::v1::GetLedgerResponse* response) override;
  grpc::ServerUnaryReactor* DescribeGroup(grpc::CallbackServerContext* context,
                                          const multicast::gateway::v1::DescribeGroupRequest* request,
                                          multicast::gateway::v1::DescribeGroupResponse* response) override;
  grpc::ServerUnaryReactor* Diagnose(grpc::CallbackServerContext* context,
                                     const multicast::gateway::v1::DiagnoseRequest* request,
                                     multicast::gateway::v1::DiagnoseResponse* response) override;

 private:
  gateway::Gateway* const gateway_;
  net::WorkPool* const looks_;
};

}  // namespace mcgw::rpc

#endif  // MCGW_RPC_INSPECTION_SERVICE_H_
