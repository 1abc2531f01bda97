// Sending: where to, what is known beforehand, what the kernel says, and the counts.

#include "server/gateway/sending/sender.h"

#include <linux/rtnetlink.h>

#include <functional>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/net/status.h"
#include "tests/support/fake_host.h"
#include "tests/support/fakes.h"

namespace mcgw::gateway {
namespace {

using net::Reason;
using net::ReasonOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::Ip;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class SenderTest : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(directory_.Refresh().ok()); }

  static SendRequest To(std::string_view group, std::string selector = "a0") {
    return {.selector = std::move(selector), .group = Ip(group), .port = 5000, .source = std::nullopt};
  }
  // The only result of a send through one interface.
  SendResult SendOne(const SendRequest& request, std::string_view payload = "hello") {
    absl::StatusOr<std::vector<SendResult>> results = sender_.Send(request, payload);
    EXPECT_TRUE(results.ok()) << results.status();
    EXPECT_THAT(*results, SizeIs(1));
    return results->at(0);
  }
  void Change(std::string_view name, const std::function<void(net::Interface*)>& change) {
    change(&host_.Find(name));
    ASSERT_TRUE(directory_.Refresh().ok());
  }
  static Burst NewBurst(const SendRequest& request, std::vector<std::string_view> payloads) {
    return {.invalid = absl::OkStatus(), .request = request, .payloads = std::move(payloads)};
  }
  // "2+3 NO_CARRIER a0": items 2 to 4.
  static std::vector<std::string> Failures(const PublishResult& result) {
    std::vector<std::string> texts;
    for (const ItemFailure& failure : result.failures) {
      texts.push_back(std::to_string(failure.first) + "+" + std::to_string(failure.count) + " " +
                      std::string(net::ReasonName(ReasonOf(failure.status))) + " " + failure.interface_name);
    }
    return texts;
  }
  void ExpectCounters(uint64_t requested, uint64_t sent, uint64_t payload_bytes) {
    EXPECT_EQ(sender_.counters().requested.load(), requested);
    EXPECT_EQ(sender_.counters().sent.load(), sent);
    EXPECT_EQ(sender_.counters().failed.load(), requested - sent);
    EXPECT_EQ(sender_.counters().payload_bytes.load(), payload_bytes);
  }

  testing::FakeHost host_;
  const std::shared_ptr<testing::FakeKernel> kernel_ = std::make_shared<testing::FakeKernel>();
  testing::FakeSocketFactory factory_{kernel_};
  InterfaceDirectory directory_{host_.Source(), {}, ""};
  Sender sender_{&factory_, &directory_};
};

TEST_F(SenderTest, SendsAsAsked) {
  SendRequest request = To("239.1.1.1");
  request.hop_limit = 7;
  request.traffic_class = 0xb8;
  request.loop = false;
  const SendResult result = SendOne(request);
  EXPECT_TRUE(result.status.ok());
  EXPECT_EQ(result.interface_name, "a0");
  EXPECT_EQ(result.interface_index, 2u);
  EXPECT_EQ(result.source, Ip("10.0.0.1"));
  EXPECT_EQ(result.source_port, testing::FakeKernel::kFirstPort);
  ASSERT_THAT(kernel_->sent(), SizeIs(1));
  const testing::FakeSent sent = kernel_->sent()[0];
  EXPECT_EQ(sent.datagram.group, Ip("239.1.1.1"));
  EXPECT_EQ(sent.datagram.port, 5000);
  EXPECT_EQ(sent.datagram.interface_index, 2u);
  EXPECT_EQ(sent.datagram.source, Ip("10.0.0.1"));
  EXPECT_EQ(sent.datagram.hop_limit, 7);
  EXPECT_EQ(sent.datagram.traffic_class, 0xb8);
  EXPECT_FALSE(sent.socket.loop);
  EXPECT_EQ(sent.payload, "hello");
  ExpectCounters(1, 1, 5);
}

