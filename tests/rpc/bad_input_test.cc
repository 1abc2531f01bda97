// Each kind of bad input has an error of its own: canonical code, reason, and the field at fault.

#include <sys/socket.h>

#include <functional>

#include "server/net/address.h"
#include "tests/rpc/server_fixture.h"

namespace mcgw {
namespace {

using grpc::StatusCode;

class BadInputTest : public ServerTest {
 protected:
  void SetUp() override { Start(); }

  void ExpectJoinFails(const v1::Membership& membership, StatusCode code, const std::string& reason,
                       const std::string& field, const std::string& named) {
    SCOPED_TRACE(membership.ShortDebugString());
    v1::JoinResponse response;
    const Rich by_join = Take(Join(membership, &response));
    EXPECT_EQ(by_join.code, code) << by_join.message;
    EXPECT_EQ(by_join.reason, reason);
    EXPECT_EQ(by_join.domain, "multicast.gateway");
    EXPECT_EQ(by_join.field, "membership." + field);
    EXPECT_NE(by_join.message.find(named), std::string::npos) << by_join.message;

    const Rich by_subscribe = Take(Subscribe(membership)->Finish());
    EXPECT_EQ(by_subscribe.code, code);
    EXPECT_EQ(by_subscribe.reason, reason);
    EXPECT_EQ(by_subscribe.field, "memberships[0]." + field);
  }

  void ExpectSendFails(const v1::SendRequest& request, StatusCode code, const std::string& reason,
                       const std::string& field) {
    SCOPED_TRACE(request.destination().ShortDebugString() + request.options().ShortDebugString());
    v1::SendResponse response;
    const Rich by_send = Take(Send(request, &response));
    EXPECT_EQ(by_send.code, code) << by_send.message;
    EXPECT_EQ(by_send.reason, reason);
    EXPECT_EQ(by_send.field, field);

    // The same from Publish, as the failure of the item.
    grpc::ClientContext context;
    auto stream = gateway_->Publish(&context);
    v1::PublishRequest batch;
    v1::Burst* const burst = batch.add_bursts();
    *burst->mutable_destination() = request.destination();
    *burst->mutable_options() = request.options();
    burst->add_payloads(request.payload());
    ASSERT_TRUE(stream->Write(batch));
    v1::PublishResponse answer;
    ASSERT_TRUE(stream->Read(&answer));
    ASSERT_EQ(answer.failures_size(), 1);
    EXPECT_EQ(answer.failures(0).failure().code(), code);
    EXPECT_EQ(v1::ErrorReason_Name(answer.failures(0).failure().reason()), "ERROR_REASON_" + reason);
    stream->WritesDone();
    EXPECT_TRUE(stream->Finish().ok());
  }

