#include "bench/reference/grpc_single.h"

#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/support/byte_buffer.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <deque>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "bench/sockets.h"
#include "multicast/gateway/v1/gateway_service.pb.h"
#include "server/net/mutex.h"

namespace mcgw::bench {
namespace {

namespace v1 = multicast::gateway::v1;

constexpr size_t kBatch = 64;
constexpr size_t kLargestBytes = 65'536;

grpc::Slice Encode(const v1::SubscribeResponse& message) { return grpc::Slice(message.SerializeAsString()); }

class Stream;

// The messages that are kept, and the streams that wait for the next one.
class Log {
 public:
  explicit Log(size_t most_bytes) : most_bytes_(most_bytes) {}

  // Of one receive's datagrams. Starts writes on the streams that waited.
  void Append(std::vector<grpc::Slice> messages);
  enum class Taken { kMessage, kWaits, kCancelled };
  // The message of that sequence, or of the oldest if it is gone; then `sequence` is moved there. `more`: whether
  // another one follows.
  Taken Take(Stream* stream, uint64_t* sequence, grpc::ByteBuffer* message, bool* more);
  // True if the stream waited: the caller then ends it. Otherwise a write is in flight or about to be, and fails.
  bool Cancel(Stream* stream);
  void Forget(Stream* stream);
  uint64_t oldest();
  uint64_t next();

 private:
  const size_t most_bytes_;
  net::Mutex mutex_;
  std::deque<grpc::Slice> messages_ ABSL_GUARDED_BY(mutex_);
  uint64_t oldest_ ABSL_GUARDED_BY(mutex_) = 1;
  size_t bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  std::set<Stream*> waiting_ ABSL_GUARDED_BY(mutex_);
  std::set<Stream*> cancelled_ ABSL_GUARDED_BY(mutex_);
};

class Stream : public grpc::ServerGenericBidiReactor {
 public:
  explicit Stream(Log* log) : log_(log) { StartRead(&request_); }

  // After Log::Take has answered that the stream waits, by who appends.
  void WriteNext() {
    bool more = false;
    switch (log_->Take(this, &sequence_, &message_, &more)) {
      case Log::Taken::kWaits:
        return;  // Perhaps another thread has it already.
      case Log::Taken::kCancelled:
        Finish(grpc::Status::CANCELLED);
        return;
      case Log::Taken::kMessage:
        break;
    }
    ++sequence_;
    grpc::WriteOptions options;
    if (more) options.set_buffer_hint();
    StartWrite(&message_, options);
  }

 private:
  void OnReadDone(bool ok) override {
    v1::SubscribeRequest request;
    grpc::Slice bytes;
    if (!ok || !request_.DumpToSingleSlice(&bytes).ok() ||
        !request.ParseFromArray(bytes.begin(), static_cast<int>(bytes.size()))) {
      Finish(grpc::Status(grpc::StatusCode::INVALID_ARGUMENT, "a SubscribeRequest is wanted"));
      return;
    }
    sequence_ = request.start().has_oldest() ? log_->oldest() : log_->next();
    v1::SubscribeResponse response;
    v1::Channel* channel = response.add_events()->mutable_subscribed()->add_channels()->mutable_channel();
    channel->set_channel_id(1);
    channel->set_next_sequence(sequence_);
    const grpc::Slice slice = Encode(response);
    message_ = grpc::ByteBuffer(&slice, 1);
    StartWrite(&message_);  // Unhinted: a hinted first message never completes.
  }
  void OnWriteDone(bool ok) override {
    if (ok) {
      WriteNext();
    } else {
      Finish(grpc::Status::CANCELLED);
    }
  }
  void OnCancel() override {
    if (log_->Cancel(this)) Finish(grpc::Status::CANCELLED);
  }
  void OnDone() override {
    log_->Forget(this);
    delete this;
  }

