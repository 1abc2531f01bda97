// Memory, and the time that a start takes.

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "bench/context.h"
#include "bench/metrics.h"
#include "bench/saturated.h"

namespace mcgw::bench {
namespace {

// Is full after a tenth of a quick run, too.
constexpr size_t kQuickLogBytes = 2 << 20;

struct MemoryWork {
  int subscribers = 1000;
  int channels = 10'000;
  int readers_of_all = 10;
};

std::vector<Group> Groups(const Subject& subject, int count) {
  std::vector<Group> groups;
  for (int i = 0; i < count; ++i) {
    groups.push_back({.address = absl::StrFormat("239.81.%d.%d", i >> 8, i & 255),
                      .port = subject.group().port,
                      .interface = subject.group().interface});
  }
  return groups;
}

// How much the server grows by that many readers of `request`, which join an existing one.
absl::StatusOr<double> GrowthBy(const Subject& subject, int readers, const Subscription& request) {
  const int64_t before = subject.server()->resident_bytes();
  auto loop = OpenReaders(subject, readers, request);
  if (!loop.ok()) return loop.status();
  return static_cast<double>(subject.server()->resident_bytes() - before);
}

// A server and a reader that has joined its group.
struct Server {
  std::unique_ptr<Subject> subject;
  std::unique_ptr<BackgroundReaders> holder;
};

absl::StatusOr<Server> StartServer(Context* context, const char* name) {
  auto subject =
      Subject::Start(name, context->programs(), context->cores().server,
                     {.gateway_flags = {"--max-connections", "2000", "--total-log-bytes", absl::StrCat(1 << 30)}});
  if (!subject.ok()) return subject.status();
  auto holder = OpenReaders(**subject, 1, {.groups = {(*subject)->group()}});
  if (!holder.ok()) return holder.status();
  return Server{*std::move(subject), std::make_unique<BackgroundReaders>(*std::move(holder))};
}

absl::Status MeasureSubscribers(Context* context, const char* name, int subscribers, Round* round) {
  const auto server = StartServer(context, name);
  if (!server.ok()) return server.status();
  const auto growth = GrowthBy(*server->subject, subscribers, {.groups = {server->subject->group()}});
  if (!growth.ok()) return growth.status();
  round->Set(kBytesPerSubscriber, *growth / subscribers);
  return absl::OkStatus();
}

absl::Status MeasureChannelsAndCursors(Context* context, const MemoryWork& work, Round* round) {
  const auto server = StartServer(context, kGateway);
  if (!server.ok()) return server.status();
  const Process& process = *server->subject->server();
  const Subscription all = {.groups = Groups(*server->subject, work.channels)};
  const int64_t before = process.resident_bytes();
  auto first = OpenReaders(*server->subject, 1, all);
  if (!first.ok()) return first.status();
  const BackgroundReaders keeping(*std::move(first));
  round->Set(kBytesPerChannel, static_cast<double>(process.resident_bytes() - before) / work.channels);
  const auto growth = GrowthBy(*server->subject, work.readers_of_all, all);
  if (!growth.ok()) return growth.status();
  round->Set(kBytesPerCursor, *growth / (static_cast<double>(work.channels) * work.readers_of_all));
  return absl::OkStatus();
}

// Each in a server of its own, since what was freed is not always given back.
absl::StatusOr<Outcome> MeasureMemory(Context* context, const char* name, const MemoryWork& work) {
  Outcome outcome;
  if (auto status = MeasureSubscribers(context, name, work.subscribers, &outcome.round); !status.ok()) return status;
  if (name != std::string(kGateway)) return outcome;
  if (auto status = MeasureChannelsAndCursors(context, work, &outcome.round); !status.ok()) return status;
  return outcome;
}

absl::StatusOr<Outcome> MeasureFlatness(Context* context, const Subject& subject, int subscribers, uint64_t datagrams) {
  std::vector<double> samples;
  auto outcome = RunEndToEnd(
      subject,
      {.payload_bytes = 200,
       .subscribers = subscribers,
       .datagrams = datagrams,
       .progress = [&](uint64_t) { samples.push_back(static_cast<double>(subject.server()->resident_bytes())); }},
      context->cores());
  if (!outcome.ok()) return outcome;
  for (size_t i = 0; i < samples.size(); ++i) {
    outcome->round.Set(absl::StrCat("resident_bytes_", i + 1), samples[i]);  // After each tenth.
  }
  // The log is full after the first tenth.
  if (!samples.empty()) outcome->round.Set(kGrowth, *std::ranges::max_element(samples) - samples.front());
  return outcome;
}

}  // namespace

void RunMemoryCase(Context* context) {
  const MemoryWork work = context->Pick<MemoryWork>({200, 1000, 10}, {});
  std::vector<Contestant> contestants;
  for (const char* name : {kTcpBatch, kGrpcSingle, kGateway, kGatewayTls}) {
    if (!context->Wanted(name)) continue;
    contestants.push_back({name, [context, name, &work] { return MeasureMemory(context, name, work); }});
  }
  context->Measure({.case_name = kMemoryCase,
                    .title = absl::StrCat("by ", work.subscribers, " idle subscribers, ", work.channels,
                                          " quiet channels, ", work.channels * work.readers_of_all, " cursors"),
                    .parameters = {{kSubscribers, work.subscribers}, {kChannels, work.channels}},
                    .series = {}},
                   contestants);
}

void RunFlatMemoryCase(Context* context) {
  const auto subjects = context->Start({kGateway}, {.log_bytes = context->Pick(kQuickLogBytes, kEndToEndLogBytes)});
  if (subjects.empty()) return;
  constexpr int kReaders = 64;
  const uint64_t deliveries = context->Pick<uint64_t>(5'000'000, 50'000'000);
  context->Measure(
      {.case_name = kFlatMemoryCase,
       .title = absl::StrCat(deliveries, " deliveries of 200 B to ", kReaders, " subscribers"),
       .parameters = {{kPayloadBytes, 200}, {kSubscribers, kReaders}, {"deliveries", static_cast<double>(deliveries)}},
       .series = {}},
      {{kGateway, [&] { return MeasureFlatness(context, *subjects.front(), kReaders, deliveries / kReaders); }}}, 1);
}

void RunStartUpCase(Context* context) {
  std::vector<Contestant> contestants;
  for (const char* name : {kTcpBatch, kGrpcEmpty, kGateway}) {
    if (!context->Wanted(name)) continue;
    contestants.push_back({name, [context, name]() -> absl::StatusOr<Outcome> {
                             auto subject = Subject::Start(name, context->programs(), context->cores().server, {});
                             if (!subject.ok()) return subject.status();
                             Outcome outcome;
                             outcome.round.Set(kStartUp,
                                               static_cast<double>((*subject)->server()->start_up_ns()) / 1e6);
                             outcome.round.Set(kResident, static_cast<double>((*subject)->server()->resident_bytes()));
                             return outcome;
                           }});
  }
  context->Measure({.case_name = kStartUpCase, .title = "from fork to ready", .parameters = {}, .series = {}},
                   contestants, std::max(5, context->options().rounds));
}

}  // namespace mcgw::bench
