#include "server/rpc/publish_stream.h"

#include <chrono>
#include <utility>
#include <vector>

#include "server/net/status.h"
#include "server/net/text.h"
#include "server/rpc/calls.h"
#include "server/rpc/read_request.h"
#include "server/rpc/rich_status.h"

namespace mcgw::rpc {
namespace {

using net::Error;
using net::Reason;

constexpr size_t kMostUnanswered = 16;
constexpr size_t kMostUnansweredBytes = 256 << 10;
constexpr size_t kMostBatchBytes = 1 << 20;
// A larger batch is parsed and begun by another thread than the shard's, which has others to serve.
constexpr size_t kMostInlineBytes = 64 << 10;
constexpr int kMostPayloads = 16384;

// A request message that has grown beyond this is not kept for the next batch.
constexpr size_t kMostKeptBytes = 64 << 10;

class RequestBursts final : public gateway::Bursts {
 public:
  explicit RequestBursts(const v1::PublishRequest* request) : request_(request) {}
  size_t size() const override { return static_cast<size_t>(request_->bursts_size()); }
  gateway::Burst Read(size_t index) override {
    const v1::Burst& burst = request_->bursts(static_cast<int>(index));
    gateway::Burst out;
    absl::StatusOr<gateway::SendRequest> send = ReadSend(burst.destination(), burst.options());
    if (send.ok()) {
      out.request = *std::move(send);
    } else {
      out.invalid = send.status();
    }
    out.payloads.assign(burst.payloads().begin(), burst.payloads().end());
    return out;
  }

