// A gateway in the test's own process that does what the test tells it.

#ifndef MCGW_TESTS_CLIENT_FAKE_GATEWAY_H_
#define MCGW_TESTS_CLIENT_FAKE_GATEWAY_H_

#include <algorithm>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "grpcpp/health_check_service_interface.h"
#include "grpcpp/server.h"
#include "grpcpp/server_builder.h"
#include "mcgw/client.h"
#include "multicast/gateway/v1/gateway_service.grpc.pb.h"
#include "multicast/gateway/v1/inspection_service.grpc.pb.h"

namespace mcgw::client {

namespace v1 = multicast::gateway::v1;

class FakeGatewayService final : public v1::MulticastGatewayService::Service {
 public:
  // Writes one message; false once the client is gone.
  using WriteMessage = std::function<bool(const v1::SubscribeResponse&)>;
  std::function<grpc::Status(const v1::SubscribeRequest&, const WriteMessage&)> on_subscribe;
  // The answer to a batch.
  std::function<v1::PublishResponse(const v1::PublishRequest&)> on_batch = [](const v1::PublishRequest& batch) {
    v1::PublishResponse response;
    response.set_batch_id(batch.batch_id());
    uint32_t items = 0;
    for (const v1::Burst& burst : batch.bursts()) items += static_cast<uint32_t>(burst.payloads_size());
    response.set_accepted_items(items);
    return response;
  };

  // Lets so many more answers to batches go. Without a call, all go.
  void AllowAnswers(int count) {
    absl::MutexLock lock(&mutex_);
    allowed_answers_ = std::max(allowed_answers_, 0) + count;
  }
  void HoldAnswers() {
    absl::MutexLock lock(&mutex_);
    allowed_answers_ = 0;
  }

  void WaitForBatches(size_t count) {
    absl::MutexLock lock(&mutex_);
    const auto enough = [this, count] { return batches_.size() >= count; };
    mutex_.Await(absl::Condition(&enough));
  }

  std::vector<v1::PublishRequest> batches() {
    absl::MutexLock lock(&mutex_);
    return batches_;
  }

  size_t most_unanswered() {
    absl::MutexLock lock(&mutex_);
    return most_unanswered_;
  }

  grpc::Status Subscribe(grpc::ServerContext*, const v1::SubscribeRequest* request,
                         grpc::ServerWriter<v1::SubscribeResponse>* writer) override {
    return on_subscribe(*request, [writer](const v1::SubscribeResponse& message) { return writer->Write(message); });
  }

  grpc::Status Publish(grpc::ServerContext*,
                       grpc::ServerReaderWriter<v1::PublishResponse, v1::PublishRequest>* stream) override {
    bool half_closed = false;
    std::thread reader([&] {
      v1::PublishRequest batch;
      while (stream->Read(&batch)) {
        absl::MutexLock lock(&mutex_);
        batches_.push_back(batch);
        most_unanswered_ = std::max(most_unanswered_, batches_.size() - answered_);
      }
      absl::MutexLock lock(&mutex_);
      half_closed = true;
    });
    const auto can_go_on = [this, &half_closed] {
      return (batches_.size() > answered_ && allowed_answers_ != 0) || (half_closed && batches_.size() == answered_);
    };
    bool writable = true;
    while (writable) {
      v1::PublishRequest batch;
      {
        absl::MutexLock lock(&mutex_);
        mutex_.Await(absl::Condition(&can_go_on));
        if (batches_.size() == answered_) break;
        batch = batches_[answered_];
        ++answered_;
        if (allowed_answers_ > 0) --allowed_answers_;
      }
      writable = stream->Write(on_batch(batch));
    }
    reader.join();
    return grpc::Status::OK;
  }

 private:
  absl::Mutex mutex_;
  std::vector<v1::PublishRequest> batches_;
  size_t answered_ = 0;
  size_t most_unanswered_ = 0;
  int allowed_answers_ = -1;  // -1: all.
};

class FakeInspectionService final : public v1::InspectionService::Service {
 public:
  // Three pages of one interface each.
  grpc::Status ListInterfaces(grpc::ServerContext*, const v1::ListInterfacesRequest* request,
                              v1::ListInterfacesResponse* response) override {
    const size_t page = request->page_token().size();
    response->add_interfaces()->set_index(static_cast<uint32_t>(page) + 1);
    if (page < 2) response->set_next_page_token(std::string(page + 1, 'x'));
    return grpc::Status::OK;
  }
};

// The server around the services, without a network.
class FakeGateway {
 public:
  FakeGateway() {
    grpc::EnableDefaultHealthCheckService(true);
    grpc::ServerBuilder builder;
    builder.RegisterService(&service);
    builder.RegisterService(&inspection);
    server_ = builder.BuildAndStart();
    client_ = std::make_unique<Client>(server_->InProcessChannel({}), "the fake");
  }

  ~FakeGateway() { server_->Shutdown(std::chrono::system_clock::now()); }

  Client& client() { return *client_; }
  grpc::Server& server() { return *server_; }

  FakeGatewayService service;
  FakeInspectionService inspection;

 private:
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<Client> client_;
};

}  // namespace mcgw::client

#endif  // MCGW_TESTS_CLIENT_FAKE_GATEWAY_H_
