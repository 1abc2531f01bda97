// The gateway with one more service behind its front door: the one that gRPC's interoperability clients call. Takes the
// flags of mcgwd.

#include <signal.h>
#include <unistd.h>

#include <cstdio>
#include <memory>
#include <string>

#include "absl/strings/str_join.h"
#include "server/app/config.h"
#include "server/app/server.h"
#include "tests/interop/interop_service.grpc.pb.h"

namespace mcgw {
namespace {

namespace testing = ::grpc::testing;
using grpc::Status;

constexpr char kEchoInitial[] = "x-grpc-test-echo-initial";
constexpr char kEchoTrailing[] = "x-grpc-test-echo-trailing-bin";

void EchoMetadata(grpc::ServerContext* context) {
  const auto& metadata = context->client_metadata();
  if (const auto at = metadata.find(kEchoInitial); at != metadata.end()) {
    context->AddInitialMetadata(kEchoInitial, {at->second.data(), at->second.size()});
  }
  if (const auto at = metadata.find(kEchoTrailing); at != metadata.end()) {
    context->AddTrailingMetadata(kEchoTrailing, {at->second.data(), at->second.size()});
  }
}

template <typename Request>
Status StatusOf(const Request& request) {
  if (!request.has_response_status()) return Status::OK;
  return {static_cast<grpc::StatusCode>(request.response_status().code()), request.response_status().message()};
}

void Fill(testing::Payload* payload, int size) { payload->set_body(std::string(static_cast<size_t>(size), '\0')); }

class InteropService final : public testing::TestService::Service {
  Status EmptyCall(grpc::ServerContext*, const testing::Empty*, testing::Empty*) override { return Status::OK; }

  Status UnaryCall(grpc::ServerContext* context, const testing::SimpleRequest* request,
                   testing::SimpleResponse* response) override {
    EchoMetadata(context);
    if (request->response_size() > 0) Fill(response->mutable_payload(), request->response_size());
    return StatusOf(*request);
  }

  Status StreamingOutputCall(grpc::ServerContext*, const testing::StreamingOutputCallRequest* request,
                             grpc::ServerWriter<testing::StreamingOutputCallResponse>* writer) override {
    return WriteAll(*request, writer) ? StatusOf(*request) : Status::CANCELLED;
  }

  Status StreamingInputCall(grpc::ServerContext*, grpc::ServerReader<testing::StreamingInputCallRequest>* reader,
                            testing::StreamingInputCallResponse* response) override {
    testing::StreamingInputCallRequest request;
    int size = 0;
    while (reader->Read(&request)) size += static_cast<int>(request.payload().body().size());
    response->set_aggregated_payload_size(size);
    return Status::OK;
  }

  Status FullDuplexCall(grpc::ServerContext* context,
                        grpc::ServerReaderWriter<testing::StreamingOutputCallResponse,
                                                 testing::StreamingOutputCallRequest>* stream) override {
    EchoMetadata(context);
    testing::StreamingOutputCallRequest request;
    while (stream->Read(&request)) {
      if (request.has_response_status()) return StatusOf(request);
      if (!WriteAll(request, stream)) return Status::CANCELLED;
    }
    return Status::OK;
  }

  template <typename Writer>
  static bool WriteAll(const testing::StreamingOutputCallRequest& request, Writer* writer) {
    for (const testing::ResponseParameters& parameters : request.response_parameters()) {
      usleep(static_cast<useconds_t>(parameters.interval_us()));  // What the client asks for.
      testing::StreamingOutputCallResponse response;
      Fill(response.mutable_payload(), parameters.size());
      if (!writer->Write(response)) return false;
    }
    return true;
  }
};

int Main(int argc, char** argv) {
  signal(SIGPIPE, SIG_IGN);
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigprocmask(SIG_BLOCK, &signals, nullptr);
  const absl::StatusOr<app::CommandLine> line = app::ReadCommandLine(argc, argv);
  if (!line.ok()) {
    std::fprintf(stderr, "%s\n", std::string(line.status().message()).c_str());
    return 2;
  }
  InteropService service;
  absl::StatusOr<std::unique_ptr<app::Server>> server = app::Server::Start(line->config, {&service});
  if (!server.ok()) {
    std::fprintf(stderr, "%s\n", std::string(server.status().message()).c_str());
    return 1;
  }
  std::fprintf(stderr, "ready, listening on %s\n", absl::StrJoin((*server)->addresses(), ", ").c_str());
  int number = 0;
  sigwait(&signals, &number);
  (*server)->Stop(absl::Seconds(1));
  return 0;
}

}  // namespace
}  // namespace mcgw

int main(int argc, char** argv) { return mcgw::Main(argc, argv); }
