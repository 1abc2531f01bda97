#include "bench/caller.h"

#include <poll.h>

#include <algorithm>
#include <deque>
#include <optional>
#include <unordered_map>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "bench/field_reader.h"
#include "bench/http2.h"
#include "bench/metrics.h"
#include "bench/stamp.h"
#include "bench/statistics.h"
#include "multicast/gateway/v1/gateway_service.pb.h"

namespace mcgw::bench {
namespace {

namespace v1 = multicast::gateway::v1;

constexpr char kPublishPath[] = "/multicast.gateway.v1.MulticastGatewayService/Publish";
constexpr double kNsPerSecond = 1e9;
constexpr int64_t kWarmUpNs = 200'000'000;
constexpr int64_t kMostSilenceNs = int64_t{10} * 1'000'000'000;
constexpr int kTurnMs = 50;

uint32_t Clamp(int64_t ns) { return static_cast<uint32_t>(std::clamp<int64_t>(ns, 0, UINT32_MAX)); }

// Receives until `done`, or nothing has come for long.
absl::Status Drive(Http2Client* client, const std::function<bool()>& done) {
  int64_t heard_ns = NowNs();
  while (!done()) {
    pollfd readable = {.fd = client->fd(), .events = POLLIN, .revents = 0};
    if (poll(&readable, 1, kTurnMs) > 0) {
      if (auto status = client->Receive(); !status.ok()) return status;
      heard_ns = NowNs();
    } else if (NowNs() - heard_ns > kMostSilenceNs) {
      return absl::DeadlineExceededError("the server answers nothing");
    }
    if (auto status = client->Flush(); !status.ok()) return status;
  }
  return absl::OkStatus();
}

// Counts answers and how long they took, from the end of the warm-up on.
class Tally {
 public:
  void Answered(int64_t asked_ns) {
    ++answered_;
    if (measuring_) latencies_ns_.push_back(Clamp(NowNs() - asked_ns));
  }
  void Measure() { measuring_ = true; }
  uint64_t answered() const { return answered_; }
  uint64_t measured() const { return latencies_ns_.size(); }

  void SetLatencies(Round* round) {
    round->Set(kP50, Quantile(&latencies_ns_, 0.5) / 1e3);
    round->Set(kP90, Quantile(&latencies_ns_, 0.9) / 1e3);
    round->Set(kP99, Quantile(&latencies_ns_, 0.99) / 1e3);
  }

 private:
  bool measuring_ = false;
  uint64_t answered_ = 0;
  std::vector<uint32_t> latencies_ns_;
};

class Caller : private Http2Client::Listener {
 public:
  Caller(Wire wire, const CallLoad& load) : load_(load), client_(std::move(wire), this) {}

  void Begin() {
    for (size_t place = 0; place < static_cast<size_t>(load_.in_flight); ++place) Ask(place, nullptr);
  }

  Http2Client& client() { return client_; }
  Tally& tally() { return tally_; }

 private:
  struct Pending {
    size_t place;
    int64_t asked_ns;
    bool counts;
    std::optional<std::string> answer;
  };

  void Ask(size_t place, const std::string* answer) {
    const Call call = load_.next(place, answer);
    const uint32_t id = client_.Open(call.path);
    client_.Write(id, call.request, true);
    const bool counts = load_.counted.empty() || call.path == load_.counted;
    pending_[id] = {.place = place, .asked_ns = NowNs(), .counts = counts, .answer = std::nullopt};
  }

  absl::Status TakeMessage(uint32_t id, absl::string_view message) override {
    pending_[id].answer = std::string(message);
    return absl::OkStatus();
  }

  absl::Status TakeEnd(uint32_t id, absl::string_view block) override {
    const auto at = pending_.find(id);
    if (at == pending_.end()) return absl::InternalError("the end of no call");
    const Pending ended = std::move(at->second);
    pending_.erase(at);
    if (!ended.answer.has_value())
      return absl::UnavailableError(absl::StrCat("a call failed: ", absl::CHexEscape(block)));
    if (ended.counts) tally_.Answered(ended.asked_ns);
    Ask(ended.place, &*ended.answer);
    return absl::OkStatus();
  }

  const CallLoad& load_;
  Http2Client client_;
  Tally tally_;
  std::unordered_map<uint32_t, Pending> pending_;
};

class Publisher : private Http2Client::Listener {
 public:
  Publisher(Wire wire, const PublishLoad& load)
      : load_(load), client_(std::move(wire), this), stream_(client_.Open(kPublishPath)) {}

