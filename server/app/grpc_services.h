// The services that gRPC has: health, reflection and channelz, in a server of gRPC without a port.

#ifndef MCGW_APP_GRPC_SERVICES_H_
#define MCGW_APP_GRPC_SERVICES_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "grpcpp/channel.h"
#include "grpcpp/impl/service_type.h"
#include "grpcpp/server.h"

namespace mcgw::app {

// Thread-safe.
class GrpcServices {
 public:
  // `others` are served too, and outlive it.
  static absl::StatusOr<std::unique_ptr<GrpcServices>> Start(const std::vector<grpc::Service*>& others);

  // Where they are called.
  std::shared_ptr<grpc::Channel> Connect();
  // What the health service says of `name`.
  void SetServing(const std::string& name, bool serving);
  // Waits for open calls, `most` at most, and ends the others.
  void Shutdown(absl::Duration most);

 private:
  GrpcServices();

  // They only lend their names to the reflection.
  std::vector<std::unique_ptr<grpc::Service>> names_;
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace mcgw::app

#endif  // MCGW_APP_GRPC_SERVICES_H_
