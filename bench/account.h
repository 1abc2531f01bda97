// What one reader got of one channel, against the sender's numbering and, for the gateway, against what was announced.

#ifndef MCGW_BENCH_ACCOUNT_H_
#define MCGW_BENCH_ACCOUNT_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "bench/stamp.h"

namespace mcgw::bench {

// Not thread-safe.
class Account {
 public:
  // Numbers below `first` are of the warm-up: they are checked for order and otherwise not counted. `expected`: how
  // many latencies to make room for.
  void Measure(uint64_t first, size_t expected) {
    first_ = first;
    latencies_ns_.reserve(expected);
  }
  // Counts and checks only.
  void IgnoreLatency() { latency_wanted_ = false; }

  void Take(const char* payload, size_t size, int64_t now_ns) {
    if (size < kStampBytes) {
      ++disordered_;
      return;
    }
    const Stamp stamp = ReadStamp(payload);
    if (stamp.number <= last_) {
      ++disordered_;
      return;
    }
    // What comes before the first datagram is not owed: a reader that joins meets the stream where it is.
    if (last_ != 0) missing_ += stamp.number - last_ - 1;
    last_ = stamp.number;
    if (stamp.number < first_) return;
    ++deliveries_;
    if (!latency_wanted_) return;
    latencies_ns_.push_back(Clamp(now_ns - stamp.sent_ns));
  }

  // After Take of the same datagram: how old it was by its receive timestamp.
  void TakeAge(int64_t age_ns) {
    if (latency_wanted_ && last_ >= first_) ages_ns_.push_back(Clamp(age_ns));
  }

  // The gateway's own numbering. TakeSequence before each datagram, TakeRange for each Gap with a range.
  void StartSequence(uint64_t next) { next_sequence_ = next; }
  void TakeSequence(uint64_t sequence) {
    if (sequence != next_sequence_) TakeUnexpected(sequence);
    next_sequence_ = sequence + 1;
  }
  void TakeRange(uint64_t first, uint64_t last);
  void TakeUnknownGap() { ++unknown_gaps_; }

  // The sender's last number: what is missing at the end is missing too.
  void End(uint64_t last);

  uint64_t last() const { return last_; }
  uint64_t deliveries() const { return deliveries_; }  // After the warm-up.
  uint64_t missing() const { return missing_; }        // By the sender's numbering.
  uint64_t announced() const { return announced_; }    // Of those, in ranges of Gap events.
  uint64_t disordered() const { return disordered_; }  // Twice, out of order, or cut short.
  uint64_t unknown_gaps() const { return unknown_gaps_; }
  // Missing without an announcement, by either numbering.
  uint64_t unannounced() const;
  const std::vector<uint32_t>& latencies_ns() const { return latencies_ns_; }  // From the sender's clock.
  const std::vector<uint32_t>& ages_ns() const { return ages_ns_; }            // From the kernel's timestamp.

 private:
  static uint32_t Clamp(int64_t ns) { return static_cast<uint32_t>(ns < 0 ? 0 : ns > UINT32_MAX ? UINT32_MAX : ns); }
  void TakeUnexpected(uint64_t sequence);

  uint64_t first_ = 0;
  uint64_t last_ = 0;
  uint64_t deliveries_ = 0;
  uint64_t missing_ = 0;
  uint64_t announced_ = 0;
  uint64_t unannounced_sequences_ = 0;
  uint64_t unknown_gaps_ = 0;
  uint64_t disordered_ = 0;
  uint64_t next_sequence_ = 1;
  bool latency_wanted_ = true;
  std::vector<uint32_t> latencies_ns_;
  std::vector<uint32_t> ages_ns_;
};

}  // namespace mcgw::bench

#endif  // MCGW_BENCH_ACCOUNT_H_
