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

// Reads datagrams and events, one message at a time. The first message has the event Subscribed; the RPC Subscribe in
// the API documents the contents of messages and their order. One message is fetched ahead. If the program reads too
// slowly beyond that, the gateway skips datagrams and announces them as a Gap.
//
// One thread reads and finishes; Cancel may be called by any thread while the object lives.
class Subscription {
 public:
  enum class ReadResult {
    kMessage,   // A message was read.
    kTimedOut,  // No message came in time; the stream is still open.
    kEnded,     // The stream has ended; Finish returns how.
  };

  // What a stream does while no gateway answers.
  enum class Patience {
    kNone,  // It ends.
    kWait,  // It waits for a gateway until it is cancelled.
  };

  // Starts the stream. Does not block: the first Read shows whether the gateway accepts it. The client may be destroyed
  // before the subscription.
  Subscription(const Client& client, const multicast::gateway::v1::SubscribeRequest& request,
               Patience patience = Patience::kNone);

  Subscription(const Subscription&) = delete;
  Subscription& operator=(const Subscription&) = delete;
  ~Subscription();  // Cancels, and waits for the end of the stream, which comes soon then.

  // Waits at most `timeout` for the next message; with zero, takes only a message that is ready. Overwrites *response;
  // reusing one object saves allocations.
  ReadResult Read(absl::Duration timeout, multicast::gateway::v1::SubscribeResponse* response);

  // The same without a timeout. True if a message was read, false if the stream has ended.
  bool Read(multicast::gateway::v1::SubscribeResponse* response);

  // Ends the stream at once; unread messages are lost. Thread-safe, does not block.
  void Cancel();

  // Returns how the stream ended: OK after an orderly end by the gateway, CANCELLED after Cancel, otherwise the
  // gateway's error in the form of error.h. Cancels a stream that has not ended.
  absl::Status Finish();

 private:
  void Advance(void* tag, bool ok);

  const std::shared_ptr<grpc::Channel> channel_;
  const std::string address_;
  std::atomic<bool> cancelled_{false};
  grpc::ClientContext context_;  // Its TryCancel is thread-safe.

  // Used by the reading thread only.
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