  Log* const log_;
  grpc::ByteBuffer request_, message_;
  uint64_t sequence_ = 0;
};

void Log::Append(std::vector<grpc::Slice> messages) {
  std::set<Stream*> woken;
  {
    const net::MutexLock lock(&mutex_);
    for (grpc::Slice& message : messages) {
      bytes_ += message.size();
      messages_.push_back(std::move(message));
    }
    while (bytes_ > most_bytes_) {
      bytes_ -= messages_.front().size();
      messages_.pop_front();
      ++oldest_;
    }
    woken.swap(waiting_);
  }
  for (Stream* stream : woken) stream->WriteNext();
}

Log::Taken Log::Take(Stream* stream, uint64_t* sequence, grpc::ByteBuffer* message, bool* more) {
  const net::MutexLock lock(&mutex_);
  if (cancelled_.contains(stream)) return Taken::kCancelled;
  *sequence = std::max(*sequence, oldest_);
  const uint64_t end = oldest_ + messages_.size();
  if (*sequence >= end) {
    waiting_.insert(stream);
    return Taken::kWaits;
  }
  *message = grpc::ByteBuffer(&messages_[static_cast<size_t>(*sequence - oldest_)], 1);
  *more = *sequence + 1 < end;
  return Taken::kMessage;
}

bool Log::Cancel(Stream* stream) {
  const net::MutexLock lock(&mutex_);
  cancelled_.insert(stream);
  return waiting_.erase(stream) != 0;
}

void Log::Forget(Stream* stream) {
  const net::MutexLock lock(&mutex_);
  cancelled_.erase(stream);
}

uint64_t Log::oldest() {
  const net::MutexLock lock(&mutex_);
  return oldest_;
}

uint64_t Log::next() {
  const net::MutexLock lock(&mutex_);
  return oldest_ + messages_.size();
}

class Service : public grpc::CallbackGenericService {
 public:
  explicit Service(Log* log) : log_(log) {}

 private:
  grpc::ServerGenericBidiReactor* CreateReactor(grpc::GenericCallbackServerContext*) override {
    return new Stream(log_);
  }

  Log* const log_;
};

class Receiver {
 public:
  explicit Receiver(OwnedFd fd) : fd_(std::move(fd)) {
    for (size_t i = 0; i < kBatch; ++i) {
      parts_[i] = {&received_[i * kLargestBytes], kLargestBytes};
      headers_[i].msg_hdr.msg_iov = &parts_[i];
      headers_[i].msg_hdr.msg_iovlen = 1;
    }
  }

  absl::StatusOr<std::vector<grpc::Slice>> Take() {
    pollfd readable = {.fd = fd_.get(), .events = POLLIN, .revents = 0};
    poll(&readable, 1, -1);
    const int count = recvmmsg(fd_.get(), headers_.data(), kBatch, MSG_DONTWAIT, nullptr);
    if (count < 0 && errno != EAGAIN && errno != EINTR) return ErrnoError("recvmmsg");
    std::vector<grpc::Slice> messages;
    for (int i = 0; i < count; ++i) {
      v1::SubscribeResponse message;
      v1::Datagram* datagram = message.add_datagrams();
      datagram->set_channel_id(1);
      datagram->set_sequence(++sequence_);
      datagram->set_payload(parts_[static_cast<size_t>(i)].iov_base, headers_[static_cast<size_t>(i)].msg_len);
      messages.push_back(Encode(message));
    }
    return messages;
  }

 private:
  const OwnedFd fd_;
  uint64_t sequence_ = 0;
  std::vector<char> received_ = std::vector<char>(kBatch * kLargestBytes);
  std::array<iovec, kBatch> parts_;
  std::array<mmsghdr, kBatch> headers_ = {};
};

}  // namespace

absl::Status RunGrpcSingle(const GrpcSingleOptions& options) {
  auto group = OpenReceiver(options.group);
  if (!group.ok()) return group.status();
  Log log(options.log_bytes);
  Service service(&log);
  grpc::ServerBuilder builder;
  builder.AddListeningPort(absl::StrCat("127.0.0.1:", options.port), grpc::InsecureServerCredentials());
  builder.RegisterCallbackGenericService(&service);
  const std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  if (server == nullptr) return absl::InternalError(absl::StrCat("cannot serve on port ", options.port));
  Receiver receiver(*std::move(group));
  std::fprintf(stderr, "ready\n");
  while (true) {
    auto messages = receiver.Take();
    if (!messages.ok()) return messages.status();
    log.Append(*std::move(messages));
  }
}

}  // namespace mcgw::bench
