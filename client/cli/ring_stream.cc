#include "client/cli/ring_stream.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "client/cli/command.h"
#include "client/cli/event_text.h"
#include "mcgw/error.h"

namespace mcgw::cli {

namespace v1 = multicast::gateway::v1;

RingStream::RingStream(client::Client* client, const v1::Membership& membership, client::Subscription* subscription,
                       const StopWatcher* stop)
    : client_(*client), membership_(membership), subscription_(*subscription), stop_(*stop) {}

RingStream::Result RingStream::Read(absl::Duration timeout, v1::SubscribeResponse* message) {
  switch (subscription_.Read(timeout, message)) {
    case client::Subscription::ReadResult::kTimedOut:
      return stop_.stopped() ? Result::kStopped : Result::kTimedOut;
    case client::Subscription::ReadResult::kEnded:
      if (stop_.stopped()) return Result::kStopped;
      status_ = subscription_.Finish();
      if (status_.ok()) status_ = absl::UnavailableError("the gateway has ended the stream");
      return Result::kFailed;
    case client::Subscription::ReadResult::kMessage:
      break;
  }
  for (const v1::Event& event : message->events()) {
    UpdateChannels(event, &channels_);
    subscribed_ = subscribed_ || event.has_subscribed();
    for (const EventLine& line : DescribeEvent(event, channels_)) {
      if (line.loss) Note(line.text);
    }
  }
  return Result::kMessage;
}

RingStream::Result RingStream::WaitForSubscribed(v1::SubscribeResponse* message) {
  while (!subscribed_) {
    const Result result = Read(client::ConnectOptions().rpc_timeout, message);
    if (result == Result::kTimedOut) {
      status_ = absl::DeadlineExceededError("the gateway did not answer in time");
      return Result::kFailed;
    }
    if (result != Result::kMessage) return result;
  }
  return Result::kMessage;
}

absl::Status RingStream::Send(absl::string_view interface, uint32_t hop_limit, std::string payload) {
  v1::SendRequest request;
  request.mutable_destination()->set_interface(std::string(interface));
  request.mutable_destination()->set_group(membership_.group());
  request.mutable_destination()->set_port(membership_.port());
  request.mutable_options()->set_hop_limit(hop_limit);
  request.set_payload(std::move(payload));
  const auto response = client_.Send(request);
  if (!response.ok()) return response.status();
  for (const v1::SendResult& result : response->results()) {
    if (result.has_failure()) {
      Note(absl::StrCat("not sent by ", result.interface_name(), ": ", client::Describe(result.failure())));
    }
  }
  return absl::OkStatus();
}

std::string RingStream::InterfaceOf(const v1::Datagram& datagram) const {
  const auto found = channels_.find(datagram.channel_id());
  return found == channels_.end() ? membership_.interface() : found->second.interface_name();
}

}  // namespace mcgw::cli
