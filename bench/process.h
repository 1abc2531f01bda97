// A program that is measured: started on one core, its CPU time and context switches read, ended with this object.

#ifndef MCGW_BENCH_PROCESS_H_
#define MCGW_BENCH_PROCESS_H_

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "bench/sockets.h"

namespace mcgw::bench {

struct Usage {
  int64_t cpu_ns = 0;              // User and system, all threads.
  int64_t user_cpu_ns = 0;         // Of that, user; as fine as the kernel tells them apart.
  int64_t voluntary_switches = 0;  // Of the threads that live.
};

// Not thread-safe.
class Process {
 public:
  // Starts the program pinned to the core, and returns when it has said "ready" on standard error. DEADLINE_EXCEEDED or
  // INTERNAL with what it said otherwise.
  static absl::StatusOr<std::unique_ptr<Process>> Start(const std::vector<std::string>& command, int core);

  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;
  ~Process();  // SIGTERM, after 10 s SIGKILL; waits.

  // From just before the fork to the word "ready".
  int64_t start_up_ns() const { return start_up_ns_; }
  bool running() const;
  Usage usage() const;
  // User and system time of its threads of that name.
  int64_t thread_cpu_ns(const std::string& name) const;
  int64_t resident_bytes() const;

 private:
  Process(pid_t pid, OwnedFd said) : pid_(pid), said_(std::move(said)) {}
  std::string Said() const;
  absl::Status WaitReady(int64_t begin_ns);

  const pid_t pid_;
  const OwnedFd said_;  // Its standard error, in memory.
  int64_t start_up_ns_ = 0;
  bool ended_ = false;
};

}  // namespace mcgw::bench

#endif  // MCGW_BENCH_PROCESS_H_
