#include "bench/trial.h"

#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "bench/generator.h"
#include "bench/host.h"
#include "bench/reader_loop.h"

namespace mcgw::bench {
namespace {

constexpr int64_t kNsPerSecond = 1'000'000'000;
constexpr int64_t kReadyNs = 10 * kNsPerSecond;
constexpr int64_t kTailNs = 2 * kNsPerSecond;  // How long the last datagrams may take.
constexpr double kWarmUpSeconds = 0.1;
constexpr useconds_t kSettleUs = 50'000;
constexpr double kLeastOfRate = 0.98;

struct Snapshot {
  Usage server;
  int64_t own_cpu_ns = 0;
  CoreTime server_core;
  CoreTime client_core;
  int64_t at_ns = 0;
  uint64_t network_drops = 0;
};

Snapshot TakeSnapshot(const Subject& subject, Cores cores) {
  Snapshot snapshot;
  if (subject.server() != nullptr) snapshot.server = subject.server()->usage();
  timespec own = {};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &own);
  snapshot.own_cpu_ns = own.tv_sec * kNsPerSecond + own.tv_nsec;
  snapshot.server_core = ReadCoreTime(cores.server);
  snapshot.client_core = ReadCoreTime(cores.client);
  snapshot.at_ns = NowNs();
  snapshot.network_drops = NetworkDrops();
  return snapshot;
}

// The value below which `part` of the values lie; sorts them partly.
double QuantileUs(std::vector<uint32_t>* values, double part) {
  if (values->empty()) return 0;
  const auto at = values->begin() + static_cast<std::ptrdiff_t>(part * static_cast<double>(values->size() - 1));
  std::nth_element(values->begin(), at, values->end());
  return *at / 1e3;
}

void Judge(const Work& work, const SendRecord& sent, uint64_t unannounced, uint64_t disordered, uint64_t drops,
           Outcome* outcome) {
  if (!sent.status.ok()) outcome->invalid.push_back(absl::StrCat("sender: ", sent.status.message()));
  if (outcome->sent_per_second < kLeastOfRate * work.datagrams_per_second) {
    outcome->invalid.push_back(absl::StrFormat("the sender reached only %.0f/s", outcome->sent_per_second));
  }
  if (disordered != 0) outcome->invalid.push_back(absl::StrCat(disordered, " twice or out of order"));
  if (unannounced != 0) outcome->invalid.push_back(absl::StrCat(unannounced, " lost without a word"));
  if (drops != 0) outcome->invalid.push_back(absl::StrCat(drops, " dropped before any socket"));
  if (outcome->client_core_busy > kMostClientBusy) {
    outcome->invalid.push_back(absl::StrFormat("client core %.0f %% busy, %.0f %% with this measurement",
                                               100 * outcome->client_core_busy, 100 * outcome->client_own));
  }
}

absl::StatusOr<std::unique_ptr<ReaderLoop>> OpenReaders(const Subject& subject, int count) {
  std::vector<std::unique_ptr<Reader>> readers;
  for (int i = 0; i < count; ++i) {
    auto reader = subject.MakeReader();
    if (!reader.ok()) return reader.status();
    readers.push_back(*std::move(reader));
  }
  auto loop = ReaderLoop::Create(std::move(readers));
  if (!loop.ok()) return loop.status();
  const auto all_ready = [&loop] {
    return std::ranges::all_of((*loop)->readers(), [](const auto& reader) { return reader->ready(); });
  };
  const auto ready = (*loop)->RunUntil(all_ready, NowNs() + kReadyNs);
  if (!ready.ok()) return ready.status();
  if (!*ready) return absl::DeadlineExceededError(absl::StrCat(subject.name(), " did not serve all readers in time"));
  return loop;
}

}  // namespace

