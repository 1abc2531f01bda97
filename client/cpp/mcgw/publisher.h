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
  // A batch is sent when it holds this many datagrams (1 to 16384), or this many bytes as encoded (64 KiB to 960 KiB),
  // or when its first datagram has waited this long. InfiniteDuration leaves the last to Flush. Zero sends as soon as
  // the stream can take it; batches then fill while the stream is busy.
  int max_batch_datagrams = 1024;
  int max_batch_bytes = 256 * 1024;
  absl::Duration max_delay = absl::ZeroDuration();
  // Most batches that wait for the gateway's answer: 1 to 16.
  int max_unanswered_batches = 16;
  // The session on whose behalf to send. Empty: none.
  std::string session_id;
};

// A run of consecutive datagrams that were not sent, all for the same reason.
struct PublishFailureRun {
  uint64_t first_datagram = 0;  // Datagrams count from 0, in the order of Publish.
  uint64_t datagrams = 0;
  multicast::gateway::v1::Failure failure;
  std::string interface_name;  // The interface that did not take them; empty if none was resolved.
};

// What became of the datagrams. After Finish, queued = sent + failed + unknown.
struct PublishTotals {
  uint64_t queued = 0;   // Taken by Publish.
  uint64_t sent = 0;     // The kernel of the gateway's host took them.
  uint64_t failed = 0;   // Reported as failures.
  uint64_t unknown = 0;  // Not answered when the stream broke: they may have been sent or not. 0 until the end.
};

// Thread-safe. Datagrams that one thread publishes keep their order. Two threads of its own write and read the stream.
class Publisher {
 public:
  using Target = int;
  // Called once for each run of failures, in order, by the publisher's reading thread and under no lock. It must not
  // call Publish, Flush or Finish.
  using OnFailure = std::function<void(const PublishFailureRun&)>;
  // Called once, by the publisher's reading thread, when the stream has ended for any reason. It must not call Finish.
  using OnEnd = std::function<void()>;

  // Begins the stream. Does not block: a gateway that does not answer shows in Publish, Flush or Finish. The client may
  // go before the publisher does. Options outside their ranges are cut to them.
  Publisher(const Client& client, const PublisherOptions& options, OnFailure on_failure = nullptr,
            OnEnd on_end = nullptr);

  Publisher(const Publisher&) = delete;
  Publisher& operator=(const Publisher&) = delete;
  ~Publisher();  // Cancels if Finish was not called.

  // Names a destination, with its options, for Publish. Targets last as long as the publisher.
  Target AddTarget(const multicast::gateway::v1::Destination& destination,
                   const multicast::gateway::v1::SendOptions& options = {});

  // Queues one datagram. Blocks while a full batch waits for its turn, so that memory is bounded. Fails with
  // PAYLOAD_TOO_LARGE if no datagram can be so large (the datagram then is not counted), and with FAILED_PRECONDITION
  // if the stream has ended or Finish was called; Finish says why it ended.
  absl::Status Publish(Target target, absl::string_view payload);

  // Lets what is queued go without waiting for more. Does not block.
  void Flush();

  // Sends what is queued, waits for all answers and ends the stream. Returns how the stream ended; single datagrams
  // that failed are no failure of the stream. Later calls return the same.
  absl::Status Finish();

  // Ends the stream at once. What is queued is lost, what is unanswered is unknown. Does not block.
  void Cancel();

  PublishTotals totals() const;

 private:
  class Stream;
  const std::unique_ptr<Stream> stream_;
};

}  // namespace mcgw::client

#endif  // MCGW_CLIENT_CPP_PUBLISHER_H_