TEST_F(SenderTest, AnEmptyPayloadIsADatagram) {
  EXPECT_TRUE(SendOne(To("239.1.1.1"), "").status.ok());
  EXPECT_THAT(kernel_->sent(), SizeIs(1));
  ExpectCounters(1, 1, 0);
}

TEST_F(SenderTest, ReportsTheDefaultInterfaceThatItChose) {
  host_.ipv4_route = 3;
  EXPECT_EQ(SendOne(To("239.1.1.1", "")).interface_name, "a1");
}

TEST_F(SenderTest, TheStarSendsThroughEachEligibleInterface) {
  Change("a1", [](net::Interface* a1) { a1->carrier = false; });
  const std::vector<SendResult> results = sender_.Send(To("239.1.1.1", "*"), "hello").value();
  ASSERT_THAT(results, SizeIs(2));
  EXPECT_EQ(results[0].interface_name, "a0");
  EXPECT_TRUE(results[0].status.ok());
  EXPECT_EQ(results[1].interface_name, "a1");
  EXPECT_EQ(ReasonOf(results[1].status), Reason::kNoCarrier);
  EXPECT_THAT(kernel_->sent(), SizeIs(1));
  ExpectCounters(2, 1, 5);
}

TEST_F(SenderTest, WithNoInterfaceToTryTheStarFails) {
  host_.interfaces.resize(1);
  const absl::Status status = sender_.Send(To("239.1.1.1", "*"), "hello").status();
  EXPECT_EQ(ReasonOf(status), Reason::kInterfaceNotFound);
  EXPECT_EQ(net::FieldOf(status), "destination.interface");
  EXPECT_THAT(std::string(status.message()), HasSubstr("lo (it lacks the MULTICAST flag"));
}

TEST_F(SenderTest, RefusesWhatTheKernelWouldLoseSilently) {
  const auto reason = [&] { return ReasonOf(SendOne(To("239.1.1.1")).status); };
  Change("a0", [](net::Interface* a0) { a0->carrier = false; });
  EXPECT_EQ(reason(), Reason::kNoCarrier);
  Change("a0", [](net::Interface* a0) { a0->carries_multicast = false; });
  EXPECT_EQ(reason(), Reason::kNoMulticast);
  Change("a0", [](net::Interface* a0) { a0->carries_multicast = true; });
  Change("a0", [](net::Interface* a0) { a0->up = false; });
  EXPECT_EQ(reason(), Reason::kInterfaceDown);
  Change("a0", [](net::Interface* a0) {
    a0->up = a0->carrier = true;
    a0->addresses.erase(a0->addresses.begin());
  });
  EXPECT_EQ(reason(), Reason::kNoAddress);
  EXPECT_TRUE(SendOne(To("ff15::1")).status.ok());
  EXPECT_THAT(kernel_->sent(), SizeIs(1));
}

TEST_F(SenderTest, LooksAgainBeforeItRefuses) {
  Change("a0", [](net::Interface* a0) { a0->carrier = false; });
  EXPECT_EQ(ReasonOf(SendOne(To("239.1.1.1")).status), Reason::kNoCarrier);
  host_.Find("a0").carrier = true;
  EXPECT_TRUE(SendOne(To("239.1.1.1")).status.ok());
  const int reads = host_.table_reads.load();
  EXPECT_TRUE(SendOne(To("239.1.1.1")).status.ok());
  EXPECT_EQ(host_.table_reads.load(), reads) << "and not otherwise";
}

TEST_F(SenderTest, AGivenSourceIsOneOfTheInterfaces) {
  SendRequest request = To("239.1.1.1");
  request.source = Ip("10.0.1.1");  // Of a1.
  EXPECT_EQ(ReasonOf(SendOne(request).status), Reason::kSourceNotLocal);
  request.source = Ip("10.0.0.1");
  EXPECT_TRUE(SendOne(request).status.ok());
  request.selector = "*";
  request.source = Ip("10.0.1.1");
  const std::vector<SendResult> results = sender_.Send(request, "hello").value();
  EXPECT_EQ(ReasonOf(results.at(0).status), Reason::kSourceNotLocal);
  EXPECT_TRUE(results.at(1).status.ok());
}