absl::StatusOr<Outcome> RunTrial(const Subject& subject, const Work& work, Cores cores) {
  auto socket = OpenSenderOnPeer(subject.group());
  if (!socket.ok()) return socket.status();
  auto loop = OpenReaders(subject, work.subscribers);
  if (!loop.ok()) return loop.status();

  Load load = {.payload_bytes = work.payload_bytes, .datagrams_per_second = work.datagrams_per_second};
  const auto warm_up = std::max<uint64_t>(10, static_cast<uint64_t>(kWarmUpSeconds * work.datagrams_per_second));
  const auto measured = static_cast<uint64_t>(work.seconds * work.datagrams_per_second);
  for (const auto& reader : (*loop)->readers()) reader->account().Measure(warm_up + 1, measured);

  Snapshot before;
  SendRecord sent;
  std::atomic<int64_t> sent_at_ns{0};
  std::thread sender([&] {
    load.datagrams = warm_up;
    Generate(socket->get(), load, 1);
    usleep(kSettleUs);
    before = TakeSnapshot(subject, cores);
    load.datagrams = measured;
    sent = Generate(socket->get(), load, warm_up + 1);
    sent_at_ns = NowNs();
  });
  const uint64_t last = warm_up + measured;
  const auto done = [&] {
    const int64_t at_ns = sent_at_ns;
    if (at_ns == 0) return false;
    if (NowNs() > at_ns + kTailNs) return true;
    return std::ranges::all_of((*loop)->readers(),
                               [last](const auto& reader) { return reader->account().last() >= last; });
  };
  const auto finished = (*loop)->RunUntil(done, INT64_MAX);
  sender.join();
  if (!finished.ok()) return finished.status();
  const Snapshot after = TakeSnapshot(subject, cores);

  Outcome outcome;
  std::vector<uint32_t> latencies_ns;
  uint64_t unannounced = 0, disordered = 0;
  for (const auto& reader : (*loop)->readers()) {
    Account& account = reader->account();
    account.End(last);
    latencies_ns.insert(latencies_ns.end(), account.latencies_ns().begin(), account.latencies_ns().end());
    outcome.missing += account.missing();
    outcome.announced += account.announced();
    unannounced += account.unannounced();
    disordered += account.disordered();
  }
  outcome.deliveries = latencies_ns.size();
  const double deliveries = std::max<double>(1, static_cast<double>(latencies_ns.size()));
  outcome.cpu_ns_per_delivery = static_cast<double>(after.server.cpu_ns - before.server.cpu_ns) / deliveries;
  outcome.switches_per_delivery =
      static_cast<double>(after.server.voluntary_switches - before.server.voluntary_switches) / deliveries;
  outcome.p50_us = QuantileUs(&latencies_ns, 0.5);
  outcome.p99_us = QuantileUs(&latencies_ns, 0.99);
  outcome.max_us = QuantileUs(&latencies_ns, 1);
  const double spent_ns = static_cast<double>(sent.elapsed_ns) + 1e9 / work.datagrams_per_second;
  outcome.sent_per_second = static_cast<double>(measured) * 1e9 / spent_ns;
  outcome.client_core_busy = BusyPart(before.client_core, after.client_core);
  outcome.low_priority = LowPart(before.client_core, after.client_core);
  const double wall_ns = std::max<double>(1, static_cast<double>(after.at_ns - before.at_ns));
  outcome.client_own = static_cast<double>(after.own_cpu_ns - before.own_cpu_ns) / wall_ns;
  const double own = static_cast<double>(after.server.cpu_ns - before.server.cpu_ns) / wall_ns;
  outcome.others_on_server_core = std::max(
      0.0, BusyPart(before.server_core, after.server_core) + LowPart(before.server_core, after.server_core) - own);
  if (subject.server() != nullptr) outcome.server_resident_bytes = subject.server()->resident_bytes();
  const uint64_t drops = after.network_drops - before.network_drops;
  Judge(work, sent, unannounced, disordered, drops, &outcome);
  outcome.broken_promise = subject.promises() && (disordered != 0 || (unannounced != 0 && drops == 0));
  return outcome;
}

}  // namespace mcgw::bench
