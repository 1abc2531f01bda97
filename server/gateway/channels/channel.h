// A channel as InterfaceChannels keeps it. Only for the files of InterfaceChannels.

#ifndef MCGW_GATEWAY_CHANNELS_CHANNEL_H_
#define MCGW_GATEWAY_CHANNELS_CHANNEL_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "server/fanout/merged_filter.h"
#include "server/gateway/channels/interface_channels.h"
#include "server/net/clock.h"

namespace mcgw::gateway {

// Guarded by the mutex of InterfaceChannels, except members that are const or thread-safe.
struct InterfaceChannels::Channel {
  Channel(InterfaceChannels* owner, const ChannelSpec& spec)
      : interface_channels(owner),
        key(spec.socket.group, spec.socket.port),
        log(spec.log),
        reception(&owner->sockets_, spec, absl::ToInt64Nanoseconds(owner->services_->options.narrow_after)) {}

  // The filter that the kernel was told. Nothing: it is not joined.
  std::optional<fanout::SourceFilter> Told() const {
    return reception.is_open() ? std::optional(reception.told()) : std::nullopt;
  }

  InterfaceChannels* const interface_channels;
  const Key key;
  const std::shared_ptr<fanout::ChannelLog> log;
  const int64_t created_unix_ns = net::UnixNs();

  absl::flat_hash_set<const Hold*> holds;  // Who wants it,
  fanout::MergedFilter wanted;             // their filters merged,
  Reception reception;                     // and what the kernel has.
  int64_t opened_ns = 0;                   // Monotonic; when it was joined last.
  int64_t left_ns = 0;                     // Monotonic; when the last hold went. 0: it is held.
  int64_t lost_unix_ns = 0;                // If not 0: Heal is to mark it in the log.
  bool renew = false;                      // Heal is to leave and join again.
  absl::Status failure;                    // Why it is held and not joined.
};

}  // namespace mcgw::gateway

#endif  // MCGW_GATEWAY_CHANNELS_CHANNEL_H_
