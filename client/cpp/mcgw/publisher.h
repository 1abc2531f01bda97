// An open Publish stream: many datagrams, in order, at high rates.

#ifndef MCGW_CLIENT_CPP_PUBLISHER_H_
#define MCGW_CLIENT_CPP_PUBLISHER_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "mcgw/client.h"
#include "multicast/gateway/v1/datagram.pb.h"
#include "multicast/gateway/v1/errors.pb.h"

namespace mcgw::client {

struct PublisherOptions {
  // A batch is sent when it holds this many datagrams (1 to 16384) or encoded bytes (64 KiB to 960 KiB), or when its
  // first datagram has waited this long. With InfiniteDuration, only Flush sends an unfilled batch. With zero, a batch
  // is sent as soon as the stream can take it, and fills only while the stream is busy.
  int max_batch_datagrams = 1024;
  int max_batch_bytes = 256 * 1024;
  absl::Duration max_delay = absl::ZeroDuration();
  // Maximum number of batches that wait for the gateway's answer: 1 to 16.
  int max_unanswered_batches = 16;
  // The session on whose behalf to send. Empty: none.
  std::string session_id;
};

// A run of consecutive datagrams that were not sent, all for the same reason.
struct PublishFailureRun {
  uint64_t first_datagram = 0;  // Datagrams count from 0, in the order of Publish.
  uint64_t datagrams = 0;
  multicast::gateway::v1::Failure failure;
  std::string interface_name;  // The interface that failed to send them; empty if none was resolved.
};

// What became of the datagrams. After Finish, queued = sent + failed + unknown.
struct PublishTotals {
  uint64_t queued = 0;   // Accepted by Publish.
  uint64_t sent = 0;     // Accepted by the kernel of the gateway's host.
  uint64_t failed = 0;   // Reported as failures.
  uint64_t unknown = 0;  // Not answered when the stream broke; they may have been sent. 0 until the end.
};

// Thread-safe. Datagrams that one thread publishes keep their order. Two internal threads write and read the stream.
class Publisher {
 public:
  using Target = int;
  // The publisher's reading thread calls it once for each run of failures, in order, without a lock. It must not call
  // Publish, Flush or Finish.
  using OnFailure = std::function<void(const PublishFailureRun&)>;
  // The publisher's reading thread calls it once, when the stream has ended for any reason. It must not call Finish.
  using OnEnd = std::function<void()>;

  // Starts the stream. Does not block: Publish, Flush or Finish report a gateway that does not answer. The client may
  // be destroyed before the publisher. Options are clamped to their ranges.
  Publisher(const Client& client, const PublisherOptions& options, OnFailure on_failure = nullptr,
            OnEnd on_end = nullptr);

  Publisher(const Publisher&) = delete;
  Publisher& operator=(const Publisher&) = delete;
  ~Publisher();  // Cancels if Finish was not called.

  // Registers a destination and its options for Publish. Targets last as long as the publisher.
  Target AddTarget(const multicast::gateway::v1::Destination& destination,
                   const multicast::gateway::v1::SendOptions& options = {});

  // Queues one datagram. Blocks while a full batch waits to be sent, so that memory is bounded. Fails with
  // PAYLOAD_TOO_LARGE if the payload exceeds the limit of any datagram (it is then not counted), and with
  // FAILED_PRECONDITION if the stream has ended or Finish was called; Finish returns why it ended.
  absl::Status Publish(Target target, absl::string_view payload);

  // Sends queued datagrams without waiting for more. Does not block.
  void Flush();

  // Sends queued datagrams, waits for all answers and ends the stream. Returns how the stream ended; failed datagrams
  // do not make the stream fail. Later calls return the same.
  absl::Status Finish();

  // Ends the stream at once. Queued datagrams are lost; the fate of unanswered ones is unknown. Does not block.
  void Cancel();

  PublishTotals totals() const;

 private:
  class Stream;
  const std::unique_ptr<Stream> stream_;
};

}  // namespace mcgw::client

#endif  // MCGW_CLIENT_CPP_PUBLISHER_H_
