// An open Subscribe stream.

#ifndef MCGW_CLIENT_CPP_SUBSCRIPTION_H_
#define MCGW_CLIENT_CPP_SUBSCRIPTION_H_

#include <atomic>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "grpcpp/client_context.h"
#include "grpcpp/completion_queue.h"
#include "grpcpp/support/async_stream.h"
#include "mcgw/client.h"
#include "multicast/gateway/v1/gateway_service.pb.h"

namespace mcgw::client {

// Reads datagrams and events, one message at a time. The first message holds the event Subscribed; what a message may
// hold, and in which order, is said at Subscribe in the API. One message is fetched ahead; beyond that the gateway
// feels how fast the program reads, and announces as a Gap what the program is too slow for.
//
// One thread reads and finishes; Cancel may be called by any thread while the object lives.
class Subscription {
 public:
  enum class ReadResult {
    kMessage,   // A message was read.
    kTimedOut,  // None came in time; the stream stands.
    kEnded,     // The stream has ended; Finish says how.
  };

  // What a stream does while no gateway answers.
  enum class Patience {
    kNone,  // It ends.
    kWait,  // It waits for one, until it is cancelled.
  };

  // Begins the stream. Does not block: whether the gateway accepts it shows at the first Read. The client may go before
  // the subscription does.
  Subscription(const Client& client, const multicast::gateway::v1::SubscribeRequest& request,
               Patience patience = Patience::kNone);

  Subscription(const Subscription&) = delete;
  Subscription& operator=(const Subscription&) = delete;
  ~Subscription();  // Cancels, and waits for the end of the stream, which then is near.

  // Waits for the next message at most `timeout`; zero takes only what is at hand. The content of *response before the
  // call is lost; to use one object over and over saves allocations.
  ReadResult Read(absl::Duration timeout, multicast::gateway::v1::SubscribeResponse* response);

  // The same without a limit. True if a message was read, false if the stream has ended.
  bool Read(multicast::gateway::v1::SubscribeResponse* response);

  // Ends the stream at once, what has not been read is lost. Thread-safe, does not block.
  void Cancel();

  // How the stream ended: OK if the gateway ended it in order, CANCELLED after Cancel, else the gateway's error in the
  // form of error.h. Cancels a stream that has not ended.
  absl::Status Finish();

 private:
  void Advance(void* tag, bool ok);

  const std::shared_ptr<grpc::Channel> channel_;
  const std::string address_;
  std::atomic<bool> cancelled_{false};
  grpc::ClientContext context_;  // Its TryCancel is thread-safe.

  // The reading thread's own.
  grpc::CompletionQueue queue_;
  std::unique_ptr<grpc::ClientAsyncReader<multicast::gateway::v1::SubscribeResponse>> reader_;
  multicast::gateway::v1::SubscribeResponse incoming_;
  grpc::Status status_;
  bool message_ready_ = false;
  bool answered_ = false;
  bool ended_ = false;
};

}  // namespace mcgw::client

#endif  // MCGW_CLIENT_CPP_SUBSCRIPTION_H_
