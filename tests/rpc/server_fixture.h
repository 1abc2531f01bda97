// The whole server in this process, on a Unix socket, with the real kernel of the test's own namespace beneath it: link
// a0 here leads to b0 of a second host.

#ifndef MCGW_TESTS_RPC_SERVER_FIXTURE_H_
#define MCGW_TESTS_RPC_SERVER_FIXTURE_H_

#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "grpcpp/create_channel.h"
#include "multicast/gateway/v1/gateway_service.grpc.pb.h"
#include "multicast/gateway/v1/inspection_service.grpc.pb.h"
#include "server/app/server.h"
#include "tests/kernel/kernel_net.h"

namespace mcgw {

namespace v1 = multicast::gateway::v1;

// A status with its details taken apart.
struct Rich {
  grpc::StatusCode code;
  std::string reason;
  std::string domain;
  std::string field;
  std::string message;
  bool retry = false;
};

inline Rich Take(const grpc::Status& status) {
  Rich rich{status.error_code(), "", "", "", status.error_message()};
  google::rpc::Status details;
  details.ParseFromString(status.error_details());
  for (const google::protobuf::Any& any : details.details()) {
    google::rpc::ErrorInfo info;
    google::rpc::BadRequest bad_request;
    if (any.UnpackTo(&info)) {
      rich.reason = info.reason();
      rich.domain = info.domain();
    } else if (any.UnpackTo(&bad_request)) {
      rich.field = bad_request.field_violations(0).field();
    } else if (any.Is<google::rpc::RetryInfo>()) {
      rich.retry = true;
    }
  }
  return rich;
}

class ServerTest : public testing::Test {
 protected:
  ServerTest() {
    char name[] = "/tmp/mcgw-test-XXXXXX";
    directory_ = mkdtemp(name);
    config_.add_listen("unix:" + directory_ + "/s");
    config_.mutable_session_lease()->set_seconds(60);
    config_.mutable_keep_after_leave()->set_seconds(30);
    config_.set_channel_log_bytes(4 << 20);
    config_.set_total_log_bytes(64 << 20);
    config_.set_socket_buffer_bytes(8 << 20);
    config_.set_subscriber_lag_limit_bytes(4 << 20);
    config_.set_max_channels(1000);
    config_.set_max_sessions(100);
    config_.set_max_subscribers(100);
    config_.set_max_connections(100);
    config_.set_max_memberships(100);
    config_.set_max_sources(5);
    config_.set_max_holder_sources(100'000);
    config_.set_max_total_memberships(1'000'000);
    config_.set_max_total_sources(1'000'000);
  }
  ~ServerTest() override {
    if (server_ != nullptr) server_->Stop(absl::ZeroDuration());
    rmdir(directory_.c_str());
  }

  void Start() {
    absl::StatusOr<std::unique_ptr<app::Server>> server = app::Server::Start(config_);
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    channel_ = grpc::CreateChannel(config_.listen(0), grpc::InsecureChannelCredentials());
    gateway_ = v1::MulticastGatewayService::NewStub(channel_);
    inspection_ = v1::InspectionService::NewStub(channel_);
  }

  static v1::Membership Wish(const std::string& interface, const std::string& group, uint32_t port) {
    v1::Membership membership;
    membership.set_interface(interface);
    membership.set_group(group);
    membership.set_port(port);
    return membership;
  }

  grpc::Status Join(const v1::Membership& membership, v1::JoinResponse* response, const std::string& session = "") {
    grpc::ClientContext context;
    v1::JoinRequest request;
    request.set_session_id(session);
    *request.mutable_membership() = membership;
    return gateway_->Join(&context, request, response);
  }

  grpc::Status Send(const v1::SendRequest& request, v1::SendResponse* response) {
    grpc::ClientContext context;
    return gateway_->Send(&context, request, response);
  }

  static v1::SendRequest To(const std::string& interface, const std::string& group, uint32_t port,
                            const std::string& payload) {
    v1::SendRequest request;
    request.mutable_destination()->set_interface(interface);
    request.mutable_destination()->set_group(group);
    request.mutable_destination()->set_port(port);
    request.set_payload(payload);
    return request;
  }

  // An open stream. Its destructor cancels it.
  struct Stream {
    grpc::ClientContext context;
    std::unique_ptr<grpc::ClientReader<v1::SubscribeResponse>> reader;
    std::vector<v1::Event> events;
    std::vector<v1::Datagram> datagrams;

    bool ReadOne() {
      v1::SubscribeResponse response;
      if (!reader->Read(&response)) return false;
      events.insert(events.end(), response.events().begin(), response.events().end());
      datagrams.insert(datagrams.end(), response.datagrams().begin(), response.datagrams().end());
      return true;
    }
    bool ReadDatagrams(size_t count) {
      while (datagrams.size() < count) {
        if (!ReadOne()) return false;
      }
      return true;
    }
    // Reads on until an event of this kind has come.
    const v1::Event* ReadEvent(v1::Event::KindCase kind) {
      for (size_t seen = 0;; ++seen) {
        while (seen == events.size()) {
          if (!ReadOne()) return nullptr;
        }
        if (events[seen].kind_case() == kind) return &events[seen];
      }
    }
    grpc::Status Finish() {
      v1::SubscribeResponse response;
      while (ReadOne()) {
      }
      grpc::Status status = reader->Finish();
      reader.reset();
      return status;
    }
    ~Stream() {
      if (reader == nullptr) return;
      context.TryCancel();
      Finish();
    }
  };

  std::unique_ptr<Stream> Subscribe(const v1::SubscribeRequest& request) {
    auto stream = std::make_unique<Stream>();
    // A test that hangs is a test that failed.
    stream->context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(60));
    stream->reader = gateway_->Subscribe(&stream->context, request);
    return stream;
  }
  std::unique_ptr<Stream> Subscribe(const v1::Membership& membership) {
    v1::SubscribeRequest request;
    *request.add_memberships() = membership;
    return Subscribe(request);
  }

  std::string directory_;
  app::Config config_;
  kernel::Peer peer_;
  std::unique_ptr<app::Server> server_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<v1::MulticastGatewayService::Stub> gateway_;
  std::unique_ptr<v1::InspectionService::Stub> inspection_;
};

}  // namespace mcgw

#endif  // MCGW_TESTS_RPC_SERVER_FIXTURE_H_
