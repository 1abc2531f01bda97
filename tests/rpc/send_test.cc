// Sending through the whole server: sessions' own ports, exclude_own, hop limit 0, and what inspection shows of them.

#include <sys/socket.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/net/linux_socket_factory.h"
#include "server/net/status.h"
#include "tests/kernel/wire.h"
#include "tests/rpc/server_fixture.h"

namespace mcgw {
namespace {

using grpc::StatusCode;
using testing::ElementsAre;
using testing::SizeIs;

constexpr uint16_t kPort = 5000;

class SendTest : public ServerTest {
 protected:
  SendTest() { Start(); }

  // The port that a datagram left from.
  uint32_t SendFrom(const std::string& session, const std::string& payload, const std::string& group = "239.1.1.1") {
    v1::SendRequest request = To("a0", group, kPort, payload);
    request.set_session_id(session);
    v1::SendResponse response;
    const grpc::Status status = Send(request, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return response.results_size() == 1 ? response.results(0).source_port() : 0;
  }
  std::string NewSession() {
    v1::JoinResponse joined;
    EXPECT_TRUE(Join(Wish("a0", "239.1.1.1", kPort), &joined).ok());
    return joined.session_id();
  }
  static std::vector<std::string> Payloads(const Stream& stream) {
    std::vector<std::string> payloads;
    for (const v1::Datagram& datagram : stream.datagrams) payloads.push_back(datagram.payload());
    return payloads;
  }
  v1::ListInterfacesResponse Interfaces(const std::string& name) {
    grpc::ClientContext context;
    v1::ListInterfacesRequest request;
    request.set_interface(name);
    v1::ListInterfacesResponse response;
    EXPECT_TRUE(inspection_->ListInterfaces(&context, request, &response).ok());
    return response;
  }
};

TEST_F(SendTest, ThePortsAreReportedFromTheStartOnAndHold) {
  const v1::ListInterfacesResponse before = Interfaces("a0");
  EXPECT_NE(before.ipv4_source_port(), 0u);
  EXPECT_EQ(SendFrom("", "x"), before.ipv4_source_port());
  EXPECT_EQ(SendFrom("", "x", "ff15::1"), before.ipv6_source_port());
  for (const bool loop : {true, false}) {
    v1::SendRequest request = To("a0", "239.1.1.1", kPort, "x");
    request.mutable_options()->set_loop(loop);
    request.mutable_options()->set_dont_fragment(true);
    v1::SendResponse response;
    ASSERT_TRUE(Send(request, &response).ok());
    EXPECT_EQ(response.results(0).source_port(), before.ipv4_source_port());
  }
}

TEST_F(SendTest, AStreamOfASessionLeavesOutWhatTheSessionSent) {
  const std::string mine = NewSession();
  const std::string other = NewSession();
  v1::SubscribeRequest request;
  request.set_session_id(mine);
  request.mutable_options()->set_exclude_own(true);
  const auto stream = Subscribe(request);
  const v1::Event* const subscribed = stream->ReadEvent(v1::Event::kSubscribed);
  ASSERT_NE(subscribed, nullptr);
  EXPECT_TRUE(subscribed->subscribed().options().exclude_own());
  EXPECT_NE(SendFrom(mine, "mine"), SendFrom(other, "another's"));
  SendFrom("", "the gateway's");
  SendFrom(mine, "mine");
  SendFrom(other, "the last");
  ASSERT_TRUE(stream->ReadDatagrams(3));
  EXPECT_THAT(Payloads(*stream), ElementsAre("another's", "the gateway's", "the last"));
  EXPECT_EQ(stream->datagrams[2].sequence(), 5u) << "what is held back has its number";
}

TEST_F(SendTest, WhatComesBackByAnotherInterfaceIsOwnToo) {
  // The peer bridges its two links, so that what leaves by a0 comes back by a1.
  peer_.AddLink("a1", "b1");
  peer_.Shell("ip link add br0 type bridge mcast_snooping 0");
  peer_.Shell("ip link set br0 up");
  for (const char* port : {"b0", "b1"}) peer_.Shell(std::string("ip link set ") + port + " master br0");
  peer_.WaitUntilUp("a0", "b0");
  peer_.WaitUntilUp("a1", "b1");
  // IPv4 takes packets with an address of the host's own only if told to.
  kernel::Shell(
      "for name in all a1; do echo 1 > /proc/sys/net/ipv4/conf/$name/accept_local; "
      "echo 0 > /proc/sys/net/ipv4/conf/$name/rp_filter; done");
  for (const char* group : {"239.1.1.1", "ff15::1"}) {
    const auto all = Subscribe(Wish("a1", group, kPort));
    v1::SubscribeRequest request;
    *request.add_memberships() = Wish("a1", group, kPort);
    request.mutable_options()->set_exclude_own(true);
    const auto others = Subscribe(request);
    ASSERT_NE(all->ReadEvent(v1::Event::kSubscribed), nullptr);
    ASSERT_NE(others->ReadEvent(v1::Event::kSubscribed), nullptr);
    SendFrom("", "own", group);
    ASSERT_TRUE(all->ReadDatagrams(1)) << group;
    EXPECT_THAT(Payloads(*all), ElementsAre("own"));
    // From another host, by the same port.
    std::unique_ptr<net::SendSocket> peer;
    const std::unique_ptr<net::SocketFactory> factory = net::NewLinuxSocketFactory();
    const net::IpAddress address = kernel::Ip(group);
    const uint32_t port = all->datagrams[0].source_port();
    peer_.Do([&] {
      peer =
          factory
              ->NewSendSocket({.family = address.family(), .loop = false, .source_port = static_cast<uint16_t>(port)})
              .value();
    });
    net::OutgoingDatagram datagram{.group = address,
                                   .port = kPort,
                                   .interface_index = peer_.IndexOf("br0"),
                                   .source = kernel::Ip(address.is_v4() ? "10.1.0.2" : "fd01::2"),
                                   .traffic_class = {},
                                   .payload = "another host's"};
    std::vector<net::SendFailure> failures;
    ASSERT_EQ(peer->Send({&datagram, 1}, &failures), 1u) << failures[0].status;
    ASSERT_TRUE(others->ReadDatagrams(1)) << group;
    EXPECT_THAT(Payloads(*others), ElementsAre("another host's"));
  }
}

TEST_F(SendTest, APublishStreamSendsOnBehalfOfOneSession) {
  const std::string session = NewSession();
  v1::SubscribeRequest wish;
  *wish.add_memberships() = Wish("a0", "239.1.1.1", kPort);
  const auto stream = Subscribe(wish);
  ASSERT_NE(stream->ReadEvent(v1::Event::kSubscribed), nullptr);
  const uint32_t port = SendFrom(session, "0");

  grpc::ClientContext context;
  const auto publish = gateway_->Publish(&context);
  v1::PublishRequest batch;
  batch.set_session_id(session);
  v1::Burst* const burst = batch.add_bursts();
  *burst->mutable_destination() = To("a0", "239.1.1.1", kPort, "").destination();
  burst->add_payloads("1");
  v1::PublishResponse answer;
  ASSERT_TRUE(publish->Write(batch));
  ASSERT_TRUE(publish->Read(&answer));
  EXPECT_EQ(answer.accepted_items(), 1u);
  batch.clear_session_id();
  ASSERT_TRUE(publish->Write(batch));
  ASSERT_TRUE(publish->Read(&answer));
  ASSERT_TRUE(stream->ReadDatagrams(3));
  for (const v1::Datagram& datagram : stream->datagrams) EXPECT_EQ(datagram.source_port(), port);

  batch.set_session_id("another");
  ASSERT_TRUE(publish->Write(batch));
  EXPECT_FALSE(publish->Read(&answer));
  const Rich rich = Take(publish->Finish());
  EXPECT_EQ(rich.code, StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(rich.reason, "CONFLICTING_FIELDS");
  EXPECT_EQ(rich.field, "session_id");
}

// 16,384 failures of two kinds in turn: an answer of 6 MB, were each told.
TEST_F(SendTest, AnAnswerWithManyFailuresStaysSmallAndAddsUp) {
  v1::PublishRequest batch;
  for (int i = 0; i < 16'384; ++i) {
    v1::Burst* const burst = batch.add_bursts();
    *burst->mutable_destination() =
        To(i % 2 == 0 ? "nosuch" : "a0", i % 2 == 0 ? "239.1.1.1" : "10.1.1.1", kPort, "").destination();
    burst->add_payloads("x");
  }
  grpc::ClientContext context;
  const auto publish = gateway_->Publish(&context);
  v1::PublishResponse answer;
  ASSERT_TRUE(publish->Write(batch));
  ASSERT_TRUE(publish->Read(&answer));
  EXPECT_LT(answer.ByteSizeLong(), 200'000u);
  EXPECT_TRUE(answer.rest_merged());
  EXPECT_EQ(answer.failures_size(), 256);
  uint32_t failed = 0;
  for (const v1::PublishFailure& failure : answer.failures()) failed += failure.item_count();
  EXPECT_EQ(failed + answer.accepted_items(), 16'384u);
}

TEST_F(SendTest, APublishStreamEndsWithItsSession) {
  const std::string session = NewSession();
  grpc::ClientContext context;
  const auto publish = gateway_->Publish(&context);
  v1::PublishRequest batch;
  batch.set_session_id(session);
  v1::Burst* const burst = batch.add_bursts();
  *burst->mutable_destination() = To("a0", "239.1.1.1", kPort, "").destination();
  burst->add_payloads("1");
  v1::PublishResponse answer;
  ASSERT_TRUE(publish->Write(batch));
  ASSERT_TRUE(publish->Read(&answer));
  grpc::ClientContext leave_context;
  v1::LeaveRequest leave;
  leave.set_session_id(session);
  leave.mutable_whole_session();
  v1::LeaveResponse left;
  ASSERT_TRUE(gateway_->Leave(&leave_context, leave, &left).ok());
  ASSERT_TRUE(publish->Write(batch));
  EXPECT_FALSE(publish->Read(&answer));
  const Rich rich = Take(publish->Finish());
  EXPECT_EQ(rich.code, StatusCode::NOT_FOUND);
  EXPECT_EQ(rich.reason, "SESSION_NOT_FOUND");
}

TEST_F(SendTest, HopLimitZeroStaysOnTheHostAndItsMembershipIsShown) {
  kernel::Wire wire(peer_, "b0");
  const auto stream = Subscribe(Wish("a0", "239.1.1.1", kPort));
  ASSERT_NE(stream->ReadEvent(v1::Event::kSubscribed), nullptr);
  for (const char* group : {"239.1.1.1", "239.1.1.2"}) {
    v1::SendRequest request = To("a0", group, kPort, "stays");
    request.mutable_options()->set_hop_limit(0);
    v1::SendResponse response;
    ASSERT_TRUE(Send(request, &response).ok());
    EXPECT_EQ(response.results(0).source_port(), Interfaces("a0").ipv4_source_port());
  }
  SendFrom("", "marker");
  EXPECT_THAT(wire.DatagramsUntil("marker", kPort), SizeIs(0));
  ASSERT_TRUE(stream->ReadDatagrams(2));
  EXPECT_EQ(stream->datagrams[0].payload(), "stays");
  EXPECT_EQ(stream->datagrams[0].hop_limit(), 0u);

  std::map<std::string, uint32_t> users;
  const v1::ListInterfacesResponse interfaces = Interfaces("a0");
  for (const v1::KernelMembership& membership : interfaces.interfaces(0).ipv4().kernel_memberships()) {
    users[membership.group()] = membership.gateway_users();
  }
  EXPECT_EQ(users["239.1.1.1"], 2u) << "the channel's socket and the gateway's own";
  EXPECT_EQ(users["239.1.1.2"], 1u);

  grpc::ClientContext context;
  v1::ListChannelsResponse channels;
  ASSERT_TRUE(inspection_->ListChannels(&context, {}, &channels).ok());
  ASSERT_EQ(channels.channels_size(), 1);
  const v1::ChannelWish& wish = channels.channels(0).wish();
  ASSERT_EQ(wish.holders_size(), 2);
  EXPECT_EQ(wish.holders(1).kind(), v1::HOLDER_KIND_GATEWAY);
  EXPECT_EQ(wish.holders(1).membership().interface(), "a0");
  EXPECT_EQ(wish.holders(1).membership().group(), "239.1.1.1");
  EXPECT_EQ(wish.holders(1).membership().port(), 0u);
}

class FixedPortTest : public ServerTest {};

TEST_F(FixedPortTest, TheServerSendsFromItAndReceivesOnIt) {
  config_.set_source_port(kPort);
  Start();
  const auto stream = Subscribe(Wish("a0", "239.1.1.1", kPort));
  ASSERT_NE(stream->ReadEvent(v1::Event::kSubscribed), nullptr);
  v1::SendResponse response;
  ASSERT_TRUE(Send(To("a0", "239.1.1.1", kPort, "x"), &response).ok());
  EXPECT_EQ(response.results(0).source_port(), kPort);
  ASSERT_TRUE(stream->ReadDatagrams(1));
  EXPECT_EQ(stream->datagrams[0].source_port(), kPort);
}

TEST_F(FixedPortTest, APortThatAnotherProgramHoldsIsToldAtTheStart) {
  config_.set_source_port(kPort);
  const net::OwnedFd foreign(socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  sockaddr_storage name;
  const socklen_t length = net::ToSockaddr(net::IpAddress::Unspecified(net::Family::kIpv6), kPort, 0, &name);
  ASSERT_EQ(bind(foreign.get(), reinterpret_cast<const sockaddr*>(&name), length), 0);
  const absl::Status status = app::Server::Start(config_).status();
  EXPECT_EQ(net::ReasonOf(status), net::Reason::kPortInUse);
  EXPECT_THAT(std::string(status.message()), testing::AllOf(testing::HasSubstr("5000"), testing::HasSubstr("pid "),
                                                            testing::HasSubstr("source_port")));
}

}  // namespace
}  // namespace mcgw
