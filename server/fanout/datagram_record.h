// A datagram as the bytes that a stream carries.
//
// A record is one `datagrams` field of SubscribeResponse (proto/multicast/gateway/v1): tag, length, Datagram. Protobuf
// messages concatenate, so any run of records is itself a valid message; that is why a datagram is encoded once,
// whoever reads it. This floor knows no protobuf: the encoder is written by hand, and a test holds it against the
// generated code.

#ifndef MCGW_FANOUT_DATAGRAM_RECORD_H_
#define MCGW_FANOUT_DATAGRAM_RECORD_H_

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "server/net/datagram.h"

namespace mcgw::fanout {

// A bound on what a record adds to its payload.
inline constexpr size_t kMaxRecordOverheadBytes = 80;

// Writes a record to `out`, which has room for payload + kMaxRecordOverheadBytes. Returns its size in bytes.
size_t EncodeRecord(uint64_t channel_id, uint64_t sequence, const net::ReceivedDatagram& datagram, char* out);

// The source address of a record (4 or 16 bytes), pointing into it. The encoder puts it first, so this is cheap.
std::string_view RecordSource(const char* record);
// Its source port; found behind the address, the channel and the sequence.
uint16_t RecordSourcePort(const char* record);

// The receive time of a record in nanoseconds since 1970; 0 if it has none.
int64_t RecordReceiveTime(const char* record);

}  // namespace mcgw::fanout

#endif  // MCGW_FANOUT_DATAGRAM_RECORD_H_
