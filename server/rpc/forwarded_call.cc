#include "server/rpc/forwarded_call.h"

#include <chrono>
#include <utility>
#include <vector>

#include "grpc/grpc.h"
#include "grpc/slice.h"
#include "grpcpp/client_context.h"
#include "grpcpp/generic/generic_stub.h"
#include "grpcpp/support/byte_buffer.h"
#include "grpcpp/support/client_callback.h"
#include "server/net/clock.h"
#include "server/rpc/stream_loop.h"

namespace mcgw::rpc {
namespace {

// Whether gRPC takes this as metadata. It ends the process that gives it any other, and HTTP allows more; some it sets
// or keeps itself.
bool IsForwarded(std::string_view name, std::string_view value, bool binary) {
  const auto slice = [](std::string_view text) { return grpc_slice_from_static_buffer(text.data(), text.size()); };
  return name.substr(0, 5) != "grpc-" && name != "user-agent" && name != "host" && name != "content-length" &&
         grpc_header_key_is_legal(slice(name)) != 0 && (binary || grpc_header_nonbin_value_is_legal(slice(value)) != 0);
}

bool IsBinary(std::string_view name) { return name.size() > 4 && name.substr(name.size() - 4) == "-bin"; }

// The service's metadata on its way out, without what the transport itself has sent.
http2::Fields FieldsOf(const std::multimap<grpc::string_ref, grpc::string_ref>& metadata) {
  http2::Fields fields;
  for (const auto& [name, value] : metadata) {
    const std::string_view name_text(name.data(), name.size());
    const std::string_view value_text(value.data(), value.size());
    if (!IsForwarded(name_text, value_text, IsBinary(name_text)) || name_text == "content-type") continue;
    fields.push_back({.name = std::string(name_text),
                      .value = IsBinary(name_text) ? EncodeBinary(value_text) : std::string(value_text)});
  }
  return fields;
}

std::string Bytes(const grpc::ByteBuffer& buffer) {
  std::string bytes(Call::kPrefixBytes, '\0');
  std::vector<grpc::Slice> slices;
  if (!buffer.Dump(&slices).ok()) return bytes;
  for (const grpc::Slice& slice : slices) bytes.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
  return bytes;
}

}  // namespace

// The client of the service. Lives until OnDone; what it hears goes to the loop. It has one read and one write at a
// time, which the loop's thread starts; gRPC wants to know that (a hold) until the last of them.
class ForwardedCall::Reactor final : public grpc::ClientBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer> {
 public:
  explicit Reactor(std::shared_ptr<ForwardedCall> call) : loop_(call->loop()), call_(std::move(call)) {}

  void Start(const std::shared_ptr<grpc::Channel>& channel) {
    const CallHead& head = call_->head();
    if (head.deadline_ns != CallHead::kNoDeadline) {
      const std::chrono::nanoseconds left(head.deadline_ns - net::MonotonicNs());
      // Farther away it would overflow.
      if (left < std::chrono::hours(24 * 365)) context_.set_deadline(std::chrono::system_clock::now() + left);
    }
    for (const auto& [name, value] : head.metadata) {
      if (!IsForwarded(name, value, IsBinary(name))) continue;
      std::string bytes;
      if (!IsBinary(name)) {
        context_.AddMetadata(name, value);
      } else if (DecodeBinary(value, &bytes)) {
        context_.AddMetadata(name, bytes);
      }
    }
    grpc::GenericStub(channel).PrepareBidiStreamingCall(&context_, head.path, {}, this);
    AddHold();
    StartCall();
  }
  void Send(const std::string& message) {
    const grpc::Slice slice(message);
    request_ = grpc::ByteBuffer(&slice, 1);
    StartWrite(&request_);
  }
  void SendNoMore() { StartWritesDone(); }
  void ReadNext() { StartRead(&response_); }
  void Cancel() { context_.TryCancel(); }
  // Nothing is started any more. Once.
  void Release() { RemoveHold(); }

  void OnReadInitialMetadataDone(bool ok) override {
    if (!ok) return;
    // Without any, the response begins with its first message, or has nothing but its end.
    http2::Fields metadata = FieldsOf(context_.GetServerInitialMetadata());
    if (!metadata.empty()) Post([call = call_, metadata = std::move(metadata)] { call->Begun(metadata); });
  }
  void OnReadDone(bool ok) override {
    if (ok) {
      Post([call = call_, message = Bytes(response_)]() mutable { call->Answered(std::move(message)); });
    } else {
      Post([this, call = call_] {
        call->service_is_done_ = true;
        Release();
      });
    }
  }
  void OnWriteDone(bool ok) override {
    Post([call = call_, ok] { call->Taken(ok); });
  }
  void OnDone(const grpc::Status& status) override {
    Post([call = std::move(call_), status, metadata = FieldsOf(context_.GetServerTrailingMetadata())] {
      call->Ended(status, metadata);
    });
    delete this;
  }

 private:
  template <typename Work>
  void Post(Work work) {
    loop_->Post(std::move(work));
  }

  StreamLoop* const loop_;
  std::shared_ptr<ForwardedCall> call_;
  grpc::ClientContext context_;
  grpc::ByteBuffer request_;
  grpc::ByteBuffer response_;
};

void ForwardedCall::Begin(const std::shared_ptr<grpc::Channel>& channel) {
  reactor_ = new Reactor(std::static_pointer_cast<ForwardedCall>(shared_from_this()));
  reactor_->Start(channel);
  ReadOn();
  ReadNext();
}

void ForwardedCall::OnMessage(std::string message) {
  if (reactor_ != nullptr && !service_is_done_) reactor_->Send(message);
}

void ForwardedCall::OnHalfClosed() {
  if (reactor_ != nullptr && !service_is_done_) reactor_->SendNoMore();
}

void ForwardedCall::Taken(bool ok) {
  if (ok && open()) ReadNext();
}

void ForwardedCall::ReadOn() {
  if (reactor_ == nullptr || service_is_done_ || std::exchange(reading_on_, true)) return;
  reactor_->ReadNext();
}

void ForwardedCall::Begun(const http2::Fields& metadata) {
  if (open()) Respond(metadata);
}

void ForwardedCall::Answered(std::string message) {
  reading_on_ = false;
  if (open()) {
    Write(std::move(message));
  } else {
    ReadOn();  // To the end, which is what ends the reactor.
  }
}

void ForwardedCall::OnSent() { ReadOn(); }

void ForwardedCall::Ended(const grpc::Status& status, const http2::Fields& metadata) {
  reactor_ = nullptr;
  Finish(status, metadata);
}

void ForwardedCall::OnGone() {
  // Once the service is done, the reactor may be gone before Ended says so.
  if (reactor_ == nullptr || service_is_done_) return;
  reactor_->Cancel();
  ReadOn();
}

}  // namespace mcgw::rpc