  static v1::Membership WithSources(v1::Membership membership, v1::SourceFilterMode mode,
                                    const std::vector<std::string>& sources) {
    membership.mutable_source_filter()->set_mode(mode);
    for (const std::string& source : sources) membership.mutable_source_filter()->add_sources(source);
    return membership;
  }
};

TEST_F(BadInputTest, AddressesThatAreNone) {
  for (const char* text : {"", "hello", "239.1.1", "239.1.1.1.1", "ff15::g", "239.1.1.1:5000", "ff15::1%a0"}) {
    ExpectJoinFails(Wish("a0", text, 5000), StatusCode::INVALID_ARGUMENT, "INVALID_ADDRESS", "group", text);
  }
}

TEST_F(BadInputTest, GroupsThatAreNone) {
  for (const char* text : {"10.0.0.1", "240.0.0.1", "255.255.255.255", "0.0.0.0", "fd00::1", "::"}) {
    ExpectJoinFails(Wish("a0", text, 5000), StatusCode::INVALID_ARGUMENT, "NOT_A_MULTICAST_GROUP", "group", text);
    ExpectSendFails(To("a0", text, 5000, "x"), StatusCode::INVALID_ARGUMENT, "NOT_A_MULTICAST_GROUP",
                    "destination.group");
  }
}

TEST_F(BadInputTest, GroupsThatAreReserved) {
  for (const char* text : {"224.0.0.0", "224.0.0.1", "ff00::1", "ff02::1", "ff0f::1"}) {
    ExpectJoinFails(Wish("a0", text, 5000), StatusCode::PERMISSION_DENIED, "GROUP_RESERVED", "group", text);
  }
  for (const char* text : {"224.0.0.1", "224.0.0.2", "224.0.0.4", "224.0.0.5", "224.0.0.6", "224.0.0.9", "224.0.0.13",
                           "224.0.0.18", "224.0.0.22", "224.0.0.251", "224.0.0.252", "ff02::1", "ff02::fb"}) {
    ExpectSendFails(To("a0", text, 5000, "x"), StatusCode::PERMISSION_DENIED, "GROUP_RESERVED", "destination.group");
  }
}

TEST_F(BadInputTest, Ports) {
  for (uint32_t port : {0u, 65536u, 4000000000u}) {
    ExpectJoinFails(Wish("a0", "239.1.1.1", port), StatusCode::INVALID_ARGUMENT, "INVALID_PORT", "port",
                    std::to_string(port));
    ExpectSendFails(To("a0", "239.1.1.1", port, "x"), StatusCode::INVALID_ARGUMENT, "INVALID_PORT", "destination.port");
  }
}

TEST_F(BadInputTest, Interfaces) {
  for (const char* selector : {"nosuch0", "10.9.9.9", "fd00:9::9"}) {
    ExpectJoinFails(Wish(selector, "239.1.1.1", 5000), StatusCode::NOT_FOUND, "INTERFACE_NOT_FOUND", "interface",
                    selector);
    ExpectSendFails(To(selector, "239.1.1.1", 5000, "x"), StatusCode::NOT_FOUND, "INTERFACE_NOT_FOUND",
                    "destination.interface");
  }
}

// What one client says must not reach the terminal of another as it is.
TEST_F(BadInputTest, WhatATerminalWouldObeyIsRefusedAndEscaped) {
  for (const std::string& name :
       {std::string("\x1b]0;own\x07"), std::string("a\0b", 3), std::string("a\xe2\x80\xae")}) {
    v1::Membership wish = Wish(name, "239.1.1.1", 5000);
    for (const bool wait : {false, true}) {
      wish.set_wait_for_interface(wait);
      ExpectJoinFails(wish, StatusCode::NOT_FOUND, "INTERFACE_NOT_FOUND", "interface", "\\x");
      v1::JoinResponse response;
      const std::string message = Join(wish, &response).error_message();
      for (const char c : message) EXPECT_TRUE(c >= ' ' && c <= '~') << message;
    }
  }
  v1::JoinResponse response;
  const grpc::Status status = Join(Wish("a0", "239.1.1.1", 5000), &response, "\x1b[2J");
  EXPECT_NE(status.error_message().find("\\x1b[2J"), std::string::npos) << status.error_message();
  grpc::ClientContext context;
  v1::ListChannelsResponse channels;
  ASSERT_TRUE(inspection_->ListChannels(&context, {}, &channels).ok());
  EXPECT_EQ(channels.channels_size(), 0);
}

TEST_F(BadInputTest, Sources) {
  const v1::Membership wish = Wish("a0", "232.1.1.1", 5000);
  const auto with = [&](const char* source) { return WithSources(wish, v1::SOURCE_FILTER_MODE_INCLUDE, {source}); };
  for (const char* source : {"239.1.1.1", "0.0.0.0", "255.255.255.255", "fd00::2"}) {
    ExpectJoinFails(with(source), StatusCode::INVALID_ARGUMENT, "INVALID_SOURCE", "source_filter.sources", source);
  }
  ExpectJoinFails(with("nobody"), StatusCode::INVALID_ARGUMENT, "INVALID_ADDRESS", "source_filter.sources", "nobody");
  ExpectJoinFails(WithSources(Wish("a0", "ff35::1", 5000), v1::SOURCE_FILTER_MODE_INCLUDE, {"10.0.0.2"}),
                  StatusCode::INVALID_ARGUMENT, "INVALID_SOURCE", "source_filter.sources", "10.0.0.2");
  ExpectJoinFails(WithSources(wish, v1::SOURCE_FILTER_MODE_INCLUDE, {}), StatusCode::INVALID_ARGUMENT,
                  "INVALID_SOURCE_FILTER", "source_filter.sources", "INCLUDE");
  ExpectJoinFails(WithSources(wish, v1::SOURCE_FILTER_MODE_UNSPECIFIED, {"10.0.0.2"}), StatusCode::INVALID_ARGUMENT,
                  "INVALID_SOURCE_FILTER", "source_filter.mode", "INCLUDE");
  ExpectJoinFails(WithSources(wish, v1::SOURCE_FILTER_MODE_INCLUDE,
                              {"10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5", "10.0.0.6", "10.0.0.7"}),
                  StatusCode::RESOURCE_EXHAUSTED, "SOURCE_LIMIT", "source_filter.sources", "6 sources");
}

TEST_F(BadInputTest, SourceSpecificGroupsNeedSources) {
  for (const char* text : {"232.1.1.1", "ff35::1", "ff3e::8000:1"}) {
    ExpectJoinFails(Wish("a0", text, 5000), StatusCode::INVALID_ARGUMENT, "SOURCE_REQUIRED", "source_filter", text);
    const std::string source = text[0] == '2' ? "10.0.0.2" : "fd00::2";
    ExpectJoinFails(WithSources(Wish("a0", text, 5000), v1::SOURCE_FILTER_MODE_EXCLUDE, {source}),
                    StatusCode::INVALID_ARGUMENT, "SOURCE_REQUIRED", "source_filter", text);
  }
}

TEST_F(BadInputTest, NarrowScopesNeedAnInterface) {
  for (const char* text : {"ff01::1:1", "ff02::1:1", "ff12::1"}) {
    ExpectJoinFails(Wish("", text, 5000), StatusCode::INVALID_ARGUMENT, "SCOPE_NEEDS_INTERFACE", "interface", text);
    ExpectSendFails(To("", text, 5000, "x"), StatusCode::INVALID_ARGUMENT, "SCOPE_NEEDS_INTERFACE",
                    "destination.interface");
  }
}

TEST_F(BadInputTest, PayloadsAndOptions) {
  ExpectSendFails(To("a0", "239.1.1.1", 5000, std::string(65508, 'x')), StatusCode::INVALID_ARGUMENT,
                  "PAYLOAD_TOO_LARGE", "payload");
  ExpectSendFails(To("a0", "ff15::1", 5000, std::string(65528, 'x')), StatusCode::INVALID_ARGUMENT, "PAYLOAD_TOO_LARGE",
                  "payload");
  v1::SendRequest request = To("a0", "239.1.1.1", 5000, "x");
  request.mutable_options()->set_hop_limit(256);
  ExpectSendFails(request, StatusCode::INVALID_ARGUMENT, "INVALID_HOP_LIMIT", "options.hop_limit");
  request = To("a0", "239.1.1.1", 5000, "x");
  request.mutable_options()->set_traffic_class(256);
  ExpectSendFails(request, StatusCode::INVALID_ARGUMENT, "INVALID_TRAFFIC_CLASS", "options.traffic_class");
  request = To("a0", "239.1.1.1", 5000, "x");
  request.mutable_options()->set_source_address("10.0.0.9");
  ExpectSendFails(request, StatusCode::INVALID_ARGUMENT, "SOURCE_NOT_LOCAL", "options.source_address");
  request = To("*", "239.1.1.1", 5000, "x");
  request.mutable_options()->set_source_address("10.0.0.1");
  ExpectSendFails(request, StatusCode::INVALID_ARGUMENT, "CONFLICTING_FIELDS", "options.source_address");
  request = To("a0", "239.1.1.1", 5000, "x");
  request.mutable_options()->set_hop_limit(0);
  request.mutable_options()->set_loop(false);
  ExpectSendFails(request, StatusCode::INVALID_ARGUMENT, "LOOP_REQUIRED", "options.loop");
  request = To("a0", "239.1.1.1", 5000, std::string(1473, 'x'));
  request.mutable_options()->set_dont_fragment(true);
  ExpectSendFails(request, StatusCode::INVALID_ARGUMENT, "PAYLOAD_TOO_LARGE", "payload");
  request = To("a0", "239.1.1.1", 5000, "x");
  request.set_session_id("nosuch");
  v1::SendResponse response;
  const Rich rich = Take(Send(request, &response));
  EXPECT_EQ(rich.code, StatusCode::NOT_FOUND);
  EXPECT_EQ(rich.reason, "SESSION_NOT_FOUND");
  EXPECT_EQ(rich.field, "session_id");
}

TEST_F(BadInputTest, LeavingWhatIsNotHeld) {
  v1::JoinResponse joined;
  ASSERT_TRUE(Join(Wish("a0", "239.1.1.1", 5000), &joined).ok());
  const auto leave = [&](const std::function<void(v1::LeaveRequest*)>& fill) {
    v1::LeaveRequest request;
    request.set_session_id(joined.session_id());
    fill(&request);
    grpc::ClientContext context;
    v1::LeaveResponse response;
    return Take(gateway_->Leave(&context, request, &response));
  };
  Rich rich = leave([](v1::LeaveRequest* request) {
    request->mutable_membership()->set_interface("*");
    request->mutable_membership()->set_group("239.1.1.1");
    request->mutable_membership()->set_port(5000);
  });
  EXPECT_EQ(rich.code, StatusCode::NOT_FOUND);
  EXPECT_EQ(rich.reason, "NOT_JOINED");
  EXPECT_EQ(leave([](v1::LeaveRequest* request) { request->set_membership_id(999999); }).reason, "NOT_JOINED");
  rich = leave([](v1::LeaveRequest*) {});
  EXPECT_EQ(rich.code, StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(rich.reason, "FIELD_REQUIRED");
  rich = leave([](v1::LeaveRequest* request) {
    request->set_session_id("0123456789abcdef0123456789abcdef");
    request->mutable_whole_session();
  });
  EXPECT_EQ(rich.code, StatusCode::NOT_FOUND);
  EXPECT_EQ(rich.reason, "SESSION_NOT_FOUND");
  EXPECT_EQ(rich.field, "session_id");
}

TEST_F(BadInputTest, UnknownSessions) {
  v1::JoinResponse joined;
  EXPECT_EQ(Take(Join(Wish("a0", "239.1.1.1", 5000), &joined, "nosuch")).reason, "SESSION_NOT_FOUND");
  v1::SubscribeRequest request;
  request.set_session_id("nosuch");
  EXPECT_EQ(Take(Subscribe(request)->Finish()).reason, "SESSION_NOT_FOUND");
  const Rich rich = Take(Subscribe(v1::SubscribeRequest())->Finish());
  EXPECT_EQ(rich.code, StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(rich.reason, "FIELD_REQUIRED");
}

TEST_F(BadInputTest, APortThatAnotherProcessHoldsWithoutSharing) {
  const net::OwnedFd holder(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  sockaddr_storage any;
  const socklen_t length = net::ToSockaddr(kernel::Ip("0.0.0.0"), 5000, 0, &any);
  ASSERT_EQ(bind(holder.get(), reinterpret_cast<const sockaddr*>(&any), length), 0);
  v1::JoinResponse response;
  const Rich rich = Take(Join(Wish("a0", "239.1.1.1", 5000), &response));
  EXPECT_EQ(rich.code, StatusCode::FAILED_PRECONDITION);
  EXPECT_EQ(rich.reason, "PORT_IN_USE");
  EXPECT_NE(rich.message.find(std::to_string(getpid())), std::string::npos) << rich.message;
}

TEST_F(BadInputTest, ASubscribeThatFailsLeavesNothingJoined) {
  v1::SubscribeRequest request;
  *request.add_memberships() = Wish("a0", "239.1.1.1", 5000);
  *request.add_memberships() = Wish("nosuch0", "239.1.1.2", 5000);
  const Rich rich = Take(Subscribe(request)->Finish());
  EXPECT_EQ(rich.reason, "INTERFACE_NOT_FOUND");
  EXPECT_EQ(rich.field, "memberships[1].interface");
  EXPECT_EQ(kernel::GroupUsers("a0", kernel::Ip("239.1.1.1")), 0);
}

TEST_F(BadInputTest, MalformedBatchesEndThePublishStream) {
  for (const bool empty : {true, false}) {
    grpc::ClientContext context;
    auto stream = gateway_->Publish(&context);
    v1::PublishRequest batch;
    v1::Burst* const burst = batch.add_bursts();
    if (!empty) {
      for (int i = 0; i <= 16384; ++i) burst->add_payloads("x");
    }
    stream->Write(batch);
    v1::PublishResponse answer;
    EXPECT_FALSE(stream->Read(&answer));
    const Rich rich = Take(stream->Finish());
    EXPECT_EQ(rich.code, StatusCode::INVALID_ARGUMENT);
    EXPECT_EQ(rich.reason, "INVALID_BATCH");
  }
}

// ---- Errors that would outgrow gRPC's headers ----

TEST_F(BadInputTest, LongTextsOfARequestComeBackShortened) {
  for (const size_t size : {size_t{200}, size_t{5'000}, size_t{200'000}}) {
    SCOPED_TRACE(size);
    const std::string text(size, 'x');
    const std::string said = std::to_string(size) + " bytes";
    const auto expect = [&](const grpc::Status& status, StatusCode code, const std::string& reason) {
      const Rich rich = Take(status);
      EXPECT_EQ(rich.code, code) << rich.message;
      EXPECT_EQ(rich.reason, reason) << rich.message;
      EXPECT_LE(rich.message.size(), 1'000u);
      return rich.message;
    };
    v1::JoinResponse joined;
    EXPECT_NE(expect(Join(Wish("a0", "239.1.1.1", 5000), &joined, text), StatusCode::NOT_FOUND, "SESSION_NOT_FOUND")
                  .find(said),
              std::string::npos);
    EXPECT_NE(
        expect(Join(Wish(text, "239.1.1.1", 5000), &joined), StatusCode::NOT_FOUND, "INTERFACE_NOT_FOUND").find(said),
        std::string::npos);
    v1::Membership waiting = Wish(text, "239.1.1.1", 5000);
    waiting.set_wait_for_interface(true);
    expect(Join(waiting, &joined), StatusCode::NOT_FOUND, "INTERFACE_NOT_FOUND");
    expect(Join(Wish("a0", text, 5000), &joined), StatusCode::INVALID_ARGUMENT, "INVALID_ADDRESS");
    v1::SendResponse sent;
    expect(Send(To(text, "239.1.1.1", 5000, "x"), &sent), StatusCode::NOT_FOUND, "INTERFACE_NOT_FOUND");
    expect(Subscribe(Wish(text, "239.1.1.1", 5000))->Finish(), StatusCode::NOT_FOUND, "INTERFACE_NOT_FOUND");

    v1::SubscribeRequest resume;
    *resume.add_memberships() = Wish("a0", "239.1.1.1", 5000);
    for (int i = 0; i < 2; ++i) {
      v1::ResumePoint* const point = resume.mutable_start()->mutable_resume()->add_points();
      point->set_interface_name(text);
      point->set_group("239.1.1.1");
      point->set_port(5000);
      point->set_epoch(1);
      point->set_next_sequence(1);
    }
    expect(Subscribe(resume)->Finish(), StatusCode::INVALID_ARGUMENT, "INVALID_RESUME_POINT");
    resume.mutable_start()->mutable_resume()->mutable_points(0)->set_group(text);
    expect(Subscribe(resume)->Finish(), StatusCode::INVALID_ARGUMENT, "INVALID_RESUME_POINT");

    {
      ASSERT_TRUE(Join(Wish("a0", "239.1.1.1", 5000), &joined).ok());
      grpc::ClientContext context;
      v1::LeaveRequest leave;
      leave.set_session_id(joined.session_id());
      leave.mutable_membership()->set_interface(text);
      leave.mutable_membership()->set_group("239.1.1.1");
      leave.mutable_membership()->set_port(5000);
      v1::LeaveResponse left;
      expect(gateway_->Leave(&context, leave, &left), StatusCode::NOT_FOUND, "NOT_JOINED");
    }
    {
      grpc::ClientContext context;
      v1::ListInterfacesRequest request;
      request.set_interface(text);
      v1::ListInterfacesResponse response;
      expect(inspection_->ListInterfaces(&context, request, &response), StatusCode::NOT_FOUND, "INTERFACE_NOT_FOUND");
    }
    {
      grpc::ClientContext context;
      v1::ListChannelsRequest request;
      request.set_page_token(text);
      v1::ListChannelsResponse response;
      expect(inspection_->ListChannels(&context, request, &response), StatusCode::INVALID_ARGUMENT,
             "INVALID_PAGE_TOKEN");
    }
  }
}

TEST_F(BadInputTest, OnAHostOfHundredsOfInterfacesErrorsKeepTheirReason) {
  kernel::Shell("for i in $(seq 100 499); do echo link add br-012345678$i type bridge; done | ip -batch -");
  kernel::Shell("for i in $(seq 100 499); do echo addr add 10.77.0.1/24 dev br-012345678$i; done | ip -batch -");
  v1::JoinResponse joined;
  Rich rich = Take(Join(Wish("nosuch", "239.1.1.1", 5000), &joined));
  EXPECT_EQ(rich.reason, "INTERFACE_NOT_FOUND") << rich.message;
  EXPECT_NE(rich.message.find(" more"), std::string::npos) << rich.message;
  rich = Take(Join(Wish("10.77.0.1", "239.1.1.1", 5000), &joined));
  EXPECT_EQ(rich.reason, "INTERFACE_AMBIGUOUS") << rich.message;
  EXPECT_NE(rich.message.find("br-012345678100, br-012345678101"), std::string::npos) << rich.message;
  EXPECT_NE(rich.message.find(" more"), std::string::npos) << rich.message;
  kernel::Shell("ip link set a0 down");
  v1::SendResponse sent;
  rich = Take(Send(To("*", "239.1.1.1", 5000, "x"), &sent));
  EXPECT_EQ(rich.reason, "INTERFACE_NOT_FOUND") << rich.message;
  EXPECT_NE(rich.message.find("a0 (it is down)"), std::string::npos) << rich.message;
  kernel::Shell("for i in $(seq 100 499); do echo link del br-012345678$i; done | ip -batch -");
}

TEST_F(BadInputTest, ABatchOfManyEmptyBurstsIsMalformed) {
  v1::PublishRequest batch;
  for (int i = 0; i < 100'000; ++i) batch.add_bursts();
  batch.mutable_bursts(0)->add_payloads("x");
  grpc::ClientContext context;
  const auto stream = gateway_->Publish(&context);
  stream->Write(batch);
  v1::PublishResponse answer;
  EXPECT_FALSE(stream->Read(&answer));
  EXPECT_EQ(Take(stream->Finish()).reason, "INVALID_BATCH");
}

TEST_F(BadInputTest, ARequestLargerThanItsCallCanMeanIsRefused) {
  v1::LeaveRequest leave;
  leave.set_session_id(std::string(300'000, 'x'));
  v1::LeaveResponse left;
  grpc::ClientContext context;
  const Rich rich = Take(gateway_->Leave(&context, leave, &left));
  EXPECT_EQ(rich.code, StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(rich.reason, "VALUE_OUT_OF_RANGE");
  EXPECT_LT(rich.message.size(), 200u);
}

}  // namespace
}  // namespace mcgw
