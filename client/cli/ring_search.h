// An expanding-ring search: which hop limits to try, what the answers mean, and how often pong answers.
//
// Nothing here sends, waits or reads a clock: the caller passes the time. Not thread-safe.

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
  uint8_t ring = 0;        // The hop limit of the answered probe.
  uint16_t sequence = 0;   // The probe's number.
  uint8_t routers = 0;     // Routers that the probe crossed.
  uint64_t responder = 0;  // The pong that answers; several may share a host and its address.
  int64_t round_trip_ns = 0;
};

// One search of ping.
class RingSearch {
 public:
  explicit RingSearch(uint64_t nonce) : nonce_(nonce) {}

  // The payload of the next probe, to be sent now. At most 65,536 in a search.
  std::string Probe(uint8_t ring, int64_t now_ns);

  // Takes a datagram of the group. Returns the first answer of each responder to each probe of this search, and counts
  // everything else.
  std::optional<RingAnswer> Take(absl::string_view payload, int64_t now_ns);

  size_t probes() const { return probes_.size(); }
  size_t responders() const { return responders_.size(); }
  // The answer with the smallest ring, and among these the fastest. nullopt while there is none.
  const std::optional<RingAnswer>& nearest() const { return nearest_; }
  uint64_t duplicates() const { return duplicates_; }  // Answers repeated by the network or several interfaces.
  uint64_t others() const { return others_; }          // Datagrams of other searches.
  uint64_t foreign() const { return foreign_; }        // Datagrams not of ping or pong, or with impossible values.

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

// Limits how often pong answers: a burst of at most `most`, and in the long run `most` a second.
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
