// Decides when a busy stream waits briefly so that several datagrams share a message. Each message costs the gateway
// and the client some microseconds, however few datagrams it carries.
//
// Messages of a stream are kept its delay apart, but only while, at the rate of the last messages, at least kWorthwhile
// datagrams are expected in that time. So a datagram after a quiet time goes at once, and a slow stream never waits.
// docs/adr/ gives the reasons and figures.

#ifndef MCGW_RPC_LINGER_H_
#define MCGW_RPC_LINGER_H_

#include <algorithm>
#include <cstdint>

namespace mcgw::rpc {

// Not thread-safe. Times are monotonic.
class Linger {
 public:
  // `most_ns`: the time between messages; 0: never wait.
  void SetMost(int64_t most_ns) { most_ns_ = most_ns; }
  bool forbidden() const { return most_ns_ == 0; }

  // Records the start of a message with `datagrams` datagrams, at least one.
  void OnMessage(int64_t now_ns, uint32_t datagrams) {
    const int64_t apart_ns = std::min((now_ns - message_ns_) / datagrams, kQuietNs);
    apart_ns_ += (apart_ns - apart_ns_) / kMessagesRemembered;
    message_ns_ = now_ns;
  }
  // When the next message may start; in the past if it may start now.
  int64_t until_ns() const { return 2 * most_ns_ >= kTwiceWorthwhile * apart_ns_ ? message_ns_ + most_ns_ : 0; }

 private:
  // One and a half: with less, the timer costs more than it saves.
  static constexpr int64_t kTwiceWorthwhile = 3;
  static constexpr int64_t kMessagesRemembered = 8;
  // A longer time between datagrams counts as this much: one such pause ends the waiting, and a burst soon resumes it.
  static constexpr int64_t kQuietNs = 1'000'000;

  int64_t most_ns_ = 0;
  int64_t message_ns_ = 0;       // When the last message started.
  int64_t apart_ns_ = kQuietNs;  // Average time between datagrams.
};

}  // namespace mcgw::rpc

#endif  // MCGW_RPC_LINGER_H_
