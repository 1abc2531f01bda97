#include "server/rpc/front_door.h"

#include <utility>
#include <variant>

#include "server/net/clock.h"
#include "server/rpc/calls.h"
#include "server/rpc/forwarded_call.h"
#include "server/rpc/grpc_fields.h"
#include "server/rpc/send_call.h"

namespace mcgw::rpc {
namespace {

// Source lists can be long.
constexpr size_t kMostJoinBytes = 512 << 10;

// Answers a request of plain HTTP, once it has ended.
class PlainAnswer final : public http2::StreamHandler {
 public:
  PlainAnswer(http2::Stream* stream, Refusal answer) : stream_(stream), answer_(std::move(answer)) {}

  void OnData(std::string_view bytes) override { stream_->Consume(bytes.size()); }
  void OnRequestEnd() override {
    stream_->Respond(answer_.fields);
    stream_->Write({answer_.body});
    stream_->End({});
  }
  void OnWritten() override {}
  void OnClosed() override {}

 private:
  http2::Stream* const stream_;
  const Refusal answer_;
};

// Waits for the call's first message.
std::shared_ptr<http2::StreamHandler> Begun(const auto& call) {
  call->Begin();
  return call;
}

}  // namespace

template <typename Request, typename Response>
void FrontDoor::Add(const std::string& path, net::WorkPool* pool, size_t most_bytes,
                    typename PooledCall<Request, Response>::Method method) {
  auto kept = std::make_shared<typename PooledCall<Request, Response>::Method>(std::move(method));
  methods_[path] = [=](StreamLoop* loop, http2::Stream* stream, CallHead head) {
    return Begun(
        std::make_shared<PooledCall<Request, Response>>(kept.get(), most_bytes, pool, loop, stream, std::move(head)));
  };
}

FrontDoor::FrontDoor(gateway::Gateway* gateway, net::WorkPool* calls, net::WorkPool* looks, gateway::SendLoop* sends)
    : gateway_(gateway), subscriptions_(gateway, calls), publications_(gateway, sends, calls) {
  const auto change = [gateway](auto method) {
    return [=](const Call& call, const auto& request, auto* response) {
      return method(gateway, call.caller(), request, response);
    };
  };
  const auto look = [gateway](auto method) {
    return [=](const Call&, const auto& request, auto* response) { return method(gateway, request, response); };
  };
  const std::string service = "/multicast.gateway.v1.MulticastGatewayService/";
  const std::string inspection = "/multicast.gateway.v1.InspectionService/";
  Add<v1::JoinRequest, v1::JoinResponse>(service + "Join", calls, kMostJoinBytes, change(rpc::Join));
  Add<v1::LeaveRequest, v1::LeaveResponse>(service + "Leave", calls, kMostRequestBytes, change(rpc::Leave));
  methods_[service + "Send"] = [=](StreamLoop* loop, http2::Stream* stream, CallHead head) {
    return Begun(std::make_shared<SendCall>(gateway, sends, loop, stream, std::move(head)));
  };
  methods_[service + "Publish"] = [this](StreamLoop* loop, http2::Stream* stream, CallHead head) {
    return Begun(std::make_shared<PublishStream>(&publications_, loop, stream, std::move(head)));
  };
  methods_[service + "Subscribe"] = [this](StreamLoop* loop, http2::Stream* stream, CallHead head) {
    return Begun(std::make_shared<SubscribeStream>(&subscriptions_, loop, stream, std::move(head)));
  };
  Add<v1::ListInterfacesRequest, v1::ListInterfacesResponse>(inspection + "ListInterfaces", looks, kMostRequestBytes,
                                                             look(ListInterfaces));
  Add<v1::ListChannelsRequest, v1::ListChannelsResponse>(inspection + "ListChannels", looks, kMostRequestBytes,
                                                         look(ListChannels));
  Add<v1::ListSubscribersRequest, v1::ListSubscribersResponse>(inspection + "ListSubscribers", looks, kMostRequestBytes,
                                                               look(ListSubscribers));
  Add<v1::GetLedgerRequest, v1::GetLedgerResponse>(inspection + "GetLedger", looks, kMostRequestBytes, look(GetLedger));
  Add<v1::DescribeGroupRequest, v1::DescribeGroupResponse>(
      inspection + "DescribeGroup", looks, kMostRequestBytes,
      [](const Call&, const v1::DescribeGroupRequest& request, v1::DescribeGroupResponse* response) {
        return DescribeGroup(request, response);
      });
  Add<v1::DiagnoseRequest, v1::DiagnoseResponse>(inspection + "Diagnose", looks, kMostRequestBytes, look(Diagnose));
  for (size_t i = 0; i < gateway_->shards(); ++i) {
    loops_.push_back(std::make_unique<StreamLoop>(
        gateway_->loop(i), &received_,
        [this](StreamLoop* loop, http2::Stream* stream, http2::Fields fields, bool too_many) {
          return OnRequest(loop, stream, std::move(fields), too_many);
        }));
  }
}

void FrontDoor::Start(std::shared_ptr<grpc::Channel> services) {
  services_ = std::move(services);
  for (const std::unique_ptr<StreamLoop>& loop : loops_) loop->Start();
}

void FrontDoor::Serve(std::unique_ptr<http2::Transport> transport, http2::Peer peer) {
  loops_[next_loop_.fetch_add(1) % loops_.size()]->Add(std::move(transport), std::move(peer));
}

std::shared_ptr<http2::StreamHandler> FrontDoor::OnRequest(StreamLoop* loop, http2::Stream* stream,
                                                           http2::Fields fields, bool too_many_fields) {
  auto read = ReadHead(std::move(fields), too_many_fields, net::MonotonicNs());
  if (auto* const refusal = std::get_if<Refusal>(&read); refusal != nullptr) {
    if (!refusal->body.empty()) return std::make_shared<PlainAnswer>(stream, std::move(*refusal));
    stream->End(refusal->fields);
    return nullptr;
  }
  CallHead head = std::get<CallHead>(std::move(read));
  head.peer = stream->connection()->peer().address;
  head.identity = stream->connection()->peer().identity;
  if (const auto method = methods_.find(head.path); method != methods_.end()) {
    return method->second(loop, stream, std::move(head));
  }
  auto forwarded = std::make_shared<ForwardedCall>(loop, stream, std::move(head), kMostMessageBytes);
  forwarded->Begin(services_);
  return forwarded;
}

void FrontDoor::Check(int most_stalled_checks) {
  for (const std::unique_ptr<StreamLoop>& loop : loops_) loop->CheckClients(most_stalled_checks);
}

void FrontDoor::Drain() {
  for (const std::unique_ptr<StreamLoop>& loop : loops_) loop->Drain();
}

void FrontDoor::End(const absl::Status& status) {
  publications_.End(status);
  subscriptions_.End(loops_, status);
}

void FrontDoor::Cut() {
  for (const std::unique_ptr<StreamLoop>& loop : loops_) loop->Cut();
}

void FrontDoor::Stop() {
  for (const std::unique_ptr<StreamLoop>& loop : loops_) loop->Stop();
}

}  // namespace mcgw::rpc
