#include "bench/trial.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <optional>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "bench/generator.h"
#include "bench/metrics.h"
#include "bench/statistics.h"

namespace mcgw::bench {
namespace {

constexpr int64_t kNsPerSecond = 1'000'000'000;
constexpr int64_t kReadyNs = 120 * kNsPerSecond;  // A million cursors take most of a minute.
// After the last datagram was sent: how long nothing may come before what is missing counts as lost, and how long all
// may take.
constexpr int64_t kTailNs = 2 * kNsPerSecond;
constexpr int64_t kMostTailNs = 15 * kNsPerSecond;
constexpr double kWarmUpSeconds = 0.1;
constexpr uint64_t kLeastWarmUp = 10;  // For each channel.
constexpr useconds_t kSettleUs = 50'000;

struct Total {
  uint64_t deliveries = 0, missing = 0, announced = 0, unannounced = 0, disordered = 0;
  std::vector<uint32_t> latencies_ns, ages_ns;
};

Total TakeTotal(const ReaderLoop& loop, size_t channels, uint64_t last) {
  Total total;
  for (const auto& reader : loop.readers()) {
    const std::vector<Account*> accounts = reader->accounts();
    // A channel that brought nothing has no account.
    if (accounts.size() < channels) total.missing += (channels - accounts.size()) * last;
    if (accounts.size() < channels) total.unannounced += (channels - accounts.size()) * last;
    for (Account* account : accounts) {
      account->End(last);
      total.deliveries += account->deliveries();
      total.missing += account->missing();
      total.announced += account->announced();
      total.unannounced += account->unannounced();
      total.disordered += account->disordered();
      total.latencies_ns.insert(total.latencies_ns.end(), account->latencies_ns().begin(),
                                account->latencies_ns().end());
      total.ages_ns.insert(total.ages_ns.end(), account->ages_ns().begin(), account->ages_ns().end());
    }
  }
  return total;
}

void SetLatencies(Total* total, Round* round) {
  const auto us = [](std::vector<uint32_t>* values, double part) { return Quantile(values, part) / 1e3; };
  if (total->latencies_ns.empty()) return;
  round->Set(kP50, us(&total->latencies_ns, 0.5));
  round->Set(kP90, us(&total->latencies_ns, 0.9));
  round->Set(kP99, us(&total->latencies_ns, 0.99));
  round->Set(kP999, us(&total->latencies_ns, 0.999));
  round->Set(kMax, us(&total->latencies_ns, 1));
  if (total->ages_ns.empty()) return;
  round->Set(kKernelP50, us(&total->ages_ns, 0.5));
  round->Set(kKernelP99, us(&total->ages_ns, 0.99));
}

void Judge(const Work& work, const SendRecord& sent, const Total& total, uint64_t drops, Round* round) {
  const double rate = *round->Get(kSentRate);
  if (!sent.status.ok()) round->Disturb(absl::StrCat("sender: ", sent.status.message()));
  if (rate < kLeastOfRate * work.datagrams_per_second) {
    round->Disturb(absl::StrFormat("the sender reached only %.0f/s", rate));
  }
  if (total.disordered != 0) round->Invalidate(absl::StrCat(total.disordered, " twice or out of order"));
  if (total.unannounced != 0) round->Invalidate(absl::StrCat(total.unannounced, " lost silently"));
  if (drops != 0) round->Disturb(absl::StrCat(drops, " dropped before any socket"));
}

uint64_t Progress(const ReaderLoop& loop) {
  uint64_t progress = 0;
  for (const auto& reader : loop.readers()) {
    for (const Account* account : reader->accounts()) progress += account->last();
  }
  return progress;
}

bool AllHave(const ReaderLoop& loop, size_t channels, uint64_t last) {
  return std::ranges::all_of(loop.readers(), [&](const auto& reader) {
    const std::vector<Account*> accounts = reader->accounts();
    return accounts.size() >= channels &&
           std::ranges::all_of(accounts, [last](const Account* account) { return account->last() >= last; });
  });
}

}  // namespace

absl::StatusOr<std::unique_ptr<ReaderLoop>> OpenReaders(const Subject& subject, int count,
                                                        const Subscription& request) {
  return OpenReaders(subject, std::vector<Subscription>(static_cast<size_t>(count), request));
}

absl::StatusOr<std::unique_ptr<ReaderLoop>> OpenReaders(const Subject& subject,
                                                        const std::vector<Subscription>& requests) {
  std::vector<std::unique_ptr<Reader>> readers;
  for (const Subscription& request : requests) {
    auto reader = subject.MakeReader(request);
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

absl::StatusOr<Outcome> RunTrial(const Subject& subject, const Work& work, Cores cores) {
  auto feed = subject.MakeFeed();
  if (!feed.ok()) return feed.status();
  auto loop = OpenReaders(subject, work.subscribers, {.groups = {subject.group()}});
  if (!loop.ok()) return loop.status();
  (*loop)->SetPause(work.reader_pause_us);
  return RunTrial(subject, loop->get(), feed->get(), work, cores);
}

absl::StatusOr<Outcome> RunTrial(const Subject& subject, ReaderLoop* loop, Feed* feed, const Work& work, Cores cores) {
  const size_t channels = feed->channels();
  Load load = {.payload_bytes = work.payload_bytes, .datagrams_per_second = work.datagrams_per_second};
  // Numbers of one channel.
  const double rate = work.datagrams_per_second / static_cast<double>(channels);
  const auto warm_up = std::max(kLeastWarmUp, static_cast<uint64_t>(kWarmUpSeconds * rate));
  const auto measured = std::max<uint64_t>(1, static_cast<uint64_t>(work.seconds * rate));
  for (const auto& reader : loop->readers()) reader->Measure(warm_up + 1, measured);

  std::optional<Meter> meter;
  SendRecord sent;
  uint64_t last = 0;                   // The number that ends each channel; before that no reader is done.
  std::atomic<int64_t> sent_at_ns{0};  // Publishes `last`.
  std::thread sender([&] {
    load.datagrams = warm_up * channels;
    const SendRecord warm = Generate(feed, load, 1);
    usleep(kSettleUs);
    meter.emplace(subject.server(), cores);
    load.datagrams = measured * channels;
    sent = warm.status.ok() ? Generate(feed, load, warm_up * channels + 1) : SendRecord{.status = warm.status};
    // What a sender that gave up did not send is not missing.
    last = (warm.sent + sent.sent) / channels;
    sent_at_ns = NowNs();
  });
  uint64_t progress = 0;
  int64_t progress_ns = 0;
  const auto done = [&] {
    const int64_t at_ns = sent_at_ns;
    if (at_ns == 0) return false;
    if (AllHave(*loop, channels, last)) return true;
    const int64_t now_ns = NowNs();
    if (const uint64_t now = Progress(*loop); now != progress || progress_ns == 0) {
      progress = now;
      progress_ns = now_ns;
    }
    return now_ns > progress_ns + kTailNs || now_ns > at_ns + kMostTailNs;
  };
  // The sender always comes to an end: more than a second behind, it gives up.
  const auto finished = loop->RunUntil(done, INT64_MAX);
  sender.join();
  meter->Stop();
  if (!finished.ok()) return finished.status();

  Total total = TakeTotal(*loop, channels, last);
  Outcome outcome;
  Round& round = outcome.round;
  const double deliveries = std::max<double>(1, static_cast<double>(total.deliveries));
  const double datagrams = std::max<double>(1, static_cast<double>(sent.sent));
  if (subject.server() != nullptr) {
    round.Set(kCpuPerDelivery, meter->cpu_ns() / deliveries);
    round.Set(kSwitches, meter->switches() / deliveries);
  }
  SetLatencies(&total, &round);
  round.Set(kDeliveries, static_cast<double>(total.deliveries));
  round.Set(kMissing, static_cast<double>(total.missing));
  round.Set(kAnnounced, static_cast<double>(total.announced));
  const double spent_ns = static_cast<double>(sent.elapsed_ns) + 1e9 / work.datagrams_per_second;
  round.Set(kSentRate, datagrams * 1e9 / spent_ns);
  meter->Fill(&round);
  if (work.per_datagram) {
    round.Set(kCpuPerDatagram, meter->cpu_ns() / datagrams);
    round.Set(kUserCpuPerDatagram, meter->user_cpu_ns() / datagrams);
  }
  Judge(work, sent, total, meter->network_drops(), &round);
  outcome.broken_promise =
      subject.promises() && (total.disordered != 0 || (total.unannounced != 0 && meter->network_drops() == 0));
  return outcome;
}

}  // namespace mcgw::bench
