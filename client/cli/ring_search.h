// An expanding-ring search: which hop limits are tried, what the answers mean, and how often pong answers.
//
// Nothing here sends, waits or knows a clock: the caller says what time it is. Not thread-safe.

#ifndef MCGW_CLIENT_CLI_RING_SEARCH_H_
#define MCGW_CLIENT_CLI_RING_SEARCH_H_

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "client/cli/ring_message.h"

namespace mcgw::cli {

// The hop limits to try, ascending: `first`, then the powers of two above it, and `last` at the end. 1 and 32 give 1,
// 2, 4, 8, 16, 32. first <= last <= 255.
std::vector<uint8_t> RingsBetween(uint8_t first, uint8_t last);

struct RingAnswer {
  uint8_t ring = 0;        // The hop limit of the probe that is answered.
  uint16_t sequence = 0;   // The probe's number.
  uint8_t routers = 0;     // That the probe crossed.
  uint64_t responder = 0;  // Who answers; several may share a host, and so an address.
  int64_t round_trip_ns = 0;
};

// One search of ping.
class RingSearch {
 public:
  explicit RingSearch(uint64_t nonce) : nonce_(nonce) {}

  // The payload of the next probe, which is sent now. At most 65,536 in a search.
  std::string Probe(uint8_t ring, int64_t now_ns);

  // What came to the group. An answer to this search, the first of its responder to its probe, is returned; all else is
  // counted.
  std::optional<RingAnswer> Take(absl::string_view payload, int64_t now_ns);

  size_t probes() const { return probes_.size(); }
  size_t responders() const { return responders_.size(); }
  // The answer with the smallest ring, and of these the fastest. nullopt while there is none.
  const std::optional<RingAnswer>& nearest() const { return nearest_; }
  uint64_t duplicates() const { return duplicates_; }  // Answers that the network, or several interfaces, repeated.
  uint64_t others() const { return others_; }          // Of other searches.
  uint64_t foreign() const { return foreign_; }        // No message of ping or pong, or one that cannot be true.

 private:
  struct SentProbe {
    uint8_t ring;
    int64_t sent_ns;
  };

  const uint64_t nonce_;
  std::vector<SentProbe> probes_;
  std::set<std::pair<uint64_t, uint16_t>> answered_;  // (responder, sequence)
  std::set<uint64_t> responders_;
  std::optional<RingAnswer> nearest_;
  uint64_t duplicates_ = 0;
  uint64_t others_ = 0;
  uint64_t foreign_ = 0;
};

// Bounds how often pong answers: at most `most` at once, and in the long run so many a second.
class AnswerBudget {
 public:
  explicit AnswerBudget(uint32_t most) : most_(most), left_(most) {}

  // Takes one answer from the budget. False if none is left.
  bool Take(int64_t now_ns);

 private:
  const double most_;
  double left_;
  int64_t last_ns_ = INT64_MIN;
};

}  // namespace mcgw::cli

#endif  // MCGW_CLIENT_CLI_RING_SEARCH_H_
