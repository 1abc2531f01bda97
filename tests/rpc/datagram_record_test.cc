// The hand-written encoder against the generated code. It stands here since the data path knows no protobuf.

#include "server/fanout/datagram_record.h"

#include <limits>
#include <random>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "multicast/gateway/v1/gateway_service.pb.h"
#include "server/net/address.h"

namespace mcgw::fanout {
namespace {

using multicast::gateway::v1::Datagram;
using multicast::gateway::v1::SubscribeResponse;

net::IpAddress Ip(std::string_view text) { return net::IpAddress::Parse(text).value(); }

std::string Encode(uint64_t channel_id, uint64_t sequence, const net::ReceivedDatagram& datagram) {
  std::string bytes(datagram.payload.size() + kMaxRecordOverheadBytes, '\0');
  bytes.resize(EncodeRecord(channel_id, sequence, datagram, bytes.data()));
  return bytes;
}

// What the generated code makes of a record, which it must take whole.
Datagram Parse(const std::string& bytes) {
  SubscribeResponse response;
  EXPECT_TRUE(response.ParseFromString(bytes));
  EXPECT_EQ(response.datagrams_size(), 1);
  EXPECT_EQ(response.events_size(), 0);
  EXPECT_TRUE(response.GetReflection()->GetUnknownFields(response).empty());
  Datagram datagram = response.datagrams(0);
  EXPECT_TRUE(datagram.GetReflection()->GetUnknownFields(datagram).empty());
  return datagram;
}

// That both sides agree on every field, and on the size, which shows that no field is written twice or for nothing.
void ExpectSame(uint64_t channel_id, uint64_t sequence, const net::ReceivedDatagram& datagram) {
  const std::string bytes = Encode(channel_id, sequence, datagram);
  const Datagram parsed = Parse(bytes);
  EXPECT_EQ(parsed.channel_id(), channel_id);
  EXPECT_EQ(parsed.sequence(), sequence);
  EXPECT_EQ(parsed.source_address(), datagram.source.bytes());
  EXPECT_EQ(parsed.source_port(), datagram.source_port);
  EXPECT_EQ(parsed.receive_time_unix_ns(), datagram.receive_time_unix_ns);
  EXPECT_EQ(parsed.hop_limit(), datagram.hop_limit);
  EXPECT_EQ(parsed.traffic_class(), datagram.traffic_class);
  EXPECT_EQ(parsed.payload(), datagram.payload);
  SubscribeResponse response;
  *response.add_datagrams() = parsed;
  EXPECT_EQ(bytes.size(), response.ByteSizeLong());
  EXPECT_EQ(RecordSource(bytes.data()), datagram.source.bytes());
  EXPECT_EQ(RecordSourcePort(bytes.data()), datagram.source_port);
}

TEST(DatagramRecord, IsADatagramsFieldOfSubscribeResponse) {
  ExpectSame(7, 42,
             {.payload = "hello",
              .source = Ip("10.0.0.2"),
              .source_port = 4000,
              .receive_time_unix_ns = 1'700'000'000'123'456'789,
              .hop_limit = 64,
              .traffic_class = 0xb8});
}

TEST(DatagramRecord, ZeroesAreNotOnTheWire) { ExpectSame(1, 1, {.payload = "", .source = Ip("0.0.0.0")}); }

TEST(DatagramRecord, HoldsTheLargestOfEveryField) {
  constexpr uint64_t kMost = std::numeric_limits<uint64_t>::max();
  const std::string payload(65'527, '\xff');
  const net::ReceivedDatagram datagram{.payload = payload,
                                       .source = Ip("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
                                       .source_port = 65'535,
                                       .receive_time_unix_ns = std::numeric_limits<int64_t>::min(),
                                       .hop_limit = 255,
                                       .traffic_class = 255};
  ExpectSame(kMost, kMost, datagram);
  EXPECT_LE(Encode(kMost, kMost, datagram).size(), payload.size() + kMaxRecordOverheadBytes);
}

TEST(DatagramRecord, LengthsOfOneTwoAndThreeBytesAreRight) {
  for (size_t size = 0; size < 400; ++size) {
    const std::string payload(size, 'x');
    ExpectSame(1, 1, {.payload = payload, .source = Ip("10.0.0.2")});
  }
  for (size_t size = 16'300; size < 16'400; ++size) {
    const std::string payload(size, 'x');
    ExpectSame(1, 1, {.payload = payload, .source = Ip("fd00::2")});
  }
}

TEST(DatagramRecord, RandomDatagramsAreTheSameToBoth) {
  std::mt19937_64 random(1);
  for (int i = 0; i < 2000; ++i) {
    const std::string payload(random() % 2000, static_cast<char>(random()));
    const int bits = static_cast<int>(random() % 64);
    ExpectSame(random() >> bits, random() >> bits,
               {.payload = payload,
                .source = Ip(i % 2 == 0 ? "10.0.0.2" : "fd00::2"),
                .source_port = static_cast<uint16_t>(random()),
                .receive_time_unix_ns = static_cast<int64_t>(random() >> (bits / 2)),
                .hop_limit = static_cast<uint8_t>(random()),
                .traffic_class = static_cast<uint8_t>(random())});
  }
}

TEST(DatagramRecord, ARunOfRecordsIsOneMessage) {
  std::string run;
  for (uint64_t sequence = 1; sequence <= 100; ++sequence) {
    run += Encode(7, sequence, {.payload = "x", .source = Ip("10.0.0.2")});
  }
  SubscribeResponse response;
  ASSERT_TRUE(response.ParseFromString(run));
  ASSERT_EQ(response.datagrams_size(), 100);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(response.datagrams(i).sequence(), static_cast<uint64_t>(i + 1));
}

}  // namespace
}  // namespace mcgw::fanout
