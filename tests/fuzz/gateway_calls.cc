// Clients' requests as bytes, all the way to the answer: calls, streams, sends and batches on a gateway with a fake
// kernel and host, while datagrams come and are dropped, time passes, and interfaces change. At the end every ledger is
// balanced, and nothing is left of the clients.
//
// A session in a request stands for one that a Join has made, and a resume point with an odd epoch for all places that
// the streams have reached: an input cannot know them.

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "google/protobuf/stubs/logging.h"
#include "mcgw/resuming_subscription.h"
#include "server/net/clock.h"
#include "server/net/random.h"
#include "server/rpc/calls.h"
#include "server/rpc/read_request.h"
#include "server/rpc/rich_status.h"
#include "server/rpc/write_response.h"
#include "spdlog/spdlog.h"
#include "tests/fanout/log_reader.h"
#include "tests/fuzz/fuzz_target.h"
#include "tests/support/fake_host.h"
#include "tests/support/fakes.h"
#include "tests/support/settle.h"

namespace mcgw {
namespace {

namespace v1 = multicast::gateway::v1;

constexpr size_t kMostStreams = 8;
constexpr size_t kMostReads = 100;
constexpr size_t kMostMemberships = 50;  // Of a stream: what more of them do, fewer do.

class GatewayOnFakes {
 public:
  explicit GatewayOnFakes(size_t shards) {
    spdlog::set_level(spdlog::level::off);
    net::simulated_time = &time_;
    net::SimulateRandom(1);
    host_.watched = true;
    host_.memberships = [kernel = kernel_] { return kernel->Users(); };
    gateway::Options options;
    options.shards = static_cast<int>(shards);
    options.channel_log_bytes = 64 << 10;
    options.subscriber_lag_limit_bytes = 64 << 10;
    options.limits.channels = 50;
    gateway_ = gateway::Gateway::Create(options, std::make_unique<testing::FakeSocketFactory>(kernel_), host_.Source())
                   .value();
  }
  ~GatewayOnFakes() {
    gateway_.reset();
    net::simulated_time = nullptr;
  }

  void Step(fuzz::Input* input) {
    switch (input->Below(12)) {
      case 0:
        return Join(input->Text());
      case 1:
        return Leave(input->Text());
      case 2:
        return Subscribe(input->Text());
      case 3:
        return Send(input->Text());
      case 4:
        return Publish(input->Text());
      case 5:
        return Look(input);
      case 6:
      case 7:
        return Arrive(input);
      case 8:
        return Read(input->Below(kMostStreams));
      case 9:
        return Close(input->Below(kMostStreams));
      case 10:
        return PassTime(input);
      default:
        return Change(input);
    }
  }

  void Finish() {
    Settle();
    for (size_t i = 0; i < streams_.size(); ++i) {
      Read(i);
      fanout::Subscriber& subscriber = streams_[i]->subscriber();
      FUZZ_CHECK(subscriber.Total().Difference() == 0);
    }
    streams_.clear();
    gateway_->EndAllSessions();
    FUZZ_CHECK(kernel_->Memberships().empty());
    FUZZ_CHECK(gateway_->session_count() == 0 && gateway_->subscription_count() == 0);
  }

 private:
  template <typename Message>
  static bool Parse(std::string_view bytes, Message* message) {
    return message->ParseFromArray(bytes.data(), static_cast<int>(bytes.size()));
  }

  // The answer, as it leaves the gateway.
  static void Judge(const absl::Status& status) {
    if (status.ok()) return;
    const grpc::Status answer = rpc::ToGrpc(status);
    FUZZ_CHECK(!answer.ok() && answer.error_message().size() + answer.error_details().size() <= 8 << 10);
  }

  template <typename Request>
  void NameSession(Request* request) const {
    if (request->session_id().empty() || sessions_.empty()) return;
    request->set_session_id(sessions_[request->session_id().size() % sessions_.size()]);
  }