TEST_F(SenderTest, LinkLocalGroupsAreSentToFromALinkLocalAddress) {
  EXPECT_EQ(SendOne(To("ff12::100")).source, Ip("fe80::1"));
  EXPECT_EQ(SendOne(To("ff15::1")).source, Ip("fd00::1"));
  EXPECT_EQ(SendOne(To("ff12::100", "a1")).source, Ip("fd01::1"));  // It has no other.
}

TEST_F(SenderTest, TheSourceIsTheOneThatTheHostWouldTake) {
  Change("a0", [](net::Interface* a0) {
    a0->addresses = {{.address = Ip("169.254.7.1"), .prefix_length = 16, .scope = RT_SCOPE_LINK},
                     {.address = Ip("10.1.0.1"), .prefix_length = 24},
                     {.address = Ip("2001:db8:2::1"), .prefix_length = 64, .deprecated = true},
                     {.address = Ip("2001:db8:1::1"), .prefix_length = 64}};
  });
  EXPECT_EQ(SendOne(To("239.1.1.2")).source, Ip("10.1.0.1"));
  EXPECT_EQ(SendOne(To("224.0.0.200")).source, Ip("169.254.7.1"));
  EXPECT_EQ(SendOne(To("ff15::2")).source, Ip("2001:db8:1::1"));
}

TEST_F(SenderTest, WithoutAnInterfaceTheRoutesSourceIsTaken) {
  host_.ipv4_route_source = Ip("10.255.0.1");  // Of the loopback, as routers have it.
  EXPECT_EQ(SendOne(To("239.1.1.1", "")).source, Ip("10.255.0.1"));
  EXPECT_EQ(SendOne(To("239.1.1.1", "a0")).source, Ip("10.0.0.1"));
  Change("a0", [](net::Interface* a0) { a0->addresses.clear(); });
  EXPECT_EQ(ReasonOf(SendOne(To("239.1.1.1", "")).status), Reason::kNoAddress);
}

TEST_F(SenderTest, AnAddressOfSeveralInterfacesIsAmbiguous) {
  Change("a1", [](net::Interface* a1) { a1->addresses.push_back({Ip("10.0.0.1"), 32}); });
  const absl::Status status = sender_.Send(To("239.1.1.1", "10.0.0.1"), "hello").status();
  EXPECT_EQ(ReasonOf(status), Reason::kInterfaceAmbiguous);
  EXPECT_EQ(net::FieldOf(status), "destination.interface");
  EXPECT_THAT(kernel_->sent(), IsEmpty());
}

TEST_F(SenderTest, WhatThePolicyRefusesIsNotTried) {
  EXPECT_EQ(ReasonOf(sender_.Send(To("224.0.0.5"), "x").status()), Reason::kGroupReserved);
  EXPECT_EQ(ReasonOf(sender_.Send(To("10.0.0.2"), "x").status()), Reason::kNotAMulticastGroup);
  EXPECT_EQ(net::FieldOf(sender_.Send(To("239.1.1.1", "nosuch"), "x").status()), "destination.interface");
  EXPECT_THAT(kernel_->sent(), IsEmpty());
}

