// Events of a subscriber besides datagrams. Values; the RPC floor converts them to API messages.

#ifndef MCGW_FANOUT_EVENT_H_
#define MCGW_FANOUT_EVENT_H_

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "server/fanout/source_filter.h"
#include "server/net/address.h"

namespace mcgw::fanout {

// Why datagrams are missing. The names are those of GapCause in the API.
enum class GapCause : uint8_t {
  kKernelDrop,     // The socket's receive buffer was full, or its filter mode changed.
  kLagged,         // The subscriber was too slow: the log's tail or its lag limit overtook it.
  kExpired,        // Older than what the log still held when the subscriber asked for it.
  kOtherEpoch,     // The resume point is from another life of the channel.
  kInterfaceLost,  // The interface was away, or was joined again.
  kNotJoined,      // The channel had no holder.
};
inline constexpr int kGapCauses = 6;

// A loss. Announced before any later datagram of its channel.
struct Gap {
  uint64_t channel_id = 0;
  GapCause cause = GapCause::kKernelDrop;
  uint32_t interruption = 0;  // The log's number of it (ChannelLog::NextInterruption); 0: not an interruption.
  // The first missing number and the count. Count 0: the extent is unknown, except for a bound that may be known.
  uint64_t first_sequence = 0;
  uint64_t count = 0;
  std::optional<uint64_t> at_most;
  int64_t from_time_unix_ns = 0;
  int64_t to_time_unix_ns = 0;
};

// A subscriber's progress in a channel: where to resume.
struct Position {
  uint64_t channel_id = 0;
  uint64_t epoch = 0;
  uint64_t next_sequence = 0;
  uint64_t filtered = 0;  // Datagrams that the filter has held back since the start.
};

enum class ChannelPhase : uint8_t {
  kJoined,   // The kernel holds the membership.
  kWaiting,  // Requested; joined when its interface is there.
  kFailed,   // The kernel refused; see `error`.
  kLeft,     // No longer requested; only its log is kept.
};

// One channel of a resolved membership.
struct ChannelStatus {
  uint64_t channel_id = 0;
  uint32_t interface_index = 0;
  std::string interface_name;
  net::IpAddress group;
  uint16_t port = 0;
  ChannelPhase phase = ChannelPhase::kJoined;
  absl::Status error;  // For kFailed.
  uint64_t epoch = 0;
  uint64_t next_sequence = 0;  // The first number that a live subscriber would get now.
};

enum class ChangeCause : uint8_t { kJoin, kLeave, kInterfaceAppeared, kInterfaceGone, kRefused };

// A channel joined or left the stream, or its filter or state changed.
struct MembershipChanged {
  ChannelStatus channel;
  ChangeCause cause = ChangeCause::kJoin;
  bool left = false;
  SourceFilter filter;  // In force for the stream from here on.
};

enum class LostCause : uint8_t { kDown, kNoCarrier, kDeleted, kMembershipLost, kEnslaved };

// An interface of the stream's channels cannot receive anything.
struct InterfaceLost {
  std::string interface_name;
  uint32_t interface_index = 0;
  LostCause cause = LostCause::kDown;
  int64_t time_unix_ns = 0;
};

// The interface receives again.
struct InterfaceRestored {
  std::string interface_name;
  uint32_t interface_index = 0;
  int64_t time_unix_ns = 0;
};

// The interface continues under another name.
struct InterfaceRenamed {
  uint32_t interface_index = 0;
  std::string old_name;
  std::string new_name;
};

// The gateway is about to stop.
struct Draining {
  int64_t grace_ns = 0;
};

// The counters of one cursor, or of several together. Each is counted where it happens and none is derived from others.
// `offered` is the distance between two numbers of the log; `pending` is what the log counts ahead of the cursor; the
// rest is counted as datagrams are passed, held back and written. So, when the stream is quiet, offered = written +
// filtered + skipped (all causes) + in_flight + pending + abandoned.
struct LedgerEntry {
  uint64_t channel_id = 0;  // 0: the sum of several.
  uint64_t offered = 0;     // Sequences since the cursor's start, including kernel-dropped ones.
  uint64_t written = 0;     // Handed to the transport; write completed.
  uint64_t filtered = 0;    // Held back by the source filter.
  uint64_t skipped[kGapCauses] = {};
  uint64_t in_flight = 0;  // In an unfinished write.
  uint64_t pending = 0;    // In the log, ahead of the cursor.
  uint64_t abandoned = 0;  // In flight when the stream died.
  uint64_t range_gaps = 0;
  uint64_t unknown_gaps = 0;
  uint64_t written_bytes = 0;  // Of the written datagrams, encoded.

  // What the account does not explain: 0 whenever nothing is being counted, but for `offered` and `pending`, which look
  // at the log one after the other.
  int64_t Difference() const {
    uint64_t explained = written + filtered + in_flight + pending + abandoned;
    for (const uint64_t count : skipped) explained += count;
    return static_cast<int64_t>(offered - explained);
  }
  void Add(const LedgerEntry& other) {
    offered += other.offered;
    written += other.written;
    filtered += other.filtered;
    for (int i = 0; i < kGapCauses; ++i) skipped[i] += other.skipped[i];
    in_flight += other.in_flight;
    pending += other.pending;
    abandoned += other.abandoned;
    range_gaps += other.range_gaps;
    unknown_gaps += other.unknown_gaps;
    written_bytes += other.written_bytes;
  }
  void Subtract(const LedgerEntry& other) {
    offered -= other.offered;
    written -= other.written;
    filtered -= other.filtered;
    for (int i = 0; i < kGapCauses; ++i) skipped[i] -= other.skipped[i];
    in_flight -= other.in_flight;
    pending -= other.pending;
    abandoned -= other.abandoned;
    range_gaps -= other.range_gaps;
    unknown_gaps -= other.unknown_gaps;
    written_bytes -= other.written_bytes;
  }
};

using Event = std::variant<Gap, Position, MembershipChanged, LedgerEntry, Draining, InterfaceLost, InterfaceRestored,
                           InterfaceRenamed>;

}  // namespace mcgw::fanout

#endif  // MCGW_FANOUT_EVENT_H_