  void Join(std::string_view bytes) {
    v1::JoinRequest request;
    if (!Parse(bytes, &request)) return;
    NameSession(&request);
    v1::JoinResponse response;
    const absl::Status status = rpc::Join(gateway_.get(), caller_, request, &response);
    Judge(status);
    if (status.ok()) sessions_.push_back(response.session_id());
  }

  void Leave(std::string_view bytes) {
    v1::LeaveRequest request;
    if (!Parse(bytes, &request)) return;
    NameSession(&request);
    v1::LeaveResponse response;
    Judge(rpc::Leave(gateway_.get(), caller_, request, &response));
  }

  void Subscribe(std::string_view bytes) {
    v1::SubscribeRequest message;
    if (!Parse(bytes, &message) || streams_.size() == kMostStreams) return;
    if (static_cast<size_t>(message.memberships_size()) > kMostMemberships) return;
    NameSession(&message);
    const auto& points = message.start().resume().points();
    if (!points.empty() && points.Get(0).epoch() % 2 == 1) *message.mutable_start()->mutable_resume() = points_.Get();
    const auto request = rpc::ReadSubscribe(message, gateway_->options());
    Judge(request.status());
    if (!request.ok()) return;
    auto stream = gateway_->Subscribe(caller_, *request, std::make_shared<fanout::CountingDoorbell>());
    Judge(stream.status());
    if (!stream.ok()) return;
    v1::Subscribed answer;
    rpc::WriteOptions((*stream)->options(), (*stream)->retain_ns(), answer.mutable_options());
    v1::SubscribeResponse first;
    for (const fanout::ChannelStatus& channel : (*stream)->channels()) {
      rpc::WriteChannelState(channel, first.add_events()->mutable_subscribed()->add_channels());
    }
    points_.Take(first);
    streams_.push_back(*std::move(stream));
  }

  void Send(std::string_view bytes) {
    v1::SendRequest request;
    if (!Parse(bytes, &request)) return;
    NameSession(&request);
    const auto job = rpc::StartSend(gateway_.get(), caller_, request);
    Judge(job.status());
    if (!job.ok() || (*job)->Step(Turn()) != gateway::SendJob::Next::kDone) return;
    v1::SendResponse response;
    Judge(rpc::FinishSend(job->get(), &response));
  }

  void Publish(std::string_view bytes) {
    v1::PublishRequest request;
    if (!Parse(bytes, &request)) return;
    NameSession(&request);
    if (absl::Status status = rpc::CheckBatch(request); !status.ok()) return Judge(status);
    const auto job = rpc::StartBatch(gateway_.get(), caller_, request.session_id(), request);
    Judge(job.status());
    if (!job.ok()) return;
    gateway::SendJob::Next next = (*job)->Step(Turn());
    while (next == gateway::SendJob::Next::kMore) next = (*job)->Step(Turn());
    if (next != gateway::SendJob::Next::kDone) return;
    const v1::PublishResponse response = rpc::FinishBatch(job->get(), request);
    uint64_t failed = 0;
    for (const v1::PublishFailure& failure : response.failures()) failed += failure.item_count();
    uint64_t items = 0;
    for (const v1::Burst& burst : request.bursts()) items += static_cast<uint64_t>(burst.payloads_size());
    FUZZ_CHECK(response.accepted_items() <= items && response.accepted_items() + failed >= items);
  }
  static gateway::SendJob::Turn Turn() {
    gateway::SendJob::Turn turn = gateway::SendJob::FirstTurn();
    turn.may_block = true;  // The fake kernel does not.
    return turn;
  }

  template <typename Request, typename Response>
  void Ask(std::string_view bytes, absl::Status (*call)(gateway::Gateway*, const Request&, Response*)) {
    Request request;
    Response response;
    if (Parse(bytes, &request)) Judge(call(gateway_.get(), request, &response));
  }
  void Look(fuzz::Input* input) {
    const size_t which = input->Below(4);
    const std::string_view bytes = input->Text();
    if (which == 0) Ask(bytes, rpc::ListInterfaces);
    if (which == 1) Ask(bytes, rpc::ListChannels);
    if (which == 2) Ask(bytes, rpc::ListSubscribers);
    if (which == 3) Ask(bytes, rpc::GetLedger);
  }

