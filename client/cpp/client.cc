#include "mcgw/client.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <fstream>
#include <iterator>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "google/protobuf/wrappers.pb.h"
#include "grpcpp/create_channel.h"
#include "grpcpp/generic/generic_stub.h"
#include "grpcpp/security/credentials.h"
#include "multicast/gateway/v1/gateway_service.grpc.pb.h"
#include "multicast/gateway/v1/inspection_service.grpc.pb.h"

namespace mcgw::client {
namespace {

namespace v1 = multicast::gateway::v1;

// These wrappers have the wire format of grpc.health.v1: a request is one string in field 1, an answer one enum in
// field 1.
using HealthRequest = google::protobuf::StringValue;
using HealthResponse = google::protobuf::UInt32Value;
constexpr char kHealthCheckMethod[] = "/grpc.health.v1.Health/Check";

constexpr uint32_t kPageSize = 1000;
// Answers and stream messages stay below 1 MiB, except with long lists.
constexpr int kMaxMessageBytes = 16 << 20;
// The wait between two attempts to connect, which gRPC varies by up to a fifth, and the time limit of one attempt. With
// these, the client finds a returning gateway within a second.
constexpr int kReconnectBackoffMs = 100;
constexpr int kMostReconnectBackoffMs = 800;
constexpr int kConnectTimeoutMs = 1000;

std::chrono::system_clock::time_point Deadline(absl::Duration timeout) {
  return absl::ToChronoTime(absl::Now() + timeout);
}

// `what`: of which the file must have at least one.
absl::StatusOr<std::string> ReadPemFile(const std::string& path, const std::string& what) {
  errno = 0;
  std::ifstream file(path, std::ios::binary);
  std::string bytes{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  if (!file.is_open() || bytes.empty()) {
    const std::string why = errno != 0 ? std::strerror(errno) : "it is empty";
    return absl::InvalidArgumentError(absl::StrCat("cannot read the TLS file '", path, "': ", why));
  }
  // gRPC says nothing of what it cannot use. A key may be a "PRIVATE KEY", an "EC PRIVATE KEY" or others.
  if (bytes.find(what + "-----") != std::string::npos) return bytes;
  return absl::InvalidArgumentError(absl::StrCat("the TLS file '", path, "' has no ", what, " in PEM"));
}

int Milliseconds(absl::Duration duration) { return static_cast<int>(absl::ToInt64Milliseconds(duration)); }

grpc::ChannelArguments ChannelArguments(const ConnectOptions& options) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, Milliseconds(options.keepalive_interval));
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, Milliseconds(options.keepalive_timeout));
  arguments.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, options.use_http_proxy ? 1 : 0);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, kReconnectBackoffMs);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, kConnectTimeoutMs);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, kMostReconnectBackoffMs);
  // Clients do not share connections: a gateway accepts a hundred streams on one.
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetMaxReceiveMessageSize(kMaxMessageBytes);
  if (options.tls.has_value() && !options.tls->server_name.empty()) {
    arguments.SetSslTargetNameOverride(options.tls->server_name);
  }
  return arguments;
}

absl::StatusOr<std::shared_ptr<grpc::ChannelCredentials>> CredentialsFor(const ConnectOptions& options) {
  if (!options.tls.has_value()) return grpc::InsecureChannelCredentials();
  const TlsOptions& tls = *options.tls;
  if (tls.certificate_file.empty() != tls.key_file.empty()) {
    return absl::InvalidArgumentError("a TLS certificate and its key go together: give both, or neither");
  }
  grpc::SslCredentialsOptions files;
  for (const auto& [path, what, bytes] : {std::tuple{&tls.ca_file, "CERTIFICATE", &files.pem_root_certs},
                                          std::tuple{&tls.certificate_file, "CERTIFICATE", &files.pem_cert_chain},
                                          std::tuple{&tls.key_file, "PRIVATE KEY", &files.pem_private_key}}) {
    if (path->empty()) continue;
    absl::StatusOr<std::string> read = ReadPemFile(*path, what);
    if (!read.ok()) return read.status();
    *bytes = *std::move(read);
  }
  return grpc::SslCredentials(files);
}

}  // namespace

