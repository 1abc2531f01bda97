#include "client/cli/pacer.h"

#include <algorithm>
#include <cmath>

namespace mcgw::cli {
namespace {

constexpr double kBurstSeconds = 0.001;
constexpr int64_t kBurstDistanceNs = 500'000;
constexpr int64_t kMostBehindNs = 100'000'000;
constexpr double kNsInSecond = 1e9;

}  // namespace

Pacer::Pacer(double units_per_second)
    : units_per_second_(units_per_second), burst_units_(units_per_second * kBurstSeconds) {}

int64_t Pacer::DueNs() const {
  return origin_ns_ + std::llround(units_since_origin_ / units_per_second_ * kNsInSecond);
}

int64_t Pacer::WaitNs(int64_t now_ns) {
  if (!started_) {
    started_ = true;
    origin_ns_ = now_ns;
  }
  int64_t due_ns = DueNs();
  if (now_ns - due_ns > kMostBehindNs) {
    origin_ns_ = now_ns;
    units_since_origin_ = 0;
    due_ns = now_ns;
  }
  if (in_burst_) {
    if (due_ns <= now_ns && units_in_burst_ < burst_units_) return 0;
    in_burst_ = false;
    next_burst_ns_ = burst_begin_ns_ + kBurstDistanceNs;
  }
  const int64_t earliest_ns = std::max(due_ns, next_burst_ns_);
  if (earliest_ns > now_ns) return earliest_ns - now_ns;
  in_burst_ = true;
  burst_begin_ns_ = now_ns;
  units_in_burst_ = 0;
  return 0;
}

void Pacer::Sent(double units) {
  units_since_origin_ += units;
  units_in_burst_ += units;
}

}  // namespace mcgw::cli