  void Begin() {
    while (in_flight_.size() < static_cast<size_t>(load_.in_flight) && Wanted()) Ask();
  }

  Http2Client& client() { return client_; }
  Tally& tally() { return tally_; }

 private:
  bool Wanted() const { return load_.most_batches == 0 || asked_ < load_.most_batches; }

  void Ask() {
    client_.Write(stream_, load_.batches[asked_ % load_.batches.size()], false);
    ++asked_;
    in_flight_.push_back(NowNs());
  }

  absl::Status TakeMessage(uint32_t, absl::string_view message) override {
    uint64_t accepted = 0;
    FieldReader fields(message);
    while (fields.Next()) {
      if (fields.number() == v1::PublishResponse::kAcceptedItemsFieldNumber) accepted = fields.value();
    }
    if (accepted != load_.items_in_batch || in_flight_.empty()) {
      return absl::InternalError(absl::StrCat("only ", accepted, " of ", load_.items_in_batch, " items were taken"));
    }
    tally_.Answered(in_flight_.front());
    in_flight_.pop_front();
    if (Wanted()) Ask();
    return absl::OkStatus();
  }

  absl::Status TakeEnd(uint32_t, absl::string_view block) override {
    return absl::UnavailableError(absl::StrCat("the stream ended: ", absl::CHexEscape(block)));
  }

  const PublishLoad& load_;
  Http2Client client_;
  const uint32_t stream_;
  Tally tally_;
  size_t asked_ = 0;
  std::deque<int64_t> in_flight_;  // When each was asked.
};

}  // namespace

absl::StatusOr<Outcome> RunCalls(const Process* server, const std::string& target, const CallLoad& load, Cores cores) {
  auto wire = Wire::Open(target);
  if (!wire.ok()) return wire.status();
  Caller caller(*std::move(wire), load);
  caller.Begin();
  if (auto status = caller.client().Flush(); !status.ok()) return status;
  const int64_t warm_ns = NowNs() + kWarmUpNs;
  if (auto status = Drive(&caller.client(), [&] { return NowNs() >= warm_ns; }); !status.ok()) return status;
  caller.tally().Measure();
  Meter meter(server, cores);
  const int64_t end_ns = NowNs() + static_cast<int64_t>(load.seconds * kNsPerSecond);
  if (auto status = Drive(&caller.client(), [&] { return NowNs() >= end_ns; }); !status.ok()) return status;
  meter.Stop();
  Outcome outcome;
  const double calls = std::max<double>(1, static_cast<double>(caller.tally().measured())) / load.calls_in_one;
  outcome.round.Set(kCpuPerCall, meter.cpu_ns() / 1e3 / calls);
  outcome.round.Set(kCallRate, calls * kNsPerSecond / static_cast<double>(meter.elapsed_ns()));
  caller.tally().SetLatencies(&outcome.round);
  meter.Fill(&outcome.round);
  if (caller.tally().measured() == 0) outcome.round.Invalidate("no call was answered");
  return outcome;
}

absl::StatusOr<Outcome> RunPublish(const Process* server, const std::string& target, const PublishLoad& load,
                                   Cores cores) {
  auto wire = Wire::Open(target);
  if (!wire.ok()) return wire.status();
  Publisher publisher(*std::move(wire), load);
  publisher.Begin();
  if (auto status = publisher.client().Flush(); !status.ok()) return status;
  const int64_t warm_ns = NowNs() + kWarmUpNs;
  if (load.most_batches == 0) {
    if (auto status = Drive(&publisher.client(), [&] { return NowNs() >= warm_ns; }); !status.ok()) return status;
  }
  publisher.tally().Measure();
  Meter meter(server, cores);
  const int64_t end_ns = NowNs() + static_cast<int64_t>(load.seconds * kNsPerSecond);
  const auto done = [&] {
    return load.most_batches == 0 ? NowNs() >= end_ns : publisher.tally().answered() >= load.most_batches;
  };
  if (auto status = Drive(&publisher.client(), done); !status.ok()) return status;
  meter.Stop();
  Outcome outcome;
  const double items = std::max<double>(1, static_cast<double>(publisher.tally().measured() * load.items_in_batch));
  outcome.round.Set(kCpuPerDatagram, meter.cpu_ns() / items);
  outcome.round.Set(kItemRate, items * kNsPerSecond / static_cast<double>(meter.elapsed_ns()));
  publisher.tally().SetLatencies(&outcome.round);
  meter.Fill(&outcome.round);
  if (publisher.tally().measured() == 0) outcome.round.Invalidate("no batch was answered");
  return outcome;
}

}  // namespace mcgw::bench
