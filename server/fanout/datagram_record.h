// Encodes a datagram as the bytes that a stream carries.
//
// A record is one `datagrams` field of SubscribeResponse (proto/multicast/gateway/v1): tag, length, Datagram. Protobuf
// messages concatenate, so every run of records is a valid message. That is why a datagram is encoded only once for all
// readers. This floor does not use protobuf: the encoder is hand-written, and a test compares it with the generated
// code.

#ifndef MCGW_FANOUT_DATAGRAM_RECORD_H_
#define MCGW_FANOUT_DATAGRAM_RECORD_H_

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "server/net/datagram.h"

namespace mcgw::fanout {

// The most that a record adds to its payload.
inline constexpr size_t kMaxRecordOverheadBytes = 80;

// Writes a record to `out`, which must have room for payload + kMaxRecordOverheadBytes. Returns its size in bytes.
size_t EncodeRecord(uint64_t channel_id, uint64_t sequence, const net::ReceivedDatagram& datagram, char* out);

// The source address of a record (4 or 16 bytes), pointing into it. Cheap, since the encoder puts it first.
std::string_view RecordSource(const char* record);
// The source port of a record; found behind the address, the channel and the sequence.
uint16_t RecordSourcePort(const char* record);

// The receive time of a record in nanoseconds since 1970; 0 if it has none.
int64_t RecordReceiveTime(const char* record);

}  // namespace mcgw::fanout

#endif  // MCGW_FANOUT_DATAGRAM_RECORD_H_
