// ListInterfaces and Diagnose over gRPC.

#include <set>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "server/gateway/inspection/diagnosis.h"
#include "server/rpc/write_finding.h"
#include "tests/rpc/server_fixture.h"

namespace mcgw {
namespace {

using testing::Contains;
using testing::IsEmpty;
using testing::Not;

class InspectionTest : public ServerTest {
 protected:
  v1::NetworkInterface Interface(const std::string& name) {
    grpc::ClientContext context;
    v1::ListInterfacesRequest request;
    request.set_interface(name);
    v1::ListInterfacesResponse response;
    const grpc::Status status = inspection_->ListInterfaces(&context, request, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return response.interfaces_size() == 1 ? response.interfaces(0) : v1::NetworkInterface();
  }
  grpc::Status Diagnose(const v1::DiagnoseRequest& request, v1::DiagnoseResponse* response) {
    grpc::ClientContext context;
    return inspection_->Diagnose(&context, request, response);
  }
  Rich Refused(const v1::DiagnoseRequest& request) {
    v1::DiagnoseResponse response;
    return Take(Diagnose(request, &response));
  }
};

std::vector<int> Flags(const v1::NetworkInterface& interface) {
  return {interface.flags().begin(), interface.flags().end()};
}

TEST_F(InspectionTest, ShowsAnInterfaceWithAllItsFlags) {
  Start();
  v1::NetworkInterface a0 = Interface("a0");
  EXPECT_THAT(Flags(a0), testing::ElementsAre(v1::INTERFACE_FLAG_UP, v1::INTERFACE_FLAG_RUNNING,
                                              v1::INTERFACE_FLAG_MULTICAST, v1::INTERFACE_FLAG_BROADCAST));
  kernel::Shell("ip link set a0 allmulticast on promisc on arp off address 02:00:00:00:00:77");
  a0 = Interface("a0");
  EXPECT_THAT(Flags(a0), Contains(v1::INTERFACE_FLAG_ALLMULTI));
  EXPECT_THAT(Flags(a0), Contains(v1::INTERFACE_FLAG_PROMISCUOUS));
  EXPECT_THAT(Flags(a0), Contains(v1::INTERFACE_FLAG_NO_ARP));
  EXPECT_EQ(a0.mac_address(), "02:00:00:00:00:77");
  const v1::NetworkInterface lo = Interface("lo");
  EXPECT_THAT(Flags(lo), Contains(v1::INTERFACE_FLAG_LOOPBACK));
  EXPECT_EQ(lo.mac_address(), "");
}

TEST_F(InspectionTest, ShowsTheVersionsInForce) {
  Start();
  EXPECT_EQ(Interface("a0").ipv4().membership_protocol_version(), 3u);
  EXPECT_EQ(Interface("a0").ipv6().membership_protocol_version(), 2u);
  kernel::Shell("sysctl -qw net.ipv4.conf.a0.force_igmp_version=2 net.ipv6.conf.a0.force_mld_version=1");
  EXPECT_EQ(Interface("a0").ipv4().membership_protocol_version(), 2u);
  EXPECT_EQ(Interface("a0").ipv6().membership_protocol_version(), 1u);
}

TEST_F(InspectionTest, CountsWhatIsReadAndSentOnAnInterface) {
  Start();
  const std::unique_ptr<Stream> stream = Subscribe(Wish("a0", "239.1.1.1", 5000));
  ASSERT_NE(stream->ReadEvent(v1::Event::kSubscribed), nullptr);
  v1::SendResponse sent;
  for (int i = 0; i < 3; ++i) {
    const grpc::Status status = Send(To("a0", "239.1.1.1", 5000, "counted"), &sent);
    ASSERT_TRUE(status.ok()) << status.error_message();
  }
  ASSERT_TRUE(stream->ReadDatagrams(3));
  v1::InterfaceCounters counters = Interface("a0").counters();
  EXPECT_EQ(counters.sent_datagrams(), 3u);
  EXPECT_EQ(counters.read_datagrams(), 3u);
  EXPECT_EQ(counters.send_failed_datagrams(), 0u);
  EXPECT_EQ(Interface("lo").counters().sent_datagrams(), 0u);
  kernel::Shell("ip link set a0 down");
  EXPECT_FALSE(Send(To("a0", "239.1.1.1", 5000, "lost"), &sent).ok());
  counters = Interface("a0").counters();
  EXPECT_EQ(counters.sent_datagrams(), 3u);
  EXPECT_EQ(counters.send_failed_datagrams(), 1u);
}

TEST_F(InspectionTest, DiagnosesOverGrpc) {
  Start();
  v1::DiagnoseRequest request;
  request.set_interface("a9");
  v1::DiagnoseResponse response;
  ASSERT_TRUE(Diagnose(request, &response).ok());  // A finding, not an error.
  ASSERT_GT(response.findings_size(), 1);
  EXPECT_EQ(response.findings(0).code(), v1::FINDING_CODE_INTERFACE_EXISTS);
  EXPECT_EQ(response.findings(0).severity(), v1::FINDING_SEVERITY_ERROR);
  EXPECT_EQ(response.findings(0).interface_name(), "a9");
  EXPECT_THAT(response.findings(0).seen(), Not(IsEmpty()));
  for (const v1::Finding& finding : response.findings()) {
    EXPECT_TRUE(finding.severity() != v1::FINDING_SEVERITY_OK || finding.why().empty()) << finding.why();
  }
}

TEST_F(InspectionTest, RefusesQuestionsThatMeanNothing) {
  Start();
  v1::DiagnoseRequest request;
  request.set_group("10.0.0.1");
  EXPECT_EQ(Refused(request).reason, "NOT_A_MULTICAST_GROUP");
  EXPECT_EQ(Refused(request).field, "group");
  request.set_group("nonsense");
  EXPECT_EQ(Refused(request).reason, "INVALID_ADDRESS");
  request.set_group("239.1.1.1");
  request.set_port(70000);
  EXPECT_EQ(Refused(request).reason, "INVALID_PORT");
  request.set_port(5000);
  for (const char* const source : {"fd00::2", "239.1.1.1", "0.0.0.0", "255.255.255.255"}) {
    request.set_source_address(source);
    EXPECT_EQ(Refused(request).reason, "INVALID_SOURCE") << source;
    EXPECT_EQ(Refused(request).field, "source_address") << source;
  }
  request.clear_source_address();
  request.clear_group();
  EXPECT_EQ(Refused(request).reason, "CONFLICTING_FIELDS");
  EXPECT_EQ(Refused(request).field, "port");
}

TEST(WriteFindingTest, EveryCheckAndSeverityHasItsOwn) {
  using gateway::FindingCode;
  using gateway::Severity;
  const std::vector<std::pair<FindingCode, v1::FindingCode>> codes = {
      {FindingCode::kInterfaceExists, v1::FINDING_CODE_INTERFACE_EXISTS},
      {FindingCode::kInterfaceUp, v1::FINDING_CODE_INTERFACE_UP},
      {FindingCode::kCarrier, v1::FINDING_CODE_CARRIER},
      {FindingCode::kMulticastFlag, v1::FINDING_CODE_MULTICAST_FLAG},
      {FindingCode::kAddress, v1::FINDING_CODE_ADDRESS},
      {FindingCode::kInterfacePermitted, v1::FINDING_CODE_INTERFACE_PERMITTED},
      {FindingCode::kMembershipWished, v1::FINDING_CODE_MEMBERSHIP_WISHED},
      {FindingCode::kMembershipInKernel, v1::FINDING_CODE_MEMBERSHIP_IN_KERNEL},
      {FindingCode::kMembershipProtocol, v1::FINDING_CODE_MEMBERSHIP_PROTOCOL},
      {FindingCode::kQuerier, v1::FINDING_CODE_QUERIER},
      {FindingCode::kBridgeSnooping, v1::FINDING_CODE_BRIDGE_SNOOPING},
      {FindingCode::kReversePath, v1::FINDING_CODE_REVERSE_PATH},
      {FindingCode::kRoute, v1::FINDING_CODE_ROUTE},
      {FindingCode::kSendBlocked, v1::FINDING_CODE_SEND_BLOCKED},
      {FindingCode::kReceiveBuffer, v1::FINDING_CODE_RECEIVE_BUFFER},
      {FindingCode::kKernelDrops, v1::FINDING_CODE_KERNEL_DROPS},
      {FindingCode::kLimits, v1::FINDING_CODE_LIMITS},
      {FindingCode::kLoopback, v1::FINDING_CODE_LOOPBACK},
      {FindingCode::kSourceRequired, v1::FINDING_CODE_SOURCE_REQUIRED},
      {FindingCode::kGroupScope, v1::FINDING_CODE_GROUP_SCOPE},
      {FindingCode::kHopLimit, v1::FINDING_CODE_HOP_LIMIT},
      {FindingCode::kLastDatagram, v1::FINDING_CODE_LAST_DATAGRAM},
      {FindingCode::kPortSharing, v1::FINDING_CODE_PORT_SHARING},
      {FindingCode::kMtu, v1::FINDING_CODE_MTU},
      {FindingCode::kInvalidQuery, v1::FINDING_CODE_INVALID_QUERY},
      {FindingCode::kReassembly, v1::FINDING_CODE_REASSEMBLY},
      {FindingCode::kDeviceDrops, v1::FINDING_CODE_DEVICE_DROPS},
      {FindingCode::kChecksums, v1::FINDING_CODE_CHECKSUMS},
  };
  for (const auto& [own, of_api] : codes) {
    v1::Finding message;
    rpc::WriteFinding({.code = own, .severity = Severity::kOk}, &message);
    EXPECT_EQ(message.code(), of_api);
  }
  // Every check of the API is one that the gateway makes.
  EXPECT_EQ(static_cast<int>(codes.size()) + 1, v1::FindingCode_descriptor()->value_count());
  const std::vector<std::pair<Severity, v1::FindingSeverity>> severities = {
      {Severity::kOk, v1::FINDING_SEVERITY_OK},           {Severity::kInfo, v1::FINDING_SEVERITY_INFO},
      {Severity::kWarning, v1::FINDING_SEVERITY_WARNING}, {Severity::kError, v1::FINDING_SEVERITY_ERROR},
      {Severity::kUnknown, v1::FINDING_SEVERITY_UNKNOWN},
  };
  for (const auto& [own, of_api] : severities) {
    v1::Finding message;
    rpc::WriteFinding({.code = FindingCode::kMtu, .severity = own}, &message);
    EXPECT_EQ(message.severity(), of_api);
  }
  EXPECT_EQ(static_cast<int>(severities.size()) + 1, v1::FindingSeverity_descriptor()->value_count());
}

class LargeListsTest : public ServerTest {
 protected:
  LargeListsTest() {
    config_.set_max_sources(1000);
    config_.set_max_sessions(1000);
  }
  static v1::Membership WithSources(const std::string& group, int count) {
    v1::Membership wish = Wish("a0", group, 5000);
    wish.mutable_source_filter()->set_mode(v1::SOURCE_FILTER_MODE_EXCLUDE);
    for (int i = 0; i < count; ++i) {
      wish.mutable_source_filter()->add_sources("fe80:1111:2222:3333:4444:5555:6666:" + std::to_string(1000 + i));
    }
    return wish;
  }
};

TEST_F(LargeListsTest, LongSourceListsAreShortenedAndCounted) {
  Start();
  v1::JoinResponse joined;
  ASSERT_TRUE(Join(WithSources("ff15::1", 1000), &joined).ok());
  ASSERT_TRUE(Join(WithSources("ff15::2", 20), &joined, joined.session_id()).ok());
  grpc::ClientContext context;
  v1::ListChannelsResponse response;
  ASSERT_TRUE(inspection_->ListChannels(&context, {}, &response).ok());
  ASSERT_EQ(response.channels_size(), 2);
  const v1::ChannelWish& wish = response.channels(0).wish();
  for (const v1::SourceFilter& filter : {wish.source_filter(), wish.holders(0).membership().source_filter()}) {
    EXPECT_EQ(filter.mode(), v1::SOURCE_FILTER_MODE_EXCLUDE);
    EXPECT_EQ(filter.sources_size(), 20);
    EXPECT_EQ(filter.omitted_sources(), 980u);
  }
  EXPECT_EQ(response.channels(1).wish().source_filter().sources_size(), 20);
  EXPECT_EQ(response.channels(1).wish().source_filter().omitted_sources(), 0u);
}

TEST_F(LargeListsTest, APageEndsWhereItsEntriesGetTooLarge) {
  constexpr int kChannels = 15;
  constexpr int kHolders = 60;
  Start();
  for (int holder = 0; holder < kHolders; ++holder) {
    v1::JoinResponse joined;
    for (int channel = 1; channel <= kChannels; ++channel) {
      const std::string session = joined.session_id();
      ASSERT_TRUE(Join(WithSources("ff15::" + std::to_string(channel), 20), &joined, session).ok());
    }
  }
  v1::ListChannelsRequest request;
  request.set_page_size(1000);
  std::vector<std::string> groups;
  size_t pages = 0;
  do {
    grpc::ClientContext context;
    v1::ListChannelsResponse response;
    ASSERT_TRUE(inspection_->ListChannels(&context, request, &response).ok());
    EXPECT_LT(response.ByteSizeLong(), 1u << 20);
    for (const v1::ChannelInfo& channel : response.channels()) groups.push_back(channel.state().channel().group());
    request.set_page_token(response.next_page_token());
    ++pages;
  } while (!request.page_token().empty());
  EXPECT_GT(pages, 1u);
  EXPECT_EQ(groups.size(), size_t{kChannels});
  EXPECT_EQ(std::set<std::string>(groups.begin(), groups.end()).size(), size_t{kChannels});
}

}  // namespace
}  // namespace mcgw
