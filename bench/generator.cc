#include "bench/generator.h"

#include <sys/socket.h>
#include <time.h>

#include <algorithm>
#include <string>

#include "bench/sockets.h"
#include "bench/stamp.h"

namespace mcgw::bench {
namespace {

constexpr int64_t kNsPerSecond = 1'000'000'000;

void SleepUntil(int64_t ns) {
  const timespec until = {.tv_sec = ns / kNsPerSecond, .tv_nsec = ns % kNsPerSecond};
  clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, nullptr);
}

}  // namespace

SendRecord Generate(int fd, const Load& load, uint64_t first) {
  SendRecord record;
  std::string payload(std::max(load.payload_bytes, kStampBytes), '\xa5');
  const double interval_ns = static_cast<double>(kNsPerSecond) / load.datagrams_per_second;
  const int64_t begin_ns = NowNs();
  int64_t now_ns = begin_ns;
  for (uint64_t i = 0; i < load.datagrams && record.status.ok(); ++i) {
    const int64_t due_ns = begin_ns + static_cast<int64_t>(static_cast<double>(i) * interval_ns);
    if (now_ns < due_ns) {
      SleepUntil(due_ns);
      now_ns = NowNs();
    }
    record.latest_ns = std::max(record.latest_ns, now_ns - due_ns);
    if (now_ns - due_ns > kNsPerSecond) record.status = absl::ResourceExhaustedError("more than a second behind");
    WriteStamp({.number = first + i, .sent_ns = now_ns}, payload.data());
    if (send(fd, payload.data(), payload.size(), 0) < 0 && record.status.ok()) record.status = ErrnoError("send");
    now_ns = NowNs();
  }
  record.elapsed_ns = NowNs() - begin_ns;
  return record;
}

}  // namespace mcgw::bench
