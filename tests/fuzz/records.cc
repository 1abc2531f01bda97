// Datagrams on their way into a stream: the hand-written encoder against the generated code, and what the data path
// reads out of a record again.

#include <netinet/in.h>

#include <cstring>
#include <string>

#include "multicast/gateway/v1/gateway_service.pb.h"
#include "server/fanout/datagram_record.h"
#include "server/net/address.h"
#include "tests/fuzz/fuzz_target.h"

namespace mcgw {
namespace {

net::IpAddress TakeAddress(fuzz::Input* parts) {
  in6_addr v6{};
  const bool is_v4 = parts->Number(1) % 2 == 0;
  const std::string_view bytes = parts->Bytes(is_v4 ? sizeof(in_addr) : sizeof(v6));
  std::memcpy(&v6, bytes.data(), bytes.size());
  in_addr v4;
  std::memcpy(&v4, &v6, sizeof(v4));
  return is_v4 ? net::IpAddress::FromV4(v4) : net::IpAddress::FromV6(v6);
}

}  // namespace

FUZZ_TARGET(records) {
  fuzz::Input parts(input);
  const uint64_t channel_id = parts.Number(8);
  const uint64_t sequence = parts.Number(8);
  net::ReceivedDatagram datagram;
  datagram.source = TakeAddress(&parts);
  datagram.source_port = static_cast<uint16_t>(parts.Number(2));
  datagram.receive_time_unix_ns = static_cast<int64_t>(parts.Number(8));
  datagram.hop_limit = static_cast<uint8_t>(parts.Number(1));
  datagram.traffic_class = static_cast<uint8_t>(parts.Number(1));
  datagram.payload = parts.Rest();

  std::string bytes(datagram.payload.size() + fanout::kMaxRecordOverheadBytes, '\0');
  bytes.resize(fanout::EncodeRecord(channel_id, sequence, datagram, bytes.data()));
  multicast::gateway::v1::SubscribeResponse response;
  FUZZ_CHECK(response.ParseFromString(bytes) && response.datagrams_size() == 1);
  FUZZ_CHECK(response.ByteSizeLong() == bytes.size());
  const multicast::gateway::v1::Datagram& parsed = response.datagrams(0);
  FUZZ_CHECK(parsed.channel_id() == channel_id && parsed.sequence() == sequence);
  FUZZ_CHECK(parsed.source_address() == datagram.source.bytes() && parsed.source_port() == datagram.source_port);
  FUZZ_CHECK(parsed.receive_time_unix_ns() == datagram.receive_time_unix_ns);
  FUZZ_CHECK(parsed.hop_limit() == datagram.hop_limit && parsed.traffic_class() == datagram.traffic_class);
  FUZZ_CHECK(parsed.payload() == datagram.payload);
  // In memory of its exact size.
  const std::string exact(bytes);
  FUZZ_CHECK(fanout::RecordSource(exact.data()) == datagram.source.bytes());
  FUZZ_CHECK(fanout::RecordSourcePort(exact.data()) == datagram.source_port);
  FUZZ_CHECK(fanout::RecordReceiveTime(exact.data()) == datagram.receive_time_unix_ns);
}

}  // namespace mcgw
