// The machine that is measured on: its description, how busy its cores are, and the network for the load.

#ifndef MCGW_BENCH_HOST_H_
#define MCGW_BENCH_HOST_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "bench/sockets.h"

namespace mcgw::bench {

// Time of one core, or of all, in ticks.
struct CoreTime {
  uint64_t busy = 0;  // All but idle and low priority.
  uint64_t low = 0;   // Low priority (nice), which gives way.
  uint64_t total = 0;
};

CoreTime ReadCoreTime(int core);
// The part of the time between the two that the core was busy, 0 to 1.
double BusyPart(const CoreTime& before, const CoreTime& after);
double LowPart(const CoreTime& before, const CoreTime& after);

// Waits, at most `most_ns`, for a tenth of a second in which both cores were mostly idle. Returns how long it waited.
int64_t WaitForQuiet(int core, int other_core, int64_t most_ns);

// Datagrams that the kernel dropped between two hosts, before any socket (softnet), on the whole machine.
uint64_t NetworkDrops();

absl::Status PinThisThread(int core);
// As far as the machine allows, so that others' work disturbs less; what is started later inherits it.
bool RaisePriority();
int PriorityInForce();

// Two hosts: this network namespace with the interface a0 (10.77.0.1, fd77::1), and "peer" with b0 (10.77.0.2,
// fd77::2), over a link for jumbo frames (9216 bytes), so that no load is fragmented. Needs a network namespace of its
// own with an empty /run/netns, as tests/support/in_namespace makes it; it leaves with that. FAILED_PRECONDITION where
// an interface other than the loopback is up.
absl::Status MakeNetwork();

// A socket on the peer that sends to the group, IPv4 or IPv6, through b0.
absl::StatusOr<OwnedFd> OpenSenderOnPeer(const Group& group);
// A socket on the peer that has joined the group on b0. IPv4.
absl::StatusOr<std::unique_ptr<Reader>> MakeReaderOnPeer(const Group& group);

struct HostFacts {
  std::string processor;
  int cores = 0;
  std::string kernel;
  std::string system;
};
HostFacts ReadHostFacts();

}  // namespace mcgw::bench

#endif  // MCGW_BENCH_HOST_H_
