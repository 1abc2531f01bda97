// Steady rates, open loop: over subscribers and payloads, over rates, and the highest rate without loss.

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "bench/context.h"
#include "bench/metrics.h"

namespace mcgw::bench {
namespace {

// Between two looks of readers that are not to limit what is measured.
constexpr unsigned kPauseUs = 200;

Cell CellOf(const char* case_name, const Work& work) {
  return {
      .case_name = case_name,
      .title = absl::StrFormat("%d B, %d x %.0f/s", work.payload_bytes, work.subscribers, work.datagrams_per_second),
      .parameters = {{kPayloadBytes, static_cast<double>(work.payload_bytes)},
                     {kSubscribers, work.subscribers},
                     {kRate, work.datagrams_per_second}},
      .series = {}};
}

void MeasureWork(Context* context, const char* case_name, const std::vector<std::unique_ptr<Subject>>& subjects,
                 const Work& work) {
  std::vector<Contestant> contestants;
  for (const auto& subject : subjects) {
    // The peers are measured with many subscribers; with few, a datagram each would take rounds from the others.
    const bool peer = subject->name() == kNats || subject->name() == kZmq;
    if (peer && work.subscribers != 64) continue;
    // A socket for each of many would fill the core that sender and readers share.
    if (subject->server() == nullptr && work.subscribers > 8) continue;
    contestants.push_back({subject->name(), [context, &work, subject = subject.get()] {
                             return RunTrial(*subject, work, context->cores());
                           }});
  }
  context->Measure(CellOf(case_name, work), contestants);
}

}  // namespace

void RunLiveCase(Context* context) {
  const auto subjects = context->Start({kDirect, kTcp, kTcpBatch, kNats, kZmq, kGateway},
                                       {.gateway_flags = {"--max-connections", "2000"}});
  const double seconds = context->Pick(0.4, 1.0);
  // Rates that one core can give each of so many.
  const auto works = context->Pick<std::vector<Work>>({{200, 64, 5000}}, {{200, 1, 10'000},
                                                                          {200, 8, 10'000},
                                                                          {200, 64, 1000},
                                                                          {200, 64, 5000},
                                                                          {200, 256, 1000},
                                                                          {200, 1000, 200},
                                                                          {1316, 1, 10'000},
                                                                          {1316, 8, 10'000},
                                                                          {1316, 64, 5000},
                                                                          {1316, 256, 1000},
                                                                          {1316, 1000, 200},
                                                                          {64, 8, 10'000},
                                                                          {9000, 8, 5000}});
  for (Work work : works) {
    work.seconds = seconds;
    MeasureWork(context, kLiveCase, subjects, work);
  }
}

void RunLatencyCase(Context* context) {
  const auto subjects = context->Start({kDirect, kTcp, kTcpBatch, kGrpcSingle, kGateway, kGatewayAtOnce}, {});
  const double seconds = context->Pick(0.4, 1.0);
  const auto rates = context->Pick<std::vector<double>>({1000, 50'000}, {1000, 5000, 20'000, 50'000, 100'000});
  for (const int subscribers : {1, 8}) {
    for (const double rate : rates) MeasureWork(context, kLatencyCase, subjects, {200, subscribers, rate, seconds});
  }
}

void RunPacedCase(Context* context) {
  const auto subjects = context->Start({kTcp, kTcpBatch, kGrpcSingle, kGateway, kGatewayAtOnce}, {});
  for (Work work : {Work{200, 8, 20'000}, Work{200, 8, 50'000}, Work{1316, 8, 20'000}}) {
    if (context->quick() && work.datagrams_per_second != 50'000) continue;
    work.seconds = context->Pick(0.4, 1.0);
    work.reader_pause_us = kPauseUs;
    MeasureWork(context, kPacedCase, subjects, work);
  }
}

namespace {

constexpr std::array kSteps = {0.1, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 3.0};

// A reader that is so far behind falls behind ever more: nothing was lost yet.
constexpr double kBehindUs = 100'000;

// Two tries for each rate, since others' work can cost one.
struct Tried {
  bool loss_free = false;
  Round round;
};

// Whether the rate was kept and everything came in time. What else speaks against a round does not count: with the
// readers' core full, say, it was only harder.
bool IsLossFree(const Round& round, double rate) {
  return (round.valid() || round.disturbed()) && round.Get(kMissing).value_or(1) == 0 &&
         round.Get(kSentRate).value_or(0) >= kLeastOfRate * rate && round.Get(kP50).value_or(kBehindUs) < kBehindUs;
}

Tried TryRate(Context* context, const Subject& subject, const Work& work) {
  Tried tried;
  for (int i = 0; i < 2 && !tried.loss_free && !context->OutOfTime(); ++i) {
    auto outcome = context->RunOnce([&] { return RunTrial(subject, work, context->cores()); });
    if (!outcome.ok()) {
      tried.round.Invalidate(std::string(outcome.status().message()));
      return tried;
    }
    tried.round = std::move(outcome->round);
    tried.loss_free = IsLossFree(tried.round, work.datagrams_per_second);
    if (tried.loss_free) tried.round.Acquit();
  }
  return tried;
}

std::string WhyEnded(const Tried& tried, double rate) {
  std::string text = absl::StrFormat("at %.0f/s ", rate);
  const double missing = tried.round.Get(kMissing).value_or(0);
  std::vector<std::string> reasons = tried.round.invalid();
  if (const double p50_us = tried.round.Get(kP50).value_or(0); p50_us >= kBehindUs) {
    reasons.insert(reasons.begin(), absl::StrFormat("%.1f s behind", p50_us / 1e6));
  }
  if (missing != 0) {
    reasons.insert(reasons.begin(), absl::StrFormat("%.0f of %.0f missing", missing,
                                                    missing + tried.round.Get(kDeliveries).value_or(0)));
  }
  return absl::StrCat(text, reasons.empty() ? "out of time" : absl::StrJoin(reasons, "; "));
}

// Halves the steps between a rate that is known to do and one that is known not to.
Series Search(Context* context, const Subject& subject, const LossFreeGoal& goal, double seconds) {
  Series series = {.subject = subject.name(), .rounds = {}, .left_out = {}};
  Round best;
  best.Set(kLossFreeRate, 0);
  int good = -1, bad = kSteps.size();
  std::string ended = "with the highest rate tried";
  bool by_loss = true;
  while (bad - good > 1 && !context->OutOfTime()) {
    const int step = (good + bad) / 2;
    const double rate = goal.rate * kSteps[static_cast<size_t>(step)];
    const Tried tried =
        TryRate(context, subject, {static_cast<size_t>(goal.payload_bytes), goal.subscribers, rate, seconds, kPauseUs});
    if (tried.loss_free) {
      good = step;
      best = tried.round;
      best.Set(kLossFreeRate, rate);
    } else {
      bad = step;
      ended = WhyEnded(tried, rate);
      by_loss = !tried.round.disturbed();
    }
  }
  series.left_out = absl::StrCat("ended ", ended);
  if (bad - good > 1) {
    series.left_out = "out of time";
    best.Disturb("the search did not come to an end");
  }
  // Short of the goal, only a loss says something about the subject.
  if (!by_loss && *best.Get(kLossFreeRate) < goal.rate) best.Disturb("something else than loss ended the search");
  series.rounds.push_back(std::move(best));
  return series;
}

}  // namespace

void RunLossFreeCase(Context* context) {
  const auto subjects =
      context->Start({kTcp, kTcpBatch, kTcpRing, kGrpcSingle, kNats, kZmq, kGateway, kGatewayAtOnce}, {});
  for (const LossFreeGoal& goal : kLossFreeGoals) {
    if (context->quick() && (goal.payload_bytes != 200 || goal.subscribers != 8)) continue;
    Cell cell = {.case_name = kLossFreeCase,
                 .title = absl::StrCat(goal.payload_bytes, " B, ", goal.subscribers, " subscribers"),
                 .parameters = {{kPayloadBytes, goal.payload_bytes}, {kSubscribers, goal.subscribers}},
                 .series = {}};
    for (const auto& subject : subjects) {
      if (context->quick() && subject->name() != kGateway && subject->name() != kTcpRing) continue;
      const bool peer = subject->name() == kNats || subject->name() == kZmq;
      if (peer && goal.subscribers != 64) continue;
      cell.series.push_back(Search(context, *subject, goal, context->Pick(0.3, 0.6)));
    }
    context->Keep(std::move(cell));
  }
}

void RunTransportCase(Context* context) {
  const auto subjects = context->Start({kGateway, kGatewayUnix, kGatewayTls, kGatewayBatch}, {});
  for (Work work : {Work{200, 8, 1000}, Work{200, 64, 5000}, Work{200, 8, 50'000}, Work{1316, 8, 20'000}}) {
    if (context->quick() && work.datagrams_per_second != 50'000) continue;
    work.seconds = context->Pick(0.4, 1.0);
    MeasureWork(context, kTransportCase, subjects, work);
  }
}

}  // namespace mcgw::bench
