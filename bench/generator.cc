#include "bench/generator.h"

#include <time.h>

#include <algorithm>

#include "bench/stamp.h"

namespace mcgw::bench {
namespace {

constexpr int64_t kNsPerSecond = 1'000'000'000;
constexpr char kFill = '\xa5';

void SleepUntil(int64_t ns) {
  const timespec until = {.tv_sec = ns / kNsPerSecond, .tv_nsec = ns % kNsPerSecond};
  clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, nullptr);
}

}  // namespace

SendRecord Generate(Feed* feed, const Load& load, uint64_t first) {
  SendRecord record;
  const size_t size = std::max(load.payload_bytes, kStampBytes);
  const size_t channels = feed->channels();
  const bool runs = load.datagrams_per_second > kMostSingleRate && channels == 1;
  const uint64_t run = runs ? std::min<uint64_t>(kRunAboveThat, MostInRun(size)) : 1;
  std::vector<char> data(size * run, kFill);
  const double interval_ns = static_cast<double>(kNsPerSecond) / load.datagrams_per_second;
  const int64_t begin_ns = NowNs();
  int64_t now_ns = begin_ns;
  for (uint64_t i = 0; i < load.datagrams && record.status.ok(); i += run) {
    const int64_t due_ns = begin_ns + static_cast<int64_t>(static_cast<double>(i) * interval_ns);
    if (now_ns < due_ns) {
      SleepUntil(due_ns);
      now_ns = NowNs();
    }
    record.latest_ns = std::max(record.latest_ns, now_ns - due_ns);
    const uint64_t count = std::min(run, load.datagrams - i);
    for (uint64_t j = 0; j < count; ++j) {
      WriteStamp({.number = (first - 1 + i) / channels + 1 + j, .sent_ns = now_ns}, &data[j * size]);
    }
    record.status = feed->Send(i % channels, data.data(), size, count);
    if (record.status.ok()) record.sent += count;
    if (now_ns - due_ns > kNsPerSecond) record.status = absl::ResourceExhaustedError("more than a second behind");
    now_ns = NowNs();
  }
  record.elapsed_ns = NowNs() - begin_ns;
  return record;
}

absl::Status SendRun(Feed* feed, size_t payload_bytes, uint64_t first, size_t count, std::vector<char>* scratch) {
  const size_t size = std::max(payload_bytes, kStampBytes);
  scratch->resize(size * count, kFill);
  const int64_t now_ns = NowNs();
  for (size_t i = 0; i < count; ++i) WriteStamp({.number = first + i, .sent_ns = now_ns}, &(*scratch)[i * size]);
  return feed->Send(0, scratch->data(), size, count);
}

}  // namespace mcgw::bench
