// gRPC on the wire, as clients may speak it that are no library: by a client of HTTP/2 alone.

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include "tests/http2/http2_client.h"
#include "tests/rpc/server_fixture.h"

namespace mcgw {
namespace {

using http2::Fields;
using http2::Http2Client;

constexpr char kDescribe[] = "/multicast.gateway.v1.InspectionService/DescribeGroup";
constexpr char kPublish[] = "/multicast.gateway.v1.MulticastGatewayService/Publish";
constexpr char kSubscribe[] = "/multicast.gateway.v1.MulticastGatewayService/Subscribe";

// With its prefix.
std::string Framed(const std::string& message, char compressed = 0) {
  std::string framed(5, compressed);
  for (int i = 0; i < 4; ++i) framed[4 - i] = static_cast<char>(message.size() >> (8 * i));
  return framed + message;
}

class ProtocolTest : public ServerTest {
 protected:
  void SetUp() override {
    Start();
    const std::string path = config_.listen(0).substr(5);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
    net::OwnedFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    ASSERT_EQ(connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
    client_.emplace(std::move(fd));
  }
  void TearDown() override { client_.reset(); }

  // Begins a call.
  int32_t Call(const std::string& path, const Fields& more = {}) {
    Fields fields = {{"te", "trailers"}, {"content-type", "application/grpc"}};
    fields.insert(fields.end(), more.begin(), more.end());
    return client_->Request(fields, true, path);
  }
  // The last field of this name in the answer, once it has ended.
  std::string Value(int32_t id, const std::string& name) {
    EXPECT_TRUE(client_->Until([&] { return client_->response(id).closed.has_value(); }));
    std::string value = "(none)";
    for (const Fields& fields : client_->response(id).fields) {
      for (const http2::Field& field : fields) {
        if (field.name == name) value = field.value;
      }
    }
    return value;
  }
  std::string Status(int32_t id) { return Value(id, "grpc-status"); }

  static std::string Describe() {
    v1::DescribeGroupRequest request;
    request.set_group("239.1.2.3");
    return request.SerializeAsString();
  }
  static std::string Batch(uint64_t id) {
    v1::PublishRequest request;
    request.set_batch_id(id);
    v1::Burst* const burst = request.add_bursts();
    *burst->mutable_destination() = To("a0", "239.1.2.3", 5000, "").destination();
    burst->add_payloads("x");
    return request.SerializeAsString();
  }

  std::optional<Http2Client> client_;
};

TEST_F(ProtocolTest, AMessageMayBeSplitAnywhere) {
  const std::string framed = Framed(Describe());
  const int32_t id = Call(kDescribe);
  for (size_t i = 0; i < framed.size(); ++i) {
    client_->Body(id, framed.substr(i, 1), i + 1 == framed.size());
    client_->Send();
  }
  EXPECT_EQ(Status(id), "0");
  v1::DescribeGroupResponse response;
  ASSERT_GT(client_->response(id).body.size(), 5u);
  EXPECT_TRUE(response.ParseFromString(client_->response(id).body.substr(5)));
  EXPECT_EQ(Framed(client_->response(id).body.substr(5)), client_->response(id).body);
}

TEST_F(ProtocolTest, MessagesMayShareAFrame) {
  const int32_t id = Call(kPublish);
  client_->Body(id, Framed(Batch(1)) + Framed(Batch(2)) + Framed(Batch(3)), true);
  EXPECT_EQ(Status(id), "0");
  std::vector<uint64_t> answered;
  for (std::string rest = client_->response(id).body; rest.size() > 5;) {
    const auto size = static_cast<size_t>(static_cast<unsigned char>(rest[4]));
    v1::PublishResponse response;
    ASSERT_TRUE(response.ParseFromString(rest.substr(5, size)));
    answered.push_back(response.batch_id());
    rest.erase(0, 5 + size);
  }
  EXPECT_EQ(answered, (std::vector<uint64_t>{1, 2, 3}));
}

TEST_F(ProtocolTest, ACompressedMessageIsRefused) {
  const int32_t id = Call(kDescribe);
  client_->Body(id, Framed(Describe(), 1), true);
  EXPECT_EQ(Status(id), "12");
  const int32_t announced = Call(kDescribe, {{"grpc-encoding", "gzip"}});
  EXPECT_EQ(Status(announced), "12");
  EXPECT_EQ(Value(announced, "grpc-accept-encoding"), "identity");
}

TEST_F(ProtocolTest, ARequestThatEndsInsideAMessageIsTold) {
  for (const char* const path : {kDescribe, kPublish, kSubscribe}) {
    const int32_t id = Call(path);
    client_->Body(id, Framed(Describe()).substr(0, 8), true);
    EXPECT_EQ(Status(id), "13") << path;
  }
}

TEST_F(ProtocolTest, AUnaryCallWithoutAMessageIsTold) {
  const int32_t id = Call(kDescribe);
  client_->Body(id, "", true);
  EXPECT_EQ(Status(id), "13");
}

TEST_F(ProtocolTest, AMessageThatIsTooLargeIsRefusedBeforeItComes) {
  const int32_t id = Call(kPublish);
  std::string prefix(5, 0);
  prefix[1] = 0x7f;  // 2 GiB
  client_->Body(id, prefix, false);
  EXPECT_EQ(Status(id), "8");
}

TEST_F(ProtocolTest, UnknownMethodsAreUnimplemented) {
  for (const char* const path : {"/multicast.gateway.v1.MulticastGatewayService/Nosuch", "/no.Such/Service", "/"}) {
    const int32_t id = Call(path);
    client_->Body(id, "", true);
    EXPECT_EQ(Status(id), "12") << path;
  }
}

TEST_F(ProtocolTest, WhatIsNotGrpcGetsAStatusOfHttp) {
  const int32_t id = client_->Request({{"content-type", "text/html"}});
  EXPECT_EQ(Value(id, ":status"), "415");
  EXPECT_NE(client_->response(id).body.find("application/grpc"), std::string::npos);
}

TEST_F(ProtocolTest, ADeadlineEndsAStream) {
  v1::SubscribeRequest request;
  *request.add_memberships() = Wish("a0", "239.1.2.3", 5000);
  const int32_t id = Call(kSubscribe, {{"grpc-timeout", "300m"}});
  client_->Body(id, Framed(request.SerializeAsString()), true);
  EXPECT_EQ(Status(id), "4");
  EXPECT_FALSE(client_->response(id).body.empty());
  const int32_t at_once = Call(kSubscribe, {{"grpc-timeout", "0n"}});
  EXPECT_EQ(Status(at_once), "4");
}

TEST_F(ProtocolTest, ADeadlineEndsACallThatIsForwarded) {
  const int32_t id = Call("/grpc.health.v1.Health/Watch", {{"grpc-timeout", "300m"}});
  client_->Body(id, Framed(""), true);
  EXPECT_EQ(Status(id), "4");
  EXPECT_FALSE(client_->response(id).body.empty());
}

TEST_F(ProtocolTest, WhatGrpcForbidsIsNotForwarded) {
  // HTTP allows these; gRPC ends the process that gives them to it.
  const Fields strange[] = {{{"x-value", "\x80\xff"}}, {{"x!key", "1"}}, {{"x-bin", "####"}}, {{"x-tab", "a\tb"}}};
  for (const Fields& more : strange) {
    const int32_t id = Call("/grpc.health.v1.Health/Check", more);
    client_->Body(id, Framed(""), true);
    EXPECT_EQ(Status(id), "0") << more.front().name;
  }
  const int32_t id = Call("/strange.Service/\x80 \xff");
  client_->Body(id, "", true);
  EXPECT_EQ(Status(id), "12");
}

TEST_F(ProtocolTest, ACallThatIsForwardedEndsWithItsClient) {
  const int32_t id = Call("/grpc.health.v1.Health/Watch");
  client_->Body(id, Framed(""), false);
  EXPECT_TRUE(client_->Until([&] { return !client_->response(id).body.empty(); }));
  client_->Reset(id);
  const int32_t next = Call(kDescribe);
  client_->Body(next, Framed(Describe()), true);
  EXPECT_EQ(Status(next), "0");
  client_.reset();
  server_->Stop(absl::Seconds(5));  // Waits for every call.
}

TEST_F(ProtocolTest, AnEndOfTheGatewayIsToldToEachStream) {
  v1::SubscribeRequest request;
  *request.add_memberships() = Wish("a0", "239.1.2.3", 5000);
  const int32_t id = Call(kSubscribe);
  client_->Body(id, Framed(request.SerializeAsString()), true);
  EXPECT_TRUE(client_->Until([&] { return !client_->response(id).body.empty(); }));
  std::thread stop([this] { server_->Stop(absl::Seconds(2)); });
  EXPECT_EQ(Status(id), "14");
  EXPECT_NE(Value(id, "grpc-status-details-bin"), "(none)");
  client_->Until([&] { return client_->over(); });
  EXPECT_FALSE(client_->goaways().empty());
  stop.join();
}

}  // namespace
}  // namespace mcgw
