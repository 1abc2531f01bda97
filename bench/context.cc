#include "bench/context.h"

#include <algorithm>
#include <iostream>
#include <utility>

#include "absl/strings/str_cat.h"
#include "bench/host.h"
#include "bench/stamp.h"

namespace mcgw::bench {
namespace {

constexpr double kNsPerSecond = 1e9;
constexpr int64_t kMostPatienceNs = int64_t{20} * 1'000'000'000;  // For one measurement.

}  // namespace

const std::vector<Case>& AllCases() {
  static const auto* const cases = new std::vector<Case>{
      {kReplayCase, "a filled log, read from its beginning by many", RunReplayCase},
      {kSaturatedCase, "datagrams as fast as they are read, from the network to many readers", RunSaturatedCase},
      {kLiveCase, "steady rates to 1 to 1000 subscribers", RunLiveCase},
      {kLatencyCase, "latency over the rate", RunLatencyCase},
      {kPacedCase, "steady rates to readers that look now and then, so that they do not limit", RunPacedCase},
      {kLossFreeCase, "the highest rate without loss", RunLossFreeCase},
      {kSendCase, "Send, one unary call for each datagram", RunSendCase},
      {kPublishCase, "Publish, batches on a stream", RunPublishCase},
      {kJoinsCase, "Join and Leave", RunJoinsCase},
      {kChannelsCase, "1 to 10,000 channels joined, few of them active", RunChannelsCase},
      {kStalledCase, "receiving and logging beside subscribers that do not read", RunStalledCase},
      {kCursorsCase, "100 subscribers with a cursor in each of 10,000 channels", RunCursorsCase},
      {kControlCase, "control calls, sweeps and interface changes beside 10,000 channels and 1,000 subscribers",
       RunControlCase},
      {kMemoryCase, "memory for idle subscribers, cursors and quiet channels", RunMemoryCase},
      {kFlatMemoryCase, "memory over 50 million deliveries", RunFlatMemoryCase},
      {kStartUpCase, "from the start to ready", RunStartUpCase},
      {kTransportCase, "a Unix socket, TLS, and a batching delay of 5 ms, against plain TCP", RunTransportCase},
  };
  return *cases;
}

Context::Context(const Options& options, Programs programs, Report* report)
    : options_(options),
      programs_(std::move(programs)),
      report_(report),
      begin_ns_(NowNs()),
      patience_ns_(static_cast<int64_t>(options.patience_seconds * kNsPerSecond)) {}

bool Context::Wanted(absl::string_view subject) const {
  return options_.subjects.empty() || std::ranges::find(options_.subjects, subject) != options_.subjects.end();
}

std::vector<std::unique_ptr<Subject>> Context::Start(const std::vector<std::string>& usual,
                                                     const SubjectOptions& options) {
  std::vector<std::unique_ptr<Subject>> started;
  for (const std::string& name : usual) {
    if (!Wanted(name)) continue;
    auto subject = Subject::Start(name, programs_, options_.cores.server, options);
    if (subject.ok()) {
      started.push_back(*std::move(subject));
    } else {
      Note(absl::StrCat(name, " is left out: ", subject.status().message()));
    }
  }
  return started;
}

void Context::Note(const std::string& text) {
  if (std::ranges::find(report_->notes, text) != report_->notes.end()) return;
  std::cout << text << "\n" << std::endl;
  report_->notes.push_back(text);
}

bool Context::OutOfTime() const {
  return static_cast<double>(NowNs() - begin_ns_) > options_.budget_seconds * kNsPerSecond;
}

absl::StatusOr<Outcome> Context::RunOnce(const std::function<absl::StatusOr<Outcome>()>& measure) {
  patience_ns_ -= WaitForQuiet(options_.cores.server, options_.cores.client, std::min(patience_ns_, kMostPatienceNs));
  auto outcome = measure();
  if (outcome.ok()) broken_ = broken_ || outcome->broken_promise;
  return outcome;
}

void Context::AddRound(const Contestant& contestant, Series* series) {
  if (OutOfTime()) {
    series->left_out = "out of time";
    return;
  }
  auto outcome = RunOnce(contestant.measure);
  Round failed;
  if (!outcome.ok()) failed.Invalidate(std::string(outcome.status().message()));
  series->rounds.push_back(outcome.ok() ? std::move(outcome->round) : std::move(failed));
}

void Context::Measure(Cell cell, const std::vector<Contestant>& contestants, int rounds) {
  for (const Contestant& contestant : contestants) cell.series.push_back({contestant.name, {}, {}});
  for (int round = 0; round < rounds; ++round) {
    for (size_t i = 0; i < contestants.size(); ++i) AddRound(contestants[i], &cell.series[i]);
  }
  Keep(std::move(cell));
}

void Context::MeasureInTurn(std::vector<Cell> cells, const std::vector<Contestant>& contestants, int rounds) {
  for (size_t i = 0; i < cells.size(); ++i) cells[i].series.push_back({contestants[i].name, {}, {}});
  for (int round = 0; round < rounds; ++round) {
    for (size_t i = 0; i < cells.size(); ++i) AddRound(contestants[i], &cells[i].series.front());
  }
  for (Cell& cell : cells) Keep(std::move(cell));
}

void Context::Keep(Cell cell) {
  std::cout << cell.case_name << ": " << cell.title << "\n\n" << CellTable(cell) << std::endl;
  report_->cells.push_back(std::move(cell));
}

}  // namespace mcgw::bench
