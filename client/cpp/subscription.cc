#include "mcgw/subscription.h"

#include <grpc/support/time.h>

#include "multicast/gateway/v1/gateway_service.grpc.pb.h"

namespace mcgw::client {
namespace {

namespace v1 = multicast::gateway::v1;

void* const kStarted = reinterpret_cast<void*>(1);
void* const kRead = reinterpret_cast<void*>(2);
void* const kFinished = reinterpret_cast<void*>(3);

gpr_timespec DeadlineAfter(absl::Duration timeout) {
  constexpr absl::Duration kLongest = absl::Hours(24 * 365);
  if (timeout > kLongest) return gpr_inf_future(GPR_CLOCK_MONOTONIC);
  return gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC),
                      gpr_time_from_nanos(absl::ToInt64Nanoseconds(timeout), GPR_TIMESPAN));
}

}  // namespace

Subscription::Subscription(const Client& client, const v1::SubscribeRequest& request, Patience patience)
    : channel_(client.channel()), address_(client.address()) {
  context_.set_wait_for_ready(patience == Patience::kWait);
  reader_ = v1::MulticastGatewayService::NewStub(channel_)->PrepareAsyncSubscribe(&context_, request, &queue_);
  reader_->StartCall(kStarted);
}

Subscription::~Subscription() {
  Finish().IgnoreError();
  queue_.Shutdown();
  void* tag;
  bool ok;
  while (queue_.Next(&tag, &ok)) {
  }
}

Subscription::ReadResult Subscription::Read(absl::Duration timeout, v1::SubscribeResponse* response) {
  const gpr_timespec deadline = DeadlineAfter(timeout);
  while (!ended_) {
    void* tag;
    bool ok;
    if (queue_.AsyncNext(&tag, &ok, deadline) != grpc::CompletionQueue::GOT_EVENT) return ReadResult::kTimedOut;
    Advance(tag, ok);
    if (message_ready_) {
      message_ready_ = false;
      response->Swap(&incoming_);
      reader_->Read(&incoming_, kRead);
      return ReadResult::kMessage;
    }
  }
  return ReadResult::kEnded;
}

bool Subscription::Read(v1::SubscribeResponse* response) {
  return Read(absl::InfiniteDuration(), response) == ReadResult::kMessage;
}

void Subscription::Advance(void* tag, bool ok) {
  if (tag == kFinished) {
    ended_ = true;
  } else if (!ok) {
    reader_->Finish(&status_, kFinished);
  } else if (tag == kStarted) {
    reader_->Read(&incoming_, kRead);
  } else {
    message_ready_ = true;
    answered_ = true;
  }
}

void Subscription::Cancel() {
  cancelled_ = true;
  context_.TryCancel();
}

absl::Status Subscription::Finish() {
  v1::SubscribeResponse dropped;
  if (!ended_) Cancel();
  while (Read(&dropped)) {
  }
  if (cancelled_ && status_.error_code() == grpc::CANCELLED) return absl::CancelledError("cancelled by the client");
  return FromGrpc(status_, address_, answered_);
}

}  // namespace mcgw::client
