#include "bench/saturated.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "bench/generator.h"
#include "bench/metrics.h"
#include "bench/stamp.h"

namespace mcgw::bench {
namespace {

constexpr int64_t kNsPerSecond = 1'000'000'000;
constexpr int64_t kMostNs = 60 * kNsPerSecond;  // For one flood or replay.
constexpr int64_t kStallNs = 5 * kNsPerSecond;  // Without any progress.
constexpr int64_t kStragglerNs = 10 * kNsPerSecond;
// Small beside the socket buffers (32 MiB as the kernel counts) and the logs (kEndToEndLogBytes).
constexpr size_t kMostAheadBytes = 2 << 20;
constexpr uint64_t kMostAhead = 4096;
constexpr uint64_t kWarmUpPart = 20;

uint64_t AheadOf(size_t payload_bytes) {
  // A socket buffer counts about 800 bytes for the smallest datagram.
  return std::clamp<uint64_t>(kMostAheadBytes / std::max<size_t>(payload_bytes, 800), 1, kMostAhead);
}

// Whether all but the first reader have what the first one has.
bool OthersHaveAll(const ReaderLoop& loop) {
  const Reader& witness = *loop.readers().front();
  return std::ranges::all_of(
      loop.readers(), [&witness](const auto& reader) { return reader->received_bytes() >= witness.datagram_bytes(); });
}

// The number that the slowest reader has got to, of those from 1 on that the first one looks at; of the others by their
// bytes.
uint64_t SlowestAt(const ReaderLoop& loop) {
  Reader& witness = *loop.readers().front();
  uint64_t least_bytes = witness.datagram_bytes();
  if (least_bytes == 0) return witness.account().last();
  for (const auto& reader : loop.readers()) least_bytes = std::min(least_bytes, reader->received_bytes());
  const double part = static_cast<double>(least_bytes) / static_cast<double>(witness.datagram_bytes());
  return static_cast<uint64_t>(part * static_cast<double>(witness.account().last()));
}

void Judge(const Subject& subject, Reader* witness, uint64_t last, bool complete, Outcome* outcome) {
  Account& account = witness->account();
  account.End(last);
  Round& round = outcome->round;
  round.Set(kMissing, static_cast<double>(account.missing()));
  round.Set(kAnnounced, static_cast<double>(account.announced()));
  if (account.disordered() != 0) round.Invalidate(absl::StrCat(account.disordered(), " twice or out of order"));
  if (account.missing() != 0) round.Invalidate(absl::StrCat(account.missing(), " missing"));
  if (!complete) round.Invalidate("a reader got fewer bytes than were sent");
  if (subject.promises() && (account.disordered() != 0 || account.unannounced() != 0)) outcome->broken_promise = true;
}

void SetCosts(const Meter& meter, double datagrams, int subscribers, Round* round) {
  const double deliveries = datagrams * subscribers;
  round->Set(kCpuPerDelivery, meter.cpu_ns() / deliveries);
  round->Set(kSwitches, meter.switches() / deliveries);
  round->Set(kDeliveries, deliveries);
  round->Set(kDeliveryRate, deliveries * 1e9 / std::max<double>(1, static_cast<double>(meter.elapsed_ns())));
  meter.Fill(round);
}

// One pass over the log, without its costs.
absl::Status ReplayOnce(const Subject& subject, const FilledLog& log, int subscribers, Outcome* outcome) {
  std::vector<std::unique_ptr<Reader>> readers;
  for (int i = 0; i < subscribers; ++i) {
    auto reader = subject.MakeReader({.groups = {subject.group()}});
    if (!reader.ok()) return reader.status();
    readers.push_back(*std::move(reader));
  }
  auto loop = ReaderLoop::Create(std::move(readers));
  if (!loop.ok()) return loop.status();
  Reader& witness = *(*loop)->readers().front();
  witness.account().IgnoreLatency();
  std::vector<Reader*> looking;
  for (const auto& reader : (*loop)->readers()) {
    if (reader.get() != &witness) looking.push_back(reader.get());
  }
  const auto done = [&] {
    std::erase_if(looking, [](Reader* reader) { return reader->ready() && reader->StopLooking(); });
    return witness.account().last() >= log.datagrams && OthersHaveAll(**loop);
  };
  const auto complete = (*loop)->RunUntil(done, NowNs() + kMostNs);
  if (!complete.ok()) return complete.status();
  Judge(subject, &witness, log.datagrams, *complete, outcome);
  // The oldest is owed here: the log holds all.
  const uint64_t got = witness.account().deliveries() + witness.account().missing();
  if (got != log.datagrams) {
    outcome->round.Invalidate(absl::StrCat("the log began ", log.datagrams - got, " datagrams late"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status Flood(ReaderLoop* loop, Feed* feed, size_t payload_bytes, uint64_t first, uint64_t last) {
  Account& witness = loop->readers().front()->account();
  const uint64_t ahead = AheadOf(payload_bytes), run = MostInRun(payload_bytes);
  uint64_t next = first;
  absl::Status sending;
  std::vector<char> scratch;
  uint64_t reached = 0;
  int64_t progress_ns = NowNs();
  bool stalled = false;
  const auto send_and_look = [&] {
    const uint64_t limit = std::min(last, std::max(SlowestAt(*loop), first - 1) + ahead);
    if (const int64_t now_ns = NowNs(); limit != reached) {
      reached = limit;
      progress_ns = now_ns;
    } else {
      stalled = now_ns > progress_ns + kStallNs;
    }
    while (sending.ok() && next <= limit) {
      const uint64_t count = std::min(run, limit - next + 1);
      sending = SendRun(feed, payload_bytes, next, count, &scratch);
      next += count;
    }
    return !sending.ok() || stalled || witness.last() >= last;
  };
  const auto done = loop->RunUntil(send_and_look, NowNs() + kMostNs);
  if (!done.ok()) return done.status();
  if (!sending.ok()) return sending;
  if (witness.last() < last) {
    return absl::DeadlineExceededError(
        absl::StrCat("got ", witness.last(), " of ", last, ", lost ", witness.missing(), ", and then nothing more"));
  }
  return absl::OkStatus();
}

absl::StatusOr<FilledLog> FillLog(const Subject& subject, size_t payload_bytes, uint64_t datagrams) {
  auto holder = OpenReaders(subject, 1, {.groups = {subject.group()}});
  if (!holder.ok()) return holder.status();
  auto feed = subject.MakeFeed();
  if (!feed.ok()) return feed.status();
  (*holder)->readers().front()->account().IgnoreLatency();
  if (auto status = Flood(holder->get(), feed->get(), payload_bytes, 1, datagrams); !status.ok()) return status;
  const Account& account = (*holder)->readers().front()->account();
  if (account.missing() != 0) return absl::DataLossError(absl::StrCat(account.missing(), " lost in filling the log"));
  return FilledLog{.holder = std::make_unique<BackgroundReaders>(*std::move(holder)),
                   .payload_bytes = payload_bytes,
                   .datagrams = datagrams};
}

absl::StatusOr<Outcome> ReplayLog(const Subject& subject, const FilledLog& log, int subscribers, uint64_t passes,
                                  Cores cores) {
  Outcome outcome;
  Meter meter(subject.server(), cores);
  for (uint64_t pass = 0; pass < passes; ++pass) {
    if (auto status = ReplayOnce(subject, log, subscribers, &outcome); !status.ok()) return status;
  }
  meter.Stop();
  SetCosts(meter, static_cast<double>(log.datagrams * passes), subscribers, &outcome.round);
  return outcome;
}

absl::StatusOr<Outcome> RunEndToEnd(const Subject& subject, const EndToEnd& work, Cores cores) {
  auto loop = OpenReaders(subject, work.subscribers, {.groups = {subject.group()}});
  if (!loop.ok()) return loop.status();
  auto feed = subject.MakeFeed();
  if (!feed.ok()) return feed.status();
  Reader& witness = *(*loop)->readers().front();
  witness.account().IgnoreLatency();
  for (const auto& reader : (*loop)->readers()) {
    if (reader.get() != &witness) reader->StopLooking();
  }
  const auto others_done = [&loop] { return OthersHaveAll(**loop); };
  const uint64_t warm_up = work.datagrams / kWarmUpPart + 1, last = warm_up + work.datagrams;
  if (auto status = Flood(loop->get(), feed->get(), work.payload_bytes, 1, warm_up); !status.ok()) return status;
  if (auto status = (*loop)->RunUntil(others_done, NowNs() + kStragglerNs); !status.ok()) return status.status();

  Meter meter(subject.server(), cores);
  const uint64_t piece = std::max<uint64_t>(1, work.datagrams / 10);
  for (uint64_t next = warm_up + 1; next <= last; next += piece) {
    const uint64_t end = std::min(last, next + piece - 1);
    if (auto status = Flood(loop->get(), feed->get(), work.payload_bytes, next, end); !status.ok()) return status;
    work.progress(end - warm_up);
  }
  const auto complete = (*loop)->RunUntil(others_done, NowNs() + kStragglerNs);
  meter.Stop();
  if (!complete.ok()) return complete.status();
  Outcome outcome;
  SetCosts(meter, static_cast<double>(work.datagrams), work.subscribers, &outcome.round);
  outcome.round.Set(kCpuPerDatagram, meter.cpu_ns() / static_cast<double>(work.datagrams));
  Judge(subject, &witness, last, *complete, &outcome);
  if (meter.network_drops() != 0) {
    outcome.round.Disturb(absl::StrCat(meter.network_drops(), " dropped before any socket"));
  }
  return outcome;
}

}  // namespace mcgw::bench
