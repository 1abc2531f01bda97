#include "mcgw/publisher.h"

#include <algorithm>
#include <deque>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "multicast/gateway/v1/gateway_service.grpc.pb.h"

namespace mcgw::client {
namespace {

namespace v1 = multicast::gateway::v1;

constexpr size_t kMaxPayloadBytes = 65527;
constexpr int kMostUnansweredBatches = 16;
constexpr int kMostBatchDatagrams = 16384;
constexpr int kLeastBatchBytes = 64 * 1024;
constexpr int kMostBatchBytes = 960 * 1024;
constexpr int kPayloadOverheadBytes = 4;  // Tag and length.
constexpr int kBurstOverheadBytes = 512;  // More than a destination with options takes.

PublisherOptions Bounded(PublisherOptions options) {
  options.max_batch_datagrams = std::clamp(options.max_batch_datagrams, 1, kMostBatchDatagrams);
  options.max_batch_bytes = std::clamp(options.max_batch_bytes, kLeastBatchBytes, kMostBatchBytes);
  options.max_unanswered_batches = std::clamp(options.max_unanswered_batches, 1, kMostUnansweredBatches);
  return options;
}

}  // namespace

class Publisher::Stream {
 public:
  Stream(const Client& client, const PublisherOptions& options, OnFailure on_failure, OnEnd on_end)
      : channel_(client.channel()),
        address_(client.address()),
        options_(Bounded(options)),
        on_failure_(std::move(on_failure)),
        on_end_(std::move(on_end)),
        stream_(v1::MulticastGatewayService::NewStub(channel_)->Publish(&context_)),
        writer_([this] { Write(); }),
        reader_([this] { Read(); }) {}

  ~Stream() {
    if (reader_.joinable()) {
      context_.TryCancel();
      Finish().IgnoreError();
    }
  }

  Target AddTarget(const v1::Destination& destination, const v1::SendOptions& options) {
    absl::MutexLock lock(&mutex_);
    v1::Burst burst;
    *burst.mutable_destination() = destination;
    *burst.mutable_options() = options;
    targets_.push_back(std::move(burst));
    return static_cast<Target>(targets_.size()) - 1;
  }

  absl::Status Publish(Target target, absl::string_view payload) {
    if (payload.size() > kMaxPayloadBytes) {
      return InvalidInput(v1::ERROR_REASON_PAYLOAD_TOO_LARGE, "payload",
                          absl::StrCat("a payload of ", payload.size(),
                                       " bytes: a datagram holds at most 65507 bytes over IPv4 and 65527 over IPv6"));
    }
    absl::MutexLock lock(&mutex_);
    mutex_.Await(absl::Condition(this, &Stream::HasRoomOrEnded));
    if (ended_ || finishing_) return absl::FailedPreconditionError("the stream has ended");
    Append(target, payload);
    return absl::OkStatus();
  }

  void Flush() {
    absl::MutexLock lock(&mutex_);
    flush_ = batch_datagrams_ > 0;
  }

  absl::Status Finish() {
    {
      absl::MutexLock lock(&mutex_);
      finishing_ = true;
      if (joining_) {
        mutex_.Await(absl::Condition(&joined_));
        return result_;
      }
      joining_ = true;
    }
    writer_.join();
    reader_.join();
    const grpc::Status status = stream_->Finish();
    absl::MutexLock lock(&mutex_);
    totals_.unknown = totals_.queued - totals_.sent - totals_.failed;
    if (cancelled_ && status.error_code() == grpc::CANCELLED) {
      result_ = absl::CancelledError("cancelled by the client");
    } else {
      result_ = FromGrpc(status, address_, answered_);
    }
    joined_ = true;
    return result_;
  }

  void Cancel() {
    {
      absl::MutexLock lock(&mutex_);
      cancelled_ = true;
    }
    context_.TryCancel();
  }

  PublishTotals totals() const {
    absl::MutexLock lock(&mutex_);
    return totals_;
  }

 private:
  struct Unanswered {
    uint64_t batch_id;
    uint64_t first_datagram;
    uint64_t datagrams;
  };

  bool IsFull() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return batch_datagrams_ >= options_.max_batch_datagrams || batch_bytes_ >= options_.max_batch_bytes;
  }

