// The datagrams of mcgw ping and mcgw pong.
//
// 28 bytes, numbers in network byte order:
//
//   offset  size  field
//   0       4     magic: "mcgw"
//   4       1     version: 1
//   5       1     type: 1 probe (of ping), 2 answer (of pong)
//   6       1     ring: the hop limit with which the probe was sent
//   7       1     hop limit of the probe as pong saw it; 0 in a probe
//   8       8     nonce: the search, chosen at random by ping
//   16      2     sequence: the probe's number in the search, from 0
//   18      2     0
//   20      8     responder, chosen at random by pong, never 0; 0 in a probe
//
// An answer repeats ring, nonce and sequence of its probe, and goes to the probe's group. Groups are shared, so any
// datagram of another form is treated as another program's.

#ifndef MCGW_CLIENT_CLI_RING_MESSAGE_H_
#define MCGW_CLIENT_CLI_RING_MESSAGE_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"

namespace mcgw::cli {

struct RingMessage {
  enum class Type : uint8_t { kProbe = 1, kAnswer = 2 };

  Type type = Type::kProbe;
  uint8_t ring = 0;
  uint8_t hop_limit_seen = 0;
  uint64_t nonce = 0;
  uint16_t sequence = 0;
  uint64_t responder = 0;

  friend bool operator==(const RingMessage&, const RingMessage&) = default;
};

// A nonce or a responder: random, never 0.
uint64_t RandomRingId();

std::string EncodeRingMessage(const RingMessage& message);

// nullopt for bytes that EncodeRingMessage cannot have made for ping or pong, including a probe with a responder, an
// answer without one, and an answer whose probe gained hops on its way.
std::optional<RingMessage> DecodeRingMessage(absl::string_view payload);

}  // namespace mcgw::cli

#endif  // MCGW_CLIENT_CLI_RING_MESSAGE_H_
