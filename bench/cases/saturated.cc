// The server limits: replayed logs, and end to end.

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "bench/context.h"
#include "bench/saturated.h"

namespace mcgw::bench {
namespace {

constexpr size_t kLogBytes = 64 << 20;
constexpr double kFilledPart = 0.7;
constexpr size_t kRecordBytes = 60;  // More than any protocol here adds to a payload.
// One datagram in a message costs that much more than others, so that less of it is measured.
constexpr uint64_t kSingleShare = 8;

uint64_t ShareOf(const Subject& subject, uint64_t datagrams) {
  return std::max<uint64_t>(1, subject.name() == kGrpcSingle ? datagrams / kSingleShare : datagrams);
}

struct Filled {
  std::unique_ptr<Subject> subject;
  FilledLog log;
};

std::vector<Filled> Fill(Context* context, size_t payload_bytes) {
  const auto room = static_cast<uint64_t>(kFilledPart * kLogBytes / static_cast<double>(payload_bytes + kRecordBytes));
  const uint64_t datagrams = context->Pick<uint64_t>(room / 4, room);
  std::vector<Filled> filled;
  for (auto& subject : context->Start({kTcpRing, kGrpcSingle, kGateway}, {.log_bytes = kLogBytes, .oldest = true})) {
    auto log = FillLog(*subject, payload_bytes, ShareOf(*subject, datagrams));
    if (!log.ok()) {
      context->Note(absl::StrCat(kReplayCase, ", ", payload_bytes, " B: ", subject->name(),
                                 " is left out: ", log.status().message()));
      continue;
    }
    filled.push_back({.subject = std::move(subject), .log = *std::move(log)});
  }
  return filled;
}

Cell CellOf(const char* case_name, size_t payload_bytes, int subscribers) {
  return {.case_name = case_name,
          .title = absl::StrCat(payload_bytes, " B, ", subscribers, subscribers == 1 ? " subscriber" : " subscribers"),
          .parameters = {{kPayloadBytes, static_cast<double>(payload_bytes)}, {kSubscribers, subscribers}},
          .series = {}};
}

}  // namespace

void RunReplayCase(Context* context) {
  const auto wanted_bytes = context->Pick<uint64_t>(300 << 20, uint64_t{2} << 30);  // In each measurement.
  for (const size_t payload_bytes : context->Pick<std::vector<size_t>>({200}, {200, 1316})) {
    const std::vector<Filled> filled = Fill(context, payload_bytes);
    for (const int subscribers : context->Pick<std::vector<int>>({8}, {1, 8, 64})) {
      std::vector<Contestant> contestants;
      for (const Filled& each : filled) {
        const uint64_t bytes = (payload_bytes + kRecordBytes) * each.log.datagrams * static_cast<uint64_t>(subscribers);
        const uint64_t passes = std::max<uint64_t>(1, ShareOf(*each.subject, wanted_bytes) / bytes);
        contestants.push_back({each.subject->name(), [context, &each, subscribers, passes] {
                                 return ReplayLog(*each.subject, each.log, subscribers, passes, context->cores());
                               }});
      }
      context->Measure(CellOf(kReplayCase, payload_bytes, subscribers), contestants);
    }
  }
}

void RunSaturatedCase(Context* context) {
  struct Row {
    size_t payload_bytes;
    int subscribers;
  };
  const auto rows = context->Pick<std::vector<Row>>(
      {{200, 8}}, {{200, 1}, {200, 8}, {200, 64}, {200, 256}, {200, 1000}, {64, 8}, {1316, 8}, {1316, 64}, {9000, 8}});
  // In deliveries of each measurement.
  const auto bytes = context->Pick<uint64_t>(100 << 20, 400 << 20);
  const auto subjects =
      context->Start({kTcpRing, kGrpcSingle, kGateway},
                     {.log_bytes = kEndToEndLogBytes, .gateway_flags = {"--max-connections", "2000"}});
  for (const Row& row : rows) {
    std::vector<Contestant> contestants;
    const uint64_t deliveries = bytes / (row.payload_bytes + 200);
    for (const auto& subject : subjects) {
      // A message for each datagram and each of very many would only take long.
      if (subject->name() == kGrpcSingle && row.subscribers > 64) continue;
      const uint64_t datagrams =
          std::max<uint64_t>(500, ShareOf(*subject, deliveries / static_cast<uint64_t>(row.subscribers)));
      contestants.push_back(
          {subject->name(), [context, row, datagrams, subject = subject.get()] {
             return RunEndToEnd(
                 *subject, {.payload_bytes = row.payload_bytes, .subscribers = row.subscribers, .datagrams = datagrams},
                 context->cores());
           }});
    }
    context->Measure(CellOf(kSaturatedCase, row.payload_bytes, row.subscribers), contestants);
  }
}

}  // namespace mcgw::bench