  // A datagram reaches a socket, or is dropped there.
  void Arrive(fuzz::Input* input) {
    const auto receivers = kernel_->receivers();
    const size_t which = input->Below(16);
    const size_t drops = input->Below(8);
    if (receivers.empty()) return;
    const auto& receiver = receivers[receivers.size() - 1 - which % receivers.size()];
    if (receiver->closed() || receiver->filters().empty()) return;
    if (drops == 7) return receiver->Drop(1 + static_cast<uint32_t>(input->Below(5)));
    const bool is_v4 = receiver->spec.group.is_v4();
    testing::FakeDatagram datagram{.payload = std::string(input->Below(0x1000), 'x'),
                                   .source = is_v4 ? "10.0.0.2" : "fd00::2",
                                   .receive_time_unix_ns = time_.unix_ns};
    if (receiver->spec.group.IsUnspecified()) datagram.group = receiver->filters().begin()->first.ToString();
    receiver->Inject(std::move(datagram));
    Settle();
  }

  void Read(size_t which) {
    if (which >= streams_.size()) return;
    gateway::Subscription& stream = *streams_[which];
    fanout::Message message;
    for (size_t reads = 0; reads < kMostReads && stream.subscriber().Next(&message); ++reads) {
      v1::SubscribeResponse response;
      for (const fanout::Event& event : message.events) rpc::WriteEvent(event, stream.id(), response.add_events());
      v1::SubscribeResponse run;
      FUZZ_CHECK(run.ParseFromArray(message.data, static_cast<int>(message.size_bytes)));
      FUZZ_CHECK(run.datagrams_size() == static_cast<int>(message.datagrams));
      response.MergeFrom(run);
      points_.Take(response);
      stream.subscriber().Written();
      FUZZ_CHECK(stream.subscriber().Total().Difference() == 0);
    }
  }

  void Close(size_t which) {
    if (which < streams_.size()) streams_.erase(streams_.begin() + static_cast<ptrdiff_t>(which));
  }

  void PassTime(fuzz::Input* input) {
    const auto ns = static_cast<int64_t>(input->Below(120)) * 1'000'000'000;
    time_.monotonic_ns += ns;
    time_.unix_ns += ns;
    gateway_->Sweep(time_.monotonic_ns);
    Settle();
  }

  void Change(fuzz::Input* input) {
    const size_t what = input->Below(5);
    net::Interface& interface = host_.interfaces[input->Below(host_.interfaces.size())];
    if (what == 0) interface.up = interface.carrier = !interface.up;
    if (what == 1) interface.carrier = !interface.carrier;
    if (what == 2) interface.name = std::string("r") + std::to_string(interface.index);
    if (what == 3) interface.index += 10;
    if (what == 4) interface.addresses.clear();
    host_.Announce();
    Judge(gateway_->reconciler().Follow());
    Settle();
  }

  void Settle() { testing::Settle(gateway_.get()); }

  net::SimulatedTime time_{.monotonic_ns = 1'000'000'000'000, .unix_ns = 1'700'000'000'000'000'000};
  const gateway::Caller caller_{"me", "fuzz"};
  testing::FakeHost host_;
  const std::shared_ptr<testing::FakeKernel> kernel_ = std::make_shared<testing::FakeKernel>();
  std::unique_ptr<gateway::Gateway> gateway_;
  std::vector<std::string> sessions_;
  std::vector<std::unique_ptr<gateway::Subscription>> streams_;
  client::ResumePoints points_;
};

}  // namespace

FUZZ_TARGET(gateway_calls) {
  static const google::protobuf::LogSilencer silent;
  fuzz::Input steps(input);
  GatewayOnFakes world(size_t{1} << steps.Below(3));
  while (!steps.empty()) world.Step(&steps);
  world.Finish();
}

}  // namespace mcgw
