// What the log says of interfaces: a line for each that was lost, came back or was renamed, but no flood of them where
// interfaces flap.

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

// Of one thread at a time. At most kLinesPerInterval lines for one interface and kMostLines for all in an interval;
// what is held back is counted, and the count written when the interval is over.
class InterfaceLog {
 public:
  static constexpr int64_t kIntervalNs = 60'000'000'000;
  static constexpr int kLinesPerInterval = 6;
  static constexpr int kMostLines = 100;

  // The lines to write at `now_ns` (monotonic) for what has just happened.
  std::vector<std::string> Lines(const InterfaceNotice& notice, int64_t now_ns);
  // What is to be said of an interval that is over. Once a second.
  std::vector<std::string> Due(int64_t now_ns);

 private:
  struct Account {
    int lines = 0;
    uint64_t held_back = 0;
  };

  int64_t began_ns_ = 0;
  int lines_ = 0;
  std::map<std::string, Account> accounts_;  // By interface; of the interval.
};

}  // namespace mcgw::gateway

#endif  // MCGW_GATEWAY_INTERFACES_INTERFACE_LOG_H_
