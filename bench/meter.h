// What a measurement cost: the server's processor time, and how busy both cores were meanwhile.

#ifndef MCGW_BENCH_METER_H_
#define MCGW_BENCH_METER_H_

#include <cstdint>

#include "bench/host.h"
#include "bench/process.h"
#include "bench/result.h"

namespace mcgw::bench {

struct Cores {
  int server = 0;
  int client = 1;  // For the sender and the readers.
};

// Beyond this a round is invalid, since the readers and not the server may have been measured.
inline constexpr double kMostClientBusy = 0.9;

// Nor does a round count in which others took more of the server's core.
inline constexpr double kMostOthers = 0.15;

// Not thread-safe.
class Meter {
 public:
  // Begins. `server` may be null and outlives this object.
  Meter(const Process* server, Cores cores);

  // Ends, once.
  void Stop();

  int64_t elapsed_ns() const { return after_.at_ns - before_.at_ns; }
  double cpu_ns() const { return static_cast<double>(after_.server.cpu_ns - before_.server.cpu_ns); }
  double user_cpu_ns() const { return static_cast<double>(after_.server.user_cpu_ns - before_.server.user_cpu_ns); }
  double switches() const {
    return static_cast<double>(after_.server.voluntary_switches - before_.server.voluntary_switches);
  }
  // Datagrams dropped before any socket.
  uint64_t network_drops() const { return after_.network_drops - before_.network_drops; }

  // Sets what concerns the cores and the server's memory, and invalidates the round if the client core was too busy,
  // the server's core was busy with others, or the server has ended.
  void Fill(Round* round) const;

 private:
  struct Snapshot {
    Usage server;
    int64_t own_cpu_ns = 0;
    CoreTime server_core;
    CoreTime client_core;
    int64_t at_ns = 0;
    uint64_t network_drops = 0;
  };
  Snapshot Take() const;

  const Process* const server_;
  const Cores cores_;
  const Snapshot before_;
  Snapshot after_;
};

}  // namespace mcgw::bench

#endif  // MCGW_BENCH_METER_H_