TEST_F(SenderTest, APayloadFitsItsFamily) {
  const std::string payload(65'528, 'x');
  const std::string_view all = payload;
  EXPECT_EQ(ReasonOf(sender_.Send(To("239.1.1.1"), all.substr(0, 65'508)).status()), Reason::kPayloadTooLarge);
  EXPECT_TRUE(SendOne(To("239.1.1.1"), all.substr(0, 65'507)).status.ok());
  EXPECT_EQ(ReasonOf(sender_.Send(To("ff15::1"), all).status()), Reason::kPayloadTooLarge);
  EXPECT_TRUE(SendOne(To("ff15::1"), all.substr(0, 65'527)).status.ok());
}

TEST_F(SenderTest, TheKernelsRefusalIsTheResult) {
  kernel_->set_send_refusal(
      [](const net::OutgoingDatagram&) { return net::Error(Reason::kSendBlocked, "", "a firewall"); });
  EXPECT_EQ(ReasonOf(SendOne(To("239.1.1.1")).status), Reason::kSendBlocked);
  ExpectCounters(1, 0, 0);
}

TEST_F(SenderTest, ASocketThatCannotBeMadeIsMadeLater) {
  kernel_->set_send_socket_status(net::Error(Reason::kHostLimit, "", "too many files"));
  EXPECT_EQ(ReasonOf(sender_.Send(To("239.1.1.1"), "x").status()), Reason::kHostLimit);
  kernel_->set_send_socket_status(absl::OkStatus());
  EXPECT_TRUE(SendOne(To("239.1.1.1")).status.ok());
}

TEST_F(SenderTest, TellsThePortItSendsFrom) {
  EXPECT_EQ(sender_.source_port(net::Family::kIpv4), 0);
  SendOne(To("239.1.1.1"));
  EXPECT_EQ(sender_.source_port(net::Family::kIpv4), testing::FakeKernel::kFirstPort);
  EXPECT_EQ(sender_.source_port(net::Family::kIpv6), 0);
}

// ---- Publish ----

TEST_F(SenderTest, ABurstIsOneCallToTheKernelInOrder) {
  const PublishResult result = sender_.Publish({NewBurst(To("239.1.1.1"), {"a", "b", "c"})});
  EXPECT_EQ(result.accepted, 3u);
  EXPECT_THAT(result.failures, IsEmpty());
  EXPECT_EQ(kernel_->send_calls(), 1u);
  std::vector<std::string> payloads;
  for (const testing::FakeSent& sent : kernel_->sent()) payloads.push_back(sent.payload);
  EXPECT_THAT(payloads, ElementsAre("a", "b", "c"));
  ExpectCounters(3, 3, 3);
}

TEST_F(SenderTest, ItemsAreNumberedAcrossBursts) {
  const std::string too_large(65'508, 'x');
  kernel_->set_send_refusal([](const net::OutgoingDatagram& datagram) {
    return datagram.payload == "bad" ? net::Error(Reason::kSendBlocked, "", "no") : absl::OkStatus();
  });
  Burst not_understood = NewBurst(To("239.1.1.1"), {"x", "y"});
  not_understood.invalid = net::Error(Reason::kInvalidPort, "destination.port", "no");
  const PublishResult result = sender_.Publish({NewBurst(To("239.1.1.1"), {"a", "bad", "bad", "b"}),   // 0 to 3
                                                NewBurst(To("239.1.1.1"), {}), not_understood,         // 4, 5
                                                NewBurst(To("224.0.0.5"), {"x"}),                      // 6
                                                NewBurst(To("239.1.1.1"), {too_large, "c", "bad"})});  // 7 to 9
  EXPECT_EQ(result.accepted, 3u);
  EXPECT_THAT(Failures(result), ElementsAre("1+2 SEND_BLOCKED a0", "4+2 INVALID_PORT ", "6+1 GROUP_RESERVED ",
                                            "7+1 PAYLOAD_TOO_LARGE a0", "9+1 SEND_BLOCKED a0"));
  ExpectCounters(10, 3, 3);
}

TEST_F(SenderTest, AFailureKeepsItsPlaceWhenTheKernelTakesABurstInParts) {
  kernel_->set_most_in_a_send(2);
  kernel_->set_send_refusal([](const net::OutgoingDatagram& datagram) {
    return datagram.payload == "bad" ? net::Error(Reason::kSendBlocked, "", "no") : absl::OkStatus();
  });
  const PublishResult result = sender_.Publish({NewBurst(To("239.1.1.1"), {"a", "b", "c", "bad", "d"})});
  EXPECT_EQ(result.accepted, 4u);
  EXPECT_THAT(Failures(result), ElementsAre("3+1 SEND_BLOCKED a0"));
}

TEST_F(SenderTest, UnderTheStarAnItemIsTakenWhenEveryInterfaceTookIt) {
  kernel_->set_send_refusal([](const net::OutgoingDatagram& datagram) {
    return datagram.interface_index == 3 && datagram.payload == "bad" ? net::Error(Reason::kSendBlocked, "", "no")
                                                                      : absl::OkStatus();
  });
  const PublishResult result = sender_.Publish({NewBurst(To("239.1.1.1", "*"), {"a", "bad"})});
  EXPECT_EQ(result.accepted, 1u);
  EXPECT_THAT(Failures(result), ElementsAre("1+1 SEND_BLOCKED a1"));
  ExpectCounters(4, 3, 5);
}

TEST_F(SenderTest, ABurstThroughADeadInterfaceFailsAsAWhole) {
  Change("a0", [](net::Interface* a0) { a0->carrier = false; });
  const PublishResult result =
      sender_.Publish({NewBurst(To("239.1.1.1"), {"a", "b"}), NewBurst(To("239.1.1.1", "a1"), {"c"})});
  EXPECT_EQ(result.accepted, 1u);
  EXPECT_THAT(Failures(result), ElementsAre("0+2 NO_CARRIER a0"));
  ExpectCounters(3, 1, 1);
}

TEST_F(SenderTest, FailuresOfOneKindAreOneAcrossBursts) {
  const std::vector<Burst> bursts(16'384, NewBurst(To("239.1.1.1", "nosuch"), {"a"}));
  EXPECT_THAT(Failures(sender_.Publish(bursts)), ElementsAre("0+16384 INTERFACE_NOT_FOUND "));
}

TEST_F(SenderTest, MoreFailuresThanAnAnswerHoldsAreCountedTogether) {
  std::vector<Burst> bursts;
  for (int i = 0; i < 1000; ++i) {
    bursts.push_back(NewBurst(To("239.1.1.1", "nosuch"), {"a"}));
    bursts.push_back(NewBurst(To("10.1.1.1"), {"b", "c"}));
    bursts.push_back(NewBurst(To("239.1.1.1"), {"d"}));
  }
  const PublishResult result = sender_.Publish(bursts);
  EXPECT_THAT(result.failures, SizeIs(PublishResult::kMostFailures));
  EXPECT_TRUE(result.rest_merged);
  uint32_t failed = 0;
  for (const ItemFailure& failure : result.failures) failed += failure.count;
  EXPECT_EQ(failed, 3000u);
  EXPECT_EQ(result.accepted, 1000u);
}

TEST_F(SenderTest, InterfacesShareASocketWhereTheBudgetHasNoneForEach) {
  Sender sender(&factory_, &directory_, 0, 10, SocketBudget(1));
  EXPECT_EQ(sender.Send(To("239.1.1.1", "*"), "x").value().size(), 2u);
  EXPECT_THAT(kernel_->send_sockets(), SizeIs(2)) << "one for a0, and one for all others";
  const std::shared_ptr<SendSource> session = sender.NewSource(std::make_shared<fanout::SourcePorts>()).value();
  EXPECT_EQ(ReasonOf(sender.Send(To("239.1.1.1"), "x", session).status()), Reason::kHostLimit);
}

TEST_F(SenderTest, SocketsOfAnInterfaceGoWithIt) {
  ASSERT_TRUE(SendOne(To("239.1.1.1")).status.ok());
  ASSERT_TRUE(SendOne(To("239.1.1.1", "a1")).status.ok());
  ASSERT_THAT(kernel_->send_sockets(), SizeIs(2));
  host_.Remove("a1");
  ASSERT_TRUE(directory_.Refresh().ok());
  sender_.Sweep(0);
  EXPECT_THAT(kernel_->send_sockets(), SizeIs(1));
}

}  // namespace
}  // namespace mcgw::gateway
