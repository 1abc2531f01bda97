// The daemon: gateway, listeners and threads, from start to orderly end.

#ifndef MCGW_APP_SERVER_H_
#define MCGW_APP_SERVER_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "server/app/acceptor.h"
#include "server/app/config.h"
#include "server/app/duty_report.h"
#include "server/app/grpc_services.h"
#include "server/app/health_names.h"
#include "server/gateway/gateway.h"
#include "server/gateway/sending/send_loop.h"
#include "server/gateway/sessions/interface_follower.h"
#include "server/http2/handshakes.h"
#include "server/http2/tls_source.h"
#include "server/net/clock.h"
#include "server/net/event_loop.h"
#include "server/net/interface_table.h"
#include "server/net/work_pool.h"
#include "server/rpc/front_door.h"

namespace mcgw::app {

class Server {
 public:
  // Opens the listeners and serves. An error names the listener and the remedy. `others`: services of gRPC's that are
  // served too; they outlive it.
  static absl::StatusOr<std::unique_ptr<Server>> Start(const Config& config,
                                                       const std::vector<grpc::Service*>& others = {});
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;
  ~Server();

  // The listening addresses, with actual ports.
  std::vector<std::string> addresses() const;

  // Stops in order: announces the end to streams, serves them, ends them with DRAINING, leaves every group. The streams
  // are gone within `grace` (at least half a second), sooner if their clients leave. Returns when done. Call once.
  void Stop(absl::Duration grace);

 private:
  explicit Server(const Config& config);
  absl::Status Serve(const std::vector<grpc::Service*>& others);
  // Names the loops whose long turns are reported.
  void WatchDuties();
  void RunControl();
  void SetServing(bool serving);
  // Serves a connection, or begins its handshake.
  void Serve(Acceptor::Accepted accepted);
  // Loads the TLS files that have changed.
  void RefreshTls();
  // Waits until no stream is open, until `end_ns` (monotonic) at most.
  void WaitUntilIdle(int64_t end_ns);
  // Reports the interfaces that have channels to the health service.
  void ReportInterfaces();

  const Config config_;
  std::unique_ptr<net::EventLoop> control_;
  std::unique_ptr<net::InterfaceWatch> watch_;
  std::unique_ptr<gateway::Gateway> gateway_;
  std::unique_ptr<gateway::InterfaceFollower> follower_;
  std::unique_ptr<net::WorkPool> calls_;
  std::unique_ptr<net::WorkPool> looks_;
  std::unique_ptr<gateway::SendLoop> sends_;
  std::unique_ptr<GrpcServices> services_;
  std::unique_ptr<rpc::FrontDoor> door_;
  std::atomic<uint64_t> refused_{0};               // Handshakes.
  std::unique_ptr<http2::Handshakes> handshakes_;  // Null: no listener has TLS.
  // Of the listeners that have it, with their addresses.
  std::vector<std::pair<std::string, std::shared_ptr<http2::TlsSource>>> tls_;
  std::unique_ptr<Acceptor> acceptor_;
  std::thread control_thread_;
  const int64_t start_ns_ = net::MonotonicNs();
  // Control thread only.
  bool stopping_control_ = false;
  HealthNames health_names_;
  DutyReport duties_;
};

}  // namespace mcgw::app

#endif  // MCGW_APP_SERVER_H_
