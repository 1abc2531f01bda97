#include "server/rpc/publish_stream.h"

#include <chrono>
#include <utility>
#include <vector>

#include "multicast/gateway/v1/gateway_service.grpc.pb.h"
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

PublishStream* PublishStream::New(gateway::Gateway* gateway, gateway::SendLoop* sends,
                                  grpc::CallbackServerContext* context, gateway::Caller caller,
                                  PublishStreams* streams) {
  const std::shared_ptr<PublishStream> stream(new PublishStream(gateway, sends, context, std::move(caller), streams));
  {
    net::MutexLock lock(&stream->mutex_);
    stream->self_ = stream;
    stream->Advance();
  }
  streams->Add(stream.get());
  return stream.get();
}

PublishStream::PublishStream(gateway::Gateway* gateway, gateway::SendLoop* sends, grpc::CallbackServerContext* context,
                             gateway::Caller caller, PublishStreams* streams)
    : gateway_(gateway), sends_(sends), context_(context), caller_(std::move(caller)), streams_(streams) {}

void PublishStream::Advance() {
  if (finished_) return;
  if (!writing_ && !answers_.empty()) {
    writing_ = true;
    StartWrite(&answers_.front());
  }
  if (ending_.has_value()) {
    if (answers_.empty() && !writing_ && waiting_ == nullptr) {
      finished_ = true;
      Finish(ToGrpc(*ending_));
    }
    return;
  }
  if (!reading_ && answers_.size() < kMostUnanswered && answer_bytes_ < kMostUnansweredBytes) {
    reading_ = true;
    StartRead(&received_);
  }
}

void PublishStream::OnReadDone(bool ok) {
  if (!ok) {
    net::MutexLock lock(&mutex_);
    reading_ = false;
    if (!ending_.has_value()) ending_ = absl::OkStatus();  // The client is done.
    Advance();
    return;
  }
  absl::StatusOr<std::shared_ptr<gateway::BatchJob>> job = Start();
  if (!job.ok()) return Answer(job.status());
  const gateway::SendJob::Next next = (*job)->Step(gateway::SendJob::FirstTurn());
  if (next == gateway::SendJob::Next::kDone) return Answer(FinishBatch(job->get(), request_));
  if (absl::Status status = Wait(*std::move(job), next); !status.ok()) Answer(status);
}

absl::Status PublishStream::Wait(std::shared_ptr<gateway::BatchJob> job, gateway::SendJob::Next next) {
  size_t bytes = request_.SpaceUsedLong();
  for (const v1::Burst& burst : request_.bursts()) bytes += burst.payloads_size() * sizeof(net::OutgoingDatagram);
  const std::string client = context_->peer();
  if (!streams_->Charge(client, bytes)) {
    return Error(Reason::kRateLimited, "bursts",
                 "too much data waits to be sent on slow interfaces: publish over fewer streams");
  }
  std::shared_ptr<PublishStream> self;
  {
    net::MutexLock lock(&mutex_);
    waiting_ = job;
    self = self_;
    if (cancelled_) job->Cancel();
  }
  sends_->Take(job, next, client, [self, job, client, bytes] {
    self->streams_->GiveBack(client, bytes);
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
  grpc::ByteBuffer encoded;
  if (answer.ok()) {
    bool own_buffer = false;
    grpc::SerializationTraits<Response>::Serialize(*answer, &encoded, &own_buffer);
  }
  net::MutexLock lock(&mutex_);
  reading_ = false;
  if (answer.ok()) {
    answer_bytes_ += encoded.Length();
    answers_.push_back(std::move(encoded));
  } else if (!ending_.has_value()) {
    ending_ = answer.status();
  }
  Advance();
}

void PublishStream::OnWriteDone(bool ok) {
  net::MutexLock lock(&mutex_);
  writing_ = false;
  stalled_checks_ = 0;
  answer_bytes_ -= answers_.front().Length();
  answers_.pop_front();
  if (!ok) {
    answers_.clear();
    answer_bytes_ = 0;
    if (!ending_.has_value()) ending_ = absl::CancelledError("the client has gone");
  }
  Advance();
}

void PublishStream::OnCancel() { Abandon(); }

void PublishStream::Abandon() {
  std::shared_ptr<gateway::BatchJob> waiting;
  {
    net::MutexLock lock(&mutex_);
    cancelled_ = true;
    waiting = waiting_;
  }
  if (waiting != nullptr) sends_->Cancel(waiting.get());
}

void PublishStream::OnDone() {
  streams_->Remove(this);
  std::shared_ptr<PublishStream> self;
  net::MutexLock lock(&mutex_);
  self.swap(self_);
}

void PublishStream::End(const absl::Status& status) {
  net::MutexLock lock(&mutex_);
  if (!ending_.has_value()) ending_ = status;
  Advance();
}

void PublishStream::CheckStall(int most_checks) {
  net::MutexLock lock(&mutex_);
  if (writing_ && !finished_ && ++stalled_checks_ > most_checks) context_->TryCancel();
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

absl::StatusOr<std::shared_ptr<gateway::BatchJob>> PublishStream::Start() {
  // Before it is parsed: small bursts take many times their encoding.
  const size_t bytes = received_.Length();
  if (bytes > kMostBatchBytes) {
    return Error(Reason::kInvalidBatch, "bursts",
                 net::StrCat("a batch of ", bytes, " bytes: at most ", kMostBatchBytes, " bytes"));
  }
  if (!grpc::SerializationTraits<Request>::Deserialize(&received_, &request_).ok()) {
    return absl::InvalidArgumentError("the request cannot be parsed as a PublishRequest");
  }
  if (absl::Status status = CheckBatch(request_); !status.ok()) return status;
  if (absl::Status status = ReadSession(); !status.ok()) return status;
  return StartBatch(gateway_, caller_, *session_id_, request_);
}

void PublishStreams::Add(PublishStream* stream) {
  std::optional<absl::Status> ended;
  {
    net::MutexLock lock(&mutex_);
    streams_.insert(stream);
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

void PublishStreams::Abandon() {
  net::MutexLock lock(&mutex_);
  for (PublishStream* stream : streams_) stream->Abandon();
}

void PublishStreams::End(const absl::Status& status) {
  // A stream is destroyed only after Remove, which takes this lock: none goes while this loop runs.
  net::MutexLock lock(&mutex_);
  ended_ = status;
  for (PublishStream* stream : streams_) stream->End(status);
}

void PublishStreams::CheckStalls(int most_checks) {
  net::MutexLock lock(&mutex_);
  for (PublishStream* stream : streams_) stream->CheckStall(most_checks);
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
