#include "bench/target.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "bench/metrics.h"
#include "bench/names.h"

namespace mcgw::bench {
namespace {

constexpr double kFlat = 0.2;

const Cell* FindCell(absl::Span<const Cell> cells, const std::string& case_name, const Parameters& row) {
  const auto at =
      std::ranges::find_if(cells, [&](const Cell& cell) { return cell.case_name == case_name && Matches(cell, row); });
  return at == cells.end() ? nullptr : &*at;
}

std::optional<Summary> Measured(const Target& target, absl::Span<const Cell> cells) {
  const Cell* cell = FindCell(cells, target.case_name, target.row);
  const Series* gateway = cell == nullptr ? nullptr : FindSeries(*cell, target.subject);
  if (gateway == nullptr) return std::nullopt;
  if (!target.reference.empty()) {
    const Series* reference = FindSeries(*cell, target.reference);
    return reference == nullptr ? std::nullopt : RatioOf(*gateway, *reference, target.metric);
  }
  const auto value = SummaryOf(*gateway, target.metric);
  if (target.base.empty()) return value;
  const Cell* base_cell = FindCell(cells, target.case_name, target.base);
  const Series* base_series = base_cell == nullptr ? nullptr : FindSeries(*base_cell, target.subject);
  const auto base = base_series == nullptr ? std::nullopt : SummaryOf(*base_series, target.metric);
  if (!value.has_value() || !base.has_value() || base->median == 0) return std::nullopt;
  const double ratio = value->median / base->median;
  return Summary{.median = ratio, .least = ratio, .most = ratio, .values = 1};
}

bool Within(const Target& target, double bound, double value) {
  return target.at_least ? value >= bound : value <= bound && value >= target.least_allowed;
}

// Growth between two rows of a case.
Target Flat(std::string work, std::string case_name, Parameters row, Parameters base, std::string metric) {
  return {.work = std::move(work),
          .case_name = std::move(case_name),
          .row = std::move(row),
          .metric = std::move(metric),
          .bound = 1 + kFlat,
          .base = std::move(base),
          .least_allowed = 1 - kFlat};
}

Parameters Row(double payload_bytes, double subscribers) {
  return {{kPayloadBytes, payload_bytes}, {kSubscribers, subscribers}};
}

Parameters Row(double payload_bytes, double subscribers, double rate) {
  return {{kPayloadBytes, payload_bytes}, {kSubscribers, subscribers}, {kRate, rate}};
}

void AddSaturated(std::vector<Target>* all) {
  for (const double subscribers : {8., 64.}) {
    const std::string to = absl::StrCat(subscribers, " subscribers");
    all->push_back({absl::StrCat("replayed log, 200 B, ", to, ", CPU against the TCP ring"), kReplayCase,
                    Row(200, subscribers), kCpuPerDelivery, 1.3, 1.0, kTcpRing});
    all->push_back({absl::StrCat("replayed log, 1316 B, ", to, ", CPU against the TCP ring"), kReplayCase,
                    Row(1316, subscribers), kCpuPerDelivery, 1.5, 1.3, kTcpRing});
  }
  all->push_back({"saturated end to end, 1316 B, 8 subscribers, CPU against the TCP ring", kSaturatedCase, Row(1316, 8),
                  kCpuPerDelivery, 1.0, 0.9, kTcpRing});
  all->push_back({"saturated end to end, 9000 B, 8 subscribers, CPU against the TCP ring", kSaturatedCase, Row(9000, 8),
                  kCpuPerDelivery, 1.1, 1.0, kTcpRing});
  all->push_back({"replayed log, 200 B, 8 subscribers, CPU against a gRPC message for each datagram", kReplayCase,
                  Row(200, 8), kCpuPerDelivery, 1. / 15, 1. / 25, kGrpcSingle});
}

void AddPeers(std::vector<Target>* all) {
  for (const char* peer : {kNats, kZmq}) {
    for (const double payload_bytes : {200., 1316.}) {
      const std::string row = absl::StrCat("64 subscribers, ", payload_bytes, " B, ");
      all->push_back({absl::StrCat(row, "CPU against ", peer), kLiveCase, Row(payload_bytes, 64, 5000), kCpuPerDelivery,
                      1, 0.5, peer});
      all->push_back({absl::StrCat(row, "loss-free rate against ", peer),
                      kLossFreeCase,
                      Row(payload_bytes, 64),
                      kLossFreeRate,
                      1,
                      2,
                      peer,
                      {},
                      true});
    }
  }
}

void AddLive(std::vector<Target>* all) {
  all->push_back({"live, 8 x 1000/s, 200 B, CPU against the TCP gateway", kLatencyCase, Row(200, 8, 1000),
                  kCpuPerDelivery, 1.3, 1.1, kTcp});
  all->push_back({"live, 64 x 1000/s, 200 B, CPU against the TCP gateway", kLiveCase, Row(200, 64, 1000),
                  kCpuPerDelivery, 1.3, 1.1, kTcp});
  all->push_back(
      {"live, 64 x 1000/s, 200 B, p50 against the TCP gateway", kLiveCase, Row(200, 64, 1000), kP50, 1.3, 1.1, kTcp});
  all->push_back(
      {"live, 64 x 1000/s, 200 B, CPU against nats", kLiveCase, Row(200, 64, 1000), kCpuPerDelivery, 0.7, 0.5, kNats});
  all->push_back({.work = "live, 8 x 1000/s, 200 B, CPU over a Unix socket against TCP",
                  .case_name = kTransportCase,
                  .row = Row(200, 8, 1000),
                  .metric = kCpuPerDelivery,
                  .bound = 0.6,
                  .stretch = 0.5,
                  .reference = kGateway,
                  .base = {},
                  .subject = kGatewayUnix});
  all->push_back({"live, 8 x 50000/s, 200 B, readers that look now and then, CPU against the TCP gateway", kPacedCase,
                  Row(200, 8, 50'000), kCpuPerDelivery, 0.7, 0.5, kTcp});
  all->push_back(
      {"latency, 1 x 1000/s, p50 against the TCP gateway", kLatencyCase, Row(200, 1, 1000), kP50, 1.7, 1.4, kTcp});
  all->push_back(
      {"latency, 1 x 1000/s, p99 against the TCP gateway", kLatencyCase, Row(200, 1, 1000), kP99, 1.6, 1.4, kTcp});
  all->push_back(
      {"latency, 8 x 1000/s, p50 against the TCP gateway", kLatencyCase, Row(200, 8, 1000), kP50, 2.3, 1.8, kTcp});
  all->push_back(
      {"latency, 8 x 1000/s, p99 against the TCP gateway", kLatencyCase, Row(200, 8, 1000), kP99, 2.2, 1.8, kTcp});
}

void AddLossFree(std::vector<Target>* all) {
  for (const LossFreeGoal& goal : kLossFreeGoals) {
    all->push_back({absl::StrCat("no loss at ", goal.rate, "/s x ", goal.subscribers, ", ", goal.payload_bytes, " B"),
                    kLossFreeCase,
                    Row(goal.payload_bytes, goal.subscribers),
                    kLossFreeRate,
                    goal.rate,
                    1.5 * goal.rate,
                    "",
                    {},
                    true});
  }
}

void AddPublish(std::vector<Target>* all) {
  for (const double payload_bytes : {200., 1316.}) {
    all->push_back({absl::StrCat("Publish, 64 in a message, ", payload_bytes, " B, CPU against a bare GSO sender"),
                    kPublishCase,
                    {{kPerMessage, 64}, {kPayloadBytes, payload_bytes}, {kMixed, 0}},
                    kCpuPerDatagram,
                    1.25,
                    1.1,
                    kGrpcGso});
  }
  for (const double in_flight : {1., 16.}) {
    all->push_back({absl::StrCat("Send, ", in_flight, " in flight, CPU against an empty unary call"),
                    kSendCase,
                    {{kInFlight, in_flight}},
                    kCpuPerCall,
                    1.2,
                    1.1,
                    kGrpcEmpty});
    all->push_back({absl::StrCat("Send, ", in_flight, " in flight, CPU against a unary call with a bare send"),
                    kSendCase,
                    {{kInFlight, in_flight}},
                    kCpuPerCall,
                    1.2,
                    1.1,
                    kGrpcSend});
  }
}

void AddGrowth(std::vector<Target>* all) {
  all->push_back(Flat("end to end, 200 B, CPU per delivery from 8 to 1000 subscribers", kSaturatedCase, Row(200, 1000),
                      Row(200, 8), kCpuPerDelivery));
  all->push_back(Flat("receiving and logging, CPU per datagram, beside 8 to 1000 subscribers that do not read",
                      kStalledCase, {{kSubscribers, 1000}}, {{kSubscribers, 8}}, kCpuPerDatagram));
  for (const double family : {4., 6.}) {
    for (const char* metric : {kUserCpuPerDatagram, kCpuPerDatagram}) {
      all->push_back(Flat(absl::StrCat("10000 channels joined against 1, IPv", family,
                                       metric == kUserCpuPerDatagram ? ", user CPU" : ", CPU", " per datagram"),
                          kChannelsCase, {{kChannels, 10'000}, {kFamily, family}}, {{kChannels, 1}, {kFamily, family}},
                          metric));
    }
  }
}

void AddMemory(std::vector<Target>* all) {
  all->push_back({"memory, growth over 50 million deliveries, bytes", kFlatMemoryCase, {}, kGrowth, 1 << 20});
  all->push_back({"memory for each idle subscriber, bytes", kMemoryCase, {}, kBytesPerSubscriber, 18'000});
  all->push_back({"memory for each cursor, bytes", kMemoryCase, {}, kBytesPerCursor, 64});
  all->push_back({"memory for each quiet channel, bytes", kMemoryCase, {}, kBytesPerChannel, 4000});
}

}  // namespace

const std::vector<Target>& Targets() {
  static const auto* const targets = [] {
    auto* const all = new std::vector<Target>;
    AddSaturated(all);
    AddPeers(all);
    AddLive(all);
    AddLossFree(all);
    AddPublish(all);
    AddGrowth(all);
    AddMemory(all);
    return all;
  }();
  return *targets;
}

std::vector<Judgement> Judge(const std::vector<Target>& targets, absl::Span<const Cell> cells) {
  std::vector<Judgement> judgements;
  for (const Target& target : targets) {
    Judgement judgement = {.target = &target, .measured = Measured(target, cells)};
    if (judgement.measured.has_value()) {
      const double value = judgement.measured->median;
      judgement.verdict = !Within(target, target.bound, value)                           ? Verdict::kNotMet
                          : target.stretch != 0 && Within(target, target.stretch, value) ? Verdict::kStretchMet
                                                                                         : Verdict::kMet;
    }
    judgements.push_back(judgement);
  }
  return judgements;
}

const char* VerdictText(Verdict verdict) {
  switch (verdict) {
    case Verdict::kNotMeasured:
      return "not measured";
    case Verdict::kNotMet:
      return "not met";
    case Verdict::kMet:
      return "met";
    case Verdict::kStretchMet:
      return "exceeded";
  }
  return "";
}

std::string BoundText(const Target& target) {
  std::string text = target.least_allowed != 0
                         ? absl::StrCat(NumberText(target.least_allowed), " to ", NumberText(target.bound))
                         : absl::StrCat(target.at_least ? "at least " : "at most ", NumberText(target.bound));
  if (target.stretch != 0) absl::StrAppend(&text, ", better ", NumberText(target.stretch));
  return text;
}

}  // namespace mcgw::bench
