// Decides when datagrams may go, to keep a rate.

#ifndef MCGW_CLIENT_CLI_PACER_H_
#define MCGW_CLIENT_CLI_PACER_H_

#include <cstdint>

namespace mcgw::cli {

// Keeps an absolute schedule and catches up after a late wake-up, so that the mean rate is exact. Datagrams go in
// bursts of at most 1 ms worth of the rate (and at least one datagram), at least 0.5 ms apart. More than 100 ms behind,
// as after a pause of the input, the schedule starts again. Has no clock: the caller passes the time. Not thread-safe.
class Pacer {
 public:
  // A unit is what the rate counts: a datagram, or a bit.
  explicit Pacer(double units_per_second);

  // How long to wait from now until the next datagram may go. 0: it may go now.
  int64_t WaitNs(int64_t now_ns);

  // Records that a datagram of `units` was sent.
  void Sent(double units);

 private:
  int64_t DueNs() const;

  const double units_per_second_;
  const double burst_units_;
  bool started_ = false;
  bool in_burst_ = false;
  int64_t origin_ns_ = 0;
  int64_t burst_begin_ns_ = 0;
  int64_t next_burst_ns_ = 0;
  double units_since_origin_ = 0;
  double units_in_burst_ = 0;
};

}  // namespace mcgw::cli

#endif  // MCGW_CLIENT_CLI_PACER_H_
