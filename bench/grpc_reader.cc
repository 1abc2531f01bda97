#include <sys/socket.h>
#include <time.h>

#include <cstring>

#include <unordered_map>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "bench/field_reader.h"
#include "bench/http2.h"
#include "bench/reader.h"
#include "bench/sockets.h"
#include "multicast/gateway/v1/gateway_service.pb.h"

namespace mcgw::bench {
namespace {

namespace v1 = multicast::gateway::v1;

constexpr char kPath[] = "/multicast.gateway.v1.MulticastGatewayService/Subscribe";
constexpr size_t kDiscardBytes = 4 << 20;

std::string Request(const Subscription& subscription) {
  v1::SubscribeRequest request;
  for (const Group& group : subscription.groups) {
    v1::Membership* membership = request.add_memberships();
    membership->set_group(group.address);
    membership->set_port(group.port);
    membership->set_interface(group.interface);
  }
  if (subscription.delay.has_value()) {
    request.mutable_options()->mutable_max_batching_delay()->set_nanos(
        static_cast<int32_t>(absl::ToInt64Nanoseconds(*subscription.delay)));
  }
  if (subscription.oldest) request.mutable_start()->mutable_oldest();
  return request.SerializeAsString();
}

int64_t WallClockNs() {
  timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  return now.tv_sec * int64_t{1'000'000'000} + now.tv_nsec;
}

class GrpcReader : public Reader, private Http2Client::Listener {
 public:
  GrpcReader(Wire wire, const Subscription& subscription)
      : one_channel_(subscription.groups.size() == 1),
        client_(std::move(wire), this, subscription.stalls ? kStallBytes : kWidestWindowBytes) {
    client_.Write(client_.Open(kPath), Request(subscription), true);
  }

  absl::Status Begin() { return client_.Flush(); }

  int fd() const override { return client_.fd(); }
  bool ready() const override { return ready_; }

  absl::Status Receive() override {
    if (!looking_) return client_.Discard(kDiscardBytes).status();
    now_ns_ = 0;
    return client_.Receive();
  }

  bool StopLooking() override {
    int domain = 0;
    socklen_t size = sizeof(domain);
    if (getsockopt(fd(), SOL_SOCKET, SO_DOMAIN, &domain, &size) != 0 || domain != AF_INET) return false;
    looking_ = false;
    return true;
  }

  uint64_t received_bytes() const override { return client_.received_bytes(); }
  uint64_t datagram_bytes() const override { return datagram_bytes_; }

  std::vector<Account*> accounts() override {
    if (one_channel_) return {&account()};
    std::vector<Account*> all;
    for (auto& [unused, each] : accounts_) all.push_back(&each);
    return all;
  }

  void Measure(uint64_t first, size_t expected) override {
    first_ = first;
    if (one_channel_) account().Measure(first, expected);
  }

 private:
  absl::Status TakeMessage(uint32_t, absl::string_view message) override {
    if (now_ns_ == 0) {  // The first one after a recv.
      now_ns_ = NowNs();
      wall_clock_ns_ = WallClockNs();
    }
    // All events of a message precede all its datagrams in time.
    FieldReader events(message);
    while (events.Next()) {
      if (events.number() != v1::SubscribeResponse::kEventsFieldNumber) continue;
      v1::Event event;
      if (!event.ParseFromArray(events.text().data(), static_cast<int>(events.text().size()))) {
        return absl::InternalError("an event that cannot be read");
      }
      TakeEvent(event);
    }
    FieldReader datagrams(message);
    const char* before = message.data();
    while (datagrams.Next()) {
      if (datagrams.number() == v1::SubscribeResponse::kDatagramsFieldNumber) {
        TakeDatagram(datagrams.text());
        datagram_bytes_ += static_cast<uint64_t>(datagrams.at() - before);
      }
      before = datagrams.at();
    }
    return datagrams.ok() ? absl::OkStatus() : absl::InternalError("a message that cannot be read");
  }

  absl::Status TakeEnd(uint32_t, absl::string_view block) override {
    return absl::UnavailableError(absl::StrCat("the server ended the stream: ", absl::CHexEscape(block)));
  }

  void TakeEvent(const v1::Event& event) {
    if (event.has_subscribed()) {
      ready_ = !event.subscribed().continued();
      for (const v1::ChannelState& state : event.subscribed().channels()) {
        const v1::Channel& channel = state.channel();
        if (one_channel_) account().StartSequence(channel.next_sequence());
        // Most channels of many bring nothing; they get no account.
        if (!one_channel_ && channel.next_sequence() != 1) starts_[channel.channel_id()] = channel.next_sequence();
      }
    } else if (event.has_gap() && event.gap().has_range()) {
      AccountOf(event.gap().channel_id()).TakeRange(event.gap().range().first(), event.gap().range().last());
    } else if (event.has_gap()) {
      AccountOf(event.gap().channel_id()).TakeUnknownGap();
    }
  }

  void TakeDatagram(absl::string_view datagram) {
    FieldReader fields(datagram);
    uint64_t channel_id = 0, sequence = 0;
    int64_t receive_time_ns = 0;
    absl::string_view payload;
    while (fields.Next()) {
      switch (fields.number()) {
        case v1::Datagram::kChannelIdFieldNumber:
          channel_id = fields.value();
          break;
        case v1::Datagram::kSequenceFieldNumber:
          sequence = fields.value();
          break;
        case v1::Datagram::kReceiveTimeUnixNsFieldNumber:
          std::memcpy(&receive_time_ns, fields.text().data(), sizeof(receive_time_ns));
          break;
        case v1::Datagram::kPayloadFieldNumber:
          payload = fields.text();
          break;
        default:
          break;
      }
    }
    Account& taken = AccountOf(channel_id);
    taken.TakeSequence(sequence);
    taken.Take(payload.data(), payload.size(), now_ns_);
    if (receive_time_ns != 0) taken.TakeAge(wall_clock_ns_ - receive_time_ns);
  }

  Account& AccountOf(uint64_t channel_id) {
    if (one_channel_) return account();
    const auto [at, added] = accounts_.try_emplace(channel_id);
    if (added) {
      at->second.Measure(first_, 0);
      if (const auto start = starts_.find(channel_id); start != starts_.end()) at->second.StartSequence(start->second);
    }
    return at->second;
  }

  const bool one_channel_;
  Http2Client client_;
  std::unordered_map<uint64_t, Account> accounts_;  // By channel, unless there is only one.
  std::unordered_map<uint64_t, uint64_t> starts_;   // First sequences, by channel, that are not 1.
  uint64_t first_ = 0;
  uint64_t datagram_bytes_ = 0;
  int64_t now_ns_ = 0;
  int64_t wall_clock_ns_ = 0;
  bool ready_ = false;
  bool looking_ = true;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Reader>> MakeGrpcReader(const std::string& target, const Subscription& subscription) {
  auto wire = Wire::Open(target);
  if (!wire.ok()) return wire.status();
  auto reader = std::make_unique<GrpcReader>(*std::move(wire), subscription);
  if (auto status = reader->Begin(); !status.ok()) return status;
  return reader;
}

}  // namespace mcgw::bench
