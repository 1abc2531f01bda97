// The stream of ping and pong on one channel, and sending to its group.

#ifndef MCGW_CLIENT_CLI_RING_STREAM_H_
#define MCGW_CLIENT_CLI_RING_STREAM_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "client/cli/datagram_format.h"
#include "client/cli/output_file.h"
#include "client/cli/stop_watcher.h"
#include "mcgw/client.h"
#include "mcgw/subscription.h"
#include "multicast/gateway/v1/gateway_service.pb.h"

namespace mcgw::cli {

// A stream for one membership that keeps track of its channels and prints losses. Not thread-safe.
class RingStream {
 public:
  // The pointers outlive it.
  RingStream(client::Client* client, const multicast::gateway::v1::Membership& membership,
             client::Subscription* subscription, const StopWatcher* stop);

  enum class Result { kMessage, kTimedOut, kStopped, kFailed };

  // Reads one message and prints its events. On kFailed, status() says why.
  Result Read(absl::Duration timeout, multicast::gateway::v1::SubscribeResponse* message);
  const absl::Status& status() const { return status_; }

  // Reads until the gateway has accepted the subscription.
  Result WaitForSubscribed(multicast::gateway::v1::SubscribeResponse* message);

  // Sends one datagram to the stream's group. With `*`, returns OK if any interface took it, and prints other failures.
  absl::Status Send(absl::string_view interface, uint32_t hop_limit, std::string payload);

  // The interface on which a datagram arrived.
  std::string InterfaceOf(const multicast::gateway::v1::Datagram& datagram) const;

 private:
  client::Client& client_;
  const multicast::gateway::v1::Membership& membership_;
  client::Subscription& subscription_;
  const StopWatcher& stop_;
  ChannelTable channels_;
  bool subscribed_ = false;
  absl::Status status_;
};

}  // namespace mcgw::cli

#endif  // MCGW_CLIENT_CLI_RING_STREAM_H_
