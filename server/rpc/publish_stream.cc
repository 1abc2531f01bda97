#include "server/rpc/publish_stream.h"

#include <utility>
#include <vector>

#include "server/net/status.h"
#include "server/net/text.h"
#include "server/rpc/read_request.h"
#include "server/rpc/rich_status.h"

namespace mcgw::rpc {
namespace {

using net::Error;
using net::Reason;

constexpr size_t kMostUnanswered = 16;
constexpr size_t kMostBatchBytes = 1 << 20;
constexpr size_t kMostPayloads = 16384;

}  // namespace

PublishStream::PublishStream(gateway::Gateway* gateway, gateway::Caller caller, PublishStreams* streams)
    : gateway_(gateway), caller_(std::move(caller)), streams_(streams) {
  {
    net::MutexLock lock(&mutex_);
    Advance();
  }
  streams_->Add(this);
}

void PublishStream::Advance() {
  if (finished_) return;
  if (!writing_ && !answers_.empty()) {
    writing_ = true;
    StartWrite(&answers_.front());
  }
  if (ending_.has_value()) {
    if (answers_.empty() && !writing_) {
      finished_ = true;
      Finish(ToGrpc(*ending_));
    }
    return;
  }
  if (!reading_ && answers_.size() < kMostUnanswered) {
    reading_ = true;
    StartRead(&request_);
  }
}

void PublishStream::OnReadDone(bool ok) {
  std::optional<absl::StatusOr<Response>> answer;
  if (ok) answer = Handle(request_);
  net::MutexLock lock(&mutex_);
  reading_ = false;
  if (!answer.has_value()) {
    if (!ending_.has_value()) ending_ = absl::OkStatus();  // The client is done.
  } else if (!answer->ok()) {
    if (!ending_.has_value()) ending_ = answer->status();
  } else {
    answers_.push_back(**std::move(answer));
  }
  Advance();
}

void PublishStream::OnWriteDone(bool ok) {
  net::MutexLock lock(&mutex_);
  writing_ = false;
  answers_.pop_front();
  if (!ok) {
    answers_.clear();
    if (!ending_.has_value()) ending_ = absl::CancelledError("the client has gone");
  }
  Advance();
}

void PublishStream::OnDone() {
  streams_->Remove(this);
  delete this;
}

void PublishStream::End(const absl::Status& status) {
  net::MutexLock lock(&mutex_);
  if (!ending_.has_value()) ending_ = status;
  Advance();
}

absl::Status PublishStream::ReadSession(const Request& request) {
  if (!session_id_.has_value()) {
    session_id_ = request.session_id();
  } else if (!request.session_id().empty() && request.session_id() != *session_id_) {
    return Error(Reason::kConflictingFields, "session_id",
                 "the stream's first request names another session, or none: a stream sends on behalf of one");
  }
  return absl::OkStatus();
}

absl::StatusOr<PublishStream::Response> PublishStream::Handle(const Request& request) {
  size_t items = 0;
  for (const v1::Burst& burst : request.bursts()) items += burst.payloads_size();
  if (items == 0) return Error(Reason::kInvalidBatch, "bursts", "the batch holds no payload");
  if (items > kMostPayloads || request.ByteSizeLong() > kMostBatchBytes) {
    return Error(Reason::kInvalidBatch, "bursts",
                 net::StrCat("a batch of ", items, " payloads and ", request.ByteSizeLong(), " bytes: at most ",
                             kMostPayloads, " payloads and ", kMostBatchBytes, " bytes"));
  }
  if (absl::Status status = ReadSession(request); !status.ok()) return status;
  std::vector<gateway::Burst> bursts;
  bursts.reserve(request.bursts_size());
  for (int i = 0; i < request.bursts_size(); ++i) {
    const v1::Burst& burst = request.bursts(i);
    gateway::Burst out;
    absl::StatusOr<gateway::SendRequest> send = ReadSend(burst.destination(), burst.options());
    if (send.ok()) {
      out.request = *std::move(send);
    } else {
      out.invalid = send.status();
    }
    out.payloads.assign(burst.payloads().begin(), burst.payloads().end());
    bursts.push_back(std::move(out));
  }
  const absl::StatusOr<gateway::PublishResult> result = gateway_->Publish(caller_, *session_id_, bursts);
  if (!result.ok()) return result.status();
  Response response;
  response.set_batch_id(request.batch_id());
  response.set_accepted_items(result->accepted);
  for (const gateway::ItemFailure& failure : result->failures) {
    v1::PublishFailure* const out = response.add_failures();
    out->set_first_item(failure.first);
    out->set_item_count(failure.count);
    *out->mutable_failure() = ToFailure(failure.status);
    out->set_interface_name(failure.interface_name);
  }
  return response;
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
}

void PublishStreams::End(const absl::Status& status) {
  // A stream frees itself only after Remove, which waits here: so none goes while it is told.
  net::MutexLock lock(&mutex_);
  ended_ = status;
  for (PublishStream* stream : streams_) stream->End(status);
}

}  // namespace mcgw::rpc
