// A client of one gateway: the connection, and the unary RPCs.
//
//   auto client = mcgw::client::Client::Connect("127.0.0.1:50051");
//   auto interfaces = (*client)->ListInterfaces();
//
// To receive, use mcgw::client::Subscription (subscription.h); to send many datagrams, mcgw::client::Publisher
// (publisher.h).

#ifndef MCGW_CLIENT_CPP_CLIENT_H_
#define MCGW_CLIENT_CPP_CLIENT_H_

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "grpcpp/channel.h"
#include "mcgw/error.h"
#include "mcgw/gateway_address.h"
#include "multicast/gateway/v1/gateway_service.pb.h"
#include "multicast/gateway/v1/inspection_service.pb.h"

namespace mcgw::client {

// How to speak TLS to a gateway. The files are PEM, and are read when the client is made.
struct TlsOptions {
  std::string ca_file;           // The CAs that may have signed the gateway's certificate. Empty: those of this host.
  std::string certificate_file;  // The client's certificate, and those between it and the CA. Empty: none.
  std::string key_file;          // Its key, without a password.
  std::string server_name;       // That the gateway's certificate must have. Empty: the host of the address.
};

struct ConnectOptions {
  // Nothing: plaintext.
  std::optional<TlsOptions> tls;
  // While a call is open and silent, the connection is probed at this interval, and given up after the timeout.
  absl::Duration keepalive_interval = absl::Seconds(20);
  absl::Duration keepalive_timeout = absl::Seconds(10);
  // Time limit of a unary RPC.
  absl::Duration rpc_timeout = absl::Seconds(20);
  // Whether to use the proxy from the environment (https_proxy, http_proxy). Off because a gateway is usually near.
  bool use_http_proxy = false;
};

// The answer of a health check, as grpc.health.v1.HealthCheckResponse.ServingStatus.
enum class ServingStatus { kUnknown = 0, kServing = 1, kNotServing = 2, kServiceUnknown = 3 };

// Thread-safe. Every RPC blocks until its answer comes or ConnectOptions::rpc_timeout expires. It fails as the API
// documents, in the form of error.h. If no gateway answers, it fails with UNAVAILABLE and a text that names the
// address.
class Client {
 public:
  // Prepares a connection to "HOST:PORT", "[IPV6]:PORT" or "unix:PATH". Does not block on the network: the first RPC
  // connects, and later ones reconnect if needed; all addresses of a HOST are tried. INVALID_ARGUMENT if the address is
  // malformed, or a file of TLS cannot be read.
  static absl::StatusOr<std::unique_ptr<Client>> Connect(absl::string_view address, const ConnectOptions& options = {});

  // A client on a channel that the program made, for instance with its own credentials. `address` appears in errors.
  Client(std::shared_ptr<grpc::Channel> channel, std::string address, const ConnectOptions& options = {});

  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;
  ~Client();

  // Waits until the client is connected. UNAVAILABLE once an attempt has failed, DEADLINE_EXCEEDED after the timeout.
  absl::Status WaitForConnection(absl::Duration timeout);

  absl::StatusOr<multicast::gateway::v1::JoinResponse> Join(const multicast::gateway::v1::JoinRequest& request);
  absl::StatusOr<multicast::gateway::v1::LeaveResponse> Leave(const multicast::gateway::v1::LeaveRequest& request);
  absl::StatusOr<multicast::gateway::v1::SendResponse> Send(const multicast::gateway::v1::SendRequest& request);

  // All pages as one list. Ignores the request's page_size and page_token.
  absl::StatusOr<std::vector<multicast::gateway::v1::NetworkInterface>> ListInterfaces(
      multicast::gateway::v1::ListInterfacesRequest request = {});
  absl::StatusOr<std::vector<multicast::gateway::v1::ChannelInfo>> ListChannels(
      multicast::gateway::v1::ListChannelsRequest request = {});
  absl::StatusOr<multicast::gateway::v1::DiagnoseResponse> Diagnose(
      const multicast::gateway::v1::DiagnoseRequest& request = {});

  absl::StatusOr<multicast::gateway::v1::DescribeGroupResponse> DescribeGroup(
      const multicast::gateway::v1::DescribeGroupRequest& request);
  absl::StatusOr<std::vector<multicast::gateway::v1::SubscriberInfo>> ListSubscribers(
      multicast::gateway::v1::ListSubscribersRequest request = {});
  // The accounts of the gateway and, if named, of a channel or a subscriber.
  absl::StatusOr<multicast::gateway::v1::GetLedgerResponse> GetLedger(
      multicast::gateway::v1::GetLedgerRequest request = {});

  // The standard health check. `service`: empty for the gateway as a whole, the full name of a service, or
  // "interface/NAME". NOT_FOUND if the gateway does not know the service.
  absl::StatusOr<ServingStatus> CheckHealth(absl::string_view service = "");

  const std::shared_ptr<grpc::Channel>& channel() const { return channel_; }
  const std::string& address() const { return address_; }

 private:
  struct Stubs;

  const std::shared_ptr<grpc::Channel> channel_;
  const std::string address_;
  const ConnectOptions options_;
  const std::unique_ptr<Stubs> stubs_;
};

}  // namespace mcgw::client

#endif  // MCGW_CLIENT_CPP_CLIENT_H_
