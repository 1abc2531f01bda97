// The ports that datagrams leave from.

#include "server/gateway/sending/send_source.h"

#include <memory>
#include <optional>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/net/status.h"
#include "tests/support/fakes.h"

namespace mcgw::gateway {
namespace {

using net::Family;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class SendSourceTest : public ::testing::Test {
 protected:
  SendSource& Make(uint16_t port = 0) { return source_.emplace(&factory_, traffic_, ports_, port); }

  const std::shared_ptr<testing::FakeKernel> kernel_ = std::make_shared<testing::FakeKernel>();
  testing::FakeSocketFactory factory_{kernel_};
  const std::shared_ptr<fanout::OwnTraffic> traffic_ = std::make_shared<fanout::OwnTraffic>();
  const std::shared_ptr<fanout::SourcePorts> ports_ = std::make_shared<fanout::SourcePorts>();
  std::optional<SendSource> source_;
};

TEST_F(SendSourceTest, AllSocketsOfAFamilyHaveOnePort) {
  SendSource& source = Make();
  EXPECT_EQ(source.port(Family::kIpv4), 0);
  for (const bool loop : {true, false}) {
    for (const bool dont_fragment : {true, false}) {
      EXPECT_EQ(source.Socket({.loop = loop, .dont_fragment = dont_fragment}).value()->source_port(),
                testing::FakeKernel::kFirstPort);
    }
  }
  EXPECT_EQ(source.Socket({.host_only = true}).value()->source_port(), testing::FakeKernel::kFirstPort);
  EXPECT_EQ(source.port(Family::kIpv4), testing::FakeKernel::kFirstPort);
  EXPECT_EQ(source.Socket({.family = Family::kIpv6}).value()->source_port(), testing::FakeKernel::kFirstPort + 1);
  EXPECT_THAT(kernel_->send_sockets(), SizeIs(6));
  EXPECT_EQ(*source.Socket({.loop = true}), *source.Socket({.loop = true})) << "kept";
}

TEST_F(SendSourceTest, AGivenPortIsThatOfBothFamilies) {
  SendSource& source = Make(5004);
  EXPECT_EQ(source.Socket({.family = Family::kIpv4}).value()->source_port(), 5004);
  EXPECT_EQ(source.Socket({.family = Family::kIpv6}).value()->source_port(), 5004);
  SendSource second(&factory_, traffic_, std::make_shared<fanout::SourcePorts>(), 5004);
  EXPECT_EQ(net::ReasonOf(second.Socket({}).status()), net::Reason::kPortInUse);
}

TEST_F(SendSourceTest, ItsPortIsKnownBeforeItSends) {
  Make(5004).Socket({}).value();
  EXPECT_TRUE(traffic_->HasPort(Family::kIpv4, 5004));
  EXPECT_FALSE(traffic_->HasPort(Family::kIpv6, 5004));
  EXPECT_EQ(ports_->port(Family::kIpv4), 5004);
}

TEST_F(SendSourceTest, ItsEndClosesTheSocketsAndForgetsThePortLater) {
  Make(5004).Socket({}).value();
  source_->Socket({.loop = false}).value();
  source_.reset();
  EXPECT_THAT(kernel_->send_sockets(), IsEmpty());
  EXPECT_TRUE(traffic_->HasPort(Family::kIpv4, 5004));
  EXPECT_EQ(ports_->port(Family::kIpv4), 5004) << "for streams that still read what it sent";
}

}  // namespace
}  // namespace mcgw::gateway
