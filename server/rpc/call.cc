#include "server/rpc/call.h"

#include <algorithm>
#include <utility>

#include "nghttp2/nghttp2.h"
#include "server/net/invariant.h"
#include "server/net/status.h"
#include "server/net/text.h"
#include "server/rpc/rich_status.h"
#include "server/rpc/stream_loop.h"

namespace mcgw::rpc {
namespace {

// The length behind the flag of compression, in network order.
uint32_t MessageBytes(std::string_view prefix) {
  uint32_t size = 0;
  for (size_t i = 1; i <= 4; ++i) size = size << 8 | static_cast<unsigned char>(prefix[i]);
  return size;
}

void PutPrefix(size_t size, std::string* message) {
  (*message)[0] = 0;
  for (size_t i = 0; i < 4; ++i) (*message)[4 - i] = static_cast<char>(size >> (8 * i));
}

}  // namespace

Call::Call(StreamLoop* loop, http2::Stream* stream, CallHead head, size_t most_message_bytes)
    : loop_(loop), stream_(stream), head_(std::move(head)), most_message_bytes_(most_message_bytes) {
  loop_->CallBegins();
  loop_->AddCall(this);
  if (head_.deadline_ns != CallHead::kNoDeadline) {
    deadline_ = loop_->AddDeadline(head_.deadline_ns, this);
    has_deadline_ = true;
  }
}

Call::~Call() {
  MCGW_INVARIANT(stream_ == nullptr);
  loop_->CallEnds();
}

void Call::Consume(size_t bytes) {
  unconsumed_bytes_ -= bytes;
  if (stream_ != nullptr && bytes > 0) stream_->Consume(bytes);
}

void Call::OnData(std::string_view bytes) {
  progress_ += bytes.size();
  unconsumed_bytes_ += bytes.size();
  if (finished_) return Consume(unconsumed_bytes_);
  if (!loop_->received()->Take(bytes.size())) {
    return Finish(ToGrpc(net::Error(net::Reason::kRateLimited, "",
                                    "messages that have not arrived whole take all memory there is for them")));
  }
  received_.append(bytes);
  if (reading_) Deliver();
}

void Call::OnRequestEnd() {
  half_closed_ = true;
  if (reading_) Deliver();
}

void Call::ReadNext() {
  reading_ = true;
  Deliver();
}

void Call::Deliver() {
  if (!open()) return;
  if (received_.size() >= kPrefixBytes) {
    const uint32_t size = MessageBytes(received_);
    if (received_[0] != 0) {
      return Finish({grpc::StatusCode::UNIMPLEMENTED, "a compressed message: only identity is understood"});
    }
    if (size > most_message_bytes_) {
      return Finish({grpc::StatusCode::RESOURCE_EXHAUSTED,
                     net::StrCat("a message of ", size, " bytes: at most ", most_message_bytes_)});
    }
    received_.reserve(kPrefixBytes + size);  // Not twice as much.
    if (received_.size() >= kPrefixBytes + size) {
      loop_->received()->GiveBack(kPrefixBytes + size);
      std::string message;
      if (received_.size() == kPrefixBytes + size) {
        received_.erase(0, kPrefixBytes);
        message = std::exchange(received_, {});
      } else {
        message = received_.substr(kPrefixBytes, size);
        received_.erase(0, kPrefixBytes + size);
      }
      reading_ = false;
      Consume(unconsumed_bytes_ - std::min(unconsumed_bytes_, received_.size()));
      return OnMessage(std::move(message));
    }
  }
  if (half_closed_) {
    reading_ = false;
    if (!received_.empty()) return Finish({grpc::StatusCode::INTERNAL, "the request ends in the middle of a message"});
    return OnHalfClosed();
  }
  Consume(unconsumed_bytes_);  // More has to come.
}

void Call::DropReceived() {
  loop_->received()->GiveBack(received_.size());
  received_ = {};
  Consume(unconsumed_bytes_);
}

void Call::Respond(const http2::Fields& metadata) {
  MCGW_INVARIANT(open() && !responded_);
  responded_ = true;
  http2::Fields fields = ResponseFields();
  fields.insert(fields.end(), metadata.begin(), metadata.end());
  stream_->Respond(fields);
}

void Call::Write(std::string head, std::string_view body) {
  MCGW_INVARIANT(open() && head.size() >= kPrefixBytes);
  if (!std::exchange(responded_, true)) stream_->Respond(ResponseFields());
  PutPrefix(head.size() - kPrefixBytes + body.size(), &head);
  written_ = std::move(head);
  stream_->Write({written_, body});
}

void Call::Finish(const grpc::Status& status, const http2::Fields& metadata) {
  if (!open()) return;
  finished_ = true;
  DropReceived();
  http2::Fields fields = responded_ ? Trailers(status) : TrailersOnly(status);
  fields.insert(fields.end(), metadata.begin(), metadata.end());
  stream_->End(fields);
}

void Call::Abort() {
  if (stream_ == nullptr) return;
  finished_ = true;
  stream_->Reset(NGHTTP2_CANCEL);
}

void Call::Expire() {
  has_deadline_ = false;
  if (!open()) return;
  const std::shared_ptr<Call> self = shared_from_this();
  // What waits to be written would hold the end back.
  if (writing()) return Abort();
  Finish({grpc::StatusCode::DEADLINE_EXCEEDED, "Deadline Exceeded"});
}

bool Call::IsStalled(int most_checks) {
  const bool waits = writing() || (reading_ && !received_.empty()) || (finished_ && stream_ != nullptr);
  if (!waits || std::exchange(progress_seen_, progress_) != progress_) {
    stalled_checks_ = 0;
    return false;
  }
  return ++stalled_checks_ == most_checks;
}

void Call::Check(int64_t, int most_checks) {
  if (IsStalled(most_checks)) Abort();
}

void Call::OnWritten() {
  ++progress_;
  written_.clear();
  OnSent();
}

void Call::OnClosed() {
  const std::shared_ptr<Call> self = shared_from_this();
  stream_ = nullptr;
  DropReceived();
  loop_->RemoveCall(this);
  if (std::exchange(has_deadline_, false)) loop_->RemoveDeadline(deadline_);
  OnGone();
}

}  // namespace mcgw::rpc
