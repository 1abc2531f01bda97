#include "server/rpc/subscribe_stream.h"

#include <chrono>
#include <utility>

#include "multicast/gateway/v1/gateway_service.pb.h"
#include "server/net/clock.h"
#include "server/net/text.h"
#include "server/rpc/calls.h"
#include "server/rpc/read_request.h"
#include "server/rpc/rich_status.h"
#include "server/rpc/write_response.h"
#include "spdlog/spdlog.h"

namespace mcgw::rpc {
namespace {

// Limits the channels of one Subscribed event; well below a message's 1 MiB.
constexpr size_t kMostSubscribedBytes = 512 << 10;

// How long a client may leave its stream's end unread.
constexpr int64_t kFinishPatienceNs = 1'000'000'000;

}  // namespace

// ---- SubscribeStream ----

SubscribeStream::SubscribeStream(SubscribeStreams* streams, StreamLoop* loop, http2::Stream* stream, CallHead head)
    : Call(loop, stream, std::move(head), kMostMessageBytes),
      streams_(streams),
      doorbell_(std::make_shared<StreamDoorbell>(loop, this)) {
  streams_->Opened();
}

SubscribeStream::~SubscribeStream() { streams_->Gone(); }

void SubscribeStream::OnMessage(std::string message) {
  auto self = std::static_pointer_cast<SubscribeStream>(shared_from_this());
  const bool taken =
      streams_->calls_->TryRun(peer(), [self = std::move(self), message = std::move(message)] { self->Open(message); });
  if (!taken) Finish(ToGrpc(TooManyWaiting()));
}

void SubscribeStream::OnHalfClosed() {
  Finish({grpc::StatusCode::INTERNAL, "Subscribe takes one message, and there is none"});
}

void SubscribeStream::Open(const std::string& request) {
  absl::StatusOr<std::unique_ptr<gateway::Subscription>> opened = absl::InternalError("");
  v1::SubscribeRequest message;
  if (!message.ParseFromString(request)) {
    opened = absl::InvalidArgumentError("the request cannot be parsed as a SubscribeRequest");
  } else if (const auto read = ReadSubscribe(message, streams_->gateway_->options()); !read.ok()) {
    opened = read.status();
  } else {
    opened = streams_->gateway_->Subscribe(caller(), *read, doorbell_);
  }
  if (opened.ok()) {
    spdlog::info("stream {} of {} opened, channels: {}", (*opened)->id(), who(), (*opened)->channels().size());
  }
  // std::function must be copyable, so the result is shared.
  auto shared = std::make_shared<decltype(opened)>(std::move(opened));
  auto self = std::static_pointer_cast<SubscribeStream>(shared_from_this());
  loop()->Post([self, shared] { self->Adopt(std::move(*shared)); });
}

void SubscribeStream::Adopt(absl::StatusOr<std::unique_ptr<gateway::Subscription>> opened) {
  if (!opened.ok()) return Finish(ToGrpc(opened.status()));
  subscription_ = *std::move(opened);
  linger_.SetMost(subscription_->options().max_batching_delay_ns);
  if (linger_.forbidden()) loop()->ForbidSleep();
  loop()->Add(this);
  if (!open()) return OnGone();
  if (const std::optional<absl::Status> ended = streams_->ended(); ended.has_value()) End(*ended);
  Drive();
}

std::string SubscribeStream::EncodeEvents(const std::vector<fanout::Event>& events) const {
  v1::SubscribeResponse response;
  for (const fanout::Event& event : events) WriteEvent(event, subscription_->id(), response.add_events());
  return EncodeMessage(response);
}

void SubscribeStream::WriteSubscribed() {
  const std::vector<fanout::ChannelStatus>& channels = subscription_->channels();
  v1::SubscribeResponse response;
  v1::Subscribed* const subscribed = response.add_events()->mutable_subscribed();
  subscribed->set_subscriber_id(subscription_->id());
  rpc::WriteOptions(subscription_->options(), subscription_->retain_ns(), subscribed->mutable_options());
  for (size_t bytes = 0; channels_announced_ < channels.size() && bytes < kMostSubscribedBytes; ++channels_announced_) {
    v1::ChannelState* const state = subscribed->add_channels();
    WriteChannelState(channels[channels_announced_], state);
    bytes += state->ByteSizeLong();
  }
  subscribed_ = channels_announced_ == channels.size();
  subscribed->set_continued(!subscribed_);
  if (subscribed_) subscription_->ForgetChannels();
  Write(EncodeMessage(response));
}

void SubscribeStream::Drive() {
  if (!open() || writing() || subscription_ == nullptr) return;
  if (!subscribed_) {
    WriteSubscribed();
    return;
  }
  if (ending_.has_value()) return Farewell(*ending_);
  fanout::Subscriber& subscriber = subscription_->subscriber();
  if (!subscriber.Next(&message_)) {
    if (const std::optional<absl::Status> verdict = subscriber.verdict(); verdict.has_value()) {
      return Farewell(*verdict);
    }
    hold_until_ns_ = linger_.until_ns();  // It has caught up.
    return;
  }
  hold_until_ns_ = 0;
  if (message_.datagrams > 0) linger_.OnMessage(net::MonotonicNs(), message_.datagrams);
  std::string head = message_.events.empty() ? std::string(kPrefixBytes, '\0') : EncodeEvents(message_.events);
  if (message_.size_bytes > 0) {
    pinned_bytes_ = message_.slab->footprint_bytes();
    subscriber.pinned()->fetch_add(pinned_bytes_, std::memory_order_relaxed);
  }
  Write(std::move(head), {message_.data, message_.size_bytes});
}

void SubscribeStream::Farewell(const absl::Status& status) {
  ending_ = status;
  if (ending_since_ns_ == 0) ending_since_ns_ = net::MonotonicNs();
  const bool more = subscription_->subscriber().NextFarewell(&message_);
  Write(EncodeEvents(message_.events));
  if (!more) Finish(ToGrpc(status));
}

void SubscribeStream::OnSent() {
  if (subscription_ == nullptr) return;
  subscription_->subscriber().pinned()->fetch_sub(std::exchange(pinned_bytes_, 0), std::memory_order_relaxed);
  message_.slab = {};
  subscription_->subscriber().Written();
  if (open()) doorbell_->Ring();
}

void SubscribeStream::End(const absl::Status& status) {
  if (subscription_ != nullptr) subscription_->subscriber().End(status);
}

void SubscribeStream::Check(int64_t now_ns, int most_checks) {
  if (IsStalled(most_checks)) {
    if (subscription_ != nullptr) {
      spdlog::info("cut stream {} of {}: it has taken no message for {} s", subscription_->id(), who(), most_checks);
    }
    return Abort();
  }
  if (subscription_ == nullptr || !writing() || !subscription_->subscriber().verdict()) return;
  // The client may still read and learn the reason.
  if (ending_since_ns_ == 0) ending_since_ns_ = now_ns;
  if (now_ns - ending_since_ns_ >= kFinishPatienceNs) Abort();
}

void SubscribeStream::OnGone() {
  doorbell_->stream_ = nullptr;
  if (subscription_ == nullptr) return;
  subscription_->subscriber().pinned()->fetch_sub(std::exchange(pinned_bytes_, 0), std::memory_order_relaxed);
  message_.slab = {};
  // What was in flight may have been lost.
  subscription_->subscriber().Abandon();
  spdlog::info("stream {} of {} closed", subscription_->id(), who());
  if (linger_.forbidden()) loop()->AllowSleep();
  loop()->Remove(this);
  // Leaving makes system calls, so not on this thread.
  auto subscription = std::make_shared<std::unique_ptr<gateway::Subscription>>(std::move(subscription_));
  auto self = shared_from_this();
  streams_->calls_->Run(peer(), [subscription, self] { subscription->reset(); });
}

// ---- SubscribeStreams ----

void SubscribeStreams::Opened() {
  net::MutexLock lock(&mutex_);
  ++open_;
}

void SubscribeStreams::Gone() {
  net::MutexLock lock(&mutex_);
  --open_;
  changed_.NotifyAll();
}

std::optional<absl::Status> SubscribeStreams::ended() const {
  net::MutexLock lock(&mutex_);
  return ended_;
}

void SubscribeStreams::End(const std::vector<std::unique_ptr<StreamLoop>>& loops, const absl::Status& status) {
  {
    net::MutexLock lock(&mutex_);
    ended_ = status;
  }
  for (const std::unique_ptr<StreamLoop>& loop : loops) {
    loop->ForEachStream([status](SubscribeStream* stream) { stream->End(status); });
  }
}

void SubscribeStreams::WaitUntilIdle(absl::Duration patience) {
  const auto deadline = std::chrono::steady_clock::now() + absl::ToChronoMilliseconds(patience);
  net::MutexLock lock(&mutex_);
  while (open_ > 0 && changed_.WaitUntil(&mutex_, deadline)) {
  }
}

}  // namespace mcgw::rpc
