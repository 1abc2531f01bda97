// Log lines about interfaces: one for each that is lost, comes back or is renamed, but not a flood when interfaces
// flap.

#ifndef MCGW_GATEWAY_INTERFACES_INTERFACE_LOG_H_
#define MCGW_GATEWAY_INTERFACES_INTERFACE_LOG_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "server/fanout/event.h"
#include "server/gateway/channels/interface_channels.h"

namespace mcgw::gateway {

// The text of such an event; empty for events of other kinds.
std::string Describe(const fanout::Event& event, size_t channels);

// Used by one thread at a time. Writes at most kLinesPerInterval lines for one interface and kMostLines for all in an
// interval; lines held back are counted, and the count is written after the interval.
class InterfaceLog {
 public:
  static constexpr int64_t kIntervalNs = 60'000'000'000;
  static constexpr int kLinesPerInterval = 6;
  static constexpr int kMostLines = 100;

  // The lines to write at `now_ns` (monotonic) for a notice.
  std::vector<std::string> Lines(const InterfaceNotice& notice, int64_t now_ns);
  // The lines about an interval that is over. Call it once a second.
  std::vector<std::string> Due(int64_t now_ns);

 private:
  struct Account {
    int lines = 0;
    uint64_t held_back = 0;
  };

  int64_t began_ns_ = 0;
  int lines_ = 0;
  std::map<std::string, Account> accounts_;  // By interface; for the interval.
};

}  // namespace mcgw::gateway

#endif  // MCGW_GATEWAY_INTERFACES_INTERFACE_LOG_H_
