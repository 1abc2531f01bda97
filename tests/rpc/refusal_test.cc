// What is refused for lack of room says so, with its reason, and when to try again.

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "tests/rpc/server_fixture.h"

namespace mcgw {
namespace {

using grpc::StatusCode;

class RefusalTest : public ServerTest {
 protected:
  static void ExpectRefused(const grpc::Status& status, const std::string& reason, const std::string& named) {
    const Rich rich = Take(status);
    EXPECT_EQ(rich.code, StatusCode::RESOURCE_EXHAUSTED) << rich.message;
    EXPECT_EQ(rich.reason, reason) << rich.message;
    EXPECT_TRUE(rich.retry) << rich.message;
    EXPECT_NE(rich.message.find(named), std::string::npos) << rich.message;
  }
  std::string Session() {
    v1::JoinResponse response;
    EXPECT_TRUE(Join(Wish("a0", "239.1.1.1", 5000), &response).ok());
    return response.session_id();
  }
};

TEST_F(RefusalTest, EachLimitSaysWhenToTryAgain) {
  config_.set_max_memberships(2);
  config_.set_max_sessions(1);
  config_.set_max_subscribers(1);
  config_.set_max_channels(3);
  Start();
  const std::string session = Session();
  v1::JoinResponse response;
  ExpectRefused(Join(Wish("a0", "239.1.1.1", 5000), &response), "SESSION_LIMIT", "max_sessions");

  v1::Membership many_sources = Wish("a0", "239.1.1.2", 5000);
  many_sources.mutable_source_filter()->set_mode(v1::SOURCE_FILTER_MODE_INCLUDE);
  for (int i = 1; i <= 6; ++i) many_sources.mutable_source_filter()->add_sources("10.0.0." + std::to_string(i));
  ExpectRefused(Join(many_sources, &response, session), "SOURCE_LIMIT", "at most 5");

  ASSERT_TRUE(Join(Wish("a0", "239.1.1.2", 5000), &response, session).ok());
  ExpectRefused(Join(Wish("a0", "239.1.1.3", 5000), &response, session), "MEMBERSHIP_LIMIT", "max_memberships");

  const std::unique_ptr<Stream> stream = Subscribe(Wish("a0", "239.1.1.3", 5000));
  ASSERT_TRUE(stream->ReadOne());
  ExpectRefused(Subscribe(Wish("a0", "239.1.1.3", 5000))->Finish(), "SUBSCRIBER_LIMIT", "max_subscribers");
}

TEST_F(RefusalTest, TheLimitOfChannelsSaysWhenToTryAgain) {
  config_.set_max_channels(1);
  Start();
  const std::string session = Session();
  v1::JoinResponse response;
  ExpectRefused(Join(Wish("a0", "239.1.1.2", 5000), &response, session), "CHANNEL_LIMIT", "max_channels");
}

// The transport refuses these, before the gateway sees a call.
TEST_F(RefusalTest, MetadataIsBounded) {
  Start();
  const auto call_with = [this](size_t bytes) {
    // A connection of its own, as one that has carried far too much may be closed.
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    const auto stub = v1::InspectionService::NewStub(
        grpc::CreateCustomChannel(config_.listen(0), grpc::InsecureChannelCredentials(), arguments));
    grpc::ClientContext context;
    context.AddMetadata("x-large", std::string(bytes, 'x'));
    v1::ListInterfacesResponse response;
    return stub->ListInterfaces(&context, {}, &response);
  };
  EXPECT_TRUE(call_with(4000).ok());
  const grpc::Status refused = call_with(16'000);
  EXPECT_EQ(refused.error_code(), StatusCode::RESOURCE_EXHAUSTED) << refused.error_message();
  EXPECT_NE(refused.error_message().find("metadata"), std::string::npos) << refused.error_message();
  // Far too much ends the connection, unless the client itself holds to the limit.
  const grpc::StatusCode code = call_with(1'000'000).error_code();
  EXPECT_TRUE(code == StatusCode::UNAVAILABLE || code == StatusCode::RESOURCE_EXHAUSTED) << code;
  EXPECT_TRUE(call_with(4000).ok());
}

}  // namespace
}  // namespace mcgw
