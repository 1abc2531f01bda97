#include "server/app/grpc_services.h"

#include <chrono>

#include "grpcpp/ext/channelz_service_plugin.h"
#include "grpcpp/ext/proto_server_reflection_plugin.h"
#include "grpcpp/health_check_service_interface.h"
#include "grpcpp/server_builder.h"
#include "multicast/gateway/v1/gateway_service.grpc.pb.h"
#include "multicast/gateway/v1/inspection_service.grpc.pb.h"

namespace mcgw::app {

GrpcServices::GrpcServices() {
  names_.push_back(std::make_unique<multicast::gateway::v1::MulticastGatewayService::CallbackService>());
  names_.push_back(std::make_unique<multicast::gateway::v1::InspectionService::CallbackService>());
}

absl::StatusOr<std::unique_ptr<GrpcServices>> GrpcServices::Start(const std::vector<grpc::Service*>& others) {
  grpc::EnableDefaultHealthCheckService(true);
  grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  grpc::channelz::experimental::InitChannelzService();
  auto services = std::unique_ptr<GrpcServices>(new GrpcServices());
  grpc::ServerBuilder builder;
  for (const std::unique_ptr<grpc::Service>& service : services->names_) builder.RegisterService(service.get());
  for (grpc::Service* const other : others) builder.RegisterService(other);
  services->server_ = builder.BuildAndStart();
  if (services->server_ == nullptr) return absl::InternalError("gRPC could not start its server");
  return services;
}

std::shared_ptr<grpc::Channel> GrpcServices::Connect() {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(-1);
  return server_->InProcessChannel(arguments);
}

void GrpcServices::SetServing(const std::string& name, bool serving) {
  server_->GetHealthCheckService()->SetServingStatus(name, serving);
}

void GrpcServices::Shutdown(absl::Duration most) {
  server_->Shutdown(std::chrono::system_clock::now() + absl::ToChronoNanoseconds(most));
}

}  // namespace mcgw::app
