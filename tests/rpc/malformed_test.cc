#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "grpcpp/generic/generic_stub.h"
#include "tests/rpc/server_fixture.h"

namespace mcgw {
namespace {

using testing::HasSubstr;

class MalformedTest : public ServerTest {
 protected:
  grpc::Status Call(const std::string& method, const std::string& bytes) {
    grpc::CompletionQueue queue;
    grpc::ClientContext context;
    grpc::GenericStub stub(channel_);
    const grpc::Slice slice(bytes);
    const auto call = stub.PrepareUnaryCall(&context, method, grpc::ByteBuffer(&slice, 1), &queue);
    call->StartCall();
    grpc::ByteBuffer answer;
    grpc::Status status;
    call->Finish(&answer, &status, nullptr);
    void* tag = nullptr;
    bool ok = false;
    EXPECT_TRUE(queue.Next(&tag, &ok));
    return status;
  }
};

TEST_F(MalformedTest, BytesThatAreNoMessageAreAnInvalidArgumentOfEveryMethod) {
  Start();
  int methods = 0;
  for (const google::protobuf::ServiceDescriptor* service :
       {v1::JoinRequest::descriptor()->file()->FindServiceByName("MulticastGatewayService"),
        v1::ListChannelsRequest::descriptor()->file()->FindServiceByName("InspectionService")}) {
    ASSERT_NE(service, nullptr);
    for (int i = 0; i < service->method_count(); ++i) {
      const google::protobuf::MethodDescriptor& method = *service->method(i);
      const bool streams = method.client_streaming() || method.server_streaming();
      ++methods;
      const std::string path = "/" + service->full_name() + "/" + method.name();
      // A field that says it is longer than what follows, a wrong wire type, text that is no UTF-8.
      for (const std::string& bytes :
           {std::string("\x0a\x7f\x01"), std::string("\xff\xff\xff"), std::string(1, '\x07')}) {
        const grpc::Status status = Call(path, bytes);
        EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT) << path << ": " << status.error_message();
        EXPECT_THAT(status.error_message(), HasSubstr(streams ? method.input_type()->name() : path));
      }
      EXPECT_NE(Call(path, "").error_code(), grpc::StatusCode::UNIMPLEMENTED) << path;
    }
  }
  EXPECT_EQ(methods, 11);
  EXPECT_EQ(Call("/multicast.gateway.v1.MulticastGatewayService/Nosuch", "").error_code(),
            grpc::StatusCode::UNIMPLEMENTED);
}

}  // namespace
}  // namespace mcgw
