// Interfaces that come and go, as clients see it over gRPC.

#include <string>

#include "google/protobuf/wrappers.pb.h"
#include "grpcpp/impl/codegen/sync_stream.h"
#include "tests/rpc/server_fixture.h"

namespace mcgw {
namespace {

class InterfaceOverRpcTest : public ServerTest {
 protected:
  // grpc.health.v1.HealthCheckResponse.ServingStatus.
  enum Health : uint32_t { kServing = 1, kNotServing = 2, kUnknown = 3 };

  void SetUp() override {
    Start();
    peer_.WaitUntilUp("a0", "b0");
  }
  v1::ListInterfacesResponse Interfaces(uint32_t page_size = 0, const std::string& token = "") {
    grpc::ClientContext context;
    v1::ListInterfacesRequest request;
    request.set_page_size(page_size);
    request.set_page_token(token);
    v1::ListInterfacesResponse response;
    EXPECT_TRUE(inspection_->ListInterfaces(&context, request, &response).ok());
    return response;
  }
};

TEST_F(InterfaceOverRpcTest, HealthFollowsAnInterfaceThatHasChannels) {
  // The messages of grpc.health.v1 on the wire: a request is a string in field 1, an answer an enum in field 1.
  using Answer = google::protobuf::UInt32Value;
  google::protobuf::StringValue request;
  request.set_value("interface/a0");
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(60));
  const grpc::internal::RpcMethod method("/grpc.health.v1.Health/Watch", grpc::internal::RpcMethod::SERVER_STREAMING,
                                         channel_);
  const std::unique_ptr<grpc::ClientReader<Answer>> watch(
      grpc::internal::ClientReaderFactory<Answer>::Create(channel_.get(), method, &context, request));
  const auto next = [&] {
    Answer answer;
    EXPECT_TRUE(watch->Read(&answer));
    return answer.value();
  };
  EXPECT_EQ(next(), kUnknown);
  v1::JoinResponse joined;
  ASSERT_TRUE(Join(Wish("a0", "239.1.1.1", 5000), &joined).ok());
  EXPECT_EQ(next(), kServing);
  kernel::Shell("ip link set a0 down");
  EXPECT_EQ(next(), kNotServing);
  kernel::Shell("ip link set a0 up");
  EXPECT_EQ(next(), kServing);
  kernel::Shell("ip link del a0");
  EXPECT_EQ(next(), kNotServing);
  context.TryCancel();
  watch->Finish();
}

TEST_F(InterfaceOverRpcTest, AStreamHearsWhatBecomesOfItsInterface) {
  const auto stream = Subscribe(Wish("a0", "239.1.1.1", 5000));
  ASSERT_NE(stream->ReadEvent(v1::Event::kSubscribed), nullptr);
  kernel::Shell("ip link set a0 name r0");
  const v1::Event* event = stream->ReadEvent(v1::Event::kInterfaceRenamed);
  ASSERT_NE(event, nullptr);
  EXPECT_EQ(event->interface_renamed().old_name(), "a0");
  EXPECT_EQ(event->interface_renamed().new_name(), "r0");
  const uint32_t index = event->interface_renamed().interface_index();
  kernel::Shell("ip link set r0 down");
  event = stream->ReadEvent(v1::Event::kInterfaceLost);
  ASSERT_NE(event, nullptr);
  EXPECT_EQ(event->interface_lost().interface_name(), "r0");
  EXPECT_EQ(event->interface_lost().interface_index(), index);
  EXPECT_EQ(event->interface_lost().cause(), v1::INTERFACE_LOST_CAUSE_DOWN);
  EXPECT_GT(event->interface_lost().time().seconds(), 0);
  kernel::Shell("ip link set r0 up");
  event = stream->ReadEvent(v1::Event::kInterfaceRestored);
  ASSERT_NE(event, nullptr);
  EXPECT_EQ(event->interface_restored().interface_index(), index);
  event = stream->ReadEvent(v1::Event::kGap);
  ASSERT_NE(event, nullptr);
  EXPECT_EQ(event->gap().cause(), v1::GAP_CAUSE_INTERFACE_LOST);
  EXPECT_EQ(event->gap().unknown().before_sequence(), 1u);
  kernel::Shell("ip link del r0");
}

TEST_F(InterfaceOverRpcTest, AnInterfaceThatIsGoneAndWishedIsListedLast) {
  const auto stream = Subscribe(Wish("a0", "239.1.1.1", 5000));
  ASSERT_NE(stream->ReadEvent(v1::Event::kSubscribed), nullptr);
  EXPECT_FALSE(Interfaces().interfaces(1).lost());
  kernel::Shell("ip link del a0");
  ASSERT_NE(stream->ReadEvent(v1::Event::kInterfaceLost), nullptr);
  const v1::ListInterfacesResponse first = Interfaces(1);
  ASSERT_EQ(first.interfaces_size(), 1);
  EXPECT_EQ(first.interfaces(0).name(), "lo");
  const v1::ListInterfacesResponse second = Interfaces(1, first.next_page_token());
  ASSERT_EQ(second.interfaces_size(), 1);
  EXPECT_EQ(second.interfaces(0).name(), "a0");
  EXPECT_EQ(second.interfaces(0).index(), 0u);
  EXPECT_TRUE(second.interfaces(0).lost());
  EXPECT_FALSE(second.interfaces(0).has_carrier());
  EXPECT_EQ(second.interfaces(0).counters().losses(), 1u);
  EXPECT_EQ(second.interfaces(0).ipv4().wished_memberships(), 1u);
  EXPECT_EQ(second.next_page_token(), "");

  grpc::ClientContext context;
  v1::ListChannelsResponse channels;
  ASSERT_TRUE(inspection_->ListChannels(&context, {}, &channels).ok());
  ASSERT_EQ(channels.channels_size(), 1);
  const v1::ChannelState& state = channels.channels(0).state();
  EXPECT_EQ(state.state(), v1::JOIN_STATE_WAITING);
  EXPECT_EQ(state.failure().reason(), v1::ERROR_REASON_INTERFACE_NOT_FOUND);
  EXPECT_EQ(state.channel().interface_index(), 0u);
  EXPECT_EQ(channels.channels(0).wish().holder_count(), 1u);
  EXPECT_FALSE(channels.channels(0).fact().joined());
}

TEST_F(InterfaceOverRpcTest, JoinAndSubscribeWaitForAnInterface) {
  v1::Membership wish = Wish("w0", "239.1.1.1", 5000);
  wish.set_wait_for_interface(true);
  v1::JoinResponse joined;
  ASSERT_TRUE(Join(wish, &joined).ok());
  ASSERT_EQ(joined.channels_size(), 1);
  EXPECT_EQ(joined.channels(0).state(), v1::JOIN_STATE_WAITING);
  EXPECT_EQ(joined.channels(0).failure().reason(), v1::ERROR_REASON_INTERFACE_NOT_FOUND);
  const auto stream = Subscribe(wish);
  const v1::Event* event = stream->ReadEvent(v1::Event::kSubscribed);
  ASSERT_NE(event, nullptr);
  ASSERT_EQ(event->subscribed().channels_size(), 1);
  EXPECT_EQ(event->subscribed().channels(0).state(), v1::JOIN_STATE_WAITING);
  peer_.AddLink("w0", "w1");
  event = stream->ReadEvent(v1::Event::kMembershipChanged);
  ASSERT_NE(event, nullptr);
  EXPECT_EQ(event->membership_changed().cause(), v1::MEMBERSHIP_CHANGE_CAUSE_INTERFACE_APPEARED);
  EXPECT_EQ(event->membership_changed().channel().state(), v1::JOIN_STATE_JOINED);
  EXPECT_EQ(event->membership_changed().channel().channel().interface_name(), "w0");
  v1::SendResponse sent;
  ASSERT_TRUE(Send(To("w0", "239.1.1.1", 5000, "hello"), &sent).ok());
  EXPECT_TRUE(stream->ReadDatagrams(1));
}

TEST_F(InterfaceOverRpcTest, ListsAreFilteredByAnyNameAndByASharedAddress) {
  peer_.AddLink("a1", "b1");
  kernel::Shell("ip link property add dev a0 altname enp5s0");
  kernel::Shell("ip addr add 10.8.0.1/32 dev a0 && ip addr add 10.8.0.1/32 dev a1");
  for (const char* interface : {"a0", "a1"}) {
    v1::JoinResponse joined;
    ASSERT_TRUE(Join(Wish(interface, "239.1.1.1", 5000), &joined).ok());
  }
  const auto interfaces = [&](const std::string& filter) {
    grpc::ClientContext context;
    v1::ListInterfacesRequest request;
    request.set_interface(filter);
    v1::ListInterfacesResponse response;
    EXPECT_TRUE(inspection_->ListInterfaces(&context, request, &response).ok()) << filter;
    std::string names;
    for (const v1::NetworkInterface& interface : response.interfaces()) names += interface.name() + " ";
    return names;
  };
  const auto channels = [&](const std::string& filter) {
    grpc::ClientContext context;
    v1::ListChannelsRequest request;
    request.set_interface(filter);
    v1::ListChannelsResponse response;
    EXPECT_TRUE(inspection_->ListChannels(&context, request, &response).ok()) << filter;
    std::string names;
    for (const v1::ChannelInfo& channel : response.channels())
      names += channel.state().channel().interface_name() + " ";
    return names;
  };
  for (const auto& [filter, names] : std::vector<std::pair<std::string, std::string>>{
           {"a0", "a0 "}, {"enp5s0", "a0 "}, {"10.1.0.1", "a1 "}, {"10.8.0.1", "a0 a1 "}}) {
    EXPECT_EQ(interfaces(filter), names) << filter;
    EXPECT_EQ(channels(filter), names) << filter;
  }
  EXPECT_EQ(channels("nosuch"), "");
  const v1::ListInterfacesResponse all = Interfaces();
  for (const v1::NetworkInterface& interface : all.interfaces()) {
    if (interface.name() != "a0") continue;
    EXPECT_EQ(interface.alternative_names(0), "enp5s0");
  }
}

TEST_F(InterfaceOverRpcTest, TheAddressThatIsSentFromIsListedFirst) {
  kernel::Shell("ip addr flush dev a0 scope global && ip addr add 169.254.7.1/16 scope link dev a0");
  kernel::Shell("ip addr add 10.1.0.1/24 dev a0 && ip addr add fd00::1/64 dev a0 nodad");
  kernel::Shell("ip addr add 2001:db8::1/64 dev a0 nodad && ip addr add fd00::2/64 dev a0 nodad");
  const v1::NetworkInterface a0 = Interfaces().interfaces(1);
  ASSERT_EQ(a0.addresses_size(), 6);
  EXPECT_EQ(a0.addresses(0), "10.1.0.1/24");
  EXPECT_EQ(a0.addresses(1), "169.254.7.1/16");
  EXPECT_EQ(a0.addresses(2), "2001:db8::1/64");
}

}  // namespace
}  // namespace mcgw