  bool HasRoomOrEnded() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return ended_ || finishing_ || !IsFull(); }

  bool MayWrite() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (ended_) return true;
    if (static_cast<int>(unanswered_.size()) >= options_.max_unanswered_batches) return false;
    return finishing_ || (batch_datagrams_ > 0 && (flush_ || IsFull() || options_.max_delay <= absl::ZeroDuration()));
  }

  bool HasBatchOrMayWrite() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return MayWrite() ||
           (batch_datagrams_ > 0 && static_cast<int>(unanswered_.size()) < options_.max_unanswered_batches);
  }

  void Append(Target target, absl::string_view payload) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (batch_datagrams_ == 0) {
      batch_begin_ = absl::Now();
      if (next_batch_id_ == 1) batch_.set_session_id(options_.session_id);
    }
    if (batch_.bursts_size() == 0 || batch_target_ != target) {
      *batch_.add_bursts() = targets_[target];
      batch_target_ = target;
      batch_bytes_ += kBurstOverheadBytes;
    }
    batch_.mutable_bursts(batch_.bursts_size() - 1)->add_payloads(payload.data(), payload.size());
    batch_bytes_ += static_cast<int>(payload.size()) + kPayloadOverheadBytes;
    ++batch_datagrams_;
    ++totals_.queued;
  }

  // Waits until a batch may be sent, and takes it. False if there are no more batches.
  bool TakeBatch(v1::PublishRequest* batch) {
    absl::MutexLock lock(&mutex_);
    mutex_.Await(absl::Condition(this, &Stream::HasBatchOrMayWrite));
    if (!MayWrite()) {
      mutex_.AwaitWithDeadline(absl::Condition(this, &Stream::MayWrite), batch_begin_ + options_.max_delay);
    }
    if (ended_ || batch_datagrams_ == 0) return false;
    const auto datagrams = static_cast<uint64_t>(batch_datagrams_);
    batch_.set_batch_id(next_batch_id_++);
    unanswered_.push_back({batch_.batch_id(), taken_datagrams_, datagrams});
    taken_datagrams_ += datagrams;
    batch->Swap(&batch_);
    batch_.Clear();
    batch_datagrams_ = 0;
    batch_bytes_ = 0;
    flush_ = false;
    return true;
  }

  void Write() {
    v1::PublishRequest batch;
    while (TakeBatch(&batch)) {
      if (!stream_->Write(batch)) return;
    }
    stream_->WritesDone();
  }

  void Read() {
    v1::PublishResponse response;
    while (stream_->Read(&response) && Account(response)) {
    }
    {
      absl::MutexLock lock(&mutex_);
      ended_ = true;
    }
    if (on_end_) on_end_();
  }

  // Processes one answer. False if it does not match a request.
  bool Account(const v1::PublishResponse& response) {
    Unanswered batch;
    {
      absl::MutexLock lock(&mutex_);
      answered_ = true;
      if (unanswered_.empty() || unanswered_.front().batch_id != response.batch_id()) {
        context_.TryCancel();
        return false;
      }
      batch = unanswered_.front();
      unanswered_.pop_front();
      totals_.sent += response.accepted_items();
      for (const v1::PublishFailure& failure : response.failures()) totals_.failed += failure.item_count();
    }
    if (!on_failure_) return true;
    for (const v1::PublishFailure& failure : response.failures()) {
      on_failure_({batch.first_datagram + failure.first_item(), failure.item_count(), failure.failure(),
                   failure.interface_name()});
    }
    return true;
  }

  const std::shared_ptr<grpc::Channel> channel_;
  const std::string address_;
  const PublisherOptions options_;
  const OnFailure on_failure_;
  const OnEnd on_end_;

  mutable absl::Mutex mutex_;
  std::vector<v1::Burst> targets_ ABSL_GUARDED_BY(mutex_);  // Without payloads.
  v1::PublishRequest batch_ ABSL_GUARDED_BY(mutex_);        // The batch being filled.
  Target batch_target_ ABSL_GUARDED_BY(mutex_) = 0;
  int batch_datagrams_ ABSL_GUARDED_BY(mutex_) = 0;
  int batch_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::Time batch_begin_ ABSL_GUARDED_BY(mutex_);
  bool flush_ ABSL_GUARDED_BY(mutex_) = false;
  uint64_t next_batch_id_ ABSL_GUARDED_BY(mutex_) = 1;
  uint64_t taken_datagrams_ ABSL_GUARDED_BY(mutex_) = 0;
  std::deque<Unanswered> unanswered_ ABSL_GUARDED_BY(mutex_);
  PublishTotals totals_ ABSL_GUARDED_BY(mutex_);
  bool answered_ ABSL_GUARDED_BY(mutex_) = false;
  bool cancelled_ ABSL_GUARDED_BY(mutex_) = false;
  bool finishing_ ABSL_GUARDED_BY(mutex_) = false;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
  bool joining_ ABSL_GUARDED_BY(mutex_) = false;
  bool joined_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Status result_ ABSL_GUARDED_BY(mutex_);

  grpc::ClientContext context_;
  // One thread writes, one reads; Finish runs after both.
  const std::unique_ptr<grpc::ClientReaderWriter<v1::PublishRequest, v1::PublishResponse>> stream_;
  std::thread writer_;
  std::thread reader_;
};

Publisher::Publisher(const Client& client, const PublisherOptions& options, OnFailure on_failure, OnEnd on_end)
    : stream_(std::make_unique<Stream>(client, options, std::move(on_failure), std::move(on_end))) {}

Publisher::~Publisher() = default;

Publisher::Target Publisher::AddTarget(const v1::Destination& destination, const v1::SendOptions& options) {
  return stream_->AddTarget(destination, options);
}

absl::Status Publisher::Publish(Target target, absl::string_view payload) { return stream_->Publish(target, payload); }

void Publisher::Flush() { stream_->Flush(); }

absl::Status Publisher::Finish() { return stream_->Finish(); }

void Publisher::Cancel() { stream_->Cancel(); }

PublishTotals Publisher::totals() const { return stream_->totals(); }

}  // namespace mcgw::client
