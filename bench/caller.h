// Load by calls: unary ones, and batches on a Publish stream; closed loop, over one connection.

#ifndef MCGW_BENCH_CALLER_H_
#define MCGW_BENCH_CALLER_H_

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "bench/meter.h"
#include "bench/process.h"
#include "bench/trial.h"

namespace mcgw::bench {

struct Call {
  std::string path;
  std::string request;
};

struct CallLoad {
  int in_flight = 1;
  double seconds = 1;
  // The next call of one of the places that are in flight (0 and up), given the answer to its last; null before its
  // first.
  std::function<Call(size_t place, const std::string* answer)> next;
  // Calls that make one: a Join and its Leave, for instance.
  int calls_in_one = 1;
  // Only calls of this path are counted and timed; empty: all.
  std::string counted = {};
};

// A call that fails is a status that is not OK.
absl::StatusOr<Outcome> RunCalls(const Process* server, const std::string& target, const CallLoad& load, Cores cores);

struct PublishLoad {
  std::vector<std::string> batches;  // Encoded, sent in turn.
  size_t items_in_batch = 0;
  int in_flight = 16;
  double seconds = 1;       // For as long as this,
  size_t most_batches = 0;  // or, if it is not 0, until so many are answered.
};

// An item that is not taken is a status that is not OK.
absl::StatusOr<Outcome> RunPublish(const Process* server, const std::string& target, const PublishLoad& load,
                                   Cores cores);

}  // namespace mcgw::bench

#endif  // MCGW_BENCH_CALLER_H_
