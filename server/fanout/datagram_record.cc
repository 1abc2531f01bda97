#include "server/fanout/datagram_record.h"

#include <cstring>

namespace mcgw::fanout {
namespace {

// Tags of proto/multicast/gateway/v1: (field number << 3) | wire type.
constexpr char kDatagramsTag = (1 << 3) | 2;
constexpr char kChannelIdTag = (1 << 3) | 0;
constexpr char kSequenceTag = (2 << 3) | 0;
constexpr char kSourceAddressTag = (3 << 3) | 2;
constexpr char kSourcePortTag = (4 << 3) | 0;
constexpr char kReceiveTimeTag = (5 << 3) | 1;
constexpr char kHopLimitTag = (6 << 3) | 0;
constexpr char kTrafficClassTag = (7 << 3) | 0;
constexpr char kPayloadTag = (8 << 3) | 2;

char* PutVarint(uint64_t value, char* out) {
  while (value >= 0x80) {
    *out++ = static_cast<char>(value | 0x80);
    value >>= 7;
  }
  *out++ = static_cast<char>(value);
  return out;
}

size_t VarintSize(uint64_t value) {
  size_t size = 1;
  for (; value >= 0x80; value >>= 7) ++size;
  return size;
}

char* PutVarintField(char tag, uint64_t value, char* out) {
  if (value == 0) return out;  // proto3 omits zeros.
  *out++ = tag;
  return PutVarint(value, out);
}

char* PutBytesField(char tag, std::string_view bytes, char* out) {
  if (bytes.empty()) return out;
  *out++ = tag;
  out = PutVarint(bytes.size(), out);
  std::memcpy(out, bytes.data(), bytes.size());
  return out + bytes.size();
}

const char* SkipVarint(const char* at) {
  while (*at & 0x80) ++at;
  return at + 1;
}

}  // namespace

size_t EncodeRecord(uint64_t channel_id, uint64_t sequence, const net::ReceivedDatagram& datagram, char* out) {
  // All fields but the payload, in a separate buffer, since the length comes first and is a varint.
  char head[kMaxRecordOverheadBytes];
  char* end = PutBytesField(kSourceAddressTag, datagram.source.bytes(), head);
  end = PutVarintField(kChannelIdTag, channel_id, end);
  end = PutVarintField(kSequenceTag, sequence, end);
  end = PutVarintField(kSourcePortTag, datagram.source_port, end);
  if (datagram.receive_time_unix_ns != 0) {
    *end++ = kReceiveTimeTag;
    std::memcpy(end, &datagram.receive_time_unix_ns, 8);  // Little-endian on the wire and on every target.
    end += 8;
  }
  end = PutVarintField(kHopLimitTag, datagram.hop_limit, end);
  end = PutVarintField(kTrafficClassTag, datagram.traffic_class, end);
  const size_t head_size = end - head;
  const size_t payload_size = datagram.payload.size();
  const size_t length = head_size + (payload_size == 0 ? 0 : 1 + VarintSize(payload_size) + payload_size);

  char* const begin = out;
  *out++ = kDatagramsTag;
  out = PutVarint(length, out);
  std::memcpy(out, head, head_size);
  out = PutBytesField(kPayloadTag, datagram.payload, out + head_size);
  return out - begin;
}

uint16_t RecordSourcePort(const char* record) {
  const std::string_view source = RecordSource(record);
  const char* at = source.data() + source.size();
  while (*at == kChannelIdTag || *at == kSequenceTag) {
    ++at;
    while (*at & 0x80) ++at;
    ++at;
  }
  if (*at != kSourcePortTag) return 0;
  uint32_t port = 0;
  int shift = 0;
  do {
    ++at;
    port |= static_cast<uint32_t>(*at & 0x7f) << shift;
    shift += 7;
  } while (*at & 0x80);
  return static_cast<uint16_t>(port);
}

std::string_view RecordSource(const char* record) {
  ++record;  // kDatagramsTag
  record = SkipVarint(record);
  ++record;  // kSourceAddressTag
  const size_t size = static_cast<uint8_t>(*record);
  return std::string_view(record + 1, size);
}

int64_t RecordReceiveTime(const char* record) {
  const std::string_view source = RecordSource(record);
  const char* at = source.data() + source.size();
  // Between the source and the time the encoder writes only varints.
  while (*at == kChannelIdTag || *at == kSequenceTag || *at == kSourcePortTag) at = SkipVarint(at + 1);
  if (*at != kReceiveTimeTag) return 0;
  int64_t time_ns = 0;
  std::memcpy(&time_ns, at + 1, sizeof(time_ns));
  return time_ns;
}

}  // namespace mcgw::fanout
