#include "server/rpc/subscribe_stream.h"

#include <pthread.h>

#include <chrono>
#include <utility>

#include "grpc/slice.h"
#include "server/net/clock.h"
#include "server/net/text.h"
#include "server/rpc/read_request.h"
#include "server/rpc/rich_status.h"
#include "server/rpc/write_response.h"
#include "spdlog/spdlog.h"

namespace mcgw::rpc {
namespace {

// Requested in advance, so that a burst of new streams is accepted at once.
constexpr int kCallsWaiting = 16;

// Limits the channels of one Subscribed event; well below a message's 1 MiB.
constexpr size_t kMostSubscribedBytes = 512 << 10;

// How long a client may leave its stream's end unread.
constexpr int64_t kFinishPatienceNs = 1'000'000'000;

// Keeps a slab alive and charges it to its stream.
class PinnedSlab {
 public:
  PinnedSlab(fanout::SlabRef slab, std::shared_ptr<fanout::PinnedBytes> charged)
      : slab_(std::move(slab)), charged_(std::move(charged)) {
    charged_->fetch_add(slab_->footprint_bytes(), std::memory_order_relaxed);
  }
  ~PinnedSlab() { charged_->fetch_sub(slab_->footprint_bytes(), std::memory_order_relaxed); }

 private:
  const fanout::SlabRef slab_;
  const std::shared_ptr<fanout::PinnedBytes> charged_;
};

// A slice of a slab; the slab lives until gRPC releases the slice.
grpc::Slice SliceOf(fanout::SlabRef slab, const char* data, size_t size_bytes,
                    const std::shared_ptr<fanout::PinnedBytes>& charged) {
  const auto release = [](void* held) { delete static_cast<PinnedSlab*>(held); };
  return grpc::Slice(const_cast<char*>(data), size_bytes, release, new PinnedSlab(std::move(slab), charged));
}

}  // namespace

// ---- SubscribeStream ----

SubscribeStream::SubscribeStream(SubscribeServer* server, StreamLoop* loop)
    : server_(server), loop_(loop), doorbell_(std::make_shared<StreamDoorbell>(loop, this)), writer_(&context_) {}

SubscribeStream::~SubscribeStream() { doorbell_->stream_ = nullptr; }

void SubscribeStream::Open() {
  absl::StatusOr<std::unique_ptr<gateway::Subscription>> opened = absl::InternalError("");
  v1::SubscribeRequest message;
  const grpc::Status parsed = grpc::SerializationTraits<v1::SubscribeRequest>::Deserialize(&request_, &message);
  if (!parsed.ok()) {
    opened = absl::InvalidArgumentError("the request cannot be parsed as a SubscribeRequest");
  } else if (const auto request = ReadSubscribe(message, server_->gateway_->options()); !request.ok()) {
    opened = request.status();
  } else {
    opened = server_->gateway_->Subscribe(gateway::Caller{.identity = "local", .peer = context_.peer()}, *request,
                                          doorbell_);
  }
  if (opened.ok()) {
    spdlog::info("stream {} of {} opened, channels: {}", (*opened)->id(), context_.peer(),
                 (*opened)->channels().size());
  }
  // std::function must be copyable, so the result is shared.
  auto shared = std::make_shared<decltype(opened)>(std::move(opened));
  loop_->Post([this, shared] { Adopt(std::move(*shared)); });
}

void SubscribeStream::Refuse(const absl::Status& status) {
  loop_->Post([this, status] { Adopt(status); });
}

void SubscribeStream::Adopt(absl::StatusOr<std::unique_ptr<gateway::Subscription>> opened) {
  adopted_ = true;
  loop_->Add(this);
  const absl::Status status = opened.status();
  if (status.ok()) {
    subscription_ = *std::move(opened);
    linger_.SetMost(subscription_->options().max_batching_delay_ns);
    if (linger_.forbidden()) loop_->ForbidSleep();
  }
  if (done_) return ReapIfGone();
  if (!status.ok()) return Finish(status);
  if (const std::optional<absl::Status> ended = server_->ended(); ended.has_value()) End(*ended);
  Drive();
}

grpc::Slice SubscribeStream::EncodeEvents(const std::vector<fanout::Event>& events) const {
  v1::SubscribeResponse response;
  for (const fanout::Event& event : events) WriteEvent(event, subscription_->id(), response.add_events());
  return grpc::Slice(response.SerializeAsString());
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
  Write({grpc::Slice(response.SerializeAsString())});
}

void SubscribeStream::Drive() {
  if (!adopted_ || in_flight_ || finishing_ || done_ || subscription_ == nullptr) return;
  if (!subscribed_) {
    WriteSubscribed();
    return;
  }
  if (ending_.has_value()) return Finish(*ending_);
  fanout::Subscriber& subscriber = subscription_->subscriber();
  if (!subscriber.Next(&message_)) {
    if (const std::optional<absl::Status> verdict = subscriber.verdict(); verdict.has_value()) return Finish(*verdict);
    hold_until_ns_ = linger_.until_ns();  // It has caught up.
    return;
  }
  hold_until_ns_ = 0;
  if (message_.datagrams > 0) linger_.OnMessage(net::MonotonicNs(), message_.datagrams);
  std::vector<grpc::Slice> slices;
  slices.reserve(2);
  if (!message_.events.empty()) slices.push_back(EncodeEvents(message_.events));
  if (message_.size_bytes > 0) {
    slices.push_back(SliceOf(std::move(message_.slab), message_.data, message_.size_bytes, subscriber.pinned()));
  }
  Write(std::move(slices));
}

void SubscribeStream::Write(std::vector<grpc::Slice> slices) {
  in_flight_ = true;
  ++writes_;
  const grpc::ByteBuffer buffer(slices.data(), slices.size());
  loop_->Operate([&] { writer_.Write(buffer, &write_tag_); });
}

void SubscribeStream::Finish(const absl::Status& status) {
  ending_ = status;
  ending_since_ns_ = net::MonotonicNs();
  const grpc::Status end = ToGrpc(status);
  if (subscription_ == nullptr) {
    finishing_ = true;
    loop_->Operate([&] { writer_.Finish(end, &finish_tag_); });
    return;
  }
  const bool more = subscription_->subscriber().NextFarewell(&message_);
  const grpc::Slice slice = EncodeEvents(message_.events);
  if (more) return Write({slice});
  finishing_ = true;
  const grpc::ByteBuffer buffer(&slice, 1);
  loop_->Operate([&] { writer_.WriteAndFinish(buffer, grpc::WriteOptions(), end, &finish_tag_); });
}

void SubscribeStream::OnTag(StreamTag::Kind kind, bool ok) {
  switch (kind) {
    case StreamTag::Kind::kCall:
      return;
    case StreamTag::Kind::kWrite:
      in_flight_ = false;
      if (subscription_ != nullptr) {
        ok ? subscription_->subscriber().Written() : subscription_->subscriber().Abandon();
      }
      // After a failed write the call is about to end with kDone.
      if (ok && !done_) doorbell_->Ring();
      break;
    case StreamTag::Kind::kFinish:
      finishing_ = false;
      done_ = true;  // A ring before kDone must not write any more.
      break;
    case StreamTag::Kind::kDone:
      done_ = true;
      break;
  }
  if (kind == StreamTag::Kind::kDone) done_tag_.stream = nullptr;
  ReapIfGone();
}

void SubscribeStream::End(const absl::Status& status) {
  if (subscription_ != nullptr) subscription_->subscriber().End(status);
}

void SubscribeStream::CheckStall(int64_t now_ns, int most_checks) {
  if (!in_flight_ || writes_ != writes_seen_) {
    writes_seen_ = writes_;
    stalled_checks_ = 0;
  } else if (!done_ && ++stalled_checks_ >= most_checks) {
    spdlog::info("cut stream {} of {}: it has taken no message for {} s", subscription_->id(), context_.peer(),
                 stalled_checks_);
    context_.TryCancel();
    return;
  }
  const bool ending = finishing_ || (in_flight_ && subscription_ != nullptr && subscription_->subscriber().verdict());
  if (done_ || !ending) return;
  // The client may still read and learn the reason.
  if (ending_since_ns_ == 0) ending_since_ns_ = now_ns;
  if (now_ns - ending_since_ns_ >= kFinishPatienceNs) context_.TryCancel();
}

void SubscribeStream::ReapIfGone() {
  // A call that began always gets its done tag, which until then may still point here.
  if (!adopted_ || done_tag_.stream != nullptr || in_flight_ || finishing_) return;
  const bool was_open = subscription_ != nullptr;
  if (was_open) {
    spdlog::info("stream {} of {} closed", subscription_->id(), context_.peer());
    if (linger_.forbidden()) loop_->AllowSleep();
    // Leaving makes system calls, so not on this thread.
    auto subscription = std::make_shared<std::unique_ptr<gateway::Subscription>>(std::move(subscription_));
    server_->calls_->Run(context_.peer(), [subscription, server = server_] {
      subscription->reset();
      server->StreamGone();
    });
  }
  SubscribeServer* const server = server_;
  loop_->Remove(this);
  delete this;
  if (!was_open) server->StreamGone();
}

// ---- SubscribeServer ----

SubscribeServer::SubscribeServer(gateway::Gateway* gateway, net::WorkPool* calls,
                                 std::unique_ptr<grpc::ServerCompletionQueue> queue)
    : gateway_(gateway), calls_(calls), queue_(std::move(queue)) {
  for (size_t i = 0; i < gateway_->shards(); ++i) {
    loops_.push_back(std::make_unique<StreamLoop>(gateway_->loop(i), queue_.get(),
                                                  [this](StreamTag* tag, bool ok) { Dispatch(tag, ok); }));
  }
}

SubscribeServer::~SubscribeServer() { Stop(); }

void SubscribeServer::Start(RequestCall request) {
  request_ = std::move(request);
  for (const std::unique_ptr<StreamLoop>& loop : loops_) loop->Start();
  for (int i = 0; i < kCallsWaiting; ++i) RequestOne();
  companion_ = std::thread([this] {
    pthread_setname_np(pthread_self(), "mcgw-streams");
    RunCompanion();
  });
}

void SubscribeServer::RequestOne() {
  StreamLoop* const loop = loops_[next_loop_.fetch_add(1) % loops_.size()].get();
  auto* const stream = new SubscribeStream(this, loop);
  waiting_calls_.fetch_add(1);
  stream->context_.AsyncNotifyWhenDone(&stream->done_tag_);
  request_(&stream->context_, &stream->request_, &stream->writer_, queue_.get(), &stream->call_tag_);
}

void SubscribeServer::RunCompanion() {
  void* tag = nullptr;
  bool ok = false;
  while (queue_->Next(&tag, &ok)) {
    duty_.Begin(net::MonotonicNs());
    Dispatch(static_cast<StreamTag*>(tag), ok);
    duty_.End(net::MonotonicNs());
  }
}

void SubscribeServer::Dispatch(StreamTag* tag, bool ok) {
  SubscribeStream* const stream = tag->stream;
  if (tag->kind == StreamTag::Kind::kCall) {
    if (ok) {
      open_streams_.fetch_add(1);
      if (!stopping_.load(std::memory_order_acquire)) RequestOne();
      if (!calls_->TryRun(stream->context_.peer(), [stream] { stream->Open(); })) stream->Refuse(TooManyWaiting());
    } else {
      delete stream;  // The call never began, so its done tag never comes.
    }
    waiting_calls_.fetch_sub(1);
    net::MutexLock lock(&mutex_);
    changed_.NotifyAll();
    return;
  }
  const StreamTag::Kind kind = tag->kind;
  if (StreamLoop::IsThreadOf(stream->loop())) {
    stream->OnTag(kind, ok);
  } else {
    stream->loop()->Post([stream, kind, ok] { stream->OnTag(kind, ok); });
  }
}

void SubscribeServer::StreamGone() {
  net::MutexLock lock(&mutex_);
  open_streams_.fetch_sub(1, std::memory_order_release);
  changed_.NotifyAll();
}

std::optional<absl::Status> SubscribeServer::ended() const {
  net::MutexLock lock(&mutex_);
  return ended_;
}

void SubscribeServer::End(absl::Status status) {
  {
    net::MutexLock lock(&mutex_);
    ended_ = status;
  }
  for (const std::unique_ptr<StreamLoop>& loop : loops_) {
    loop->ForEachStream([status](SubscribeStream* stream) { stream->End(status); });
  }
}

void SubscribeServer::CheckStalls(int most_checks) {
  const int64_t now_ns = net::MonotonicNs();
  for (const std::unique_ptr<StreamLoop>& loop : loops_) {
    loop->ForEachStream([=](SubscribeStream* stream) { stream->CheckStall(now_ns, most_checks); });
  }
}

void SubscribeServer::WaitUntilIdle(absl::Duration patience) {
  const auto deadline = std::chrono::steady_clock::now() + absl::ToChronoMilliseconds(patience);
  net::MutexLock lock(&mutex_);
  while (open_streams_.load() > 0 && changed_.WaitUntil(&mutex_, deadline)) {
  }
}

void SubscribeServer::Stop() {
  if (!companion_.joinable()) return;
  stopping_.store(true, std::memory_order_release);
  {
    net::MutexLock lock(&mutex_);
    while (waiting_calls_.load() > 0 || open_streams_.load() > 0) changed_.Wait(&mutex_);
  }
  queue_->Shutdown();
  companion_.join();
  for (const std::unique_ptr<StreamLoop>& loop : loops_) loop->Stop();
}

}  // namespace mcgw::rpc
