// When a busy stream waits a little, so that several datagrams share a message: a message costs the gateway and the
// client some microseconds, however few datagrams it carries.
//
// Messages of a stream are kept its delay apart, but only while at least kWorthwhile datagrams are to be expected in
// that time, by the rate of the last messages. So what comes after a quiet time goes at once, and a slow stream never
// waits in vain. docs/adr/ tells why, with figures.

#ifndef MCGW_RPC_LINGER_H_
#define MCGW_RPC_LINGER_H_

#include <algorithm>
#include <cstdint>

namespace mcgw::rpc {

// Not thread-safe. Times are monotonic.
class Linger {
 public:
  // `most_ns`: how far messages are kept apart; 0: never.
  void SetMost(int64_t most_ns) { most_ns_ = most_ns; }
  bool forbidden() const { return most_ns_ == 0; }

  // A message with so many datagrams, at least one, is begun.
  void OnMessage(int64_t now_ns, uint32_t datagrams) {
    const int64_t apart_ns = std::min((now_ns - message_ns_) / datagrams, kQuietNs);
    apart_ns_ += (apart_ns - apart_ns_) / kMessagesRemembered;
    message_ns_ = now_ns;
  }
  // Until when what comes behind the last message waits; in the past if it need not.
  int64_t until_ns() const { return 2 * most_ns_ >= kTwiceWorthwhile * apart_ns_ ? message_ns_ + most_ns_ : 0; }

 private:
  // One and a half: with less, the timer costs more than it saves.
  static constexpr int64_t kTwiceWorthwhile = 3;
  static constexpr int64_t kMessagesRemembered = 8;
  // A longer time between datagrams counts as this: one such pause ends the waiting, and a burst soon begins it again.
  static constexpr int64_t kQuietNs = 1'000'000;

  int64_t most_ns_ = 0;
  int64_t message_ns_ = 0;       // When the last message was begun.
  int64_t apart_ns_ = kQuietNs;  // Between datagrams, on average.
};

}  // namespace mcgw::rpc

#endif  // MCGW_RPC_LINGER_H_
