// What receiving and logging cost beside many subscribers that are owed something and do not take it: nothing is
// delivered to them, so that what grows with their number is work for each datagram that need not be.

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "bench/context.h"
#include "bench/metrics.h"

namespace mcgw::bench {
namespace {

constexpr double kDatagramsPerSecond = 50'000;

// With what HTTP/2 adds, a reader has taken less than twice what it lets come.
bool AllStalled(const std::vector<std::unique_ptr<Reader>>& readers) {
  return std::ranges::all_of(readers, [](const auto& reader) {
    return reader->received_bytes() >= kStallBytes && reader->received_bytes() < uint64_t{2} * kStallBytes;
  });
}

absl::StatusOr<Outcome> MeasureBeside(Context* context, const Subject& subject, int stalled) {
  auto readers = OpenReaders(subject, stalled, {.groups = {subject.group()}, .stalls = true});
  if (!readers.ok()) return readers.status();
  BackgroundReaders keeping(*std::move(readers));
  auto outcome = RunTrial(subject,
                          {.payload_bytes = 200,
                           .subscribers = 1,
                           .datagrams_per_second = kDatagramsPerSecond,
                           .seconds = context->Pick(0.4, 1.0),
                           .per_datagram = true},
                          context->cores());
  if (outcome.ok() && !AllStalled(keeping.Stop())) {
    outcome->round.Invalidate("of the readers that were to stall some did not");
  }
  return outcome;
}

}  // namespace

void RunStalledCase(Context* context) {
  const auto subjects = context->Start({kGateway}, {.gateway_flags = {"--max-connections", "2000"}});
  if (subjects.empty()) return;
  const Subject* subject = subjects.front().get();
  std::vector<Cell> cells;
  std::vector<Contestant> contestants;
  for (const int stalled : context->Pick<std::vector<int>>({8, 200}, {1, 8, 64, 256, 1000})) {
    cells.push_back({.case_name = kStalledCase,
                     .title = absl::StrCat("200 B, ", kDatagramsPerSecond, "/s, 1 reading and ", stalled, " not"),
                     .parameters = {{kPayloadBytes, 200}, {kSubscribers, stalled}, {kRate, kDatagramsPerSecond}},
                     .series = {}});
    contestants.push_back(
        {subject->name(), [context, stalled, subject] { return MeasureBeside(context, *subject, stalled); }});
  }
  context->MeasureInTurn(std::move(cells), contestants, context->options().rounds);
}

}  // namespace mcgw::bench