struct Client::Stubs {
  explicit Stubs(const std::shared_ptr<grpc::Channel>& channel)
      : gateway(v1::MulticastGatewayService::NewStub(channel)),
        inspection(v1::InspectionService::NewStub(channel)),
        health(channel) {}

  const std::unique_ptr<v1::MulticastGatewayService::Stub> gateway;
  const std::unique_ptr<v1::InspectionService::Stub> inspection;
  grpc::TemplatedGenericStub<HealthRequest, HealthResponse> health;
};

namespace {

template <typename Response, typename Stub, typename Method, typename Request>
absl::StatusOr<Response> Call(Stub& stub, Method method, const Request& request, absl::Duration timeout,
                              const std::string& address) {
  grpc::ClientContext context;
  context.set_deadline(Deadline(timeout));
  Response response;
  const grpc::Status status = (stub.*method)(&context, request, &response);
  if (!status.ok()) return FromGrpc(status, address, /*answered=*/false);
  return response;
}

// Fetches page after page until the last. `call` fetches one page; `entries` returns the page's entries.
template <typename Entry, typename Request, typename CallPage, typename Entries>
absl::StatusOr<std::vector<Entry>> AllPages(Request request, CallPage call, Entries entries) {
  std::vector<Entry> all;
  request.set_page_size(kPageSize);
  request.clear_page_token();
  do {
    auto page = call(request);
    if (!page.ok()) return page.status();
    std::move(entries(*page)->begin(), entries(*page)->end(), std::back_inserter(all));
    request.set_page_token(page->next_page_token());
  } while (!request.page_token().empty());
  return all;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Client>> Client::Connect(absl::string_view address, const ConnectOptions& options) {
  const auto target = GatewayTarget(address);
  if (!target.ok()) return target.status();
  const auto credentials = CredentialsFor(options);
  if (!credentials.ok()) return credentials.status();
  auto channel = grpc::CreateCustomChannel(*target, *credentials, ChannelArguments(options));
  return std::make_unique<Client>(std::move(channel), std::string(address), options);
}

Client::Client(std::shared_ptr<grpc::Channel> channel, std::string address, const ConnectOptions& options)
    : channel_(std::move(channel)),
      address_(std::move(address)),
      options_(options),
      stubs_(std::make_unique<Stubs>(channel_)) {}

Client::~Client() = default;

absl::Status Client::WaitForConnection(absl::Duration timeout) {
  const auto deadline = Deadline(timeout);
  while (true) {
    const grpc_connectivity_state state = channel_->GetState(/*try_to_connect=*/true);
    if (state == GRPC_CHANNEL_READY) return absl::OkStatus();
    if (state == GRPC_CHANNEL_TRANSIENT_FAILURE || state == GRPC_CHANNEL_SHUTDOWN) {
      return FromGrpc(grpc::Status(grpc::UNAVAILABLE, "cannot connect"), address_, /*answered=*/false);
    }
    if (!channel_->WaitForStateChange(state, deadline)) {
      return FromGrpc(grpc::Status(grpc::DEADLINE_EXCEEDED, "no connection"), address_, /*answered=*/false);
    }
  }
}

absl::StatusOr<v1::JoinResponse> Client::Join(const v1::JoinRequest& request) {
  using Stub = v1::MulticastGatewayService::Stub;
  return Call<v1::JoinResponse>(*stubs_->gateway, &Stub::Join, request, options_.rpc_timeout, address_);
}

absl::StatusOr<v1::LeaveResponse> Client::Leave(const v1::LeaveRequest& request) {
  using Stub = v1::MulticastGatewayService::Stub;
  return Call<v1::LeaveResponse>(*stubs_->gateway, &Stub::Leave, request, options_.rpc_timeout, address_);
}

absl::StatusOr<v1::SendResponse> Client::Send(const v1::SendRequest& request) {
  using Stub = v1::MulticastGatewayService::Stub;
  return Call<v1::SendResponse>(*stubs_->gateway, &Stub::Send, request, options_.rpc_timeout, address_);
}

absl::StatusOr<std::vector<v1::NetworkInterface>> Client::ListInterfaces(v1::ListInterfacesRequest request) {
  return AllPages<v1::NetworkInterface>(
      std::move(request),
      [this](const v1::ListInterfacesRequest& page) {
        return Call<v1::ListInterfacesResponse>(*stubs_->inspection, &v1::InspectionService::Stub::ListInterfaces, page,
                                                options_.rpc_timeout, address_);
      },
      [](v1::ListInterfacesResponse& page) { return page.mutable_interfaces(); });
}

absl::StatusOr<std::vector<v1::ChannelInfo>> Client::ListChannels(v1::ListChannelsRequest request) {
  return AllPages<v1::ChannelInfo>(
      std::move(request),
      [this](const v1::ListChannelsRequest& page) {
        return Call<v1::ListChannelsResponse>(*stubs_->inspection, &v1::InspectionService::Stub::ListChannels, page,
                                              options_.rpc_timeout, address_);
      },
      [](v1::ListChannelsResponse& page) { return page.mutable_channels(); });
}

absl::StatusOr<v1::DescribeGroupResponse> Client::DescribeGroup(const v1::DescribeGroupRequest& request) {
  using Stub = v1::InspectionService::Stub;
  return Call<v1::DescribeGroupResponse>(*stubs_->inspection, &Stub::DescribeGroup, request, options_.rpc_timeout,
                                         address_);
}

absl::StatusOr<v1::DiagnoseResponse> Client::Diagnose(const v1::DiagnoseRequest& request) {
  return Call<v1::DiagnoseResponse>(*stubs_->inspection, &v1::InspectionService::Stub::Diagnose, request,
                                    options_.rpc_timeout, address_);
}

absl::StatusOr<std::vector<v1::SubscriberInfo>> Client::ListSubscribers(v1::ListSubscribersRequest request) {
  return AllPages<v1::SubscriberInfo>(
      std::move(request),
      [this](const v1::ListSubscribersRequest& page) {
        return Call<v1::ListSubscribersResponse>(*stubs_->inspection, &v1::InspectionService::Stub::ListSubscribers,
                                                 page, options_.rpc_timeout, address_);
      },
      [](v1::ListSubscribersResponse& page) { return page.mutable_subscribers(); });
}

absl::StatusOr<v1::GetLedgerResponse> Client::GetLedger(v1::GetLedgerRequest request) {
  v1::GetLedgerResponse all;
  request.set_page_size(kPageSize);
  request.clear_page_token();
  do {
    auto page = Call<v1::GetLedgerResponse>(*stubs_->inspection, &v1::InspectionService::Stub::GetLedger, request,
                                            options_.rpc_timeout, address_);
    if (!page.ok()) return page.status();
    request.set_page_token(page->next_page_token());
    if (all.has_gateway() && request.has_channel_id()) {
      page->clear_channels();  // Every page repeats them.
      page->clear_sockets();
    }
    page->clear_next_page_token();
    all.MergeFrom(*page);
  } while (!request.page_token().empty());
  return all;
}

absl::StatusOr<ServingStatus> Client::CheckHealth(absl::string_view service) {
  grpc::ClientContext context;
  context.set_deadline(Deadline(options_.rpc_timeout));
  HealthRequest request;
  request.set_value(std::string(service));
  HealthResponse response;
  grpc::Status status;
  absl::Notification done;
  stubs_->health.UnaryCall(&context, kHealthCheckMethod, grpc::StubOptions(), &request, &response,
                           [&status, &done](grpc::Status answer) {
                             status = std::move(answer);
                             done.Notify();
                           });
  done.WaitForNotification();
  if (status.error_code() == grpc::NOT_FOUND) {
    return absl::NotFoundError(absl::StrCat("the gateway at ", address_, " does not know the health of \"", service,
                                            "\": give one of its services, interface/NAME, or nothing"));
  }
  if (!status.ok()) return FromGrpc(status, address_, /*answered=*/false);
  return static_cast<ServingStatus>(response.value());
}

}  // namespace mcgw::client