 private:
  const v1::PublishRequest* const request_;
};

}  // namespace

absl::Status CheckBatch(const v1::PublishRequest& request) {
  size_t items = 0;
  for (const v1::Burst& burst : request.bursts()) items += burst.payloads_size();
  if (items == 0) return Error(Reason::kInvalidBatch, "bursts", "the batch has no payload");
  if (items > kMostPayloads || request.bursts_size() > kMostPayloads) {
    return Error(Reason::kInvalidBatch, "bursts",
                 net::StrCat("a batch of ", items, " payloads in ", request.bursts_size(), " bursts: at most ",
                             kMostPayloads, " payloads and as many bursts"));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::shared_ptr<gateway::BatchJob>> StartBatch(gateway::Gateway* gateway, const gateway::Caller& caller,
                                                              const std::string& session_id,
                                                              const v1::PublishRequest& request) {
  return gateway->StartPublish(caller, session_id, std::make_unique<RequestBursts>(&request));
}

v1::PublishResponse FinishBatch(gateway::BatchJob* job, const v1::PublishRequest& request) {
  const gateway::PublishResult result = job->TakeResult();
  v1::PublishResponse response;
  response.set_batch_id(request.batch_id());
  response.set_accepted_items(result.accepted);
  response.set_rest_merged(result.rest_merged);
  for (const gateway::ItemFailure& failure : result.failures) {
    v1::PublishFailure* const out = response.add_failures();
    out->set_first_item(failure.first);
    out->set_item_count(failure.count);
    *out->mutable_failure() = ToFailure(failure.status);
    out->set_interface_name(failure.interface_name);
  }
  return response;
}

PublishStream::PublishStream(PublishStreams* streams, StreamLoop* loop, http2::Stream* stream, CallHead head)
    : Call(loop, stream, std::move(head), kMostMessageBytes), streams_(streams) {}

PublishStream::~PublishStream() { streams_->Remove(this); }

void PublishStream::Begin() {
  streams_->Add(self());
  Advance();
}

void PublishStream::Advance() {
  if (!open()) return;
  if (!writing() && !answers_.empty()) {
    answer_bytes_ -= answers_.front().size();
    Write(std::move(answers_.front()));
    answers_.pop_front();
  }
  if (ending_.has_value()) {
    if (answers_.empty() && !in_batch_) Finish(ToGrpc(*ending_));
    return;
  }
  if (!in_batch_ && !reading_ && answers_.size() < kMostUnanswered && answer_bytes_ < kMostUnansweredBytes) {
    reading_ = true;
    ReadNext();
  }
}

void PublishStream::OnMessage(std::string message) {
  reading_ = false;
  if (ending_.has_value()) return Advance();
  in_batch_ = true;
  if (message.size() <= kMostInlineBytes) return Start(message);
  const bool taken =
      streams_->calls_->TryRun(peer(), [self = self(), message = std::move(message)] { self->Start(message); });
  if (!taken) Answered(TooManyWaiting());
}

void PublishStream::OnHalfClosed() {
  reading_ = false;
  if (!ending_.has_value()) ending_ = absl::OkStatus();
  Advance();
}

void PublishStream::Start(const std::string& message) {
  absl::StatusOr<Job> job = Parse(message);
  if (!job.ok()) return Answer(job.status());
  const gateway::SendJob::Next next = (*job)->Step(gateway::SendJob::FirstTurn());
  if (next == gateway::SendJob::Next::kDone) return Answer(FinishBatch(job->get(), request_));
  if (absl::Status status = Wait(*std::move(job), next); !status.ok()) Answer(status);
}

absl::Status PublishStream::Wait(Job job, gateway::SendJob::Next next) {
  size_t bytes = request_.SpaceUsedLong();
  for (const v1::Burst& burst : request_.bursts()) bytes += burst.payloads_size() * sizeof(net::OutgoingDatagram);
  if (!streams_->Charge(peer(), bytes)) {
    return Error(Reason::kRateLimited, "bursts",
                 "too much data waits to be sent on slow interfaces: publish over fewer streams");
  }
  {
    net::MutexLock lock(&mutex_);
    waiting_ = job;
    if (cancelled_) job->Cancel();
  }
  streams_->sends_->Take(job, next, peer(), [self = self(), job, bytes] {
    self->streams_->GiveBack(self->peer(), bytes);
    {
      net::MutexLock lock(&self->mutex_);
      self->waiting_ = nullptr;
    }
    self->Answer(job->cancelled() ? absl::StatusOr<Response>(absl::CancelledError("the client has gone"))
                                  : FinishBatch(job.get(), self->request_));
  });
  return absl::OkStatus();
}

void PublishStream::Answer(absl::StatusOr<Response> answer) {
  if (request_.ByteSizeLong() > kMostKeptBytes || request_.bursts_size() > 64) Request().Swap(&request_);
  absl::StatusOr<std::string> encoded =
      answer.ok() ? absl::StatusOr<std::string>(EncodeMessage(*answer)) : absl::StatusOr<std::string>(answer.status());
  if (StreamLoop::IsThreadOf(loop())) return Answered(std::move(encoded));
  loop()->Post([self = self(), encoded = std::move(encoded)]() mutable { self->Answered(std::move(encoded)); });
}

void PublishStream::Answered(absl::StatusOr<std::string> answer) {
  in_batch_ = false;
  if (answer.ok()) {
    answer_bytes_ += answer->size();
    answers_.push_back(*std::move(answer));
  } else if (!ending_.has_value()) {
    ending_ = answer.status();
  }
  Advance();
}

void PublishStream::OnSent() { Advance(); }

void PublishStream::Abandon() {
  Job waiting;
  {
    net::MutexLock lock(&mutex_);
    cancelled_ = true;
    waiting = waiting_;
  }
  if (waiting != nullptr) streams_->sends_->Cancel(waiting.get());
}

void PublishStream::OnGone() { Abandon(); }

void PublishStream::End(const absl::Status& status) {
  if (!ending_.has_value()) ending_ = status;
  Advance();
}

absl::Status PublishStream::ReadSession() {
  if (!session_id_.has_value()) {
    session_id_ = request_.session_id();
  } else if (!request_.session_id().empty() && request_.session_id() != *session_id_) {
    return Error(Reason::kConflictingFields, "session_id",
                 "the session differs from that of the stream's first request: use one stream per session");
  }
  return absl::OkStatus();
}

absl::StatusOr<PublishStream::Job> PublishStream::Parse(const std::string& message) {
  // Before it is parsed: small bursts take many times their encoding.
  if (message.size() > kMostBatchBytes) {
    return Error(Reason::kInvalidBatch, "bursts",
                 net::StrCat("a batch of ", message.size(), " bytes: at most ", kMostBatchBytes, " bytes"));
  }
  if (!request_.ParseFromString(message)) {
    return absl::InvalidArgumentError("the request cannot be parsed as a PublishRequest");
  }
  if (absl::Status status = CheckBatch(request_); !status.ok()) return status;
  if (absl::Status status = ReadSession(); !status.ok()) return status;
  return StartBatch(streams_->gateway_, caller(), *session_id_, request_);
}

void PublishStreams::Add(const std::shared_ptr<PublishStream>& stream) {
  std::optional<absl::Status> ended;
  {
    net::MutexLock lock(&mutex_);
    streams_.emplace(stream.get(), stream);
    ended = ended_;
  }
  if (ended.has_value()) stream->End(*ended);
}

void PublishStreams::Remove(PublishStream* stream) {
  net::MutexLock lock(&mutex_);
  streams_.erase(stream);
  changed_.NotifyAll();
}

void PublishStreams::WaitUntilIdle(absl::Duration patience) {
  const auto deadline = std::chrono::steady_clock::now() + absl::ToChronoNanoseconds(patience);
  net::MutexLock lock(&mutex_);
  while (!streams_.empty() && changed_.WaitUntil(&mutex_, deadline)) continue;
}

void PublishStreams::ForEach(const std::function<void(PublishStream*)>& visit) {
  // Their last references may be these, and Remove takes the lock.
  std::vector<std::shared_ptr<PublishStream>> open;
  {
    net::MutexLock lock(&mutex_);
    for (const auto& [unused, stream] : streams_) {
      if (std::shared_ptr<PublishStream> held = stream.lock(); held != nullptr) open.push_back(std::move(held));
    }
  }
  for (std::shared_ptr<PublishStream>& stream : open) {
    StreamLoop* const loop = stream->loop();
    loop->Post([stream = std::move(stream), visit] { visit(stream.get()); });
  }
}

void PublishStreams::Abandon() {
  ForEach([](PublishStream* stream) { stream->Abandon(); });
}

void PublishStreams::End(const absl::Status& status) {
  {
    net::MutexLock lock(&mutex_);
    ended_ = status;
  }
  ForEach([status](PublishStream* stream) { stream->End(status); });
}

bool PublishStreams::Charge(const std::string& client, size_t bytes) {
  net::MutexLock lock(&mutex_);
  size_t& to_client = charged_to_[client];
  const bool fits = charged_ + bytes <= kMostBytes && to_client + bytes <= kMostBytesOfClient;
  if (fits) {
    charged_ += bytes;
    to_client += bytes;
  }
  if (to_client == 0) charged_to_.erase(client);
  return fits;
}

void PublishStreams::GiveBack(const std::string& client, size_t bytes) {
  net::MutexLock lock(&mutex_);
  charged_ -= bytes;
  const auto at = charged_to_.find(client);
  at->second -= bytes;
  if (at->second == 0) charged_to_.erase(at);
}

}  // namespace mcgw::rpc
